//! From configuration to request, from answer to value.

use crate::jsonpath::Path;
use crate::{Config, Method};
use kulta_plugin::Error;
use kulta_plugin::analyzer::{Action, MAX_BODY_BYTES, MAX_VALUE_BYTES, Occasion};
use kulta_plugin::fetch::{Request, Response, is_http_url};

/// Argo Rollouts' timeout.
const DEFAULT_TIMEOUT_SECONDS: u64 = 10;
const MILLIS_PER_SECOND: u64 = 1_000;

/// What holds whatever the input is. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
    request(config)?;
    path(config).map(|_| ())
}

/// Returns the request, and in the second call the value.
pub fn analyze(config: &Config, input: &Occasion) -> Result<Action, Error> {
    match input.answers.first() {
        None => {
            check(config)?;
            Ok(Action::fetch(vec![request(config)?]))
        }
        Some(Ok(response)) => value(config, response).map(Action::measured),
        Some(Err(failure)) => Err(failure.clone().into()),
    }
}

fn request(config: &Config) -> Result<Request, Error> {
    if !is_http_url(&config.url) {
        return invalid("url: not an http or https URL");
    }
    let has_body = !config.body.is_empty() || config.json_body.is_some();
    let method = match config.method {
        Method::Get if has_body => return invalid("method: a body can only be sent with POST or PUT"),
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
    };
    let timeout = u64::try_from(config.timeout_seconds).ok().filter(|seconds| *seconds > 0);
    let request = Request::new(method, config.url.as_str())
        .headers(&config.headers)
        .auth(config.authentication.auth()?)
        .timeout(timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS).saturating_mul(MILLIS_PER_SECOND))
        .skip_tls_verify(config.insecure);
    let request = match &config.json_body {
        Some(_) if !config.body.is_empty() => return invalid("body: use either body or jsonBody, not both"),
        Some(json) => request.json(json)?,
        None => request.body(config.body.as_bytes()),
    };
    if request.body.len() > MAX_BODY_BYTES {
        return invalid(&format!("body: {} bytes, at most {MAX_BODY_BYTES}", request.body.len()));
    }
    Ok(request)
}

fn path(config: &Config) -> Result<Path, Error> {
    config.json_path.parse().map_err(|error| Error::InvalidConfig(format!("jsonPath: {error}")))
}

fn value(config: &Config, response: &Response) -> Result<String, Error> {
    if !response.is_success() {
        return unavailable(format!("received non 2xx response code: {}: {}", response.status, response.excerpt()));
    }
    let found = match serde_json::from_slice::<serde_json::Value>(&response.body) {
        Ok(body) => match path(config)?.first(&body) {
            Ok(found) => found.to_string(),
            Err(error) => return unavailable(format!("Could not find JSONPath in body: {error}")),
        },
        // As Argo Rollouts since its #4770: the body unchanged, whatever `jsonPath` is.
        Err(_) => serde_json::Value::from(response.text()).to_string(),
    };
    match found.len() {
        0..=MAX_VALUE_BYTES => Ok(found),
        bytes => {
            unavailable(format!("a value of {bytes} bytes, at most {MAX_VALUE_BYTES}: take less of it by jsonPath"))
        }
    }
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}

fn unavailable<T>(message: String) -> Result<T, Error> {
    Err(Error::Unavailable(message))
}
