//! From configuration to request, from answer to value.

use crate::Config;
use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::fetch::{Request, Response};
use kulta_plugin::{Error, number};
use serde::Deserialize;

const PATH: &str = "/api/v2/chart/api";
/// Wavefront may take long for the first query of a metric.
const TIMEOUT_MILLIS: u64 = 30_000;
const MILLIS_PER_SECOND: u64 = 1_000;

const TOKEN: &str = "token";
const SECRET_FIELD: &str = "address";
const CREDENTIALS: &str = "the address's token in the Secret wavefront-api-tokens";

/// What holds whatever the input is. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
    // It is the key of a Secret and becomes part of a URL.
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if config.address.is_empty() || !config.address.chars().all(is_host) {
        return invalid("address: not a host name such as example.wavefront.com");
    }
    if config.query.trim().is_empty() {
        return invalid("query: missing");
    }
    Ok(())
}

/// Returns the request, and in the second call the value.
pub fn analyze(config: &Config, input: &Occasion) -> Result<Action, Error> {
    match input.answers.first() {
        None => {
            check(config)?;
            Ok(Action::fetch(vec![request(config, input)?]))
        }
        Some(Ok(response)) => value(response.successful(CREDENTIALS)?, input.now / MILLIS_PER_SECOND),
        Some(Err(failure)) => Err(failure.clone().into()),
    }
}

/// The window is one instant: `i` makes Wavefront answer with the points around it.
fn request(config: &Config, input: &Occasion) -> Result<Request, Error> {
    let token = input.required_credential(TOKEN, SECRET_FIELD)?;
    let now = (input.now / MILLIS_PER_SECOND).saturating_mul(MILLIS_PER_SECOND).to_string();
    Ok(Request::get(format!("https://{}{PATH}", config.address))
        .query("q", &config.query)
        .query("s", &now)
        .query("e", &now)
        .query("g", "s")
        .query("p", "1")
        .query("i", "true")
        .header("Accept", "application/json")
        .header("Authorization", &format!("Bearer {token}"))
        .timeout(TIMEOUT_MILLIS))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    timeseries: Vec<Series>,
    #[serde(default)]
    warnings: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    /// Seconds and value.
    #[serde(default)]
    data: Vec<(f64, f64)>,
}

fn value(response: &Response, now: u64) -> Result<Action, Error> {
    let answer: Answer = response.json()?;
    if let Some(message) = answer.error_message.filter(|message| !message.is_empty()) {
        return unavailable(format!("Wavefront rejects the query: {message}"));
    }
    let mut closest = Vec::new();
    for series in &answer.timeseries {
        closest.push(series.closest_to(now)?);
    }
    if closest.is_empty() {
        return unavailable("no time series found in the response from Wavefront".to_owned());
    }
    let listed = |show: &dyn Fn(&(f64, f64)) -> String| {
        let shown: Vec<String> = closest.iter().map(show).collect();
        match shown.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(",")),
        }
    };
    let values = listed(&|(_, value)| number::to_json(*value));
    let measured = Action::measured_within_limit(values, "aggregate the series, for example with sum()")?
        .with_metadata("timestamps", &listed(&|(at, _)| at.trunc().to_string()))
        .with_metadata("drift", &listed(&|(at, _)| (at - now as f64).trunc().to_string()));
    Ok(match answer.warnings.filter(|warnings| !warnings.is_empty()) {
        Some(warnings) => measured.with_metadata("warnings", &warnings),
        None => measured,
    })
}

impl Series {
    /// Argo Rollouts takes a series without points as 0; that is no measurement.
    fn closest_to(&self, now: u64) -> Result<(f64, f64), Error> {
        let distance = |point: &&(f64, f64)| (point.0 - now as f64).abs();
        let closest = self.data.iter().min_by(|one, other| distance(one).total_cmp(&distance(other)));
        closest.copied().ok_or_else(|| Error::Unavailable("a time series from Wavefront has no points".into()))
    }
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}

fn unavailable<T>(message: String) -> Result<T, Error> {
    Err(Error::Unavailable(message))
}
