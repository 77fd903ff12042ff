//! The managed routes that are wanted at a step.

use crate::config::{Header, Match, SetHeaderRoute, SetMirrorRoute, Step, Text};
use kulta_plugin::{HeaderMatch, ManagedRoute, Mirror, RouteKind, RouteMatch, TextMatch};

/// For each name, the route of the last step at or before this one that sets it. A step without a match ends the route.
pub fn at(steps: &[Step], index: usize) -> Vec<ManagedRoute> {
    let mut routes: Vec<ManagedRoute> = Vec::new();
    for step in steps.iter().take(index.saturating_add(1)) {
        let of_headers = step.set_header_route.as_ref().map(|set| (&set.name, with_headers(set)));
        let of_mirror = step.set_mirror_route.as_ref().map(|set| (&set.name, with_mirror(set)));
        for (name, kind) in of_headers.into_iter().chain(of_mirror) {
            routes.retain(|route| route.name != *name);
            routes.extend(kind.map(|kind| ManagedRoute { name: name.clone(), kind }));
        }
    }
    routes
}

fn with_headers(set: &SetHeaderRoute) -> Option<RouteKind> {
    let header = |Header { header_name, header_value }: &Header| self::header(header_name, header_value);
    (!set.matches.is_empty()).then(|| RouteKind::Headers(set.matches.iter().map(header).collect()))
}

fn with_mirror(set: &SetMirrorRoute) -> Option<RouteKind> {
    let matches = set.matches.iter().map(|Match { method, path, headers }| RouteMatch {
        method: method.as_ref().map(text),
        path: path.as_ref().map(text),
        headers: headers.iter().map(|(name, value)| header(name, value)).collect(),
    });
    let mirror = || Mirror { percentage: set.percentage, matches: matches.collect() };
    (!set.matches.is_empty()).then(|| RouteKind::Mirror(mirror()))
}

fn header(name: &str, value: &Text) -> HeaderMatch {
    HeaderMatch { name: name.to_owned(), value: text(value) }
}

fn text(text: &Text) -> TextMatch {
    match text.clone() {
        Text::Exact(exact) => TextMatch::Exact(exact),
        Text::Prefix(prefix) => TextMatch::Prefix(prefix),
        Text::Regex(regex) => TextMatch::Regex(regex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    const STEPS: &str = r#"{"steps":[
        {"setWeight":10},
        {"setHeaderRoute":{"name":"beta","match":[{"headerName":"team","headerValue":{"exact":"qa"}}]}},
        {"pause":{}},
        {"setMirrorRoute":{"name":"copy","percentage":30,"match":[{"method":{"exact":"GET"},"path":{"regex":"/a.*"},"headers":{"x":{"prefix":"y"}}}]}},
        {"setHeaderRoute":{"name":"beta","match":[{"headerName":"team","headerValue":{"prefix":"q"}}]}},
        {"setHeaderRoute":{"name":"beta"}},
        {"setMirrorRoute":{"name":"copy"}}
    ]}"#;

    fn steps() -> Vec<Step> {
        serde_json::from_str::<Config>(STEPS).unwrap().steps
    }

    fn names(index: usize) -> Vec<String> {
        at(&steps(), index).into_iter().map(|route| route.name).collect()
    }

    #[test]
    fn a_route_is_wanted_from_its_step_until_a_step_without_a_match() {
        let wanted: Vec<Vec<String>> = (0..8).map(names).collect();

        let expected: [&[&str]; 8] =
            [&[], &["beta"], &["beta"], &["beta", "copy"], &["copy", "beta"], &["copy"], &[], &[]];
        assert_eq!(wanted, expected);
    }

    #[test]
    fn the_last_step_that_sets_a_route_counts() {
        let found = at(&steps(), 4).into_iter().find(|route| route.name == "beta");

        match found.map(|route| route.kind) {
            Some(RouteKind::Headers(headers)) => {
                assert!(matches!(&headers[0].value, TextMatch::Prefix(text) if text == "q"))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mirror_has_all_that_the_step_matches() {
        match at(&steps(), 3).pop().map(|route| route.kind) {
            Some(RouteKind::Mirror(Mirror { percentage, matches })) => {
                let one = &matches[0];
                assert_eq!(percentage, Some(30));
                assert!(matches!(&one.method, Some(TextMatch::Exact(text)) if text == "GET"));
                assert!(matches!(&one.path, Some(TextMatch::Regex(text)) if text == "/a.*"));
                assert_eq!(one.headers[0].name, "x");
            }
            other => panic!("{other:?}"),
        }
    }
}
