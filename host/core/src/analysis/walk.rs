//! Which templates a request for analysis refers to, directly or through other templates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kulta_api::FieldError;
use kulta_api::analysis::{AnalysisTemplateRef, AnalysisTemplateSpec};
use kulta_api::validation::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// An AnalysisTemplate, in the namespace of the object that refers to it.
    Namespace,
    /// A ClusterAnalysisTemplate.
    Cluster,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateRef {
    pub scope: Scope,
    pub name: String,
}

/// The templates that were found. The error of a template that cannot be decoded names the field.
pub type Templates = BTreeMap<TemplateRef, Result<Arc<AnalysisTemplateSpec>, FieldError>>;

impl TemplateRef {
    /// Path of the template's spec, for messages: `AnalysisTemplate/latency spec`.
    pub(super) fn path(&self) -> Path {
        Path::new(&format!("{self} spec"))
    }

    /// An error in the template, with the template's name in its path.
    pub(crate) fn fault(&self, error: FieldError) -> FieldError {
        FieldError { path: format!("{self} {}", error.path).trim_end().to_owned(), ..error }
    }
}

impl std::fmt::Display for TemplateRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.scope {
            Scope::Namespace => "AnalysisTemplate",
            Scope::Cluster => "ClusterAnalysisTemplate",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

impl From<&AnalysisTemplateRef> for TemplateRef {
    fn from(named: &AnalysisTemplateRef) -> Self {
        let scope = if named.cluster_scope == Some(true) { Scope::Cluster } else { Scope::Namespace };
        Self { scope, name: named.template_name.clone() }
    }
}

/// All templates that are referred to, as far as the found ones show. The caller looks up those that are missing from `found`. A
/// newly found template may refer to more.
#[must_use]
pub fn referenced(named: &[AnalysisTemplateRef], found: &Templates) -> BTreeSet<TemplateRef> {
    let mut all = BTreeSet::new();
    let mut open: Vec<TemplateRef> = named.iter().map(TemplateRef::from).collect();
    while let Some(template) = open.pop() {
        if let Some(Ok(spec)) = found.get(&template).filter(|_| !all.contains(&template)) {
            open.extend(spec.templates.iter().map(TemplateRef::from));
        }
        all.insert(template);
    }
    all
}

/// The templates in the order of their metrics: each template comes before those that it refers to, and each comes once.
/// Templates of the namespace come before those of the cluster.
///
/// # Errors
/// Each reference to a template that does not exist, or that is part of a cycle.
pub(super) fn walk<'a>(
    named: &[AnalysisTemplateRef],
    at: &Path,
    found: &'a Templates,
) -> Result<Vec<(TemplateRef, &'a AnalysisTemplateSpec)>, Vec<FieldError>> {
    let mut walk = Walk { found, order: Vec::new(), way: Vec::new(), errors: Vec::new() };
    walk.visit_all(named, at);
    if !walk.errors.is_empty() {
        return Err(walk.errors);
    }
    walk.order.sort_by_key(|(template, _)| template.scope);
    Ok(walk.order)
}

struct Walk<'a> {
    found: &'a Templates,
    order: Vec<(TemplateRef, &'a AnalysisTemplateSpec)>,
    /// The references from the request to this template.
    way: Vec<TemplateRef>,
    errors: Vec<FieldError>,
}

