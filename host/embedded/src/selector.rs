//! Label and field selectors, in a query string or an object.

mod fields;
mod labels;
pub(crate) mod names;

pub use fields::{FieldNames, Fields};
pub use labels::Labels;

/// Why a selector is invalid, with the API server's message; it answers 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Recorded {
        labels: Vec<Case>,
        fields: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        #[serde(default)]
        group: String,
        #[serde(default)]
        kind: String,
        text: String,
        refusal: Option<String>,
    }

    /// What kube-apiserver 1.34.4 answered.
    fn recorded() -> Recorded {
        serde_json::from_str(include_str!("selector/recorded.json")).unwrap()
    }

    #[test]
    fn invalid_label_selectors_have_the_real_servers_messages() {
        for case in recorded().labels {
            let refusal = Labels::parse(&case.text).err().map(|error| error.to_string());

            assert_eq!(refusal, case.refusal, "{}", case.text);
        }
    }

    #[test]
    fn invalid_field_selectors_have_the_real_servers_messages() {
        for case in recorded().fields {
            let names = match case.kind.as_str() {
                "Widget" => FieldNames::of_custom(true, &[]),
                kind => FieldNames::of_builtin(&case.group, kind),
            };

            let refusal = Fields::parse(&case.text, &names).err().map(|error| error.to_string());

            assert_eq!(refusal, case.refusal, "{} {}", case.kind, case.text);
        }
    }
}
