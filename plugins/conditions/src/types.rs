//! What is known of a value before an expression runs.

use crate::value::Value;

/// The type of a node, as far as it is known without running the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Nil,
    /// Known only when the expression runs.
    Any,
    Bool,
    Int,
    /// What `asInt` answers: an integer, but of another Go type than a literal.
    Int64,
    Float,
    Text,
    List(Box<Type>),
    /// With strings for keys.
    Object(Box<Type>),
    /// With keys of any type.
    Keyed(Box<Type>),
    Time,
    Duration,
    Month,
    Weekday,
    Function,
}

impl Type {
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    pub fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Int64(_) => Self::Int64,
            Value::Float(_) => Self::Float,
            Value::Text(_) => Self::Text,
            Value::List(_) => Self::list(Self::Any),
            Value::Object(_) => Self::Object(Box::new(Self::Any)),
            Value::Keyed(_) => Self::Keyed(Box::new(Self::Any)),
            Value::Time(_) => Self::Time,
            Value::Duration(_) => Self::Duration,
            Value::Month(_) => Self::Month,
            Value::Weekday(_) => Self::Weekday,
        }
    }

    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    /// Whole numbers, and the named ones that Go makes of them.
    pub const fn is_integer(&self) -> bool {
        matches!(self, Self::Int | Self::Int64 | Self::Duration | Self::Month | Self::Weekday)
    }

    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Float) || self.is_integer()
    }

    pub const fn is_bool(&self) -> bool {
        matches!(self, Self::Bool)
    }

    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }

    pub const fn is_time(&self) -> bool {
        matches!(self, Self::Time)
    }

    pub const fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// Whether a value of this type can stand where `other` is wanted.
    pub fn is_assignable_to(&self, other: &Self) -> bool {
        other.is_any() || self == other
    }

    /// Of one kind in Go, whatever the elements are.
    pub fn is_kind_of(&self, other: &Self) -> bool {
        let map = |kind: &Self| matches!(kind, Self::Object(_) | Self::Keyed(_));
        let int = |kind: &Self| matches!(kind, Self::Int | Self::Month | Self::Weekday);
        let int64 = |kind: &Self| matches!(kind, Self::Int64 | Self::Duration);
        self == other
            || (self.is_list() && other.is_list())
            || (map(self) && map(other))
            || (int(self) && int(other))
            || (int64(self) && int64(other))
    }

    /// Whether `==` can hold between values of these types.
    pub fn is_comparable_to(&self, other: &Self) -> bool {
        *self == Self::Nil
            || *other == Self::Nil
            || self.is_kind_of(other)
            || (self.is_number() && other.is_number())
            || self.is_any()
            || other.is_any()
    }

    /// The type as a user calls it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Any => "of any type",
            Self::Bool => "a boolean",
            Self::Int | Self::Int64 => "an integer",
            Self::Float => "a number",
            Self::Text => "a string",
            Self::List(_) => "a list",
            Self::Object(_) | Self::Keyed(_) => "an object",
            Self::Time => "a time",
            Self::Duration => "a duration",
            Self::Month => "a month",
            Self::Weekday => "a weekday",
            Self::Function => "a function",
        }
    }
}
