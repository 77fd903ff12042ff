//! A plugin's configuration: JSON in, a type out; and the type's JSON Schema.

use crate::Error;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;

/// Reads the configuration. The error names the field by path (`steps[1].pause.duration`).
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // Finding the path costs time, so it is done only for an error.
    serde_json::from_str(text).map_err(|error| Error::InvalidConfig(explain::<T>(text, &error)))
}

fn explain<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> String {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        return format!("not JSON: {error}");
    };
    match serde_path_to_error::deserialize::<_, T>(value) {
        Ok(_) => error.to_string(),
        Err(located) if located.path().iter().next().is_none() => located.inner().to_string(),
        Err(located) => format!("{}: {}", located.path(), located.inner()),
    }
}

/// The JSON Schema (2020-12) of a configuration type, as text.
pub(crate) fn schema<T: JsonSchema>() -> String {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Outer {
        #[serde(default)]
        list: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Inner {
        some_number: u32,
    }

    fn error_of(text: &str) -> String {
        match parse::<Outer>(text) {
            Err(Error::InvalidConfig(message)) => message,
            other => panic!("expected an invalid configuration, got {other:?}"),
        }
    }

    #[test]
    fn a_valid_configuration_is_read() {
        let config: Outer = parse(r#"{"list":[{"someNumber":3}]}"#).unwrap();
        assert_eq!(config.list[0].some_number, 3);
    }

    #[test]
    fn an_unknown_field_is_named_by_its_path() {
        let message = error_of(r#"{"list":[{"someNumber":3},{"someNumber":3,"extra":1}]}"#);
        assert!(message.starts_with("list[1].extra: "), "{message}");
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path_without_a_line_number() {
        let message = error_of(r#"{"list":[{"someNumber":"x"}]}"#);
        assert!(message.starts_with("list[0].someNumber: "), "{message}");
        assert!(!message.contains("line"), "{message}");
    }

    #[test]
    fn text_that_is_not_json_is_said_to_be_so() {
        assert!(error_of("{").starts_with("not JSON: "));
    }

    #[test]
    fn the_schema_names_its_draft_and_the_fields() {
        let schema = schema::<Outer>();
        assert!(schema.contains("https://json-schema.org/draft/2020-12/schema"), "{schema}");
        assert!(schema.contains("someNumber"), "{schema}");
    }
}
