//! `sum`, `avg`, `min`, `max` and `count`, over everything, `by` labels or `without` them.

use std::collections::BTreeMap;

use promql_parser::parser::{
    AggregateExpr, LabelModifier,
    token::{T_AVG, T_COUNT, T_MAX, T_MIN, T_SUM},
};

use super::{Error, Row, rate::count};
use crate::metrics::Labels;

#[derive(Debug, Clone, Copy)]
enum Aggregation {
    Sum,
    Avg,
    Min,
    Max,
    Count,
}

pub fn aggregate(expression: &AggregateExpr, rows: Vec<Row>) -> Result<Vec<Row>, Error> {
    let aggregation = match expression.op.id() {
        T_SUM => Aggregation::Sum,
        T_AVG => Aggregation::Avg,
        T_MIN => Aggregation::Min,
        T_MAX => Aggregation::Max,
        T_COUNT => Aggregation::Count,
        _ => return Err(Error::not_served(expression.op)),
    };
    let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for row in rows {
        let group = match &expression.modifier {
            None => Labels::default(),
            Some(LabelModifier::Include(kept)) => row.labels.only(&kept.labels),
            Some(LabelModifier::Exclude(dropped)) => row.labels.nameless().without(&dropped.labels),
        };
        groups.entry(group).or_default().push(row.value);
    }
    Ok(groups.into_iter().map(|(labels, values)| Row { labels, value: fold(aggregation, &values) }).collect())
}

fn fold(aggregation: Aggregation, values: &[f64]) -> f64 {
    // NaN is replaced by a number.
    let pick = |better: fn(f64, f64) -> bool| {
        let best = values.iter().copied().reduce(
            |best, value| {
                if best.is_nan() || better(value, best) { value } else { best }
            },
        );
        best.unwrap_or(f64::NAN)
    };
    match aggregation {
        Aggregation::Sum => values.iter().sum(),
        Aggregation::Avg => values.iter().sum::<f64>() / count(values.len()),
        Aggregation::Min => pick(|value, best| value < best),
        Aggregation::Max => pick(|value, best| value > best),
        Aggregation::Count => count(values.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ask, rows, store};
    use super::*;

    fn three() -> crate::metrics::Store {
        store(&[("up pod=a code=200", "1"), ("up pod=a code=500", "2"), ("up pod=b code=200", "6")])
    }

    #[test]
    fn everything_is_one_group_without_labels() {
        let store = three();

        for (query, value) in [("sum", 9), ("avg", 3), ("min", 1), ("max", 6), ("count", 3)] {
            assert_eq!(rows(&store, &format!("{query}(up)"), 1), [format!("{{}} {value}")]);
        }
    }

    #[test]
    fn groups_are_made_by_labels_or_without_them() {
        let store = three();

        assert_eq!(rows(&store, "sum by (pod) (up)", 1), ["{pod=\"a\"} 3", "{pod=\"b\"} 6"]);
        assert_eq!(rows(&store, "sum without (code) (up)", 1), ["{pod=\"a\"} 3", "{pod=\"b\"} 6"]);
        assert_eq!(rows(&store, "sum(up) by (zone)", 1), ["{} 9"]);
    }

    #[test]
    fn an_empty_vector_aggregates_to_an_empty_vector() {
        assert!(rows(&store(&[]), "sum(up)", 1).is_empty());
    }

    #[test]
    fn nan_is_replaced_by_a_number() {
        let store = store(&[("up pod=a", "NaN"), ("up pod=b", "2")]);

        assert_eq!(rows(&store, "min(up)", 1), ["{} 2"]);
        assert_eq!(rows(&store, "max(up)", 1), ["{} 2"]);
        assert_eq!(rows(&store, "sum(up)", 1), ["{} NaN"]);
    }

    #[test]
    fn any_other_aggregation_is_reported_as_unsupported() {
        assert_eq!(ask(&three(), "topk(1, up)", 1), Err(Error::NotServed("topk".to_owned())));
    }
}
