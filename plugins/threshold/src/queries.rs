//! The queries: a user's own, or those for a gateway's metrics.

use crate::config::{Config, Gateway, LatencyUnit, Limits, Queries};
use kulta_plugin::analyzer::Occasion;
use kulta_plugin::{Duration, Error};

/// The host's facts, in Unix milliseconds: since when the canary's Service sends requests to this revision alone, and
/// since when the rollout updates to it.
const SERVING_FACT: &str = "rollout.serving-since";
const STARTED_FACT: &str = "rollout.started-at";
/// Time until proxies know the Service's new pods, and the old pods' requests are answered.
const SETTLE_MILLIS: u64 = 2_000;
const DEFAULT_WINDOW_SECONDS: u64 = 60;
const MILLIS_PER_SECOND: f64 = 1_000.0;
/// Of a Service and of a namespace, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// The order of the queries and their answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub requests: String,
    pub errors: Option<String>,
    /// One for each percentile, in the limits' order.
    pub latency: Vec<String>,
    /// The unit of the latency queries' answers, in milliseconds.
    pub latency_scale: f64,
}

impl Asked {
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        let errors = self.errors.iter();
        std::iter::once(&self.requests).chain(errors).chain(&self.latency).map(String::as_str)
    }
}

/// Checks that do not depend on the input.
pub fn check(config: &Config) -> Result<(), Error> {
    match (config.gateway, &config.queries) {
        (None, None) => invalid("gateway or queries: one is needed"),
        (Some(_), Some(_)) => invalid("queries: not beside gateway"),
        (Some(Gateway::Contour), None) => {
            unused(&[("cluster", config.cluster.is_some(), "gateway: envoy")])?;
            match &config.service {
                Some(service) => name("service", service)?,
                None => return invalid("service: missing, gateway: contour needs it"),
            }
            config.namespace.as_deref().map_or(Ok(()), |namespace| name("namespace", namespace))?;
            window(config).map(|_| ())
        }
        (Some(Gateway::Envoy), None) => {
            not_contours(config)?;
            match config.cluster.as_deref() {
                None | Some("") => invalid("cluster: missing, gateway: envoy needs it"),
                Some(_) => window(config).map(|_| ()),
            }
        }
        (None, Some(queries)) => {
            not_contours(config)?;
            unused(&[
                ("cluster", config.cluster.is_some(), "gateway: envoy"),
                ("window", config.window.is_some(), "gateway, queries name their own"),
            ])?;
            check_queries(queries, &config.limits()?)
        }
    }
}

fn not_contours(config: &Config) -> Result<(), Error> {
    unused(&[
        ("service", config.service.is_some(), "gateway: contour"),
        ("namespace", config.namespace.is_some(), "gateway: contour"),
        ("port", config.port.is_some(), "gateway: contour"),
    ])
}

fn unused(fields: &[(&str, bool, &str)]) -> Result<(), Error> {
    match fields.iter().find(|(_, given, _)| *given) {
        Some((field, _, belongs)) => invalid(&format!("{field}: belongs to {belongs}")),
        None => Ok(()),
    }
}

fn check_queries(queries: &Queries, limits: &Limits) -> Result<(), Error> {
    let rates = limits.error_rate.is_some() || limits.success_rate.is_some();
    if queries.requests.trim().is_empty() {
        return invalid("queries.requests: missing");
    }
    if rates && queries.errors.is_none() {
        return invalid("queries.errors: missing, a rate needs it");
    }
    if !limits.latency.is_empty() && queries.latency_buckets.is_none() {
        return invalid("queries.latencyBuckets: missing, latency needs it");
    }
    Ok(())
}

