//! The figures of a dashboard: rates by version, queried from the Prometheus API.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use serde_json::Value;

use super::app::{VERSION_LABEL, WINDOW};
use super::cluster;
use super::speed::Speed;

/// User agent of the client.
const DASHBOARD: &str = "dashboard";
/// Number of measurements that are kept: more than a picture has columns.
const HISTORY: usize = 200;

/// Figures of one version; `None` if a figure is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Requests per second.
    pub rate: f64,
    /// Share of answers that are errors, from 0 to 1.
    pub errors: Option<f64>,
    /// 95th percentile of the latency, in seconds.
    pub p95: Option<f64>,
}

/// Measurements by version, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Number of measurements so far.
    pub measured: u64,
    pub history: VecDeque<BTreeMap<String, Measured>>,
}

impl Traffic {
    pub fn add(&mut self, measurement: BTreeMap<String, Measured>) {
        self.measured = self.measured.saturating_add(1);
        self.history.push_back(measurement);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// The newest measurement of a version; `None` if it has no pods to measure.
    #[must_use]
    pub fn of(&self, version: &str) -> Option<Measured> {
        self.history.back()?.get(version).copied()
    }
}

pub struct Dashboard {
    client: Client,
    rate: String,
    errors: String,
    p95: String,
}

impl Dashboard {
    /// # Errors
    /// If the client cannot be created.
    pub fn new(address: SocketAddr, speed: Speed) -> Result<Self> {
        let window = format!("{}ms", speed.scaled(WINDOW).as_millis());
        let rate = format!("sum by ({VERSION_LABEL}) (rate(http_requests_total[{window}]))");
        Ok(Self {
            client: cluster::client(address, DASHBOARD)?,
            errors: format!("sum by ({VERSION_LABEL}) (rate(http_requests_total{{code=\"500\"}}[{window}])) / {rate}"),
            rate,
            p95: format!(
                "histogram_quantile(0.95, sum by ({VERSION_LABEL}, le) (rate(http_request_duration_seconds_bucket[{window}])))"
            ),
        })
    }

    /// # Errors
    /// If the API rejects a query or does not answer.
    pub async fn measure(&self) -> Result<BTreeMap<String, Measured>> {
        let (rates, errors, p95) =
            futures::future::try_join3(self.ask(&self.rate), self.ask(&self.errors), self.ask(&self.p95)).await?;
        let measured = rates.into_iter().map(|(version, rate)| {
            let known = |of: &BTreeMap<String, f64>| of.get(&version).copied().filter(|number| number.is_finite());
            let measured = Measured { rate, errors: known(&errors), p95: known(&p95) };
            (version, measured)
        });
        Ok(measured.collect())
    }

    async fn ask(&self, query: &str) -> Result<BTreeMap<String, f64>> {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let request = http::Request::get(format!("/api/v1/query?{query}")).body(Vec::new());
        let answer: Value =
            self.client.request(request.context("write a query")?).await.context("ask the Prometheus API")?;
        Ok(by_version(&answer))
    }
}

/// The numbers of an instant vector by version.
fn by_version(answer: &Value) -> BTreeMap<String, f64> {
    let rows = answer.pointer("/data/result").and_then(Value::as_array);
    let read = rows.into_iter().flatten().filter_map(|row| {
        let version = row.get("metric")?.get(VERSION_LABEL)?.as_str()?;
        let number = row.pointer("/value/1")?.as_str()?.parse().ok()?;
        Some((version.to_owned(), number))
    });
    read.collect()
}

/// Time between two measurements: the scrape interval.
#[must_use]
pub fn interval(speed: Speed) -> Duration {
    speed.scaled(super::app::SCRAPE_INTERVAL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_read_by_version() {
        let answer = json!({ "data": { "resultType": "vector", "result": [
            { "metric": { "version": "v1" }, "value": [1.0, "0.25"] },
            { "metric": { "version": "v2" }, "value": [1.0, "NaN"] },
            { "metric": {}, "value": [1.0, "3"] },
        ] } });

        let read = by_version(&answer);

        assert_eq!(read.len(), 2);
        assert!(read["v1"] == 0.25 && read["v2"].is_nan());
    }

    #[test]
    fn the_newest_measurement_counts_and_old_ones_are_dropped() {
        let mut traffic = Traffic::default();
        for rate in 0..=HISTORY {
            let rate = f64::from(u32::try_from(rate).unwrap());
            traffic.add([("v1".to_owned(), Measured { rate, ..Measured::default() })].into());
        }

        assert_eq!((traffic.history.len(), traffic.of("v1").unwrap().rate, traffic.of("v2")), (HISTORY, 200.0, None));
    }
}
