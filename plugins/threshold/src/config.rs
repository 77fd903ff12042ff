//! The configuration, as a user writes it.

use crate::limit::{Limit, Quantity};
use kulta_plugin::auth::{Authentication, Header};
use kulta_plugin::{Duration, Error};
use promql::Server;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One error in twenty is 5 %: fewer requests cannot show whether a usual limit holds.
const DEFAULT_MINIMUM: u32 = 20;
/// Requests and errors take two of the sixteen requests that a plugin may return.
const MAX_PERCENTILES: usize = 8;
const HUNDRED: f64 = 100.0;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The share of requests that may fail, `< 1%` or `<= 0.01`. A request fails with a 5xx.
    pub error_rate: Option<String>,
    /// The share of requests that must not fail, `> 99%`.
    pub success_rate: Option<String>,
    /// By percentile: `{p99: "< 300ms", p99.9: "< 1s"}`.
    #[serde(default)]
    pub latency: BTreeMap<String, String>,
    /// The gateway whose metrics are queried. Either this or `queries`.
    pub gateway: Option<Gateway>,
    /// With `gateway: contour`: the Service to judge, usually the canary's.
    pub service: Option<String>,
    /// With `gateway: contour`: the Service's namespace. Default: the rollout's.
    pub namespace: Option<String>,
    /// With `gateway: contour`: the Service's port. Default: all its ports.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// With `gateway: envoy`: the cluster to judge, by its `envoy_cluster_name`.
    pub cluster: Option<String>,
    /// With `gateway`: the time window, at least two scrapes. Default: 1m.
    pub window: Option<Duration>,
    /// Custom PromQL queries. Either this or `gateway`.
    pub queries: Option<Queries>,
    /// Minimum of requests for a verdict. Default: 20.
    #[serde(default = "default_minimum")]
    #[schemars(range(min = 1))]
    pub minimum: u32,
    /// The verdict without enough data.
    #[serde(default)]
    pub no_data: NoData,
    /// URL of the Prometheus server. Default: the controller's.
    pub address: Option<String>,
    /// In seconds; 0 or absent: 30.
    pub timeout: Option<u64>,
    /// Accept any certificate.
    #[serde(default)]
    pub insecure: bool,
    #[serde(default)]
    pub headers: Vec<Header>,
    #[serde(default)]
    pub authentication: Authentication,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
// No docs on the variants: without them the schema is a plain list of names, which its errors show.
pub enum Gateway {
    // Contour's Envoys: selects by the Service's name.
    Contour,
    // Any Envoy: selects by the cluster's name in its metrics.
    Envoy,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Queries {
    /// The number of requests.
    pub requests: String,
    /// The number of failed requests; an empty result is 0.
    pub errors: Option<String>,
    /// A histogram of their latency: `sum by (le) (increase(…_bucket[1m]))`.
    pub latency_buckets: Option<String>,
    /// The unit of the histogram. Default: `s`.
    #[serde(default)]
    pub latency_unit: LatencyUnit,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LatencyUnit {
    #[default]
    S,
    Ms,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoData {
    #[default]
    Inconclusive,
    Pass,
    Fail,
}

/// The limits as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub error_rate: Option<Limit>,
    pub success_rate: Option<Limit>,
    pub latency: Vec<Percentile>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Percentile {
    /// As written: `p99`.
    pub name: String,
    /// 0 to 1.
    pub quantile: f64,
    pub limit: Limit,
}

impl Config {
    pub fn server(&self) -> Server<'_> {
        Server {
            address: self.address.as_deref(),
            timeout: self.timeout,
            insecure: self.insecure,
            headers: &self.headers,
            authentication: &self.authentication,
        }
    }

    /// Reads the limits. An error begins with the field's path.
    pub fn limits(&self) -> Result<Limits, Error> {
        let rate = |field: &str, text: &Option<String>, quantity| {
            let limit = text.as_deref().map(|text| Limit::read(text, quantity)).transpose();
            limit.map_err(|error| invalid(format!("{field}: {error}")))
        };
        let limits = Limits {
            error_rate: rate("errorRate", &self.error_rate, Quantity::ErrorRate)?,
            success_rate: rate("successRate", &self.success_rate, Quantity::SuccessRate)?,
            latency: self.latency.iter().map(percentile).collect::<Result<_, _>>()?,
        };
        if limits.latency.len() > MAX_PERCENTILES {
            return Err(invalid(format!("latency: at most {MAX_PERCENTILES} percentiles")));
        }
        match &limits {
            Limits { error_rate: None, success_rate: None, latency } if latency.is_empty() => {
                Err(invalid("errorRate, successRate or latency: one is needed".into()))
            }
            _ => Ok(limits),
        }
    }
}

fn percentile((name, text): (&String, &String)) -> Result<Percentile, Error> {
    let number = name.strip_prefix('p').filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit()));
    let percent =
        number.and_then(|digits| digits.parse::<f64>().ok()).filter(|percent| (0.0..HUNDRED).contains(percent));
    let Some(percent) = percent.filter(|percent| *percent > 0.0) else {
        return Err(invalid(format!("latency.{name}: not a percentile, such as p50, p99 or p99.9")));
    };
    let limit = Limit::read(text, Quantity::Latency).map_err(|error| invalid(format!("latency.{name}: {error}")))?;
    Ok(Percentile { name: name.clone(), quantile: percent / HUNDRED, limit })
}

fn default_minimum() -> u32 {
    DEFAULT_MINIMUM
}

fn invalid(message: String) -> Error {
    Error::InvalidConfig(message)
}
