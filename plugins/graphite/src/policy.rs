//! From configuration to request, from answer to value.

use crate::Config;
use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::fetch::{Request, Response, is_http_url, join};
use kulta_plugin::{Error, number};
use serde::Deserialize;
use serde_json::Value;

/// Argo Rollouts' timeout.
const TIMEOUT_MILLIS: u64 = 10_000;
const FORMAT: &str = "format";
const CREDENTIALS: &str = "address, which may contain a user and a password";

/// What holds whatever the input is. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
    if !is_http_url(&config.address) {
        return invalid("address: not an http or https URL");
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
            Ok(Action::fetch(vec![request(config)]))
        }
        Some(Ok(response)) => value(response.successful(CREDENTIALS)?),
        Some(Err(failure)) => Err(failure.clone().into()),
    }
}

/// As in Argo Rollouts, a query may be written over several lines, and its format is JSON whatever it says.
fn request(config: &Config) -> Request {
    let compact: String = config.query.chars().filter(|c| !c.is_whitespace()).collect();
    let is_format = |parameter: &&str| parameter.split('=').next() == Some(FORMAT);
    let parameters: Vec<&str> = compact.split('&').filter(|parameter| !is_format(parameter)).collect();
    let url = join(&config.address, "render");
    let separator = if url.contains('?') { '&' } else { '?' };
    Request::get(format!("{url}{separator}{}", parameters.join("&"))).query(FORMAT, "json").timeout(TIMEOUT_MILLIS)
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    datapoints: Vec<(Value, Value)>,
}

fn value(response: &Response) -> Result<Action, Error> {
    let series: Vec<Series> = response.json()?;
    let points = series.into_iter().next().map(|series| series.datapoints).unwrap_or_default();
    if points.is_empty() {
        return Err(Error::Unavailable("no values found".into()));
    }
    let mut values = Vec::new();
    for (value, _) in &points {
        values.extend(as_number(value)?.map(number::to_json));
    }
    Action::measured_within_limit(format!("[{}]", values.join(",")), "summarize the series")
}

/// `None` for a point without a value. Some servers write numbers as text.
fn as_number(value: &Value) -> Result<Option<f64>, Error> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    };
    number.map(Some).ok_or_else(|| Error::Unavailable(format!("Graphite answers {value} where a number is expected")))
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}
