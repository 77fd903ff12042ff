//! `kulta config-schema`: the JSON Schema of the file that `--config` names.

use std::net::SocketAddr;

use clap::builder::ValueParser;
use clap::{Arg, Command};
use serde_json::{Map, Value, json};

use super::config::{is_list, key, settable};
use super::values::{Memory, Span};

/// The schema of a command's flags.
#[must_use]
pub fn schema(command: &Command) -> Value {
    let properties: Map<String, Value> = settable(command).map(|flag| (key(flag), property(flag))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of kulta controller",
        "description": "The flags of kulta controller in camelCase. Flags win over environment variables, and these over the file.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(flag: &Arg) -> Value {
    let mut property =
        if is_list(flag) { json!({"type": ["array", "string"], "items": {"type": "string"}}) } else { scalar(flag) };
    let defaults: Vec<String> =
        flag.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if let Some(fields) = property.as_object_mut() {
        fields.insert("description".to_owned(), json!(help(flag)));
        if let [default] = defaults.as_slice() {
            fields.insert("default".to_owned(), typed(flag, default));
        }
    }
    property
}

/// The flag's help as one paragraph.
#[must_use]
pub fn help(flag: &Arg) -> String {
    let help = flag.get_long_help().or_else(|| flag.get_help()).map(ToString::to_string).unwrap_or_default();
    help.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn scalar(flag: &Arg) -> Value {
    let names: Vec<String> = flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let parser = flag.get_value_parser();
    if is_of::<bool>(parser) {
        json!({"type": "boolean"})
    } else if is_of::<u16>(parser) {
        json!({"type": "integer", "minimum": 0, "maximum": u16::MAX})
    } else if is_of::<Span>(parser) {
        json!({"type": ["string", "integer"]})
    } else if is_of::<Memory>(parser) {
        json!({"type": ["string", "integer"], "pattern": "^[0-9]+(\\.[0-9]+)?([kMGT]|[KMGT]i)?$"})
    } else if is_of::<super::LeaderElect>(parser) {
        json!({"enum": ["auto", true, false]})
    } else if is_of::<SocketAddr>(parser) {
        json!({"type": "string", "pattern": ":[0-9]+$"})
    } else if names.is_empty() {
        json!({"type": "string"})
    } else {
        json!({"enum": names})
    }
}

/// A default as the value that a file has.
fn typed(flag: &Arg, default: &str) -> Value {
    let parser = flag.get_value_parser();
    match default {
        "true" | "false" if is_of::<bool>(parser) => json!(default == "true"),
        number if is_of::<u16>(parser) => number.parse::<u16>().map_or_else(|_| json!(number), |number| json!(number)),
        text if is_list(flag) => json!(text.split(',').collect::<Vec<_>>()),
        text => json!(text),
    }
}

fn is_of<T: 'static>(parser: &ValueParser) -> bool {
    parser.type_id() == std::any::TypeId::of::<T>()
}
