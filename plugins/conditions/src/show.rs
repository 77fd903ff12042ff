//! Values as text: as `string()` prints them (Go's `%v`) and as `toJSON()` does.

use crate::layout;
use crate::time::duration_text;
use crate::types::Type;
use crate::value::Value;

/// Go writes numbers from here on, or below the other one, with an exponent.
const LARGE: f64 = 1e21;
const SMALL: f64 = 1e-6;

pub fn plain(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".into(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(number) | Value::Int64(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Text(text) => text.to_string(),
        Value::List(list) => format!("[{}]", list.items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}:{}", plain(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        Value::Keyed(entries) => {
            let mut entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}:{}", plain(key), plain(value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
        Value::Time(time) => layout::format(time, layout::DISPLAY),
        Value::Duration(nanos) => duration_text(*nanos),
        Value::Month(month) => layout::month_name(*month).into(),
        Value::Weekday(day) => layout::weekday_name(*day).into(),
    }
}

/// The shortest digits that read back as the number, with an exponent below 10⁻⁴ and from 10⁶ on.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match exponent {
        -4..6 => number.to_string(),
        _ => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// With two blanks a level, keys in order, and `<`, `>` and `&` escaped, as Go's encoder does.
pub fn json(value: &Value, level: usize) -> Result<String, String> {
    let indent = "  ".repeat(level + 1);
    let end = "  ".repeat(level);
    let block = |open: char, parts: Vec<String>, close: char| match parts.is_empty() {
        true => format!("{open}{close}"),
        false => format!("{open}\n{indent}{}\n{end}{close}", parts.join(&format!(",\n{indent}"))),
    };
    Ok(match value {
        Value::Nil => "null".into(),
        Value::Bool(bool) => bool.to_string(),
        Value::Int(number) | Value::Int64(number) | Value::Duration(number) => number.to_string(),
        Value::Month(number) | Value::Weekday(number) => number.to_string(),
        Value::Float(number) if !number.is_finite() => return Err("toJSON(): JSON has no such number".into()),
        Value::Float(number) if *number != 0.0 && !(SMALL..LARGE).contains(&number.abs()) => {
            let scientific = format!("{number:e}");
            scientific.replace('e', if number.abs() < 1.0 { "e" } else { "e+" })
        }
        Value::Float(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        Value::List(list) if value.is_nil() && list.items.is_empty() => "null".into(),
        Value::List(list) => {
            let parts: Result<_, _> = list.items.iter().map(|item| json(item, level + 1)).collect();
            block('[', parts?, ']')
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| Ok(format!("{}: {}", quoted(name), json(value, level + 1)?));
            let parts: Result<_, String> = fields.iter().map(field).collect();
            block('{', parts?, '}')
        }
        Value::Time(time) => quoted(&layout::format(time, layout::RFC3339_NANO)),
        Value::Keyed(_) => return Err(format!("toJSON() takes no {} by keys of any type", Type::of(value).name())),
    })
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
