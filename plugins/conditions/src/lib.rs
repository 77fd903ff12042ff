//! The condition language: what `successCondition` and `failureCondition` are written in.
//!
//! It is the expression language of Argo Rollouts (expr-lang), with `result`, `asInt`, `asFloat`, `isNaN`, `isInf`, `isNil` and
//! `default` in it, and with Argo Rollouts' quirks: `isNil(x)` and `default(x, y)` look at the whole result, whatever `x` is, and
//! what an expression answers must be a boolean.
//!
//! Different from the Go original: types are checked when the expression runs, not before; `matches`, dates, durations, JSON and
//! base64 functions are not there and say so. Length, nesting and operators of an expression are bounded before it is parsed; what
//! an expression then costs is for the sandbox's limits of memory and time.

#[cfg(test)]
mod conditions_tests;
mod environment;
mod evaluate;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recorded;
mod source;
mod token;
mod value;

pub use evaluate::evaluate;

use kulta_plugin::{About, Condition, Error};

pub struct Conditions;

impl Condition for Conditions {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Judges a measurement by an expression in Argo Rollouts' language",
    };

    fn evaluate(expression: &str, value: &str) -> Result<bool, Error> {
        evaluate::evaluate(expression, value)
    }
}

kulta_plugin::export!(condition: Conditions);
