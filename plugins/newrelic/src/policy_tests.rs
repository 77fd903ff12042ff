//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::NewRelic;
use crate::server::{ACCOUNT, API_KEY, nerdgraph};
use kulta_plugin::analyzer::{Action, Measured, Occasion};
use kulta_plugin::fetch::{Answer, Failure, Request, Response};
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure, with_credential};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label};
use serde_json::{Value, json};

const CONFIG: &str = r#"{"query":"SELECT average(duration) FROM Transaction"}"#;

fn asked() -> Occasion {
    with_credential(with_credential(input(), "personal-api-key", API_KEY), "account-id", ACCOUNT)
}

fn measured(config: &str, mut server: impl FnMut(&Request) -> Answer) -> Result<Measured, Error> {
    match measure::<NewRelic>(config, &asked(), &mut server).0? {
        Action::Measured(measured) => Ok(measured),
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn request_of(config: &str, asked: &Occasion) -> Request {
    let (_, mut requests) = measure::<NewRelic>(config, asked, |_| respond(500, ""));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn value(body: &str) -> Result<String, Error> {
    measured(CONFIG, |_| respond(200, body)).map(|measured| measured.value)
}

#[test]
fn the_api_answers_the_query() {
    assert_eq!(
        measured(CONFIG, |request| nerdgraph(request, &json!([{ "average.duration": 0.25 }])))
            .map(|measured| measured.value),
        Ok(r#"{"average.duration":0.25}"#.into())
    );
}

#[test]
fn what_is_no_answer_is_an_error_that_says_why() {
    let after = Label { key: "Retry-After".into(), value: "12".into() };
    let limited = Response { headers: vec![after], ..Response::new(429, "slow down") };
    let endless = Err(Failure::TooLarge(1_048_576));
    for (answer, start) in [
        (respond(401, "no"), "received authentication error response code: 401: check personal-api-key and account-id"),
        (respond(403, "no"), "received authentication error response code: 403: check "),
        (Ok(limited), "received response code: 429, too many requests, Retry-After: 12: slow down"),
        (respond(502, "<html>bad gateway"), "received non 2xx response code: 502: <html>bad gateway"),
        (respond(200, "<html>login"), "the answer is not the JSON that was expected"),
        (Err(Failure::Timeout), "the request timed out"),
        (endless, "the answer is larger than the limit of 1048576 bytes"),
        (respond(200, r#"{"errors":[{"message":"a"},{"message":"b"}]}"#), "New Relic rejects the query: a; b"),
    ] {
        match measured(CONFIG, |_| answer.clone()) {
            Err(Error::Unavailable(message)) => assert!(message.starts_with(start), "{start}: {message}"),
            other => panic!("expected unavailable for {start}, got {other:?}"),
        }
    }
}

#[test]
fn bad_configuration_is_reported_by_its_path() {
    for (config, start) in [
        ("{}", "missing field `query`"),
        (r#"{"query":" "}"#, "query: missing"),
        (r#"{"query":"x","timeout":0}"#, "timeout: must be"),
        (r#"{"query":"x","timeout":121}"#, "timeout: at most 120 seconds"),
        (r#"{"query":"x","timeout":"5s"}"#, "timeout: "),
        (r#"{"query":"x","profil":"y"}"#, "profil: "),
    ] {
        match check_config::<NewRelic>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<NewRelic>(CONFIG), Ok(()));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: Value = serde_json::from_str(&config_schema::<NewRelic>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["profile", "query", "timeout"]);
}

fn rows(rows: &Value) -> Result<String, Error> {
    measured(CONFIG, |request| nerdgraph(request, rows)).map(|measured| measured.value)
}

#[test]
fn one_row_is_an_object_and_several_are_a_list() {
    assert_eq!(rows(&json!([{ "b": 1, "a": "x" }])), Ok(r#"{"a":"x","b":1}"#.into()));
    assert_eq!(rows(&json!([{ "a": 1 }, { "a": 2 }])), Ok(r#"[{"a":1},{"a":2}]"#.into()));
}

#[test]
fn no_row_is_an_error() {
    for none in [json!([]), json!([{}])] {
        assert_eq!(rows(&none), Err(Error::Unavailable("no results returned from NRQL query".into())), "{none}");
    }
    assert!(value(r#"{"data":{"actor":{"account":null}}}"#).is_err());
}

#[test]
fn the_url_is_that_of_the_secrets_region() {
    for (name, setting, url) in [
        ("region", "us", "https://api.newrelic.com/graphql"),
        ("region", "EU", "https://api.eu.newrelic.com/graphql"),
        ("region", "Staging", "https://staging-api.newrelic.com/graphql"),
        ("base-url-nerdgraph", "kulta-secret-2", "kulta-secret-2"),
    ] {
        assert_eq!(request_of(CONFIG, &with_credential(asked(), name, setting)).url, url);
    }
    assert_eq!(request_of(CONFIG, &asked()).url, "https://api.newrelic.com/graphql");
}

#[test]
fn a_wrong_setting_of_the_secret_is_reported() {
    let account = with_credential(with_credential(input(), "personal-api-key", API_KEY), "account-id", "mine");
    for (asked, start) in [
        (with_credential(asked(), "region", "moon"), "profile: the Secret's region is \"moon\", not us, eu or staging"),
        (account, "profile: the Secret's account-id is not a whole number"),
    ] {
        let (ended, _) = measure::<NewRelic>(CONFIG, &asked, |_| respond(200, ""));
        assert_eq!(ended, Err(Error::InvalidConfig(start.into())));
    }
}

#[test]
fn the_query_and_its_time_are_variables() {
    let request = request_of(r#"{"query":"SELECT 1","timeout":20}"#, &asked());
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["variables"], json!({ "accountId": 1234567, "query": "SELECT 1", "timeout": 20 }));
    assert_eq!((request.timeout, request_of(CONFIG, &asked()).timeout), (25_000, 10_000));
}

#[test]
fn without_credentials_the_field_is_reported_and_nothing_is_sent() {
    let (ended, requests) = measure::<NewRelic>(CONFIG, &input(), |_| respond(200, "{}"));
    assert_eq!(
        (ended, requests),
        (Err(Error::InvalidConfig("profile: the controller gives no personal-api-key".into())), Vec::new())
    );
}