/// The queries for this input; `None` if there was no time yet for two scrapes of this revision.
pub fn asked(config: &Config, limits: &Limits, input: &Occasion) -> Result<Option<Asked>, Error> {
    let rates = limits.error_rate.is_some() || limits.success_rate.is_some();
    let quantiles = |buckets: &str| -> Vec<String> {
        let of = |quantile: f64| format!("histogram_quantile({quantile}, {buckets})");
        limits.latency.iter().map(|percentile| of(percentile.quantile)).collect()
    };
    if let Some(queries) = &config.queries {
        return Ok(Some(Asked {
            requests: queries.requests.clone(),
            errors: queries.errors.clone().filter(|_| rates),
            latency: quantiles(queries.latency_buckets.as_deref().unwrap_or_default()),
            latency_scale: match queries.latency_unit {
                LatencyUnit::S => MILLIS_PER_SECOND,
                LatencyUnit::Ms => 1.0,
            },
        }));
    }
    let cluster = cluster_matcher(config, input)?;
    let Some(window) = reach(window(config)?, input)? else { return Ok(None) };
    let of_class = |class: &str| counted(&format!("envoy_cluster_upstream_rq_xx{{{cluster}{class}}}"), window);
    let buckets = format!("sum by (le) (increase(envoy_cluster_upstream_rq_time_bucket{{{cluster}}}[{window}]))");
    Ok(Some(Asked {
        requests: of_class(""),
        errors: rates.then(|| of_class(r#",envoy_response_code_class="5""#)),
        latency: quantiles(&buckets),
        // Envoy counts milliseconds.
        latency_scale: 1.0,
    }))
}

/// Contour names an Envoy cluster in its metrics `<namespace>_<service>_<port>`; names hold no underscore.
fn cluster_matcher(config: &Config, input: &Occasion) -> Result<String, Error> {
    if config.gateway == Some(Gateway::Envoy) {
        let cluster = config.cluster.as_deref().unwrap_or_default();
        return Ok(format!("envoy_cluster_name=\"{}\"", escaped(cluster)));
    }
    let rollouts = input.rollout.as_ref().map(|rollout| rollout.namespace.as_str());
    let Some(namespace) = config.namespace.as_deref().or(rollouts) else {
        return invalid("namespace: missing, and no rollout owns the run");
    };
    let service = config.service.as_deref().unwrap_or_default();
    name("namespace", namespace)?;
    name("service", service)?;
    Ok(match config.port {
        Some(port) => format!("envoy_cluster_name=\"{namespace}_{service}_{port}\""),
        None => format!("envoy_cluster_name=~\"{namespace}_{service}_[0-9]+\""),
    })
}

/// The increase of a counter between the first and the last scrape of the window. `increase` ignores the value of a
/// series' first scrape, and Envoy creates a series with its first event, so the first errors would be missed.
/// Therefore the first value of a series is added if an earlier scrape of the window did not have the series. A series
/// in the first scrape may be older than the window, another revision's, or only new to Prometheus.
fn counted(series: &str, window: Duration) -> String {
    let grown = format!("sum(increase({series}[{window}])) or vector(0)");
    let scrapes = format!("max by (job, instance) (sum_over_time(up[{window}]))");
    let later = format!("count_over_time({series}[{window}]) < on (job, instance) group_left () {scrapes}");
    let new = format!("min_over_time({series}[{window}]) unless {series} offset {window}");
    format!("({grown}) + (sum(({new}) and ({later})) or vector(0))")
}

fn window(config: &Config) -> Result<Duration, Error> {
    let window = match config.window {
        Some(window) => window,
        None => Duration::from_seconds(DEFAULT_WINDOW_SECONDS).map_err(|error| Error::Internal(error.to_string()))?,
    };
    match window.as_millis() {
        0 => invalid("window: must be longer than 0"),
        _ => Ok(window),
    }
}

/// The window, limited to the time in which the canary's Service selects this revision alone.
fn reach(window: Duration, input: &Occasion) -> Result<Option<Duration>, Error> {
    let fact = |name: &str| input.fact(name).and_then(|since| since.parse::<u64>().ok());
    let serving = fact(SERVING_FACT).map(|since| since.saturating_add(SETTLE_MILLIS));
    let Some(since) = serving.or_else(|| fact(STARTED_FACT)) else { return Ok(Some(window)) };
    let seconds = input.now.saturating_sub(since) / 1_000;
    if seconds == 0 {
        return Ok(None);
    }
    let age = Duration::from_seconds(seconds).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Some(if age.as_millis() < window.as_millis() { age } else { window }))
}

/// Names are inserted into PromQL: they must be valid Kubernetes names.
fn name(field: &str, name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(allowed) {
        return invalid(&format!("{field}: not a name of Kubernetes"));
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}
