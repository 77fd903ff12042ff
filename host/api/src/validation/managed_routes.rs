//! Validates `trafficRouting.managedRoutes`, and the steps that set such a route (`reference/argo-rollouts.md` section 1.2).

use std::collections::BTreeMap;

use crate::field_error::{Faults, Path};
use crate::gateway::{GATEWAY_PLUGIN, GatewayRouting};
use crate::routes::{RouteMatch, SetHeaderRoute, SetMirrorRoute, StringMatch};
use crate::strategy::{CanaryFields, ManagedRoute};

/// Maximum length of a managed route's name. A rule's name has at most 253 characters (Gateway API), with a number of two digits.
const MAX_NAME: usize = 250;
/// Maximum number of headers of a match (Gateway API).
const MAX_HEADERS: usize = 16;
/// Maximum number of matches of a rule (Gateway API).
const MAX_MATCHES: usize = 64;
/// Gateway API matches these methods.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// Characters of a header's name beside letters and digits (RFC 9110, "token").
const TOKEN: &str = "!#$%&'*+-.^_`|~";

pub(super) fn names(routes: &[ManagedRoute], path: &Path, faults: &mut Faults) {
    for (index, route) in routes.iter().enumerate() {
        let name = route.name.as_str();
        let path = path.index(index).field("name");
        if name.is_empty() {
            faults.add(&path, "is required");
            continue;
        }
        let is_valid = is_dns_subdomain(name) && name.len() <= MAX_NAME;
        faults.add_if(
            !is_valid,
            &path,
            format!("{name:?} must be a lower-case DNS name of at most {MAX_NAME} characters"),
        );
        let others = || routes.iter().map(|other| other.name.as_str());
        faults.add_if(others().take(index).any(|before| before == name), &path, format!("{name:?} is a duplicate"));
        if let Some(other) = others().find(|other| is_numbered(name, other)) {
            let message = format!("{name:?} may be the name of a further rule of {other:?}: choose another name");
            faults.add(&path, message);
        }
    }
}

