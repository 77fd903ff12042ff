//! Operators between two instant vectors: which row meets which.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{BinModifier, LabelModifier, VectorMatchCardinality};

use super::{
    Error, Row,
    binary::{Operator, Set, truth},
};
use crate::metrics::Labels;

/// How rows meet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    /// One row on each side.
    Both,
    /// `group_left`: many on the left for one on the right.
    Left,
    /// `group_right`.
    Right,
}

struct Matching<'a> {
    labels: Option<&'a LabelModifier>,
    many: Side,
    /// Labels that the result takes from the side with one.
    taken: &'a [String],
}

impl<'a> Matching<'a> {
    fn of(modifier: Option<&'a BinModifier>) -> Result<Self, Error> {
        let Some(modifier) = modifier else { return Ok(Self { labels: None, many: Side::Both, taken: &[] }) };
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return Err(Error::not_served("fill"));
        }
        let (many, taken) = match &modifier.card {
            VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => (Side::Both, [].as_slice()),
            VectorMatchCardinality::ManyToOne(taken) => (Side::Left, taken.labels.as_slice()),
            VectorMatchCardinality::OneToMany(taken) => (Side::Right, taken.labels.as_slice()),
        };
        Ok(Self { labels: modifier.matching.as_ref(), many, taken })
    }

    /// What two rows must have in common to meet.
    fn key(&self, labels: &Labels) -> Labels {
        match self.labels {
            Some(LabelModifier::Include(on)) => labels.clone().only(&on.labels),
            Some(LabelModifier::Exclude(ignored)) => labels.clone().nameless().without(&ignored.labels),
            None => labels.clone().nameless(),
        }
    }

    fn result(&self, operator: Operator, many: &Labels, one: &Labels) -> Labels {
        let mut labels = many.clone();
        if !matches!(operator, Operator::Comparison(_, false)) {
            labels = labels.nameless();
        }
        if self.many == Side::Both {
            labels = match self.labels {
                Some(LabelModifier::Include(on)) => labels.only(&on.labels),
                Some(LabelModifier::Exclude(ignored)) => labels.without(&ignored.labels),
                None => labels,
            };
        }
        for name in self.taken {
            labels.set(name, one.get(name));
        }
        labels
    }
}

pub fn vectors(
    operator: Operator,
    modifier: Option<&BinModifier>,
    left: Vec<Row>,
    right: Vec<Row>,
) -> Result<Vec<Row>, Error> {
    let matching = Matching::of(modifier)?;
    match operator {
        Operator::Set(set) => Ok(sets(set, &matching, left, right)),
        Operator::Arithmetic(_) | Operator::Comparison(..) => pairs(operator, &matching, left, right),
    }
}

fn sets(set: Set, matching: &Matching<'_>, left: Vec<Row>, right: Vec<Row>) -> Vec<Row> {
    let keys = |rows: &[Row]| -> BTreeSet<Labels> { rows.iter().map(|row| matching.key(&row.labels)).collect() };
    let among = |rows: Vec<Row>, keys: &BTreeSet<Labels>, wanted: bool| -> Vec<Row> {
        rows.into_iter().filter(|row| keys.contains(&matching.key(&row.labels)) == wanted).collect()
    };
    match set {
        Set::And => among(left, &keys(&right), true),
        Set::Unless => among(left, &keys(&right), false),
        Set::Or => {
            let here = keys(&left);
            left.into_iter().chain(among(right, &here, false)).collect()
        }
    }
}

