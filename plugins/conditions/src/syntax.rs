//! The tree of an expression.

use crate::builtins::Builtin;
pub use crate::operator::Operator;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    /// Where it is in the expression, in bytes.
    pub from: usize,
    pub to: usize,
    /// Nodes on the longest way down, itself included.
    pub depth: usize,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Name(Rc<str>),
    Pointer(Pointer),
    Unary(Unary, Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// `a ? b : c`; `a ?: c` has no second one.
    Conditional(Box<Node>, Option<Box<Node>>, Box<Node>),
    Member {
        of: Box<Node>,
        name: Box<Node>,
        optional: bool,
    },
    /// What a `?.` inside that meets nil makes nil as a whole.
    Chain(Box<Node>),
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    Call(Box<Node>, Vec<Node>),
    Builtin(&'static Builtin, Vec<Node>),
    /// A builtin that runs its body for elements of a list.
    Loop(Loop, Box<Node>, Box<Node>, Option<Box<Node>>),
    Let(Rc<str>, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Object(Vec<(Node, Node)>),
}

/// `#`, `#index` and `#acc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    Element,
    Index,
    Accumulator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    Not,
    Minus,
    Plus,
}

impl Unary {
    pub fn of(text: &str) -> Option<Self> {
        Some(match text {
            "not" | "!" => Self::Not,
            "-" => Self::Minus,
            "+" => Self::Plus,
            _ => return None,
        })
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::Not => "!",
            Self::Minus => "-",
            Self::Plus => "+",
        }
    }

    pub const fn precedence(self) -> u32 {
        match self {
            Self::Not => 50,
            Self::Minus | Self::Plus => 90,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    All,
    None,
    Any,
    One,
    Filter,
    Map,
    Count,
    Find,
    FindIndex,
    FindLast,
    FindLastIndex,
    GroupBy,
    Reduce,
}

impl Loop {
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "none" => Self::None,
            "any" => Self::Any,
            "one" => Self::One,
            "filter" => Self::Filter,
            "map" => Self::Map,
            "count" => Self::Count,
            "find" => Self::Find,
            "findIndex" => Self::FindIndex,
            "findLast" => Self::FindLast,
            "findLastIndex" => Self::FindLastIndex,
            "groupBy" => Self::GroupBy,
            "reduce" => Self::Reduce,
            _ => return None,
        })
    }

    /// The body answers whether an element is meant.
    pub const fn is_predicate(self) -> bool {
        !matches!(self, Self::Map | Self::GroupBy | Self::Reduce)
    }
}

impl Node {
    /// What optimisation makes of it: a boolean that is known without a value.
    pub fn known_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Bool(known) => Some(*known),
            Kind::Unary(Unary::Not, of) => of.known_bool().map(|known| !known),
            _ => None,
        }
    }

    /// A number written out, which the Go original turns into a float where a float is wanted.
    pub fn is_written_number(&self) -> bool {
        match &self.kind {
            Kind::Int(_) => true,
            Kind::Unary(_, of) => of.is_written_number(),
            Kind::Binary(Operator::Add | Operator::Subtract | Operator::Multiply, left, right) => {
                left.is_written_number() && right.is_written_number()
            }
            _ => false,
        }
    }

    /// `0`, `-1`.
    pub fn written_index(&self) -> Option<i64> {
        match &self.kind {
            Kind::Int(index) => Some(*index),
            Kind::Unary(Unary::Minus, of) => of.written_index().map(i64::wrapping_neg),
            _ => None,
        }
    }
}
