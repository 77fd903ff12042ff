//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Graphite;
use crate::server::graphite;
use kulta_plugin::analyzer::{Action, Measured, Occasion};
use kulta_plugin::fetch::{Answer, Failure, Request, Response};
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label};
use serde_json::{Value, json};

const CONFIG: &str = r#"{"address":"http://graphite","query":"target=summarize(a.b,'5min','avg')&from=-5min"}"#;

fn asked() -> Occasion {
    input()
}

fn measured(config: &str, mut server: impl FnMut(&Request) -> Answer) -> Result<Measured, Error> {
    match measure::<Graphite>(config, &asked(), &mut server).0? {
        Action::Measured(measured) => Ok(measured),
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn request_of(config: &str, asked: &Occasion) -> Request {
    let (_, mut requests) = measure::<Graphite>(config, asked, |_| respond(500, ""));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn value(body: &str) -> Result<String, Error> {
    measured(CONFIG, |_| respond(200, body)).map(|measured| measured.value)
}

#[test]
fn the_api_answers_the_query() {
    assert_eq!(
        measured(CONFIG, |request| graphite(request, &json!([[0.5, 1_767_225_600], [null, 1_767_225_660]])))
            .map(|measured| measured.value),
        Ok("[0.5]".into())
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
        (respond(200, "[]"), "no values found"),
        (respond(200, r#"[{"datapoints":[]}]"#), "no values found"),
        (respond(200, r#"[{"datapoints":[[true,1]]}]"#), "Graphite answers true where a number is expected"),
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
        ("{}", "address: not an http or https URL"),
        (r#"{"address":"graphite:80","query":"target=a"}"#, "address: not an http"),
        (r#"{"address":"http://g"}"#, "query: missing"),
        (r#"{"address":"http://g","query":"target=a","querry":"x"}"#, "querry: "),
    ] {
        match check_config::<Graphite>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<Graphite>(CONFIG), Ok(()));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: Value = serde_json::from_str(&config_schema::<Graphite>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["address", "query"]);
}

#[test]
fn the_value_is_the_list_of_the_first_series_without_nulls() {
    for (body, expected) in [
        (r#"[{"datapoints":[[1,1],[2,2]]},{"datapoints":[[9,1]]}]"#, "[1,2]"),
        (r#"[{"datapoints":[["1.5",1],[null,2],[3,"3"]]}]"#, "[1.5,3]"),
        (r#"[{"datapoints":[[null,1]]}]"#, "[]"),
    ] {
        assert_eq!(value(body), Ok(expected.into()), "{body}");
    }
}

#[test]
fn a_query_over_several_lines_is_sent_as_one_with_json_as_its_format() {
    let config = r#"{"address":"http://g:8080/graphite/","query":"target=a(\n  b, 'c')\n&from=-5min&format=png"}"#;
    let url = "http://g:8080/graphite/render?target=a(b,'c')&from=-5min&format=json";
    assert_eq!(request_of(config, &asked()), Request::get(url).timeout(10_000));
}

#[test]
fn a_long_series_is_rejected_with_advice() {
    let points = vec![json!([0.123_456_789, 1]); 10_000];
    match measured(CONFIG, |request| graphite(request, &json!(points))) {
        Err(Error::Unavailable(message)) => assert!(message.ends_with("summarize the series"), "{message}"),
        other => panic!("expected unavailable, got {other:?}"),
    }
}