fn pairs(operator: Operator, matching: &Matching<'_>, left: Vec<Row>, right: Vec<Row>) -> Result<Vec<Row>, Error> {
    let (many, one, one_side) = match matching.many {
        Side::Both | Side::Left => (left, right, "right"),
        Side::Right => (right, left, "left"),
    };
    let mut ones: BTreeMap<Labels, Row> = BTreeMap::new();
    for row in one {
        let key = matching.key(&row.labels);
        if let Some(other) = ones.get(&key) {
            return Err(Error::Execution(format!(
                "found duplicate series for the match group {key} on the {one_side} hand-side of the operation: [{}, {}];many-to-many \
                 matching not allowed: matching labels must be unique on one side",
                row.labels, other.labels,
            )));
        }
        ones.insert(key, row);
    }
    let mut met: BTreeSet<Labels> = BTreeSet::new();
    let mut results = Vec::new();
    for row in many {
        let key = matching.key(&row.labels);
        let Some(other) = ones.get(&key) else { continue };
        let (left, right) =
            if matching.many == Side::Right { (other.value, row.value) } else { (row.value, other.value) };
        let Some(value) = value(operator, left, right) else { continue };
        let labels = matching.result(operator, &row.labels, &other.labels);
        let (seen, advice) = match matching.many {
            Side::Both => (key, "many-to-one matching must be explicit (group_left/group_right)"),
            Side::Left | Side::Right => (labels.clone(), "grouping labels must ensure unique matches"),
        };
        if !met.insert(seen) {
            return Err(Error::Execution(format!("multiple matches for labels: {advice}")));
        }
        results.push(Row { labels, value });
    }
    Ok(results)
}

fn value(operator: Operator, left: f64, right: f64) -> Option<f64> {
    match operator {
        Operator::Arithmetic(arithmetic) => Some(arithmetic.apply(left, right)),
        Operator::Comparison(comparison, true) => Some(truth(comparison.holds(left, right))),
        Operator::Comparison(comparison, false) => comparison.holds(left, right).then_some(left),
        Operator::Set(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ask, rows, store};
    use super::*;
    use crate::metrics::Store;

    fn requests() -> Store {
        store(&[
            ("errors pod=a code=500", "1"),
            ("errors pod=b code=500", "3"),
            ("errors pod=b code=503", "4"),
            ("total pod=a", "10"),
            ("total pod=b", "20"),
            ("total pod=c", "30"),
            ("info pod=a version=v1", "1"),
        ])
    }

    #[test]
    fn rows_with_the_same_labels_meet() {
        let store = requests();

        assert_eq!(rows(&store, "sum by (pod) (errors) / total", 1), ["{pod=\"a\"} 0.1", "{pod=\"b\"} 0.35"]);
    }

    #[test]
    fn ignored_labels_do_not_hinder_a_meeting() {
        let store = requests();

        assert_eq!(rows(&store, "errors{pod=\"a\"} / ignoring(code) total", 1), ["{pod=\"a\"} 0.1"]);
        assert_eq!(rows(&store, "errors{pod=\"a\"} / on(pod) total", 1), ["{pod=\"a\"} 0.1"]);
    }

    #[test]
    fn many_rows_meet_one_when_told_so() {
        let store = requests();

        assert_eq!(
            rows(&store, "errors{pod=\"b\"} / on(pod) group_left total", 1),
            ["{code=\"500\", pod=\"b\"} 0.15", "{code=\"503\", pod=\"b\"} 0.2"]
        );
        assert_eq!(
            rows(&store, "info * on(pod) group_right(version) errors", 1),
            ["{code=\"500\", pod=\"a\", version=\"v1\"} 1"]
        );
    }

    #[test]
    fn many_rows_that_meet_one_untold_are_an_error() {
        let store = requests();

        for query in ["errors / on(pod) total", "total / on(pod) errors", "errors + on(code) group_left errors"] {
            assert!(matches!(ask(&store, query, 1), Err(Error::Execution(_))), "{query}");
        }
    }

    #[test]
    fn a_comparison_keeps_the_left_value() {
        assert_eq!(rows(&requests(), "total > on(pod) info", 1), ["{pod=\"a\"} 10"]);
    }

    #[test]
    fn sets_are_made_of_rows() {
        let store = requests();

        assert_eq!(rows(&store, "total and on(pod) info", 1), ["{__name__=\"total\", pod=\"a\"} 10"]);
        assert_eq!(rows(&store, "total unless on(pod) errors", 1), ["{__name__=\"total\", pod=\"c\"} 30"]);
        assert_eq!(
            rows(&store, "info or on(pod) total{pod!=\"b\"}", 1),
            ["{__name__=\"info\", pod=\"a\", version=\"v1\"} 1", "{__name__=\"total\", pod=\"c\"} 30"]
        );
    }
}
