//! JSONPath in kubectl's syntax (`{$.items[0].name}`), without its templates: one path, with or without braces.
//!
//! `$` and `@` are the document, `.name`, `['name']`, `[0]`, `[-1]`, `[1:3]`, `[0,2]`, `['a','b']`, `*`, `..name` and
//! `[?(@.name == "x")]` with `==`, `!=`, `<`, `<=`, `>`, `>=` or the mere existence of a path.

mod find;
mod parse;

use std::fmt;

/// A path; the empty text is the whole document.
#[derive(Debug, Clone, PartialEq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// From the end when negative.
    Index(i64),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: i64,
    },
    /// All elements, or all values.
    Wildcard,
    /// A value and all its descendants.
    Descendants,
    Union(Vec<Step>),
    Filter(Filter),
}

/// `left` without `right`: an existence test.
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    left: Operand,
    right: Option<(Comparison, Operand)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path(Vec<Step>),
    Value(serde_json::Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    TooLong,
    Template,
    /// The expected token at this byte of the path.
    Expected(&'static str, usize),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "at most {} bytes", parse::MAX_BYTES),
            Self::Template => {
                f.write_str("one path is understood, such as {$.data.ok}; no text beside it, no second one")
            }
            Self::Expected(what, at) => write!(f, "expected {what} at byte {at}"),
        }
    }
}
