//! The condition language: what `successCondition` and `failureCondition` are written in.
//!
//! It is the expression language of Argo Rollouts: expr-lang 1.15 with `result`, `asInt`, `asFloat`, `isNaN`, `isInf`, `isNil` and
//! `default` in it, types checked before an expression runs, and an answer that must be a boolean. What can have only one meaning in
//! newer versions of expr-lang is understood as well.
//!
//! Different from the Go original: `a + b not in c` is the opposite of `a + b in c`, where version 1.15 loses the `not`; zones of
//! times are UTC or an offset; regular expressions have no Unicode classes. Length and nesting of an expression are bounded;
//! what an expression then costs is for the sandbox's limits of memory and time.

mod base64;
mod builtins;
mod check;
#[cfg(test)]
mod conditions_tests;
mod context;
mod evaluate;
mod fault;
mod functions;
#[cfg(test)]
mod golden;
mod layout;
mod methods;
mod operator;
mod operators;
mod parse;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recorded;
mod run;
mod show;
mod syntax;
mod time;
mod token;
mod types;
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
