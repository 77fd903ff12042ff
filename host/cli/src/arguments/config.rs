//! `--config FILE`: the controller's flags as YAML. Keys are the flags' names in camelCase, such as `analysisDeny`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use serde_yaml::{Mapping, Value};

use super::defaults::Default;

/// Flags that no file can set.
const FLAGS_ONLY: [&str; 3] = [CONFIG, "help", "version"];
pub const CONFIG: &str = "config";
/// Least similarity of a key to an unknown one for a hint, as clap has it for flags.
const SIMILAR: f64 = 0.7;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read {file}", file = .file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{file} is no YAML", file = .file.display())]
    Yaml { file: PathBuf, source: serde_yaml::Error },
    #[error("{file}: expected keys with values, such as \"logLevel: debug\"", file = .file.display())]
    NoMapping { file: PathBuf },
    #[error("{file}: unknown key {key:?}{}", hint(.nearest.as_deref()), file = .file.display())]
    Unknown { file: PathBuf, key: String, nearest: Option<String> },
    #[error("{file}: {key} {expected}", file = .file.display())]
    Value { file: PathBuf, key: String, expected: &'static str },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "; `kulta config-schema` prints all keys".to_owned(),
        |nearest| format!("; did you mean {nearest:?}?"),
    )
}

/// The flags of a command that a file can set.
pub fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|flag| !flag.is_hide_set() && flag.get_long().is_some_and(|name| !FLAGS_ONLY.contains(&name)))
}

/// The flag's name in a file.
#[must_use]
pub fn key(flag: &Arg) -> String {
    let mut key = String::new();
    for (number, word) in flag.get_long().unwrap_or_default().split('-').enumerate() {
        let (first, rest) = word.split_at(word.len().min(1));
        key.push_str(&if number == 0 { first.to_owned() } else { first.to_ascii_uppercase() });
        key.push_str(rest);
    }
    key
}

/// Whether the flag takes several values, which are a list in a file.
#[must_use]
pub fn is_list(flag: &Arg) -> bool {
    flag.get_value_delimiter().is_some()
}

/// The file's values as defaults of the command's flags.
///
/// # Errors
/// If the file cannot be read, has an unknown key, or a value that no flag could have.
pub fn read(command: &Command, file: &Path) -> Result<Vec<Default>, ConfigError> {
    let text = fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    parse(command, file, &text)
}

fn parse(command: &Command, file: &Path, text: &str) -> Result<Vec<Default>, ConfigError> {
    let document = serde_yaml::from_str(text).map_err(|source| ConfigError::Yaml { file: file.to_owned(), source })?;
    let mapping = match document {
        Value::Mapping(mapping) => mapping,
        // A file of comments only.
        Value::Null => Mapping::new(),
        _ => return Err(ConfigError::NoMapping { file: file.to_owned() }),
    };
    mapping.iter().map(|(name, value)| default(command, file, name, value)).collect()
}

fn default(command: &Command, file: &Path, name: &Value, value: &Value) -> Result<Default, ConfigError> {
    let Some(name) = name.as_str() else { return Err(ConfigError::NoMapping { file: file.to_owned() }) };
    let Some(flag) = settable(command).find(|flag| key(flag) == name) else {
        let nearest = nearest(command, name);
        return Err(ConfigError::Unknown { file: file.to_owned(), key: name.to_owned(), nearest });
    };
    let wrong = |expected| ConfigError::Value { file: file.to_owned(), key: name.to_owned(), expected };
    let values = match value {
        Value::Sequence(values) if is_list(flag) => {
            let values: Option<Vec<String>> = values.iter().map(scalar).collect();
            values.ok_or_else(|| wrong("expects a list of texts"))?
        }
        Value::Sequence(_) => return Err(wrong("expects one value, not a list")),
        value => vec![scalar(value).ok_or_else(|| wrong("expects a value: text, a number, true or false"))?],
    };
    // A comma would make two values of one, as it does on the command line.
    if is_list(flag) && matches!(value, Value::Sequence(_)) && values.iter().any(|value| value.contains(',')) {
        return Err(wrong("has a value with a comma; write its parts as values of their own"));
    }
    Ok(Default { flag: flag.get_id().to_string(), values, source: format!("{}: {name}", file.display()) })
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

/// The key that the unknown one is most like.
fn nearest(command: &Command, unknown: &str) -> Option<String> {
    let likeness =
        |key: &String| strsim::jaro(&key.to_ascii_lowercase(), &unknown.replace('-', "").to_ascii_lowercase());
    let keys = settable(command).map(key).map(|key| (likeness(&key), key));
    let best = keys.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness > SIMILAR).map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::controller_command;

    fn parsed(text: &str) -> Result<Vec<(String, Vec<String>)>, String> {
        let parsed = parse(&controller_command(), Path::new("kulta.yaml"), text);
        parsed
            .map(|defaults| defaults.into_iter().map(|default| (default.flag, default.values)).collect())
            .map_err(|error| format!("{:#}", anyhow::Error::new(error)))
    }

    #[test]
    fn values_are_texts_numbers_switches_and_lists() {
        let text = "analysisDeny: [10.0.0.0/8, 10.96.0.1/32]\nworkers: 4\npluginAllowTags: yes\nlogLevel: debug\n";

        let values: Vec<_> = parsed(text).unwrap().into_iter().map(|(_, values)| values).collect();

        assert_eq!(values, [vec!["10.0.0.0/8", "10.96.0.1/32"], vec!["4"], vec!["yes"], vec!["debug"]]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        for (unknown, nearest) in [
            ("logLevl", "logLevel"),
            ("log-level", "logLevel"),
            ("analysisdeny", "analysisDeny"),
            ("worker", "workers"),
        ] {
            let error = parsed(&format!("{unknown}: x")).unwrap_err();

            assert_eq!(error, format!("kulta.yaml: unknown key {unknown:?}; did you mean {nearest:?}?"));
        }
    }

    #[test]
    fn a_key_that_is_like_no_other_is_refused_with_where_all_keys_are() {
        assert!(parsed("zzz: 1").unwrap_err().contains("`kulta config-schema`"));
    }

    #[test]
    fn flags_of_argo_and_the_flag_of_the_file_itself_are_no_keys() {
        for key in ["config: a.yaml", "qps: 5", "help: true"] {
            assert!(parsed(key).unwrap_err().contains("unknown key"), "{key}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_refused_with_its_key() {
        for (text, expected) in [
            ("workers: [1]", "workers expects one value"),
            ("workers:", "workers expects a value"),
            ("workers: {a: 1}", "workers expects a value"),
            ("namespaces: [[a]]", "namespaces expects a list"),
            ("namespaces: [\"a,b\"]", "namespaces has a value with a comma"),
            ("- workers", "expected keys with values"),
            ("workers: 1\nworkers: 2", "duplicate"),
        ] {
            let error = parsed(text).unwrap_err();

            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert_eq!(parsed("# nothing yet\n"), Ok(vec![]));
    }
}
