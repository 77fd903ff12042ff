//! What was said, with all that differs from run to run replaced by words for it.

use serde_json::Value;

/// Fields whose values are chosen by the server.
const CHOSEN: [(&str, &str); 12] = [
    ("uid", "<uid>"),
    ("resourceVersion", "<version>"),
    ("creationTimestamp", "<time>"),
    ("deletionTimestamp", "<time>"),
    ("lastTransitionTime", "<time>"),
    ("time", "<time>"),
    ("continue", "<token>"),
    ("clusterIP", "<address>"),
    ("clusterIPs", "<address>"),
    ("remainingItemCount", "<count>"),
    ("Age", "<age>"),
    ("selfLink", "<link>"),
];

/// A value with its chosen parts replaced; `names` are texts that are replaced wherever they stand.
pub fn normal(value: &Value, names: &[(String, &str)]) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let chosen = CHOSEN.iter().find(|(name, _)| name == key);
                let value = match chosen {
                    Some((_, word)) if !value.is_object() && !value.is_null() => Value::from(*word),
                    _ => normal(value, names),
                };
                (replaced(key, names), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| normal(item, names)).collect(),
        Value::String(text) => replaced(text, names).into(),
        other => other.clone(),
    }
}

fn replaced(text: &str, names: &[(String, &str)]) -> String {
    let text = names.iter().fold(text.to_owned(), |text, (name, word)| text.replace(name, word));
    let words = text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.map(|word| if is_chosen(word) { "<chosen>".to_owned() } else { word.to_owned() }).collect()
}

/// A uid, or a number long enough to be a version.
fn is_chosen(word: &str) -> bool {
    let bare = word.trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let uid = bare.len() == 36 && bare.chars().filter(|c| *c == '-').count() == 4;
    uid || (bare.len() >= 2 && bare.chars().all(|c| c.is_ascii_digit()) && !is_code(bare))
}

fn is_code(number: &str) -> bool {
    number.len() == 3
}
