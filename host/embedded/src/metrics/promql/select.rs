//! Selectors: the series, and their samples.

use std::{collections::VecDeque, time::Duration};

use promql_parser::{
    label::MatchOp,
    parser::{MatrixSelector, Offset, VectorSelector},
};

use super::{Error, Point, Row, Run};
use crate::metrics::{Labels, Store, labels::NAME, store::Sample};

/// How long a series without a new sample still answers, in milliseconds: Prometheus' default.
const LOOKBACK: i64 = 5 * 60 * 1000;

/// Of each series the last sample of the five minutes before `at`, unless the series ended.
pub fn instant(store: &Store, selector: &VectorSelector, at: i64) -> Result<Vec<Row>, Error> {
    let at = shifted(selector, at)?;
    let rows = matching(store, selector).filter_map(|(labels, samples)| {
        let after = samples.partition_point(|sample| sample.at <= at);
        let last = samples.get(after.checked_sub(1)?)?;
        (last.at > at.saturating_sub(LOOKBACK) && !last.is_stale())
            .then(|| Row { labels: labels.clone(), value: last.value })
    });
    Ok(rows.collect())
}

/// Of each series the samples of the range that ends at `at`, both ends included; series without any are left out.
pub fn range(store: &Store, selector: &MatrixSelector, at: i64) -> Result<Vec<Run>, Error> {
    let at = shifted(&selector.vs, at)?;
    let from = at.saturating_sub(whole_milliseconds(selector.range));
    let runs = matching(store, &selector.vs).filter_map(|(labels, samples)| {
        let first = samples.partition_point(|sample| sample.at < from);
        let after = samples.partition_point(|sample| sample.at <= at);
        let points: Vec<Point> = samples
            .range(first..after.max(first))
            .filter(|sample| !sample.is_stale())
            .map(|sample| Point { at: sample.at, value: sample.value })
            .collect();
        (!points.is_empty()).then(|| Run { labels: labels.clone(), points })
    });
    Ok(runs.collect())
}

/// The evaluation time of a selector in a query that is evaluated at `at`.
pub fn shifted(selector: &VectorSelector, at: i64) -> Result<i64, Error> {
    if selector.at.is_some() {
        return Err(Error::not_served("the @ modifier"));
    }
    if !selector.matchers.or_matchers.is_empty() {
        return Err(Error::not_served("`or` between label matchers"));
    }
    Ok(match &selector.offset {
        None => at,
        Some(Offset::Pos(offset)) => at.saturating_sub(whole_milliseconds(*offset)),
        Some(Offset::Neg(offset)) => at.saturating_add(whole_milliseconds(*offset)),
    })
}

pub fn whole_milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn matching<'a>(
    store: &'a Store,
    selector: &'a VectorSelector,
) -> impl Iterator<Item = (&'a Labels, &'a VecDeque<Sample>)> {
    let matchers = &selector.matchers.matchers;
    let name = selector.name.as_deref().or_else(|| {
        let exact =
            |matcher: &&promql_parser::label::Matcher| matcher.name == NAME && matches!(matcher.op, MatchOp::Equal);
        matchers.iter().find(exact).map(|matcher| matcher.value.as_str())
    });
    store.series(name).filter(|(labels, _)| matchers.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name))))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ask, rows, store};
    use super::*;

    #[test]
    fn every_kind_of_matcher_selects() {
        let store = store(&[("up pod=a zone=x", "1"), ("up pod=b", "2"), ("down pod=a", "3")]);

        for (query, expected) in [
            ("up", vec!["1", "2"]),
            ("up{pod=\"a\"}", vec!["1"]),
            ("up{pod!=\"a\"}", vec!["2"]),
            ("up{pod=~\"a|c\"}", vec!["1"]),
            ("up{pod=~\"[ab]\", pod!~\"b\"}", vec!["1"]),
            ("up{zone=\"\"}", vec!["2"]),
            ("up{zone!=\"\"}", vec!["1"]),
            ("{__name__=~\".*own\"}", vec!["3"]),
            ("{__name__=\"down\"}", vec!["3"]),
            ("up{pod=~\"aa\"}", vec![]),
        ] {
            let found = rows(&store, query, 1);
            let values: Vec<&str> = found.iter().filter_map(|row| row.rsplit(' ').next()).collect();
            assert_eq!(values, expected, "{query}");
        }
    }

    #[test]
    fn a_series_is_returned_for_less_than_five_minutes_after_its_last_sample() {
        let store = store(&[("up", "1")]);

        assert_eq!(rows(&store, "up", 299).len(), 1);
        assert_eq!(rows(&store, "up", 300).len(), 0);
    }

    #[test]
    fn a_series_that_ended_is_not_returned() {
        let store = store(&[("up", "1 stale _ 5")]);

        assert_eq!(rows(&store, "up", 9).len(), 1);
        assert_eq!(rows(&store, "up", 10).len(), 0);
        assert_eq!(rows(&store, "up", 30).len(), 1);
    }

    #[test]
    fn a_range_includes_both_ends_and_no_staleness_marker() {
        let store = store(&[("up", "0 1 2 stale 4")]);

        let Ok(super::super::Value::Matrix(runs)) = ask(&store, "up[30s]", 40) else { panic!("no matrix") };

        let values: Vec<f64> = runs[0].points.iter().map(|point| point.value).collect();
        assert_eq!(values, [1.0, 2.0, 4.0]);
    }

    #[test]
    fn an_offset_looks_back_or_ahead() {
        let store = store(&[("up", "0 1 2")]);

        assert_eq!(rows(&store, "up offset 10s", 20), ["{__name__=\"up\"} 1"]);
        assert_eq!(rows(&store, "up offset -10s", 10), ["{__name__=\"up\"} 2"]);
    }

    #[test]
    fn a_time_modifier_is_not_supported() {
        assert_eq!(ask(&store(&[]), "up @ 5", 1), Err(Error::NotServed("the @ modifier".to_owned())));
    }
}
