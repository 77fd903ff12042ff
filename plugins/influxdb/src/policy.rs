//! From configuration to request, from answer to value.

use crate::Config;
use crate::csv::values;
use kulta_plugin::Error;
use kulta_plugin::analyzer::{Action, MAX_BODY_BYTES, Occasion};
use kulta_plugin::fetch::{Request, Response, join};
use serde::Serialize;

const PATH: &str = "/api/v2/query";
/// Argo Rollouts' timeout.
const TIMEOUT_MILLIS: u64 = 30_000;

const TOKEN: &str = "authToken";
const ADDRESS: &str = "address";
const ORG: &str = "org";
const SECRET_FIELD: &str = "profile";
const CREDENTIALS: &str = "authToken and org of the Secret";

/// What holds whatever the input is. An error begins with the field's path.
pub fn check(config: &Config) -> Result<(), Error> {
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
struct Query<'a> {
    r#type: &'static str,
    query: &'a str,
    dialect: Dialect,
}

#[derive(Serialize)]
struct Dialect {
    annotations: [&'static str; 3],
    delimiter: &'static str,
    header: bool,
}

fn request(config: &Config, input: &Occasion) -> Result<Request, Error> {
    let token = input.required_credential(TOKEN, SECRET_FIELD)?;
    let address = input.required_credential(ADDRESS, SECRET_FIELD)?;
    let org = input.required_credential(ORG, SECRET_FIELD)?;
    let dialect = Dialect { annotations: ["datatype", "group", "default"], delimiter: ",", header: true };
    let request = Request::post(join(address, PATH))
        .query(ORG, org)
        .json(&Query { r#type: "flux", query: &config.query, dialect })?
        .header("Accept", "text/csv")
        .header("Authorization", &format!("Token {token}"))
        .timeout(TIMEOUT_MILLIS);
    if request.body.len() > MAX_BODY_BYTES {
        return invalid(&format!("query: a request of {} bytes, at most {MAX_BODY_BYTES}", request.body.len()));
    }
    Ok(request)
}

fn value(response: &Response) -> Result<Action, Error> {
    let text = response.text();
    let values = values(&text).map_err(|error| Error::Unavailable(format!("{error}: {}", response.excerpt())))?;
    if values.is_empty() {
        return Err(Error::Unavailable("no results returned from flux query".into()));
    }
    Action::measured_within_limit(
        serde_json::Value::Array(values).to_string(),
        "aggregate the rows, for example with mean()",
    )
}

fn invalid<T>(message: &str) -> Result<T, Error> {
    Err(Error::InvalidConfig(message.into()))
}
