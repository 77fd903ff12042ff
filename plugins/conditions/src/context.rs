//! The input of an evaluation.

use crate::value::Value;

pub const TOO_LARGE: &str = "the expression makes lists of too many elements";

/// The input of an evaluation.
pub struct Context<'a> {
    pub expression: &'a str,
    pub result: &'a Value,
    /// Unix milliseconds.
    pub now: Option<u64>,
}
