//! Errors of an expression.

use std::fmt;

/// A message, and its offset in the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: usize,
    pub message: String,
}

impl Fault {
    pub fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// The position as line and column of the expression, both from 1.
    pub fn place(&self, expression: &str) -> String {
        let before = expression.get(..self.at).unwrap_or(expression);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{line}:{column}")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