impl Walk<'_> {
    fn visit_all(&mut self, named: &[AnalysisTemplateRef], at: &Path) {
        for (index, named) in named.iter().enumerate() {
            self.visit(&TemplateRef::from(named), &at.index(index).field("templateName"));
        }
    }

    fn visit(&mut self, template: &TemplateRef, at: &Path) {
        if let Some(start) = self.way.iter().position(|passed| passed == template) {
            let round = self.way.iter().skip(start).chain([template]);
            let round = round.map(ToString::to_string).collect::<Vec<_>>().join(" -> ");
            self.errors.push(at.error(format!("templates name each other in a circle: {round}")));
            return;
        }
        if self.order.iter().any(|(known, _)| known == template) {
            return;
        }
        let spec = match self.found.get(template) {
            Some(Ok(spec)) => spec,
            Some(Err(error)) => {
                let fault = template.fault(error.clone());
                // A template that is referred to twice is reported once.
                if !self.errors.contains(&fault) {
                    self.errors.push(fault);
                }
                return;
            }
            None => {
                self.errors.push(at.error(format!("{template} not found")));
                return;
            }
        };
        self.order.push((template.clone(), spec));
        self.way.push(template.clone());
        self.visit_all(&spec.templates, &template.path().field("templates"));
        self.way.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn named(names: &[&str]) -> Vec<AnalysisTemplateRef> {
        names
            .iter()
            .map(|name| AnalysisTemplateRef {
                template_name: name.trim_start_matches('/').to_owned(),
                cluster_scope: name.starts_with('/').then_some(true),
            })
            .collect()
    }

    /// Each entry is a template and the templates that it refers to. A leading slash marks cluster scope.
    fn templates(entries: &[(&str, &[&str])]) -> Templates {
        entries
            .iter()
            .map(|(name, nested)| {
                let spec = AnalysisTemplateSpec { templates: named(nested), ..AnalysisTemplateSpec::default() };
                (TemplateRef::from(&named(&[name])[0]), Ok(Arc::new(spec)))
            })
            .collect()
    }

    fn walked(names: &[&str], found: &Templates) -> Result<Vec<String>, Vec<String>> {
        walk(&named(names), &Path::new("at"), found)
            .map(|order| order.into_iter().map(|(template, _)| template.to_string()).collect())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nested_templates_follow_and_cluster_templates_come_last() {
        let found = templates(&[("a", &["/c", "b"]), ("b", &[]), ("/c", &["d"]), ("d", &[])]);

        assert_eq!(
            walked(&["a"], &found).unwrap(),
            ["AnalysisTemplate/a", "AnalysisTemplate/d", "AnalysisTemplate/b", "ClusterAnalysisTemplate/c"]
        );
    }

    #[test]
    fn a_template_that_is_referred_to_twice_counts_once() {
        let found = templates(&[("a", &["b"]), ("b", &[]), ("c", &["b"])]);

        assert_eq!(
            walked(&["a", "c", "b"], &found).unwrap(),
            ["AnalysisTemplate/a", "AnalysisTemplate/b", "AnalysisTemplate/c"]
        );
    }

    #[test]
    fn a_missing_template_is_reported_at_the_reference() {
        let found = templates(&[("a", &["/b"])]);

        assert_eq!(
            walked(&["a", "gone"], &found).unwrap_err(),
            [
                "AnalysisTemplate/a spec.templates[0].templateName: ClusterAnalysisTemplate/b not found",
                "at[1].templateName: AnalysisTemplate/gone not found",
            ]
        );
    }

    #[test]
    fn a_template_that_cannot_be_decoded_is_reported_once_with_its_field() {
        let mut found = templates(&[("a", &["b"]), ("b", &[])]);
        let error = FieldError { path: "spec.metrics[0].count".to_owned(), message: "no number".to_owned() };
        found.insert(TemplateRef { scope: Scope::Namespace, name: "b".to_owned() }, Err(error));

        let errors = walked(&["a", "b"], &found).unwrap_err();

        assert_eq!(errors, ["AnalysisTemplate/b spec.metrics[0].count: no number"]);
    }

    #[test]
    fn a_cycle_is_reported_with_its_path() {
        let found = templates(&[("a", &["b"]), ("b", &["/a"]), ("/a", &["b"])]);

        assert_eq!(
            walked(&["a"], &found).unwrap_err(),
            ["ClusterAnalysisTemplate/a spec.templates[0].templateName: templates name each other in a circle: \
              AnalysisTemplate/b -> ClusterAnalysisTemplate/a -> AnalysisTemplate/b"]
        );
    }

    #[test]
    fn references_include_templates_that_are_not_found_yet() {
        let found = templates(&[("a", &["/b", "a"])]);

        let all: Vec<_> = referenced(&named(&["a"]), &found).into_iter().map(|one| one.to_string()).collect();

        assert_eq!(all, ["AnalysisTemplate/a", "ClusterAnalysisTemplate/b"]);
    }

    proptest! {
        #[test]
        fn any_web_of_templates_is_walked_to_an_end(edges in prop::collection::vec((0..6_u8, 0..6_u8), 0..20)) {
            let mut nested: BTreeMap<u8, Vec<String>> = (0..6).map(|name| (name, Vec::new())).collect();
            for (from, to) in edges {
                nested.entry(from).or_default().push(to.to_string());
            }
            let found: Templates = nested
                .iter()
                .map(|(name, nested)| {
                    let refs: Vec<_> = nested.iter().map(|name| json!({ "templateName": name })).collect();
                    let spec = serde_json::from_value(json!({ "templates": refs })).unwrap();
                    (TemplateRef { scope: Scope::Namespace, name: name.to_string() }, Ok(Arc::new(spec)))
                })
                .collect();

            let walked = walk(&named(&["0"]), &Path::new("at"), &found);

            let reached = referenced(&named(&["0"]), &found);
            if let Ok(order) = walked {
                prop_assert_eq!(order.into_iter().map(|(template, _)| template).collect::<BTreeSet<_>>(), reached);
            }
        }
    }
}
