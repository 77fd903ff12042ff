use super::{Answer, Builtin, Call, Parameter, Signature};
use crate::base64;
use crate::context::TOO_LARGE;
use crate::show;
use crate::value::{ListKind, Value, read_plain};
use Parameter::{Any, Int, List, Text};

/// Limit of a repeated text, in bytes.
const MAX_TEXT: usize = 1 << 20;

const ONE: Signature = Signature::Overloads(&[&[Text]], Answer::Text);
const ONE_OR_TWO: Signature = Signature::Overloads(&[&[Text], &[Text, Text]], Answer::Text);
const FOUND: Signature = Signature::Overloads(&[&[Text, Text]], Answer::Int);
const HOLDS: Signature = Signature::Overloads(&[&[Text, Text]], Answer::Bool);
const PARTS: Signature = Signature::Overloads(&[&[Text, Text], &[Text, Text, Int]], Answer::List);

pub const ALL: &[Builtin] = &[
    Builtin::new("string", Signature::Overloads(&[&[Any]], Answer::Text), |call| {
        Ok(Value::text(show::plain(call.arguments.first().unwrap_or(&Value::Nil))))
    }),
    Builtin::new("trim", ONE_OR_TWO, |call| {
        let text = call.text(0)?;
        Ok(Value::text(match call.arguments.len() {
            1 => text.trim(),
            _ => {
                let cut = call.text(1)?;
                text.trim_matches(|c| cut.contains(c))
            }
        }))
    }),
    Builtin::new("trimPrefix", ONE_OR_TWO, |call| {
        let (text, prefix) = with_blank(call)?;
        Ok(Value::text(text.strip_prefix(prefix).unwrap_or(text)))
    }),
    Builtin::new("trimSuffix", ONE_OR_TWO, |call| {
        let (text, suffix) = with_blank(call)?;
        Ok(Value::text(text.strip_suffix(suffix).unwrap_or(text)))
    }),
    Builtin::new("upper", ONE, |call| {
        Ok(Value::text(call.text(0)?.chars().map(|c| single(c.to_uppercase(), c)).collect::<String>()))
    }),
    Builtin::new("lower", ONE, |call| {
        Ok(Value::text(call.text(0)?.chars().map(|c| single(c.to_lowercase(), c)).collect::<String>()))
    }),
    Builtin::new("split", PARTS, |call| parts(call, false)),
    Builtin::new("splitAfter", PARTS, |call| parts(call, true)),
    Builtin::new(
        "replace",
        Signature::Overloads(&[&[Text, Text, Text], &[Text, Text, Text, Int]], Answer::Text),
        |call| {
            let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
            let longest = text.len().saturating_add(1).saturating_mul(new.len().max(1));
            if longest > MAX_TEXT.saturating_mul(MAX_TEXT) {
                return Err(TOO_LARGE.into());
            }
            Ok(Value::text(match call.integer(3)?.map(usize::try_from) {
                Some(Ok(times)) => text.replacen(old, new, times),
                Some(Err(_)) | None => text.replace(old, new),
            }))
        },
    ),
    Builtin::new("repeat", Signature::Overloads(&[&[Text, Int]], Answer::Text), |call| {
        let text = call.text(0)?;
        let times = call.integer(1)?.and_then(|times| usize::try_from(times).ok());
        match times {
            Some(times) if text.len().saturating_mul(times) <= MAX_TEXT => Ok(Value::text(text.repeat(times))),
            Some(_) => Err(format!("repeat() makes a text of more than {MAX_TEXT} bytes")),
            None => Err("repeat() takes no negative number".into()),
        }
    }),
    Builtin::new("join", Signature::Overloads(&[&[List], &[List, Text]], Answer::Text), |call| {
        let between = if call.arguments.len() == 2 { call.text(1)? } else { "" };
        let text = |value: &Value| match value {
            Value::Text(text) => Ok(text.to_string()),
            _ => Err("join() takes a list of strings".to_owned()),
        };
        let texts: Result<Vec<_>, _> = call.list(0)?.iter().map(text).collect();
        Ok(Value::text(texts?.join(between)))
    }),
    Builtin::new("indexOf", FOUND, |call| Ok(place(call.text(0)?.find(call.text(1)?)))),
    Builtin::new("lastIndexOf", FOUND, |call| Ok(place(call.text(0)?.rfind(call.text(1)?)))),
    Builtin::new("hasPrefix", HOLDS, |call| Ok(Value::Bool(call.text(0)?.starts_with(call.text(1)?)))),
    Builtin::new("hasSuffix", HOLDS, |call| Ok(Value::Bool(call.text(0)?.ends_with(call.text(1)?)))),
    Builtin::new("toJSON", Signature::Overloads(&[&[Any]], Answer::Text), |call| {
        show::json(call.arguments.first().unwrap_or(&Value::Nil), 0).map(Value::text)
    }),
    Builtin::new("fromJSON", Signature::Overloads(&[&[Text]], Answer::Any), |call| {
        read_plain(call.text(0)?).map_err(|error| format!("fromJSON(): the text is not JSON: {error}"))
    }),
    Builtin::new("toBase64", ONE, |call| Ok(Value::text(base64::encode(call.text(0)?.as_bytes())))),
    Builtin::new("fromBase64", ONE, |call| match base64::decode(call.text(0)?) {
        Some(bytes) => Ok(Value::text(String::from_utf8_lossy(&bytes))),
        None => Err("fromBase64(): the text is not base64".into()),
    }),
];

fn with_blank<'a>(call: &'a Call<'_>) -> Result<(&'a str, &'a str), String> {
    Ok((call.text(0)?, if call.arguments.len() == 2 { call.text(1)? } else { " " }))
}

/// A letter becomes one letter, as in Go: `ß` is unchanged.
fn single(mut mapped: impl Iterator<Item = char>, c: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => c,
    }
}

/// An offset in bytes; -1 if it is not found.
fn place(at: Option<usize>) -> Value {
    Value::Int(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

/// Splits at separators into at most `limit` parts; an empty separator splits into letters.
fn parts(call: &Call<'_>, keep: bool) -> Result<Value, String> {
    let (text, separator) = (call.text(0)?, call.text(1)?);
    let limit = match call.integer(2)?.map(usize::try_from) {
        Some(Ok(0)) => return Ok(Value::list_of(ListKind::Missing, Vec::new())),
        Some(Ok(limit)) => limit,
        Some(Err(_)) | None => usize::MAX,
    };
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() + 1 < limit {
        let found = match separator.is_empty() {
            true => rest.chars().next().map(char::len_utf8).filter(|length| *length < rest.len()),
            false => rest.find(separator),
        };
        let Some(at) = found else { break };
        let kept = if keep { at + separator.len() } else { at };
        parts.push(Value::text(rest.get(..kept).unwrap_or_default()));
        rest = rest.get(at + separator.len()..).unwrap_or_default();
    }
    if !separator.is_empty() || !rest.is_empty() {
        parts.push(Value::text(rest));
    }
    Ok(Value::list_of(ListKind::Texts, parts))
}
