//! Combines a match of a route's rule with a match of a managed route: a request matches the result if it matches both.

use kulta_api::{ConditionReason, RouteKind};
use serde_json::{Map, Value, json};

use crate::decision::{HeaderMatch, RouteMatch, TextMatch};

/// Maximum number of headers of a match (Gateway API).
const MAX_HEADERS: usize = 16;
/// The path of a match that names none (Gateway API).
const ROOT: &str = "/";

/// Why two matches cannot be combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotCombined {
    pub reason: ConditionReason,
    /// The field of the rule.
    pub field: String,
    pub message: String,
}

pub(super) fn conflict(index: usize, part: &str, message: impl Into<String>) -> NotCombined {
    NotCombined {
        reason: ConditionReason::ManagedRouteConflict,
        field: format!("matches[{index}].{part}"),
        message: message.into(),
    }
}

/// The result of combining two conditions on one part of a request.
enum Both {
    One(Value),
    /// No request matches both.
    Never,
    /// Gateway API has no match for both.
    Inexpressible,
}

/// `None` if no request matches both. `index` is the position of `present` in its rule, whose route is of this kind.
pub(super) fn matches(
    kind: RouteKind,
    present: &Value,
    wanted: &RouteMatch,
    index: usize,
) -> Result<Option<Value>, NotCombined> {
    let mut combined = present.as_object().cloned().unwrap_or_default();
    let combines = match kind {
        RouteKind::Http => with_request_line(&mut combined, wanted, index)?,
        RouteKind::Grpc | RouteKind::Tcp | RouteKind::Tls => {
            let parts = [("path", wanted.path.is_some()), ("method", wanted.method.is_some())];
            if let Some((part, _)) = parts.into_iter().find(|(_, is_wanted)| *is_wanted) {
                let message = format!("a rule of a {} cannot match its HTTP {part}", kind.as_str());
                return Err(conflict(index, part, message));
            }
            true
        }
    };
    if !combines || !with_headers(&mut combined, &wanted.headers, index)? {
        return Ok(None);
    }
    Ok(Some(Value::Object(combined)))
}

/// Adds path and method to the match. False if no request matches both.
fn with_request_line(
    combined: &mut Map<String, Value>,
    wanted: &RouteMatch,
    index: usize,
) -> Result<bool, NotCombined> {
    let default = || json!({ "type": "PathPrefix", "value": ROOT });
    let path = combined.get("path").cloned().unwrap_or_else(default);
    match wanted.path.as_ref().map_or(Both::One(path.clone()), |wanted| paths(&path, wanted)) {
        Both::One(path) => combined.insert("path".to_owned(), path),
        Both::Never => return Ok(false),
        Both::Inexpressible => {
            return Err(conflict(index, "path", "no path match of Gateway API matches both this path and its own"));
        }
    };
    if let Some(TextMatch::Exact(method)) = &wanted.method {
        match combined.get("method").and_then(Value::as_str) {
            Some(present) if present != method => return Ok(false),
            _ => combined.insert("method".to_owned(), json!(method)),
        };
    }
    Ok(true)
}

/// Adds the headers to the match. False if no request matches both.
fn with_headers(combined: &mut Map<String, Value>, wanted: &[HeaderMatch], index: usize) -> Result<bool, NotCombined> {
    if wanted.is_empty() {
        return Ok(true);
    }
    let mut headers = combined.get("headers").and_then(Value::as_array).cloned().unwrap_or_default();
    for header in wanted {
        let same = |present: &&mut Value| {
            let name = present.get("name").and_then(Value::as_str).unwrap_or_default();
            name.eq_ignore_ascii_case(&header.name)
        };
        let Some(present) = headers.iter_mut().find(same) else {
            headers.push(header_match(&header.name, &header.value));
            continue;
        };
        match both_headers(present, header) {
            Both::One(one) => *present = one,
            Both::Never => return Ok(false),
            Both::Inexpressible => {
                let message = format!("it matches header {:?} too, in a way that cannot be combined", header.name);
                return Err(conflict(index, "headers", message));
            }
        }
    }
    if headers.len() > MAX_HEADERS {
        let message =
            format!("there are {} headers with its own, and a match has at most {MAX_HEADERS}", headers.len());
        return Err(NotCombined { reason: ConditionReason::ManagedRouteLimit, ..conflict(index, "headers", message) });
    }
    combined.insert("headers".to_owned(), Value::Array(headers));
    Ok(true)
}

