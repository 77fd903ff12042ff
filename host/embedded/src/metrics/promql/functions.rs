//! The supported functions.

use promql_parser::{
    label::MatchOp,
    parser::{Call, Expr},
};

use super::{
    Error, Evaluator, Point, Row, Value,
    eval::Moment,
    quantile,
    rate::{self, Window},
    select,
};
use crate::metrics::{Labels, labels::NAME};

const MILLISECONDS: f64 = 1000.0;

pub fn call(with: &Evaluator<'_>, call: &Call, moment: Moment) -> Result<Value, Error> {
    let arguments = Arguments { with, call, moment };
    match call.func.name {
        "rate" => arguments.over_range(rate::rate),
        "increase" => arguments.over_range(rate::increase),
        "irate" => arguments.over_range(|points, _| rate::irate(points)),
        "histogram_quantile" => {
            Ok(Value::Vector(quantile::histogram_quantile(arguments.scalar(0)?, arguments.vector(1)?)))
        }
        "scalar" => Ok(Value::Scalar(match arguments.vector(0)?.as_slice() {
            [row] => row.value,
            _ => f64::NAN,
        })),
        "vector" => Ok(Value::Vector(vec![Row { labels: Labels::default(), value: arguments.scalar(0)? }])),
        "clamp" => {
            let (low, high) = (arguments.scalar(1)?, arguments.scalar(2)?);
            if high < low {
                return Ok(Value::Vector(Vec::new()));
            }
            arguments.each(0, |value| larger(low, smaller(high, value)))
        }
        "clamp_min" => {
            let low = arguments.scalar(1)?;
            arguments.each(0, |value| larger(low, value))
        }
        "clamp_max" => {
            let high = arguments.scalar(1)?;
            arguments.each(0, |value| smaller(high, value))
        }
        "absent" => Ok(Value::Vector(arguments.absent()?)),
        "time" => Ok(Value::Scalar(moment.seconds(MILLISECONDS))),
        name => Err(Error::not_served(name)),
    }
}

struct Arguments<'a> {
    with: &'a Evaluator<'a>,
    call: &'a Call,
    moment: Moment,
}

impl Arguments<'_> {
    fn expression(&self, index: usize) -> Result<&Expr, Error> {
        let missing = || Error::Syntax(format!("{} lacks argument {}", self.call.func.name, index.saturating_add(1)));
        self.call.args.args.get(index).map(AsRef::as_ref).ok_or_else(missing)
    }

    fn wrong(&self, index: usize, wanted: &str, found: &Value) -> Error {
        let (name, found) = (self.call.func.name, found.kind());
        Error::Syntax(format!("argument {} of {name} must be a {wanted}, not a {found}", index.saturating_add(1)))
    }

    fn scalar(&self, index: usize) -> Result<f64, Error> {
        match self.with.evaluate(self.expression(index)?, self.moment)? {
            Value::Scalar(number) => Ok(number),
            other => Err(self.wrong(index, "scalar", &other)),
        }
    }

    fn vector(&self, index: usize) -> Result<Vec<Row>, Error> {
        match self.with.evaluate(self.expression(index)?, self.moment)? {
            Value::Vector(rows) => Ok(rows),
            other => Err(self.wrong(index, "instant vector", &other)),
        }
    }

    fn each(&self, index: usize, change: impl Fn(f64) -> f64) -> Result<Value, Error> {
        let changed = |row: Row| Row { labels: row.labels.nameless(), value: change(row.value) };
        Ok(Value::Vector(self.vector(index)?.into_iter().map(changed).collect()))
    }

    fn over_range(&self, function: impl Fn(&[Point], Window) -> Option<f64>) -> Result<Value, Error> {
        let selector = match unwrapped(self.expression(0)?) {
            Expr::MatrixSelector(selector) => selector,
            Expr::Subquery(_) => return Err(Error::not_served("a subquery")),
            other => {
                let found = self.with.evaluate(other, self.moment)?;
                return Err(self.wrong(0, "range vector", &found));
            }
        };
        let to = select::shifted(&selector.vs, self.moment.at)?;
        let window = Window { from: to.saturating_sub(select::whole_milliseconds(selector.range)), to };
        let rows = select::range(self.with.store(), selector, self.moment.at)?
            .into_iter()
            .filter_map(|run| Some(Row { value: function(&run.points, window)?, labels: run.labels.nameless() }));
        Ok(Value::Vector(rows.collect()))
    }

    /// One row of value 1 if there is none, with the labels of the selector's equality matchers.
    fn absent(&self) -> Result<Vec<Row>, Error> {
        if !self.vector(0)?.is_empty() {
            return Ok(Vec::new());
        }
        let mut labels = Labels::default();
        if let Expr::VectorSelector(selector) = unwrapped(self.expression(0)?) {
            let matchers = &selector.matchers.matchers;
            for matcher in matchers.iter().filter(|matcher| matcher.name != NAME) {
                let once = matchers.iter().filter(|other| other.name == matcher.name).count() == 1;
                if once && matches!(matcher.op, MatchOp::Equal) {
                    labels.set(&matcher.name, &matcher.value);
                }
            }
        }
        Ok(vec![Row { labels, value: 1.0 }])
    }
}

