//! The binary operators.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Pipe,
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    More,
    LessOrEqual,
    MoreOrEqual,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

impl Operator {
    pub fn of(text: &str) -> Option<Self> {
        Some(match text {
            "|" => Self::Pipe,
            "or" | "||" => Self::Or,
            "and" | "&&" => Self::And,
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            ">" => Self::More,
            "<=" => Self::LessOrEqual,
            ">=" => Self::MoreOrEqual,
            "in" => Self::In,
            "matches" => Self::Matches,
            "contains" => Self::Contains,
            "startsWith" => Self::StartsWith,
            "endsWith" => Self::EndsWith,
            ".." => Self::Range,
            "+" => Self::Add,
            "-" => Self::Subtract,
            "*" => Self::Multiply,
            "/" => Self::Divide,
            "%" => Self::Modulo,
            "**" | "^" => Self::Power,
            "??" => Self::Coalesce,
            _ => return None,
        })
    }

    pub const fn text(self) -> &'static str {
        match self {
            Self::Pipe => "|",
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::More => ">",
            Self::LessOrEqual => "<=",
            Self::MoreOrEqual => ">=",
            Self::In => "in",
            Self::Matches => "matches",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Range => "..",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::Coalesce => "??",
        }
    }

    /// As in expr-lang (`parser/operator`).
    pub const fn precedence(self) -> u32 {
        match self {
            Self::Pipe => 0,
            Self::Or => 10,
            Self::And => 15,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::More
            | Self::LessOrEqual
            | Self::MoreOrEqual
            | Self::In
            | Self::Matches
            | Self::Contains
            | Self::StartsWith
            | Self::EndsWith => 20,
            Self::Range => 25,
            Self::Add | Self::Subtract => 30,
            Self::Multiply | Self::Divide | Self::Modulo => 60,
            Self::Power => 100,
            Self::Coalesce => 500,
        }
    }

    /// `not` may stand before it.
    pub const fn can_be_negated(self) -> bool {
        matches!(self, Self::In | Self::Matches | Self::Contains | Self::StartsWith | Self::EndsWith)
    }
}