fn header_match(name: &str, value: &TextMatch) -> Value {
    let (kind, value) = match value {
        TextMatch::Exact(value) => ("Exact", value.clone()),
        TextMatch::Prefix(prefix) => ("RegularExpression", regex_of_prefix(prefix)),
        TextMatch::Regex(regex) => ("RegularExpression", regex.clone()),
    };
    json!({ "type": kind, "name": name, "value": value })
}

/// The regular expression of a value that begins with this text. Gateways match the whole value.
fn regex_of_prefix(prefix: &str) -> String {
    let mut regex = "^".to_owned();
    for character in prefix.chars() {
        if "\\.+*?()|[]{}^$".contains(character) {
            regex.push('\\');
        }
        regex.push(character);
    }
    regex + ".*"
}

fn both_headers(present: &Value, wanted: &HeaderMatch) -> Both {
    let text = |key: &str| present.get(key).and_then(Value::as_str);
    let value = text("value").unwrap_or_default();
    let made = header_match(text("name").unwrap_or_default(), &wanted.value);
    match (text("type").unwrap_or("Exact"), &wanted.value) {
        ("Exact", TextMatch::Exact(wanted)) if value != wanted => Both::Never,
        ("Exact", TextMatch::Prefix(prefix)) if !value.starts_with(prefix.as_str()) => Both::Never,
        ("Exact", TextMatch::Exact(_) | TextMatch::Prefix(_)) => Both::One(present.clone()),
        (kind, _) if made.get("type") == Some(&json!(kind)) && made.get("value") == Some(&json!(value)) => {
            Both::One(present.clone())
        }
        _ => Both::Inexpressible,
    }
}

/// A path as Gateway API matches it.
#[derive(Clone, Copy)]
enum PathMatch<'a> {
    Exact(&'a str),
    Prefix(&'a str),
    Regex(&'a str),
    /// A kind that this build does not know.
    Other,
}

impl<'a> PathMatch<'a> {
    fn of(path: &'a Value) -> Self {
        let text = |key: &str| path.get(key).and_then(Value::as_str);
        let value = text("value").unwrap_or(ROOT);
        match text("type").unwrap_or("PathPrefix") {
            "Exact" => Self::Exact(value),
            "PathPrefix" => Self::Prefix(value),
            "RegularExpression" => Self::Regex(value),
            _ => Self::Other,
        }
    }
}

fn paths(present: &Value, wanted: &TextMatch) -> Both {
    let (kind, value) = match wanted {
        TextMatch::Exact(value) => ("Exact", value),
        TextMatch::Prefix(value) => ("PathPrefix", value),
        TextMatch::Regex(value) => ("RegularExpression", value),
    };
    let made = json!({ "type": kind, "value": value });
    let (keep, take) = (|| Both::One(present.clone()), || Both::One(made.clone()));
    match (PathMatch::of(present), PathMatch::of(&made)) {
        (PathMatch::Prefix(ROOT), _) => take(),
        (_, PathMatch::Prefix(ROOT)) => keep(),
        (PathMatch::Exact(one), PathMatch::Exact(other)) => {
            if one == other {
                keep()
            } else {
                Both::Never
            }
        }
        (PathMatch::Exact(path), PathMatch::Prefix(prefix)) => {
            if is_below(path, prefix) {
                keep()
            } else {
                Both::Never
            }
        }
        (PathMatch::Prefix(prefix), PathMatch::Exact(path)) => {
            if is_below(path, prefix) {
                take()
            } else {
                Both::Never
            }
        }
        (PathMatch::Prefix(one), PathMatch::Prefix(other)) if is_below(other, one) => take(),
        (PathMatch::Prefix(one), PathMatch::Prefix(other)) if is_below(one, other) => keep(),
        (PathMatch::Prefix(_), PathMatch::Prefix(_)) => Both::Never,
        (PathMatch::Regex(one), PathMatch::Regex(other)) if one == other => keep(),
        _ => Both::Inexpressible,
    }
}

/// Gateway API compares prefixes by path elements: `/shop` matches `/shop/cart`, but not `/shopping`.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
