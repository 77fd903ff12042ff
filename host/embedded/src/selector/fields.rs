//! Field selectors: `metadata.name=a,status.phase!=Running`. The supported fields depend on the kind.

use serde_json::Value;

use super::SelectorError;

/// The fields that a selector for one kind may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldNames {
    names: Vec<String>,
    refusal: Refusal,
}

/// How an unknown field is refused; the API server has these two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Kinds with a list of their own, and custom resources.
    NotSupported,
    /// Kinds without one.
    NotKnown,
}

const METADATA: [&str; 2] = ["metadata.name", "metadata.namespace"];
const POD: [&str; 9] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const EVENT: [&str; 11] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const SERVICE: [&str; 2] = ["spec.clusterIP", "spec.type"];

impl FieldNames {
    /// Those of a kind that every cluster has.
    #[must_use]
    pub fn of_builtin(group: &str, kind: &str) -> Self {
        let (own, metadata): (&[&str], &[&str]) = match (group, kind) {
            ("", "Pod") => (&POD, &METADATA),
            ("", "Event") => (&EVENT, &METADATA),
            ("", "Service") => (&SERVICE, &METADATA),
            ("", "Secret") => (&["type"], &METADATA),
            ("", "Namespace") => (&["status.phase"], &["metadata.name"]),
            ("", "Node") => (&["spec.unschedulable"], &["metadata.name"]),
            _ => (&[], &METADATA),
        };
        let refusal = if own.is_empty() { Refusal::NotKnown } else { Refusal::NotSupported };
        Self { names: metadata.iter().chain(own).map(|&name| name.to_owned()).collect(), refusal }
    }

    /// Those of a custom resource; `selectable` are the JSON paths under `selectableFields`, such as `.spec.colour`.
    #[must_use]
    pub fn of_custom(namespaced: bool, selectable: &[&str]) -> Self {
        let metadata = if namespaced { &METADATA[..] } else { &METADATA[..1] };
        let own = selectable.iter().map(|path| path.trim_start_matches('.'));
        Self { names: metadata.iter().copied().chain(own).map(str::to_owned).collect(), refusal: Refusal::NotSupported }
    }

    fn check(&self, field: &str) -> Result<(), SelectorError> {
        if self.names.iter().any(|name| name == field) {
            return Ok(());
        }
        Err(SelectorError(match self.refusal {
            Refusal::NotSupported => format!("field label not supported: {field}"),
            Refusal::NotKnown => {
                let [name, namespace] = METADATA;
                format!("{field:?} is not a known field selector: only {name:?}, {namespace:?}")
            }
        }))
    }
}

/// A field selector; all of its terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl Fields {
    /// # Errors
    /// An invalid selector, or one with a field that the kind does not support.
    pub fn parse(text: &str, allowed: &FieldNames) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for part in parts(text).into_iter().filter(|part| !part.is_empty()) {
            let (field, value, equal) = term(part)
                .ok_or_else(|| SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'")))?;
            terms.push(Term { field: field.to_owned(), value: unescaped(value)?, equal });
        }
        terms.iter().try_for_each(|term| allowed.check(&term.field))?;
        Ok(Self { terms })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// True if an object matches. A missing field counts as empty text.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| (read(object, &term.field) == term.value) == term.equal)
    }
}

/// Splits at commas that are not escaped with a backslash.
fn parts(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let at_comma = |letter: char| {
        let splits = letter == ',' && !escaped;
        escaped = letter == '\\' && !escaped;
        splits
    };
    text.split(at_comma).collect()
}

/// The field, the value as it is written, and whether they must be equal.
fn term(part: &str) -> Option<(&str, &str, bool)> {
    part.char_indices().find_map(|(at, _)| {
        let (field, rest) = part.split_at_checked(at)?;
        let operators = [("!=", false), ("==", true), ("=", true)];
        operators.into_iter().find_map(|(operator, equal)| Some((field, rest.strip_prefix(operator)?, equal)))
    })
}

fn unescaped(value: &str) -> Result<String, SelectorError> {
    let refused = |words: String| Err(SelectorError(format!("invalid field selector: {words}")));
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(letter @ ('\\' | ',' | '=')) => text.push(letter),
                other => {
                    return refused(format!(
                        "invalid escape sequence: \\{}",
                        other.map(String::from).unwrap_or_default()
                    ));
                }
            },
            // The API server reports the character's code.
            ',' | '=' => return refused(format!("unescaped character in value: {}", u32::from(letter))),
            other => text.push(other),
        }
    }
    Ok(text)
}

fn read(object: &Value, field: &str) -> String {
    let path = if field == "source" { "source.component" } else { field };
    let found = path.split('.').try_fold(object, |value, step| value.get(step));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ => match field {
            "spec.hostNetwork" | "spec.unschedulable" => false.to_string(),
            _ => String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods(text: &str) -> Fields {
        Fields::parse(text, &FieldNames::of_builtin("", "Pod")).unwrap()
    }

    fn refused(text: &str, names: &FieldNames) -> String {
        Fields::parse(text, names).unwrap_err().to_string()
    }

    #[test]
    fn a_name_selects_one_object() {
        let pod = json!({ "metadata": { "name": "a" } });

        assert!(pods("metadata.name=a").matches(&pod));
        assert!(!pods("metadata.name==b").matches(&pod));
    }

    #[test]
    fn all_terms_must_hold() {
        let pod = json!({ "metadata": { "name": "a" }, "status": { "phase": "Running" } });

        assert!(!pods("metadata.name=a,status.phase!=Running").matches(&pod));
    }

    #[test]
    fn an_absent_field_is_empty_text() {
        assert!(pods("spec.nodeName=").matches(&json!({})));
        assert!(pods("spec.hostNetwork=false").matches(&json!({})));
    }

    #[test]
    fn an_event_is_found_by_its_source() {
        let event = json!({ "source": { "component": "kulta" } });

        let fields = Fields::parse("source=kulta", &FieldNames::of_builtin("", "Event")).unwrap();

        assert!(fields.matches(&event));
    }

    #[test]
    fn an_unknown_field_is_rejected_with_the_kinds_message() {
        assert_eq!(refused("a.b=c", &FieldNames::of_builtin("", "Pod")), "field label not supported: a.b");
        assert_eq!(
            refused("a.b=c", &FieldNames::of_builtin("discovery.k8s.io", "EndpointSlice")),
            r#""a.b" is not a known field selector: only "metadata.name", "metadata.namespace""#
        );
    }

    #[test]
    fn a_custom_resource_offers_its_selectable_fields() {
        let names = FieldNames::of_custom(true, &[".spec.colour"]);

        let fields = Fields::parse("spec.colour=red", &names).unwrap();

        assert!(fields.matches(&json!({ "spec": { "colour": "red" } })));
    }

    #[test]
    fn a_cluster_wide_custom_resource_has_no_namespace_to_select() {
        let names = FieldNames::of_custom(false, &[]);

        assert_eq!(refused("metadata.namespace=a", &names), "field label not supported: metadata.namespace");
    }

    #[test]
    fn an_escaped_comma_is_part_of_the_value() {
        let pod = json!({ "spec": { "nodeName": "a,b=" } });

        assert!(pods(r"spec.nodeName=a\,b\=,metadata.name=").matches(&pod));
    }

    #[test]
    fn text_without_an_operator_is_rejected() {
        let names = FieldNames::of_builtin("", "Pod");

        assert_eq!(
            refused("metadata.name=a,nonsense", &names),
            "invalid selector: 'metadata.name=a,nonsense'; can't understand 'nonsense'"
        );
    }
}
