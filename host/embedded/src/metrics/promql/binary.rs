//! Operators between numbers, and between a number and a vector.

use promql_parser::parser::{
    BinaryExpr,
    token::{
        T_ADD, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB,
    },
};

use super::{Error, Row, Value, matching};

#[derive(Debug, Clone, Copy)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

#[derive(Debug, Clone, Copy)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy)]
pub enum Set {
    And,
    Or,
    Unless,
}

#[derive(Debug, Clone, Copy)]
pub enum Operator {
    Arithmetic(Arithmetic),
    /// `bool` returns 0 or 1; without it the rows that do not match are left out.
    Comparison(Comparison, bool),
    Set(Set),
}

impl Operator {
    fn of(expression: &BinaryExpr) -> Result<Self, Error> {
        let compared = |comparison| Ok(Self::Comparison(comparison, expression.return_bool()));
        match expression.op.id() {
            T_ADD => Ok(Self::Arithmetic(Arithmetic::Add)),
            T_SUB => Ok(Self::Arithmetic(Arithmetic::Sub)),
            T_MUL => Ok(Self::Arithmetic(Arithmetic::Mul)),
            T_DIV => Ok(Self::Arithmetic(Arithmetic::Div)),
            T_MOD => Ok(Self::Arithmetic(Arithmetic::Mod)),
            T_POW => Ok(Self::Arithmetic(Arithmetic::Pow)),
            T_EQLC => compared(Comparison::Equal),
            T_NEQ => compared(Comparison::NotEqual),
            T_LSS => compared(Comparison::Less),
            T_LTE => compared(Comparison::LessOrEqual),
            T_GTR => compared(Comparison::Greater),
            T_GTE => compared(Comparison::GreaterOrEqual),
            T_LAND => Ok(Self::Set(Set::And)),
            T_LOR => Ok(Self::Set(Set::Or)),
            T_LUNLESS => Ok(Self::Set(Set::Unless)),
            _ => Err(Error::not_served(expression.op)),
        }
    }
}

impl Arithmetic {
    pub fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Sub => left - right,
            Self::Mul => left * right,
            Self::Div => left / right,
            Self::Mod => left % right,
            Self::Pow => left.powf(right),
        }
    }
}

impl Comparison {
    #[expect(clippy::float_cmp, reason = "PromQL compares exactly")]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

pub fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

/// The result of `left op right`.
pub fn apply(expression: &BinaryExpr, left: Value, right: Value) -> Result<Value, Error> {
    let operator = Operator::of(expression)?;
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => numbers(operator, left, right).map(Value::Scalar),
        (Value::Vector(rows), Value::Scalar(number)) => {
            each(operator, rows, |value| (value, number)).map(Value::Vector)
        }
        (Value::Scalar(number), Value::Vector(rows)) => {
            each(operator, rows, |value| (number, value)).map(Value::Vector)
        }
        (Value::Vector(left), Value::Vector(right)) => {
            matching::vectors(operator, expression.modifier.as_ref(), left, right).map(Value::Vector)
        }
        (left, right) => {
            Err(Error::Syntax(format!("{} {} {} is no operation", left.kind(), expression.op, right.kind())))
        }
    }
}

fn numbers(operator: Operator, left: f64, right: f64) -> Result<f64, Error> {
    match operator {
        Operator::Arithmetic(arithmetic) => Ok(arithmetic.apply(left, right)),
        Operator::Comparison(comparison, true) => Ok(truth(comparison.holds(left, right))),
        Operator::Comparison(_, false) => {
            Err(Error::Syntax("comparisons between scalars must use BOOL modifier".to_owned()))
        }
        Operator::Set(_) => Err(sets_need_vectors()),
    }
}

/// `sides` orders a row's value and the number as operands. A row that passes a comparison keeps its own value.
fn each(operator: Operator, rows: Vec<Row>, sides: impl Fn(f64) -> (f64, f64)) -> Result<Vec<Row>, Error> {
    let calculated = |row: Row, value| Row { labels: row.labels.nameless(), value };
    Ok(match operator {
        Operator::Arithmetic(arithmetic) => {
            let result = |row: Row| {
                let (left, right) = sides(row.value);
                calculated(row, arithmetic.apply(left, right))
            };
            rows.into_iter().map(result).collect()
        }
        Operator::Comparison(comparison, asked) => {
            let result = |row: Row| {
                let (left, right) = sides(row.value);
                let holds = comparison.holds(left, right);
                if asked { Some(calculated(row, truth(holds))) } else { holds.then_some(row) }
            };
            rows.into_iter().filter_map(result).collect()
        }
        Operator::Set(_) => return Err(sets_need_vectors()),
    })
}

fn sets_need_vectors() -> Error {
    Error::Syntax("set operators are for two instant vectors".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ask, rows, store};
    use super::*;

    #[test]
    fn numbers_are_calculated() {
        let store = store(&[]);

        for (query, value) in [
            ("1 + 2 * 3", 7.0),
            ("7 % 4 - 5", -2.0),
            ("2 ^ 3 ^ 2", 512.0),
            ("1 / 4", 0.25),
            ("1 <= bool 1", 1.0),
            ("-(3)", -3.0),
        ] {
            assert_eq!(ask(&store, query, 1), Ok(Value::Scalar(value)), "{query}");
        }
    }

    #[test]
    fn arithmetic_with_a_number_drops_the_name() {
        assert_eq!(rows(&store(&[("up pod=a", "4")]), "1 - up / 2", 1), ["{pod=\"a\"} -1"]);
    }

    #[test]
    fn a_comparison_keeps_matching_rows_unchanged() {
        let store = store(&[("up pod=a", "4"), ("up pod=b", "5")]);

        assert_eq!(rows(&store, "up > 4", 1), ["{__name__=\"up\", pod=\"b\"} 5"]);
        assert_eq!(rows(&store, "4 == up", 1), ["{__name__=\"up\", pod=\"a\"} 4"]);
        assert_eq!(rows(&store, "4 < bool up", 1), ["{pod=\"a\"} 0", "{pod=\"b\"} 1"]);
    }

    #[test]
    fn nan_equals_nothing() {
        let store = store(&[("up", "NaN")]);

        assert!(rows(&store, "up == up", 1).is_empty());
        assert!(rows(&store, "up > 0", 1).is_empty());
        assert_eq!(rows(&store, "up != 0", 1).len(), 1);
    }

    #[test]
    fn an_unsupported_operator_is_named() {
        assert_eq!(ask(&store(&[("up", "1")]), "up atan2 1", 1), Err(Error::NotServed("atan2".to_owned())));
    }
}