/// The name is the other one and a number, as the rules of one managed route are named.
fn is_numbered(name: &str, other: &str) -> bool {
    let number = name.strip_prefix(other).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A lower-case DNS name, which a rule's name has to be.
fn is_dns_subdomain(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.split('.').all(|label| {
        let ends = label.bytes().next().is_some_and(is_inner) && label.bytes().last().is_some_and(is_inner);
        ends && label.bytes().all(|byte| is_inner(byte) || byte == b'-')
    })
}

pub(super) fn header_step(step: &SetHeaderRoute, fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    managed(&step.name, fields, path, faults);
    let path = path.field("match");
    count(step.matches.len(), MAX_HEADERS, &path, faults);
    let mut names = Vec::new();
    for (index, header) in step.matches.iter().enumerate() {
        let path = path.index(index);
        self::header(&header.header_name, &path.field("headerName"), &mut names, faults);
        text(&header.header_value, &path.field("headerValue"), faults);
    }
}

pub(super) fn mirror_step(step: &SetMirrorRoute, fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    managed(&step.name, fields, path, faults);
    let outside = step.percentage.filter(|percentage| !(0..=100).contains(percentage));
    if let Some(percentage) = outside {
        faults.add(&path.field("percentage"), format!("{percentage} must be between 0 and 100"));
    }
    let path = path.field("match");
    count(step.matches.len(), MAX_MATCHES, &path, faults);
    for (index, one) in step.matches.iter().enumerate() {
        route_match(one, &path.index(index), faults);
    }
}

fn managed(name: &str, fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    let routing = fields.traffic_routing.as_ref();
    let Some(config) = routing.and_then(|routing| routing.gateway()) else {
        faults.add(path, format!("can only be used with {GATEWAY_PLUGIN}"));
        return;
    };
    let known = routing.is_some_and(|routing| routing.managed_routes.iter().any(|route| route.name == name));
    let name_path = path.field("name");
    if name.is_empty() {
        faults.add(&name_path, "is required");
    } else {
        faults.add_if(!known, &name_path, format!("{name:?} is not one of trafficRouting.managedRoutes"));
    }
    let takes_none = GatewayRouting::parse(config).is_ok_and(|routing| !routing.takes_any_header_routes());
    let message = "needs a route for its rules: name it by httpRoute or grpcRoute, or set useHeaderRoutes: true in httpRoutes or grpcRoutes";
    faults.add_if(takes_none, path, message);
}

fn route_match(one: &RouteMatch, path: &Path, faults: &mut Faults) {
    if let Some(method) = &one.method {
        let path = path.field("method");
        text(method, &path, faults);
        let inexact = method.prefix.is_some() || method.regex.is_some();
        faults.add_if(inexact, &path, "must be exact: Gateway API matches no part of a method");
        if let Some(unknown) = method.exact.as_deref().filter(|method| !METHODS.contains(method)) {
            faults.add(&path.field("exact"), format!("{unknown:?} must be one of {}", METHODS.join(", ")));
        }
    }
    if let Some(value) = &one.path {
        let path = path.field("path");
        text(value, &path, faults);
        for (written, field) in [(&value.exact, "exact"), (&value.prefix, "prefix")] {
            let relative = written.as_deref().is_some_and(|written| !written.is_empty() && !written.starts_with('/'));
            faults.add_if(relative, &path.field(field), "must begin with /");
        }
    }
    headers(&one.headers, &path.field("headers"), faults);
}

fn headers(headers: &BTreeMap<String, StringMatch>, path: &Path, faults: &mut Faults) {
    count(headers.len(), MAX_HEADERS, path, faults);
    let mut names = Vec::new();
    for (name, value) in headers {
        let path = path.field(name);
        header(name, &path, &mut names, faults);
        text(value, &path, faults);
    }
}

/// `names` are those of the headers before. Names of headers have no case.
fn header(name: &str, path: &Path, names: &mut Vec<String>, faults: &mut Faults) {
    if name.is_empty() {
        faults.add(path, "is required");
        return;
    }
    let is_token = name.chars().all(|character| character.is_ascii_alphanumeric() || TOKEN.contains(character));
    faults.add_if(!is_token, path, format!("{name:?} is not the name of a header"));
    let lower = name.to_ascii_lowercase();
    faults.add_if(names.contains(&lower), path, format!("{name:?} is a duplicate: names of headers have no case"));
    names.push(lower);
}

fn text(value: &StringMatch, path: &Path, faults: &mut Faults) {
    let kinds = [(&value.exact, "exact"), (&value.prefix, "prefix"), (&value.regex, "regex")];
    let given = kinds.iter().filter(|(written, _)| written.is_some()).count();
    faults.add_if(given != 1, path, "must have exactly one of exact, prefix and regex");
    for (written, field) in kinds {
        let is_empty = written.as_deref().is_some_and(str::is_empty);
        faults.add_if(is_empty, &path.field(field), "must not be empty");
    }
}

fn count(number: usize, max: usize, path: &Path, faults: &mut Faults) {
    faults.add_if(number > max, path, format!("has {number} entries, and Gateway API allows {max}"));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::rollout::Rollout;
    use crate::validation::tests::{assert_faults, canary, paths, routed};

    const STEP: &str = "spec.strategy.canary.steps[0]";
    const NAMES: &str = "spec.strategy.canary.trafficRouting.managedRoutes";

    fn managed(names: &[&str], steps: Value) -> Rollout {
        let names: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        routed(json!({ "trafficRouting": { "managedRoutes": names }, "steps": steps }))
    }

    fn header(matches: Value) -> Rollout {
        managed(&["beta"], json!([{ "setHeaderRoute": { "name": "beta", "match": matches } }]))
    }

    fn mirror(step: Value) -> Rollout {
        let mut mirror = json!({ "name": "beta" });
        crate::validation::tests::merge(&mut mirror, step);
        managed(&["beta"], json!([{ "setMirrorRoute": mirror }]))
    }

    #[test]
    fn header_and_mirror_routes_of_every_kind_are_valid() {
        let headers = json!([
            { "headerName": "a", "headerValue": { "exact": "1" } },
            { "headerName": "b", "headerValue": { "prefix": "1" } },
            { "headerName": "c", "headerValue": { "regex": ".*" } },
        ]);
        let all =
            json!([{ "method": { "exact": "GET" }, "path": { "prefix": "/" }, "headers": { "A": { "regex": "x" } } }]);
        assert_faults(vec![
            (header(headers), &[]),
            (header(json!([])), &[]),
            (mirror(json!({ "percentage": 0, "match": all })), &[]),
            (mirror(json!({ "percentage": 100 })), &[]),
            (mirror(json!({ "match": [{}] })), &[]),
        ]);
    }

    #[test]
    fn names_of_managed_routes_are_given_valid_and_unique() {
        let at = |index: usize| format!("{NAMES}[{index}].name");
        assert_eq!(paths(&managed(&["a", "b"], json!([]))), Vec::<String>::new());
        for names in [&["a", "a"], &["a", ""], &["a", "B"], &["a", "a-1"]] {
            assert_eq!(paths(&managed(names, json!([]))), [at(1)], "{names:?}");
        }
    }

    #[test]
    fn a_step_names_one_of_the_managed_routes() {
        let named = |name: &str, kind: &str| managed(&["beta"], json!([{ kind: { "name": name } }]));
        for kind in ["setHeaderRoute", "setMirrorRoute"] {
            for name in ["other", ""] {
                assert_eq!(paths(&named(name, kind)), [format!("{STEP}.{kind}.name")]);
            }
        }
    }

    #[test]
    fn a_header_route_needs_a_router() {
        let steps = json!({ "steps": [{ "setHeaderRoute": { "name": "beta" } }] });

        assert_eq!(paths(&canary(steps)), [format!("{STEP}.setHeaderRoute")]);
    }

    #[test]
    fn a_header_route_needs_a_route_that_takes_its_rules() {
        let plain = |takes: bool| {
            let config = json!({ "httpRoute": null, "httpRoutes": [{ "name": "web", "useHeaderRoutes": takes }] });
            routed(json!({
                "trafficRouting": { "managedRoutes": [{ "name": "beta" }], "plugins": { "argoproj-labs/gatewayAPI": config } },
                "steps": [{ "setHeaderRoute": { "name": "beta" } }],
            }))
        };

        assert_eq!(paths(&plain(true)), Vec::<String>::new());
        assert_eq!(paths(&plain(false)), [format!("{STEP}.setHeaderRoute")]);
    }

    #[test]
    fn a_header_match_has_a_name_and_exactly_one_kind_of_value() {
        let one = |name: &str, value: Value| header(json!([{ "headerName": name, "headerValue": value }]));
        let name = format!("{STEP}.setHeaderRoute.match[0].headerName");
        let value = format!("{STEP}.setHeaderRoute.match[0].headerValue");
        assert_faults(vec![
            (one("", json!({ "exact": "x" })), &[&name]),
            (one("a b", json!({ "exact": "x" })), &[&name]),
            (one("a", json!({})), &[&value]),
            (one("a", json!({ "exact": "x", "regex": "y" })), &[&value]),
            (one("a", json!({ "prefix": "" })), &[&format!("{value}.prefix")]),
        ]);
    }

    #[test]
    fn a_header_is_matched_once_whatever_its_case() {
        let twice = header(json!([
            { "headerName": "Team", "headerValue": { "exact": "a" } }, { "headerName": "team", "headerValue": { "exact": "b" } },
        ]));
        let headers = json!({ "Team": { "exact": "a" }, "team": { "exact": "b" } });
        let mirrored = mirror(json!({ "match": [{ "headers": headers }] }));

        assert_eq!(paths(&twice), [format!("{STEP}.setHeaderRoute.match[1].headerName")]);
        assert_eq!(paths(&mirrored), [format!("{STEP}.setMirrorRoute.match[0].headers.team")]);
    }

    #[test]
    fn a_mirror_matches_what_gateway_api_can_match() {
        let one = |one: Value| mirror(json!({ "match": [one] }));
        let at = |field: &str| format!("{STEP}.setMirrorRoute.match[0].{field}");
        assert_faults(vec![
            (one(json!({ "method": { "prefix": "G" } })), &[&at("method")]),
            (one(json!({ "method": { "exact": "get" } })), &[&at("method.exact")]),
            (one(json!({ "path": { "exact": "a" } })), &[&at("path.exact")]),
            (one(json!({ "path": {} })), &[&at("path")]),
            (one(json!({ "headers": { "a": {} } })), &[&at("headers.a")]),
        ]);
    }

    #[test]
    fn a_percentage_is_between_0_and_100() {
        let at = format!("{STEP}.setMirrorRoute.percentage");
        for percentage in [-1, 101] {
            assert_eq!(paths(&mirror(json!({ "percentage": percentage }))), [at.as_str()]);
        }
    }

    #[test]
    fn a_match_has_no_more_headers_than_gateway_api_allows() {
        let header = |number: usize| json!({ "headerName": format!("h{number}"), "headerValue": { "exact": "x" } });
        let all: Vec<Value> = (0..17).map(header).collect();

        assert_eq!(paths(&self::header(json!(all))), [format!("{STEP}.setHeaderRoute.match")]);
    }
}
