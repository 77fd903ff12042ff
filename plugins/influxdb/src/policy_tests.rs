//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Influxdb;
use crate::server::{ADDRESS, TOKEN, influxdb};
use kulta_plugin::analyzer::{Action, Measured, Occasion};
use kulta_plugin::fetch::{Answer, Failure, Request, Response};
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure, with_credential};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label};
use serde_json::{Value, json};

const CONFIG: &str = r#"{"query":"from(bucket: \"b\")"}"#;

fn asked() -> Occasion {
    let asked = with_credential(with_credential(input(), "authToken", TOKEN), "address", ADDRESS);
    with_credential(asked, "org", "acme inc")
}

fn measured(config: &str, mut server: impl FnMut(&Request) -> Answer) -> Result<Measured, Error> {
    match measure::<Influxdb>(config, &asked(), &mut server).0? {
        Action::Measured(measured) => Ok(measured),
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn request_of(config: &str, asked: &Occasion) -> Request {
    let (_, mut requests) = measure::<Influxdb>(config, asked, |_| respond(500, ""));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[test]
fn the_api_answers_the_query() {
    assert_eq!(
        measured(CONFIG, |request| influxdb(request, &["0.25"])).map(|measured| measured.value),
        Ok("[0.25]".into())
    );
}

#[test]
fn what_is_no_answer_is_an_error_that_says_why() {
    let after = Label { key: "Retry-After".into(), value: "12".into() };
    let limited = Response { headers: vec![after], ..Response::new(429, "slow down") };
    let endless = Err(Failure::TooLarge(1_048_576));
    for (answer, start) in [
        (respond(401, "no"), "received authentication error response code: 401: check authToken and org"),
        (respond(403, "no"), "received authentication error response code: 403: check "),
        (Ok(limited), "received response code: 429, too many requests, Retry-After: 12: slow down"),
        (respond(502, "<html>bad gateway"), "received non 2xx response code: 502: <html>bad gateway"),
        (respond(200, "<html>login"), "the answer is not InfluxDB's CSV with a column _value"),
        (Err(Failure::Timeout), "the request timed out"),
        (endless, "the answer is larger than the limit of 1048576 bytes"),
        (respond(200, "\r\n"), "no results returned from flux query"),
        (respond(200, "error,reference\nbad,1\n"), "InfluxDB reports an error of the query: bad"),
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
        ("{}", "query: missing"),
        (r#"{"query":" "}"#, "query: missing"),
        (r#"{"query":"x","profil":"y"}"#, "profil: "),
    ] {
        match check_config::<Influxdb>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<Influxdb>(CONFIG), Ok(()));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: Value = serde_json::from_str(&config_schema::<Influxdb>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["profile", "query"]);
}

#[test]
fn the_value_is_the_list_of_all_rows() {
    let answer = measured(CONFIG, |request| influxdb(request, &["0.5", "NaN", "", "3"]));
    assert_eq!(answer.map(|measured| measured.value), Ok(r#"[0.5,"NaN",null,3]"#.into()));
}

#[test]
fn the_query_is_sent_as_flux_with_a_timeout() {
    let request = request_of(CONFIG, &asked());
    let dialect = json!({ "annotations": ["datatype", "group", "default"], "delimiter": ",", "header": true });
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({ "type": "flux", "query": "from(bucket: \"b\")", "dialect": dialect }));
    assert_eq!(request.timeout, 30_000);
}

#[test]
fn without_credentials_the_field_is_reported_and_nothing_is_sent() {
    let (ended, requests) = measure::<Influxdb>(CONFIG, &input(), |_| respond(200, "{}"));
    assert_eq!(
        (ended, requests),
        (Err(Error::InvalidConfig("profile: the controller gives no authToken".into())), Vec::new())
    );
}
