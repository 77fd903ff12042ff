//! The configuration, as a user writes it under `provider.sequential`.

use crate::evidence::Hypotheses;
use crate::number::Number;
use kulta_plugin::auth::{Authentication, Header};
use kulta_plugin::{Duration, Error};
use promql::Server;
use schemars::JsonSchema;
use serde::Deserialize;

const MAX_METRICS: u32 = 100;
const MAX_FEWEST_WINDOWS: u32 = 20;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// URL of Prometheus, or of a server with its API. Default: the controller's.
    pub address: Option<String>,
    /// Timeout of each request, in seconds; 0 or absent: 30.
    pub timeout: Option<u64>,
    /// Accept any certificate.
    #[serde(default)]
    pub insecure: bool,
    #[serde(default)]
    pub headers: Vec<Header>,
    #[serde(default)]
    pub authentication: Authentication,
    /// The new version's requests.
    pub canary: Side,
    /// The old version's requests.
    pub stable: Side,
    /// Probability that a canary that is no worse than `theta0` is ever called worse. Default 0.01.
    pub alpha: Option<Number>,
    /// Probability that a canary that is as bad as `thetaMax` passes early. Default 0.05.
    pub beta: Option<Number>,
    /// The tolerated odds ratio of a bad request, canary against stable. At least 1, default 1.25.
    pub theta0: Option<Number>,
    /// The canary passes early if its odds ratio is shown to be below this. Above `theta0`, default 2.
    pub theta_max: Option<Number>,
    /// Number of the rollout's metrics that share `alpha` (Bonferroni). Default 1.
    pub metrics: Option<Number>,
    /// The result of an undecided last measurement. With too few requests it is always inconclusive.
    #[serde(default)]
    pub horizon: Horizon,
    /// Minimum of the canary's requests for a verdict. Default 50.
    pub minimum_sample: Option<Number>,
    /// Time after the run's start that is not counted, because cold caches are not a regression. Default 10s.
    pub warmup: Option<Duration>,
    /// Approximate length of a window; a shorter interval of the metric makes shorter windows. Default 10s.
    pub window: Option<Duration>,
    /// Minimum of windows for a verdict: a shared outage begins and ends at a different time for each scraped pod.
    /// Default 3.
    pub fewest_windows: Option<Number>,
    /// Overdispersion: the variance of bad requests relative to independent ones. Default: estimated from stable.
    pub dispersion: Option<Number>,
}

/// Queries for counters, raw and per series: `sum by (pod) (http_requests_total{…})`, never `rate()` or `increase()`.
/// One of `bad` and `good`, grouped as `total` is. A latency goal is a histogram bucket: `good: sum by (pod) (…_bucket{le="0.3"})`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// All requests.
    pub total: String,
    /// The bad ones among them.
    pub bad: Option<String>,
    /// Or the good ones: all others are bad.
    pub good: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Horizon {
    #[default]
    Inconclusive,
    Pass,
}

/// The configuration with its defaults, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub hypotheses: Hypotheses,
    /// α divided by the number of metrics.
    pub alpha: f64,
    pub horizon: Horizon,
    pub minimum_sample: u64,
    /// Milliseconds.
    pub warmup: u64,
    /// Milliseconds.
    pub window: u64,
    /// None: estimated.
    pub dispersion: Option<f64>,
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

    /// Checks rules that the schema cannot express, and sets defaults. Reports the first invalid field.
    pub fn settings(&self) -> Result<Settings, Error> {
        self.server().check()?;
        self.canary.judging("canary")?;
        self.stable.judging("stable")?;
        let probability = |name, given: Option<Number>, default: f64| match Number::or(given, default) {
            value if value > 0.0 && value < 1.0 => Ok(value),
            _ => invalid(name, "must be above 0 and below 1"),
        };
        let alpha = probability("alpha", self.alpha, 0.01)?;
        let beta = probability("beta", self.beta, 0.05)?;
        let tolerated = Number::or(self.theta0, 1.25);
        if tolerated < 1.0 {
            return invalid("theta0", "must be at least 1");
        }
        let largest = Number::or(self.theta_max, 2.0);
        if largest <= tolerated {
            return invalid("thetaMax", &format!("must be above theta0, {tolerated}"));
        }
        let metrics = Number::whole(self.metrics, 1, 1..=u64::from(MAX_METRICS), "metrics")?;
        let fewest = Number::whole(self.fewest_windows, 3, 1..=u64::from(MAX_FEWEST_WINDOWS), "fewestWindows")?;
        let dispersion = self.dispersion.map(|given| given.0);
        if dispersion.is_some_and(|phi| phi < 1.0) {
            return invalid("dispersion", "must be at least 1");
        }
        let alpha = alpha / metrics as f64;
        Ok(Settings {
            hypotheses: Hypotheses {
                tolerated,
                largest,
                worse_at: 1.0 / alpha,
                not_worse_at: 1.0 / beta,
                fewest_windows: fewest as u32,
            },
            alpha,
            horizon: self.horizon,
            minimum_sample: Number::whole(self.minimum_sample, 50, 1..=u64::from(u32::MAX), "minimumSample")?,
            warmup: self.warmup.map_or(10_000, Duration::as_millis),
            window: self.window.map_or(10_000, Duration::as_millis),
            dispersion,
        })
    }
}

