//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Skywalking;
use crate::server::skywalking;
use kulta_plugin::analyzer::{Action, Measured, Occasion};
use kulta_plugin::fetch::{Answer, Failure, Request, Response};
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label};
use serde_json::{Value, json};

const CONFIG: &str = r#"{"address":"http://oap:12800","query":"query q($duration: Duration!) { v }","interval":"3m"}"#;

fn asked() -> Occasion {
    input()
}

fn measured(config: &str, mut server: impl FnMut(&Request) -> Answer) -> Result<Measured, Error> {
    match measure::<Skywalking>(config, &asked(), &mut server).0? {
        Action::Measured(measured) => Ok(measured),
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn request_of(config: &str, asked: &Occasion) -> Request {
    let (_, mut requests) = measure::<Skywalking>(config, asked, |_| respond(500, ""));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn value(body: &str) -> Result<String, Error> {
    measured(CONFIG, |_| respond(200, body)).map(|measured| measured.value)
}

#[test]
fn the_api_answers_the_query() {
    assert_eq!(
        measured(CONFIG, |request| skywalking(request, &json!({ "v": 9900 }))).map(|measured| measured.value),
        Ok(r#"{"v":9900}"#.into())
    );
}

#[test]
fn what_is_no_answer_is_an_error_that_says_why() {
    let after = Label { key: "Retry-After".into(), value: "12".into() };
    let limited = Response { headers: vec![after], ..Response::new(429, "slow down") };
    let endless = Err(Failure::TooLarge(1_048_576));
    for (answer, start) in [
        (respond(401, "no"), "received authentication error response code: 401: check address"),
        (respond(403, "no"), "received authentication error response code: 403: check "),
        (Ok(limited), "received response code: 429, too many requests, Retry-After: 12: slow down"),
        (respond(502, "<html>bad gateway"), "received non 2xx response code: 502: <html>bad gateway"),
        (respond(200, "<html>login"), "the answer is not the JSON that was expected"),
        (Err(Failure::Timeout), "the request timed out"),
        (endless, "the answer is larger than the limit of 1048576 bytes"),
        (respond(200, r#"{"data":null}"#), "no results returned from SkyWalking query"),
        (respond(200, r#"{"errors":[{"message":"a"},{"message":"b"}]}"#), "SkyWalking rejects the query: a; b"),
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
        ("{}", "address: not an http"),
        (r#"{"address":"oap:1","query":"x"}"#, "address: not an http"),
        (r#"{"address":"http://a"}"#, "query: missing"),
        (r#"{"address":"http://a","query":"x","interval":"soon"}"#, "interval: "),
        (r#"{"address":"http://a","query":"x","step":"y"}"#, "step: "),
    ] {
        match check_config::<Skywalking>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<Skywalking>(CONFIG), Ok(()));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: Value = serde_json::from_str(&config_schema::<Skywalking>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["address", "interval", "query"]);
}

#[test]
fn the_value_is_the_data_of_the_answer() {
    assert_eq!(value(r#"{"data":{"v":{"values":[1,2.5]}}}"#), Ok(r#"{"v":{"values":[1,2.5]}}"#.into()));
}

#[test]
fn the_query_gets_its_duration_as_a_variable() {
    let duration_of = |config: &str| {
        let body: Value = serde_json::from_slice(&request_of(config, &asked()).body).unwrap();
        body["variables"]["duration"].clone()
    };
    let window = |start: &str| json!({ "start": start, "end": "2026-01-01 0000", "step": "MINUTE" });
    assert_eq!(duration_of(CONFIG), window("2025-12-31 2357"));
    assert_eq!(duration_of(r#"{"address":"http://oap","query":"x"}"#), window("2025-12-31 2355"));
    assert_eq!(request_of(CONFIG, &asked()).timeout, 30_000);
}
