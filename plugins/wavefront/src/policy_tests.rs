//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Wavefront;
use crate::server::{TOKEN, wavefront};
use kulta_plugin::analyzer::{Action, Measured, Occasion};
use kulta_plugin::fetch::{Answer, Failure, Request, Response};
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure, with_credential};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label};
use serde_json::{Value, json};

const CONFIG: &str = r#"{"address":"example.wavefront.com","query":"ts(a)"}"#;

fn asked() -> Occasion {
    with_credential(input(), "token", TOKEN)
}

fn measured(config: &str, mut server: impl FnMut(&Request) -> Answer) -> Result<Measured, Error> {
    match measure::<Wavefront>(config, &asked(), &mut server).0? {
        Action::Measured(measured) => Ok(measured),
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn request_of(config: &str, asked: &Occasion) -> Request {
    let (_, mut requests) = measure::<Wavefront>(config, asked, |_| respond(500, ""));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn value(body: &str) -> Result<String, Error> {
    measured(CONFIG, |_| respond(200, body)).map(|measured| measured.value)
}

#[test]
fn the_api_answers_the_query() {
    assert_eq!(
        measured(CONFIG, |request| wavefront(request, &json!([[1_767_225_600, 0.25]]))).map(|measured| measured.value),
        Ok("0.25".into())
    );
}

#[test]
fn what_is_no_answer_is_an_error_that_says_why() {
    let after = Label { key: "Retry-After".into(), value: "12".into() };
    let limited = Response { headers: vec![after], ..Response::new(429, "slow down") };
    let endless = Err(Failure::TooLarge(1_048_576));
    for (answer, start) in [
        (respond(401, "no"), "received authentication error response code: 401: check the address's token"),
        (respond(403, "no"), "received authentication error response code: 403: check "),
        (Ok(limited), "received response code: 429, too many requests, Retry-After: 12: slow down"),
        (respond(502, "<html>bad gateway"), "received non 2xx response code: 502: <html>bad gateway"),
        (respond(200, "<html>login"), "the answer is not the JSON that was expected"),
        (Err(Failure::Timeout), "the request timed out"),
        (endless, "the answer is larger than the limit of 1048576 bytes"),
        (respond(200, r#"{"timeseries":[]}"#), "no time series found"),
        (respond(200, r#"{"timeseries":[{"data":[]}]}"#), "a time series from Wavefront has no points"),
        (respond(200, r#"{"errorType":"QuerySyntaxError","errorMessage":"bad"}"#), "Wavefront rejects the query: bad"),
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
        ("{}", "address: not a host name"),
        (r#"{"address":"https://a","query":"x"}"#, "address: not a host name"),
        (r#"{"address":"a/b","query":"x"}"#, "address: not a host name"),
        (r#"{"address":"a.b"}"#, "query: missing"),
        (r#"{"address":"a.b","query":"x","token":"y"}"#, "token: "),
    ] {
        match check_config::<Wavefront>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<Wavefront>(CONFIG), Ok(()));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: Value = serde_json::from_str(&config_schema::<Wavefront>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["address", "query"]);
}

/// `NOW` in seconds.
const SECOND: i64 = 1_767_225_600;

#[test]
fn the_value_is_the_point_that_is_closest_to_the_measurement() {
    let points = json!([[SECOND - 60, 1], [SECOND - 5, 2], [SECOND + 30, 3]]);
    let measured = measured(CONFIG, |request| wavefront(request, &points)).unwrap();
    let label = |key: &str, value: &str| Label { key: key.into(), value: value.into() };
    assert_eq!(measured.value, "2");
    assert_eq!(measured.metadata, [label("timestamps", "1767225595"), label("drift", "-5")]);
}

#[test]
fn several_series_are_a_list_and_warnings_are_kept() {
    let answer =
        json!({ "timeseries": [{ "data": [[SECOND, 1.5]] }, { "data": [[SECOND + 1, 2]] }], "warnings": "slow" });
    let measured = measured(CONFIG, |_| respond(200, &answer.to_string())).unwrap();
    let metadata: Vec<_> = measured.metadata.iter().map(|label| (label.key.as_str(), label.value.as_str())).collect();
    assert_eq!(measured.value, "[1.5,2]");
    assert_eq!(metadata, [("timestamps", "[1767225600,1767225601]"), ("drift", "[0,1]"), ("warnings", "slow")]);
}

#[test]
fn one_point_is_asked_for_at_the_time_of_the_measurement() {
    let url =
        "https://example.wavefront.com/api/v2/chart/api?q=ts%28a%29&s=1767225600000&e=1767225600000&g=s&p=1&i=true";
    assert_eq!(request_of(CONFIG, &asked()).url, url);
    assert_eq!(value(r#"{"timeseries":[{"data":[[1,7]]}],"warnings":""}"#), Ok("7".into()));
}

#[test]
fn without_credentials_the_field_is_reported_and_nothing_is_sent() {
    let (ended, requests) = measure::<Wavefront>(CONFIG, &input(), |_| respond(200, "{}"));
    assert_eq!(
        (ended, requests),
        (Err(Error::InvalidConfig("address: the controller gives no token".into())), Vec::new())
    );
}
