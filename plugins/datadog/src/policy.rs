//! From configuration to request, from answer to value.

use crate::scalar::{Scalar, measured};
use crate::{Aggregator, ApiVersion, Config};
use kulta_plugin::analyzer::{Action, MAX_BODY_BYTES, Occasion};
use kulta_plugin::fetch::{Request, Response, join};
use kulta_plugin::{Duration, Error, number};
use serde::{Deserialize, Serialize};

/// Datadog's US site.
const DEFAULT_ADDRESS: &str = "https://api.datadoghq.com";
const V1_PATH: &str = "/api/v1/query";
const V2_PATH: &str = "/api/v2/query/scalar";
/// Argo Rollouts' defaults.
const DEFAULT_INTERVAL_MILLIS: u64 = 5 * 60 * MILLIS_PER_SECOND;
const DEFAULT_TIMEOUT_MILLIS: u64 = 10 * MILLIS_PER_SECOND;
/// The name that Argo Rollouts gives a single query.
const ONLY_QUERY: &str = "query";
const MILLIS_PER_SECOND: u64 = 1_000;

const ADDRESS: &str = "address";
const API_KEY: &str = "api-key";
const APP_KEY: &str = "app-key";
const SECRET_FIELD: &str = "secretRef";
const CREDENTIALS: &str = "api-key and app-key of the Secret";

/// What holds whatever the input is. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
    let has_query = !config.query.trim().is_empty();
    if has_query && !config.queries.is_empty() {
        return invalid("queries: cannot be used together with query");
    }
    match config.api_version {
        ApiVersion::V1 if !has_query => return invalid("query: missing, and apiVersion v1 takes nothing else"),
        ApiVersion::V1 if config.aggregator.is_some() => {
            return invalid("aggregator: not supported with apiVersion v1");
        }
        ApiVersion::V2 if !has_query && config.queries.is_empty() => {
            return invalid("query: missing, and so is queries");
        }
        ApiVersion::V1 | ApiVersion::V2 => {}
    }
    if !config.formula.is_empty() && config.queries.is_empty() {
        return invalid("formula: needs queries");
    }
    if config.formula.is_empty() && config.queries.len() > 1 {
        return invalid("formula: missing, and there are several queries");
    }
    if config.request_timeout.is_some_and(|timeout| timeout.as_millis() == 0) {
        return invalid("requestTimeout: must be longer than 0");
    }
    if config.secret_ref.namespaced && config.secret_ref.name.is_empty() {
        return invalid("secretRef.name: missing, and secretRef.namespaced needs it");
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
        Some(Ok(response)) => value(config.api_version, response.successful(CREDENTIALS)?),
        Some(Err(failure)) => Err(failure.clone().into()),
    }
}

fn request(config: &Config, input: &Occasion) -> Result<Request, Error> {
    let address = input.credential(ADDRESS).unwrap_or(DEFAULT_ADDRESS);
    // Whole seconds, as Argo Rollouts asks.
    let to = input.now / MILLIS_PER_SECOND;
    let interval = config.interval.map_or(DEFAULT_INTERVAL_MILLIS, Duration::as_millis) / MILLIS_PER_SECOND;
    let from = to.saturating_sub(interval);
    let request = match config.api_version {
        ApiVersion::V1 => Request::get(join(address, V1_PATH))
            .query("from", &from.to_string())
            .query("query", &config.query)
            .query("to", &to.to_string())
            .header("Content-Type", "application/json"),
        ApiVersion::V2 => Request::post(join(address, V2_PATH)).json(&ScalarRequest::of(config, from, to))?,
    };
    if request.body.len() > MAX_BODY_BYTES {
        return invalid(&format!("queries: a request of {} bytes, at most {MAX_BODY_BYTES}", request.body.len()));
    }
    Ok(request
        .header("DD-API-KEY", input.required_credential(API_KEY, SECRET_FIELD)?)
        .header("DD-APPLICATION-KEY", input.required_credential(APP_KEY, SECRET_FIELD)?)
        .timeout(config.request_timeout.map_or(DEFAULT_TIMEOUT_MILLIS, Duration::as_millis)))
}

#[derive(Serialize)]
struct ScalarRequest<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    r#type: &'static str,
    attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    /// Milliseconds.
    from: u64,
    to: u64,
    queries: Vec<Query<'a>>,
    formulas: Vec<Formula<'a>>,
}

#[derive(Serialize)]
struct Query<'a> {
    aggregator: Aggregator,
    data_source: &'static str,
    name: &'a str,
    query: &'a str,
}

#[derive(Serialize)]
struct Formula<'a> {
    formula: &'a str,
}

impl<'a> ScalarRequest<'a> {
    /// `from` and `to` are seconds.
    fn of(config: &'a Config, from: u64, to: u64) -> Self {
        let aggregator = config.aggregator.unwrap_or_default();
        let only = (!config.query.is_empty()).then_some((ONLY_QUERY, config.query.as_str()));
        let queries = config.queries.iter().map(|(name, query)| (name.as_str(), query.as_str())).chain(only);
        let queries = queries.map(|(name, query)| Query { aggregator, data_source: "metrics", name, query }).collect();
        let formula = Some(config.formula.as_str()).filter(|formula| !formula.is_empty());
        let attributes = Attributes {
            from: from.saturating_mul(MILLIS_PER_SECOND),
            to: to.saturating_mul(MILLIS_PER_SECOND),
            queries,
            formulas: formula.map(|formula| Formula { formula }).into_iter().collect(),
        };
        Self { data: Data { r#type: "scalar_request", attributes } }
    }
}

#[derive(Deserialize)]
struct Points {
    #[serde(default)]
    series: Vec<Series>,
    /// Of a query that is not understood, beside status 200.
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    pointlist: Vec<(f64, Option<f64>)>,
}

fn value(version: ApiVersion, response: &Response) -> Result<Action, Error> {
    match version {
        ApiVersion::V1 => {
            let points: Points = response.json()?;
            if !points.error.is_empty() {
                return Err(Error::Unavailable(format!("Datadog rejects the query: {}", points.error)));
            }
            let last = points.series.first().and_then(|series| series.pointlist.last());
            let value = last.and_then(|(_, value)| *value);
            Ok(Action::measured(value.map_or_else(|| "null".to_owned(), number::to_json)))
        }
        ApiVersion::V2 => measured(response.json::<Scalar>()?),
    }
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}
