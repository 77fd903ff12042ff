//! From configuration to request, from answer to value.

use crate::Config;
use crate::time::minute;
use kulta_plugin::analyzer::{Action, MAX_BODY_BYTES, Occasion};
use kulta_plugin::fetch::{Request, Response, is_http_url, join};
use kulta_plugin::{Duration, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const PATH: &str = "/graphql";
const DEFAULT_INTERVAL_MILLIS: u64 = 5 * 60 * 1_000;
/// Argo Rollouts' timeout.
const TIMEOUT_MILLIS: u64 = 30_000;
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
            Ok(Action::fetch(vec![request(config, input)?]))
        }
        Some(Ok(response)) => value(response.successful(CREDENTIALS)?),
        Some(Err(failure)) => Err(failure.clone().into()),
    }
}

#[derive(Serialize)]
struct GraphQl<'a> {
    query: &'a str,
    variables: Variables,
}

#[derive(Serialize)]
struct Variables {
    duration: Window,
}

#[derive(Serialize)]
struct Window {
    start: String,
    end: String,
    step: &'static str,
}

fn request(config: &Config, input: &Occasion) -> Result<Request, Error> {
    let interval = config.interval.map_or(DEFAULT_INTERVAL_MILLIS, Duration::as_millis);
    let (start, end) = (minute(input.now.saturating_sub(interval)), minute(input.now));
    let variables = Variables { duration: Window { start, end, step: "MINUTE" } };
    let request = Request::post(join(&config.address, PATH)).json(&GraphQl { query: &config.query, variables })?;
    if request.body.len() > MAX_BODY_BYTES {
        return invalid(&format!("query: a request of {} bytes, at most {MAX_BODY_BYTES}", request.body.len()));
    }
    Ok(request.timeout(TIMEOUT_MILLIS))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    message: String,
}

fn value(response: &Response) -> Result<Action, Error> {
    let answer: Answer = response.json()?;
    if !answer.errors.is_empty() {
        let messages: Vec<&str> = answer.errors.iter().map(|error| error.message.as_str()).collect();
        return unavailable(format!("SkyWalking rejects the query: {}", messages.join("; ")));
    }
    if answer.data.is_null() {
        return unavailable("no results returned from SkyWalking query".to_owned());
    }
    Action::measured_within_limit(answer.data.to_string(), "select less of it")
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}

fn unavailable<T>(message: String) -> Result<T, Error> {
    Err(Error::Unavailable(message))
}
