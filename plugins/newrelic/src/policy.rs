//! From configuration to request, from answer to value.

use crate::Config;
use kulta_plugin::Error;
use kulta_plugin::analyzer::{Action, MAX_BODY_BYTES, Occasion};
use kulta_plugin::fetch::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const US: &str = "https://api.newrelic.com/graphql";
const EU: &str = "https://api.eu.newrelic.com/graphql";
const STAGING: &str = "https://staging-api.newrelic.com/graphql";
/// New Relic's own limit for `timeout`.
const MAX_TIMEOUT_SECONDS: u64 = 120;
/// Longer than a query without `timeout` may take.
const DEFAULT_TIMEOUT_SECONDS: u64 = 10;
/// For the answer of a query that takes all of its time.
const TRANSFER_SECONDS: u64 = 5;
const MILLIS_PER_SECOND: u64 = 1_000;

const API_KEY: &str = "personal-api-key";
const ACCOUNT: &str = "account-id";
const REGION: &str = "region";
const BASE_URL: &str = "base-url-nerdgraph";
const SECRET_FIELD: &str = "profile";
const CREDENTIALS: &str = "personal-api-key and account-id of the Secret";

const QUERY: &str = "query($query: Nrql!, $accountId: Int!, $timeout: Seconds) { actor { account(id: $accountId) { nrql(query: $query, timeout: $timeout) { results } } } }";

/// What holds whatever the input is. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
    if config.query.trim().is_empty() {
        return invalid("query: missing");
    }
    match config.timeout {
        Some(0) => invalid("timeout: must be longer than 0"),
        Some(timeout) if timeout > MAX_TIMEOUT_SECONDS => {
            invalid(&format!("timeout: at most {MAX_TIMEOUT_SECONDS} seconds"))
        }
        _ => Ok(()),
    }
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
    query: &'static str,
    variables: Variables<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Variables<'a> {
    account_id: u64,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
}

fn request(config: &Config, input: &Occasion) -> Result<Request, Error> {
    let key = input.required_credential(API_KEY, SECRET_FIELD)?;
    let account_id = input.required_credential(ACCOUNT, SECRET_FIELD)?;
    let account_id = account_id
        .parse()
        .or_else(|_| invalid(&format!("{SECRET_FIELD}: the Secret's {ACCOUNT} is not a whole number")))?;
    let variables = Variables { account_id, query: &config.query, timeout: config.timeout };
    let request = Request::post(url(input)?).json(&GraphQl { query: QUERY, variables })?;
    if request.body.len() > MAX_BODY_BYTES {
        return invalid(&format!("query: a request of {} bytes, at most {MAX_BODY_BYTES}", request.body.len()));
    }
    let timeout = config.timeout.map_or(DEFAULT_TIMEOUT_SECONDS, |timeout| timeout.saturating_add(TRANSFER_SECONDS));
    Ok(request.header("Api-Key", key).timeout(timeout.saturating_mul(MILLIS_PER_SECOND)))
}

fn url(input: &Occasion) -> Result<String, Error> {
    if let Some(url) = input.credential(BASE_URL) {
        return Ok(url.to_owned());
    }
    let region = input.credential(REGION).unwrap_or("us");
    match region.to_ascii_lowercase().as_str() {
        "us" => Ok(US.to_owned()),
        "eu" => Ok(EU.to_owned()),
        "staging" => Ok(STAGING.to_owned()),
        _ => invalid(&format!("{SECRET_FIELD}: the Secret's {REGION} is {region:?}, not us, eu or staging")),
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    message: String,
}

#[derive(Deserialize)]
struct Data {
    actor: Actor,
}

#[derive(Deserialize)]
struct Actor {
    account: Option<Account>,
}

#[derive(Deserialize)]
struct Account {
    nrql: Option<Nrql>,
}

#[derive(Deserialize)]
struct Nrql {
    #[serde(default)]
    results: Vec<Map<String, Value>>,
}

fn value(response: &Response) -> Result<Action, Error> {
    let answer: Answer = response.json()?;
    if !answer.errors.is_empty() {
        let messages: Vec<&str> = answer.errors.iter().map(|error| error.message.as_str()).collect();
        return unavailable(format!("New Relic rejects the query: {}", messages.join("; ")));
    }
    let nrql = answer.data.and_then(|data| data.actor.account).and_then(|account| account.nrql);
    let mut rows = nrql.map(|nrql| nrql.results).unwrap_or_default();
    let value = match (rows.len(), rows.first()) {
        (0, _) => return unavailable("no results returned from NRQL query".to_owned()),
        (1, Some(row)) if row.is_empty() => return unavailable("no results returned from NRQL query".to_owned()),
        (1, _) => Value::Object(rows.remove(0)),
        _ => Value::Array(rows.into_iter().map(Value::Object).collect()),
    };
    Action::measured_within_limit(value.to_string(), "select fewer columns, or LIMIT the rows")
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}

fn unavailable<T>(message: String) -> Result<T, Error> {
    Err(Error::Unavailable(message))
}