impl Side {
    /// The query for bad or good requests. The error begins with the side's name.
    pub fn judging(&self, side: &str) -> Result<Query<'_>, Error> {
        let query = match (&self.bad, &self.good) {
            (Some(bad), None) => Query::Bad(bad),
            (None, Some(good)) => Query::Good(good),
            (Some(_), Some(_)) => return invalid(side, "bad and good exclude each other"),
            (None, None) => return invalid(side, "must have one of bad and good"),
        };
        for (field, text) in [("total", self.total.as_str()), (query.field(), query.text())] {
            if text.trim().is_empty() {
                return invalid(&format!("{side}.{field}"), "must not be empty");
            }
        }
        Ok(query)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query<'a> {
    Bad(&'a str),
    Good(&'a str),
}

impl<'a> Query<'a> {
    pub fn field(self) -> &'static str {
        match self {
            Self::Bad(_) => "bad",
            Self::Good(_) => "good",
        }
    }

    pub fn text(self) -> &'a str {
        let (Self::Bad(text) | Self::Good(text)) = self;
        text
    }
}

fn invalid<T>(field: &str, problem: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(format!("{field}: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sequential;
    use kulta_plugin::testing::analyzer::{check_config, config_schema};

    fn with(fields: &str) -> String {
        format!(r#"{{"canary":{{"total":"a","bad":"b"}},"stable":{{"total":"c","good":"d"}}{fields}}}"#)
    }

    fn settings(fields: &str) -> Settings {
        serde_json::from_str::<Config>(&with(fields)).unwrap().settings().unwrap()
    }

    fn error_of(config: &str) -> String {
        match check_config::<Sequential>(config) {
            Err(Error::InvalidConfig(message)) => message,
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }

    #[test]
    fn four_queries_are_enough() {
        let settings = settings("");
        assert_eq!(settings.hypotheses.tolerated, 1.25);
        assert_eq!(settings.hypotheses.worse_at, 100.0);
        assert_eq!((settings.minimum_sample, settings.window, settings.warmup), (50, 10_000, 10_000));
    }

    #[test]
    fn numbers_may_be_text_so_that_arguments_can_fill_them_in() {
        let settings = settings(r#","alpha":"0.05","metrics":"4","thetaMax":3,"fewestWindows":"1""#);
        assert_eq!(settings.alpha, 0.0125);
        assert_eq!(settings.hypotheses.worse_at, 80.0);
        assert_eq!((settings.hypotheses.largest, settings.hypotheses.fewest_windows), (3.0, 1));
    }

    #[test]
    fn invalid_fields_are_reported_by_their_path() {
        for (config, start) in [
            (with(r#","alpha":0"#), "alpha: must be above 0 and below 1"),
            (with(r#","beta":1"#), "beta: must be above 0 and below 1"),
            (with(r#","alpha":"one""#), "alpha: "),
            (with(r#","alpha":"NaN""#), "alpha: "),
            (with(r#","theta0":0.9"#), "theta0: must be at least 1"),
            (with(r#","theta0":2"#), "thetaMax: must be above theta0, 2"),
            (with(r#","metrics":0"#), "metrics: must be a whole number from 1 to 100"),
            (with(r#","minimumSample":1.5"#), "minimumSample: must be a whole number"),
            (with(r#","fewestWindows":0"#), "fewestWindows: must be a whole number from 1 to 20"),
            (with(r#","dispersion":0.5"#), "dispersion: must be at least 1"),
            (with(r#","horizon":"fail""#), "horizon: "),
            (with(r#","window":"soon""#), "window: "),
            (with(r#","address":"prometheus:9090""#), "address: not an http or https URL"),
            (with(r#","authentication":{"basicAuth":{"password":"p"}}"#), "authentication.basicAuth.username"),
            (with(r#","gamma":1"#), "gamma: "),
            (r#"{"canary":{"total":"a","bad":"b"}}"#.into(), "missing field `stable`"),
            (
                r#"{"canary":{"total":"a"},"stable":{"total":"c","bad":"d"}}"#.into(),
                "canary: must have one of bad and good",
            ),
            (
                r#"{"canary":{"total":" ","bad":"b"},"stable":{"total":"c","bad":"d"}}"#.into(),
                "canary.total: must not be empty",
            ),
            (
                r#"{"canary":{"total":"a","bad":"b"},"stable":{"total":"c","bad":"d","good":"e"}}"#.into(),
                "stable: bad and good exclude each other",
            ),
        ] {
            let message = error_of(&config);
            assert!(message.starts_with(start), "{config}: {message}");
        }
    }

    #[test]
    fn the_schema_requires_both_sides_and_rejects_unknown_fields() {
        let schema: serde_json::Value = serde_json::from_str(&config_schema::<Sequential>()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["canary", "stable"]));
    }
}
