//! Envoy's counters of one of its clusters, which is a backend of a route. Names, labels, bounds and initial series are
//! those of Envoy 1.40's own `/stats/prometheus`; the cluster's name is Contour's.

use super::histogram::{Histogram, number};
use crate::metrics::labels::{Labels, NAME};

/// The upper bounds in milliseconds: Envoy's defaults.
const BOUNDS: &[f64] = &[
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];
const MILLISECONDS: f64 = 1000.0;

/// Envoy's answer when a cluster has no endpoint.
const UNAVAILABLE: &str = "503";

#[derive(Debug)]
pub struct Cluster {
    succeeded: u64,
    failed: u64,
    unserved: u64,
    times: Histogram,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { succeeded: 0, failed: 0, unserved: 0, times: Histogram::new(BOUNDS) }
    }
}

impl Cluster {
    pub fn count(&mut self, failed: bool, seconds: f64) {
        let answers = if failed { &mut self.failed } else { &mut self.succeeded };
        *answers = answers.saturating_add(1);
        self.times.observe(seconds * MILLISECONDS);
    }

    pub fn count_unserved(&mut self) {
        self.unserved = self.unserved.saturating_add(1);
    }

    pub fn series(&self, cluster: &str) -> Vec<(Labels, f64)> {
        let labels = Labels::default().with("envoy_cluster_name", cluster);
        let named = |name: &str| labels.clone().with(NAME, name);
        let reached = self.times.count();
        let mut series = vec![
            (named("envoy_cluster_upstream_rq_total"), number(reached)),
            (named("envoy_cluster_upstream_rq_completed"), number(reached.saturating_add(self.unserved))),
            (named("envoy_cluster_upstream_cx_none_healthy"), number(self.unserved)),
        ];
        // These come with their first request.
        let by_code = [("200", self.succeeded), ("500", self.failed), (UNAVAILABLE, self.unserved)];
        for (code, count) in by_code.into_iter().filter(|(_, count)| *count > 0) {
            series.push((named("envoy_cluster_upstream_rq").with("envoy_response_code", code), number(count)));
        }
        let by_class = [("2", self.succeeded), ("5", self.failed.saturating_add(self.unserved))];
        for (class, count) in by_class.into_iter().filter(|(_, count)| *count > 0) {
            series
                .push((named("envoy_cluster_upstream_rq_xx").with("envoy_response_code_class", class), number(count)));
        }
        if reached > 0 {
            series.extend(self.times.series("envoy_cluster_upstream_rq_time", &labels));
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Envoy 1.40 showed of two clusters: one had answered 200 three times and 500 twice, the other had no endpoint for one request.
    const SERVED: &str = include_str!("envoy_served.prom");
    const UNSERVED: &str = include_str!("envoy_unserved.prom");

    /// Sorted lines of `name{label="value",…}`, and the value unless it is a time.
    fn written(series: Vec<(Labels, f64)>) -> Vec<String> {
        let line = |(labels, value): (Labels, f64)| {
            let name = labels.get(NAME).to_owned();
            let pairs: Vec<String> =
                labels.nameless().iter().map(|(label, value)| format!("{label}={value:?}")).collect();
            let value = if name.contains("_time_") { String::new() } else { value.to_string() };
            format!("{name}{{{}}} {value}", pairs.join(","))
        };
        sorted(series.into_iter().map(line).collect())
    }

    fn recorded(text: &str) -> Vec<String> {
        let line = |line: &str| {
            let (name, rest) = line.split_once('{').unwrap();
            let (pairs, value) = rest.split_once("} ").unwrap();
            let pairs = sorted(pairs.split(',').map(str::to_owned).collect());
            let value = if name.contains("_time_") { "" } else { value };
            format!("{name}{{{}}} {value}", pairs.join(","))
        };
        sorted(text.lines().map(line).collect())
    }

    fn sorted(mut lines: Vec<String>) -> Vec<String> {
        lines.sort();
        lines
    }

    #[test]
    fn a_cluster_that_answered_shows_what_envoy_shows() {
        let mut cluster = Cluster::default();
        for failed in [false, false, false, true, true] {
            cluster.count(failed, 0.02);
        }

        assert_eq!(written(cluster.series("default_app-canary_80")), recorded(SERVED));
    }

    #[test]
    fn a_cluster_without_endpoints_shows_what_envoy_shows() {
        let mut cluster = Cluster::default();
        cluster.count_unserved();

        assert_eq!(written(cluster.series("default_app-none_80")), recorded(UNSERVED));
    }
}
