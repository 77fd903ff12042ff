//! What a query evaluates to.

use crate::metrics::labels::Labels;

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub labels: Labels,
    pub value: f64,
}

/// A value at a time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub at: i64,
    pub value: f64,
}

/// One series of a range: its points in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub labels: Labels,
    pub points: Vec<Point>,
}

pub type Matrix = Vec<Run>;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(f64),
    Text(String),
    Vector(Vec<Row>),
    Matrix(Matrix),
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::Text(_) => "string",
            Self::Vector(_) => "instant vector",
            Self::Matrix(_) => "range vector",
        }
    }
}
