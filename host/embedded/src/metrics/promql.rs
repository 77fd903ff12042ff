//! PromQL over the [`Store`]: the part that metrics of a rollout use, with the semantics of Prometheus 2. Unsupported
//! parts are errors that name them.

mod aggregate;
mod binary;
mod eval;
mod functions;
mod matching;
mod quantile;
mod rate;
mod select;
mod value;

use std::panic;

use promql_parser::parser::{self, Expr, value::ValueType};

pub use eval::{Evaluator, MAX_STEPS};
pub use value::{Matrix, Point, Row, Run, Value};

/// Limit of a query's length in bytes: above any sensible query, and small enough that nesting cannot exhaust the
/// stack.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// The text is not a query (`bad_data` in Prometheus).
    #[error("invalid parameter \"query\": {0}")]
    Syntax(String),
    /// A valid query that this server does not support (`execution`).
    #[error("{0} is not served")]
    NotServed(String),
    /// A query that fails on its series, as in Prometheus (`execution`).
    #[error("{0}")]
    Execution(String),
}

impl Error {
    fn not_served(what: impl std::fmt::Display) -> Self {
        Self::NotServed(what.to_string())
    }
}

/// A parsed query.
#[derive(Debug, Clone)]
pub struct Query(Expr);

impl Query {
    /// # Errors
    /// [`Error::Syntax`] if it is not PromQL, [`Error::NotServed`] if it is too long.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(Error::not_served(format_args!("a query of more than {MAX_QUERY_BYTES} bytes")));
        }
        // The parser turns numbers into durations with a function that panics on those out of range, such as `x[1e400]`.
        match panic::catch_unwind(|| parser::parse(text)) {
            Ok(Ok(expression)) => Ok(Self(expression)),
            Ok(Err(reason)) => Err(Error::Syntax(reason)),
            Err(_) => Err(Error::Syntax("a number in it is out of range".to_owned())),
        }
    }

    /// The kind of its answer.
    pub fn kind(&self) -> ValueType {
        self.0.value_type()
    }
}

#[cfg(test)]
pub(super) mod fixtures {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::metrics::{Labels, Store};

    /// Series written as `name key=value …`, each with a value for every ten seconds from second 0; `_` is no sample, `stale` the end.
    pub fn store(series: &[(&str, &str)]) -> Store {
        let mut store = Store::new(SignedDuration::from_hours(24));
        for (labels, values) in series {
            let mut words = labels.split(' ');
            let name = Labels::metric(words.next().unwrap());
            let labels = words.fold(name, |labels, word| {
                let (key, value) = word.split_once('=').unwrap();
                labels.with(key, value)
            });
            for (index, value) in values.split(' ').enumerate() {
                let at = Timestamp::from_second(10 * i64::try_from(index).unwrap()).unwrap();
                match value {
                    "_" => {}
                    "stale" => store.end(&labels, at).unwrap(),
                    number => store.append(&labels, at, number.parse().unwrap()).unwrap(),
                }
            }
        }
        store
    }

    /// The answer at that second.
    pub fn ask(store: &Store, query: &str, second: i64) -> Result<Value, Error> {
        Evaluator::new(store).instant(&Query::parse(query)?, Timestamp::from_second(second).unwrap())
    }

    /// An instant vector as text: one `{labels} value` per series.
    pub fn rows(store: &Store, query: &str, second: i64) -> Vec<String> {
        match ask(store, query, second).unwrap() {
            Value::Vector(rows) => rows.iter().map(|row| format!("{} {}", row.labels, row.value)).collect(),
            other => panic!("{query} is no vector: {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_query_is_a_syntax_error() {
        for text in ["", "sum(", "up{", "1 +", "x[1e400]", "{}", "up{a=~\"(\"}"] {
            assert!(matches!(Query::parse(text), Err(Error::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn a_query_that_is_too_long_is_rejected() {
        let text = "1+".repeat(MAX_QUERY_BYTES);

        assert!(matches!(Query::parse(&text), Err(Error::NotServed(_))));
    }
}
