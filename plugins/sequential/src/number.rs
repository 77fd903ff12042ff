//! A number in the configuration: a JSON number, or text, because `"{{args.alpha}}"` becomes text.

use kulta_plugin::Error;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

/// Finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Number {
    pub fn or(given: Option<Self>, default: f64) -> f64 {
        given.map_or(default, |Self(value)| value)
    }

    /// An integer in that range; the error names the field.
    pub fn whole(given: Option<Self>, default: u64, range: RangeInclusive<u64>, field: &str) -> Result<u64, Error> {
        let Some(Self(value)) = given else { return Ok(default) };
        // The cast saturates; a truncated value is no longer equal.
        let whole = value as u64;
        if whole as f64 == value && range.contains(&whole) {
            return Ok(whole);
        }
        let (from, to) = range.into_inner();
        Err(Error::InvalidConfig(format!("{field}: must be a whole number from {from} to {to}")))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                match value.is_finite() {
                    true => Ok(Number(value)),
                    false => Err(E::custom("must be a finite number")),
                }
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                match text.trim().parse() {
                    Ok(value) => self.visit_f64(value),
                    Err(_) => Err(E::custom(format!("{text:?} is no number"))),
                }
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}
