//! Label and field selectors, as a query string or an object carries them.

mod fields;
mod labels;
pub(crate) mod names;

pub use fields::{FieldNames, Fields};
pub use labels::Labels;

/// Why a selector cannot be used, in the words of the API server; it answers 400 with them.
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
    fn label_selectors_are_refused_in_the_words_of_the_real_server() {
        for case in recorded().labels {
            let refusal = Labels::parse(&case.text).err().map(|error| error.to_string());

            assert_eq!(refusal, case.refusal, "{}", case.text);
        }
    }

    #[test]
    fn field_selectors_are_refused_in_the_words_of_the_real_server() {
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
