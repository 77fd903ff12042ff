//! Evaluation of a query at one time, or at each step of a range of times.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use promql_parser::parser::{Expr, UnaryExpr};

use super::{Error, Matrix, Point, Query, Row, Run, Value, aggregate, binary, functions, select};
use crate::metrics::{Labels, Store, store::milliseconds};

/// Limit of nesting: more than any sensible query, and small enough for the smallest thread's stack.
const MAX_DEPTH: usize = 100;

/// Steps that a range query may have: Prometheus' limit.
pub const MAX_STEPS: i64 = 11_000;

/// When an expression is evaluated, in milliseconds since the Unix epoch, and how deep it lies in the query.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: i64,
    depth: usize,
}

impl Moment {
    #[expect(clippy::cast_precision_loss, reason = "times of this age are far below 2^52 ms")]
    pub fn seconds(self, milliseconds: f64) -> f64 {
        self.at as f64 / milliseconds
    }
}

/// Answers queries from a store.
#[derive(Debug)]
pub struct Evaluator<'a> {
    store: &'a Store,
}

impl<'a> Evaluator<'a> {
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    /// The query's value at that time.
    ///
    /// # Errors
    /// [`Error::NotServed`] for unsupported parts, [`Error::Execution`] for errors of Prometheus too.
    pub fn instant(&self, query: &Query, at: Timestamp) -> Result<Value, Error> {
        let value = self.evaluate(&query.0, Moment { at: at.as_millisecond(), depth: 0 })?;
        if let Value::Vector(rows) = &value {
            distinct(rows)?;
        }
        Ok(value)
    }

    /// The query's value at `start`, `start + step`, … up to `end`, by series and sorted by their labels.
    ///
    /// # Errors
    /// As [`Evaluator::instant`], and [`Error::Syntax`] when the range or the query's kind does not fit.
    pub fn range(
        &self,
        query: &Query,
        start: Timestamp,
        end: Timestamp,
        step: SignedDuration,
    ) -> Result<Matrix, Error> {
        let (start, end, step) = (start.as_millisecond(), end.as_millisecond(), milliseconds(step));
        if step <= 0 || end.saturating_sub(start) / step > MAX_STEPS {
            return Err(Error::Execution(format!("a range has 1 to {MAX_STEPS} steps")));
        }
        let mut runs: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        let mut at = start;
        while at <= end {
            let rows = match self.evaluate(&query.0, Moment { at, depth: 0 })? {
                Value::Scalar(value) => vec![Row { labels: Labels::default(), value }],
                Value::Vector(rows) => rows,
                other @ (Value::Text(_) | Value::Matrix(_)) => {
                    let kind = other.kind();
                    let reason =
                        format!("invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector");
                    return Err(Error::Syntax(reason));
                }
            };
            distinct(&rows)?;
            for row in rows {
                runs.entry(row.labels).or_default().push(Point { at, value: row.value });
            }
            at = at.saturating_add(step);
        }
        Ok(runs.into_iter().map(|(labels, points)| Run { labels, points }).collect())
    }

    pub(super) fn evaluate(&self, expression: &Expr, moment: Moment) -> Result<Value, Error> {
        if moment.depth >= MAX_DEPTH {
            return Err(Error::not_served(format_args!("an expression nested deeper than {MAX_DEPTH}")));
        }
        let inner = Moment { depth: moment.depth.saturating_add(1), ..moment };
        let value = match expression {
            Expr::NumberLiteral(number) => Value::Scalar(number.val),
            Expr::StringLiteral(text) => Value::Text(text.val.clone()),
            Expr::Paren(paren) => self.evaluate(&paren.expr, inner)?,
            Expr::VectorSelector(selector) => Value::Vector(select::instant(self.store, selector, moment.at)?),
            Expr::MatrixSelector(selector) => Value::Matrix(select::range(self.store, selector, moment.at)?),
            Expr::Unary(unary) => self.negate(unary, inner)?,
            Expr::Call(call) => functions::call(self, call, inner)?,
            Expr::Aggregate(aggregation) => match self.evaluate(&aggregation.expr, inner)? {
                Value::Vector(rows) => Value::Vector(aggregate::aggregate(aggregation, rows)?),
                other => {
                    return Err(Error::Syntax(format!(
                        "{} needs an instant vector, not a {}",
                        aggregation.op,
                        other.kind()
                    )));
                }
            },
            Expr::Binary(operation) => {
                let (left, right) = (self.evaluate(&operation.lhs, inner)?, self.evaluate(&operation.rhs, inner)?);
                binary::apply(operation, left, right)?
            }
            Expr::Subquery(_) => return Err(Error::not_served("a subquery")),
            Expr::Extension(extension) => return Err(Error::not_served(extension.expr.name())),
        };
        if let (Value::Vector(rows), Expr::Call(_) | Expr::Unary(_) | Expr::Binary(_)) = (&value, expression) {
            distinct(rows)?;
        }
        Ok(value)
    }

    fn negate(&self, unary: &UnaryExpr, moment: Moment) -> Result<Value, Error> {
        match self.evaluate(&unary.expr, moment)? {
            Value::Scalar(number) => Ok(Value::Scalar(-number)),
            Value::Vector(rows) => {
                let negated = |row: Row| Row { labels: row.labels.nameless(), value: -row.value };
                Ok(Value::Vector(rows.into_iter().map(negated).collect()))
            }
            other => Err(Error::Syntax(format!("a {} cannot be negated", other.kind()))),
        }
    }
}

/// No two rows of a vector have the same labels.
fn distinct(rows: &[Row]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    if rows.iter().all(|row| seen.insert(&row.labels)) {
        return Ok(());
    }
    Err(Error::Execution("vector cannot contain metrics with the same labelset".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ask, rows, store};
    use super::*;

    #[test]
    fn a_range_query_has_a_point_per_step_where_there_is_a_value() {
        let store = store(&[("up pod=b", "1 2 3"), ("up pod=a", "_ 5")]);
        let second = |second| Timestamp::from_second(second).unwrap();

        let query = Query::parse("up * 2").unwrap();
        let runs = Evaluator::new(&store).range(&query, second(0), second(20), SignedDuration::from_secs(10)).unwrap();

        let found: Vec<(String, Vec<(i64, f64)>)> = runs
            .iter()
            .map(|run| (run.labels.to_string(), run.points.iter().map(|point| (point.at, point.value)).collect()))
            .collect();
        assert_eq!(
            found,
            [
                ("{pod=\"a\"}".to_owned(), vec![(10_000, 10.0), (20_000, 10.0)]),
                ("{pod=\"b\"}".to_owned(), vec![(0, 2.0), (10_000, 4.0), (20_000, 6.0)]),
            ]
        );
    }

    #[test]
    fn a_range_query_over_ranges_is_refused() {
        let store = store(&[]);
        let at = Timestamp::UNIX_EPOCH;

        let query = Query::parse("up[1m]").unwrap();
        let refused = Evaluator::new(&store).range(&query, at, at, SignedDuration::from_secs(1));

        assert!(matches!(refused, Err(Error::Syntax(_))));
    }

    #[test]
    fn negation_drops_the_name() {
        assert_eq!(rows(&store(&[("up pod=a", "1")]), "-up", 1), ["{pod=\"a\"} -1"]);
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = format!("{}1{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
        let long = format!("vector(1){}", " + 1".repeat(MAX_DEPTH));

        for query in [deep, long] {
            assert!(matches!(ask(&store(&[]), &query, 1), Err(Error::NotServed(_))));
        }
    }
}