fn unwrapped(mut expression: &Expr) -> &Expr {
    while let Expr::Paren(inner) = expression {
        expression = &inner.expr;
    }
    expression
}

/// The larger of two numbers; NaN if either is NaN (unlike [`f64::max`]).
fn larger(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

fn smaller(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.min(right) }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ask, rows, store};
    use super::*;

    #[test]
    fn rates_are_per_series_and_nameless() {
        let store = store(&[("total pod=a", "0 10 20 30"), ("total pod=b", "0 20 40 60")]);

        assert_eq!(rows(&store, "rate(total[30s])", 30), ["{pod=\"a\"} 1", "{pod=\"b\"} 2"]);
        assert_eq!(rows(&store, "increase(total[20s] offset 10s)", 30), ["{pod=\"a\"} 20", "{pod=\"b\"} 40"]);
        assert_eq!(rows(&store, "irate(total[1m])", 30), ["{pod=\"a\"} 1", "{pod=\"b\"} 2"]);
    }

    #[test]
    fn two_series_with_equal_names_are_an_error() {
        let store = store(&[("one", "0 10 20 30"), ("two", "0 20 40 60")]);

        let found = ask(&store, "rate({__name__=~\"one|two\"}[30s])", 30);

        let message = "vector cannot contain metrics with the same labelset";
        assert_eq!(found, Err(Error::Execution(message.to_owned())));
    }

    #[test]
    fn a_scalar_is_the_only_row_or_no_number() {
        let store = store(&[("one", "7"), ("two pod=a", "1"), ("two pod=b", "2")]);

        assert_eq!(ask(&store, "scalar(one)", 1), Ok(Value::Scalar(7.0)));
        assert!(matches!(ask(&store, "scalar(two)", 1), Ok(Value::Scalar(value)) if value.is_nan()));
    }

    #[test]
    fn values_are_clamped() {
        let store = store(&[("up", "7")]);

        assert_eq!(rows(&store, "clamp(up, 1, 5)", 1), ["{} 5"]);
        assert_eq!(rows(&store, "clamp_min(up, 9)", 1), ["{} 9"]);
        assert_eq!(rows(&store, "clamp_max(up, 9)", 1), ["{} 7"]);
        assert!(rows(&store, "clamp(up, 5, 1)", 1).is_empty());
    }

    #[test]
    fn absence_has_the_labels_of_the_selector() {
        let store = store(&[("up", "7")]);

        assert!(rows(&store, "absent(up)", 1).is_empty());
        assert_eq!(rows(&store, "absent(down{pod=\"a\",code=~\"5..\",x=\"1\",x=\"2\"})", 1), ["{pod=\"a\"} 1"]);
    }

    #[test]
    fn numbers_become_vectors_and_time_is_the_moment_asked_about() {
        let store = store(&[]);

        assert_eq!(rows(&store, "vector(time())", 90), ["{} 90"]);
    }

    #[test]
    fn an_unsupported_function_or_subquery_is_named() {
        let store = store(&[]);

        assert_eq!(ask(&store, "deriv(up[1m])", 1), Err(Error::NotServed("deriv".to_owned())));
        assert_eq!(ask(&store, "rate(up[1m:10s])", 1), Err(Error::NotServed("a subquery".to_owned())));
    }
}
