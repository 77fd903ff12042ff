//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Prometheus;
use kulta_plugin::analyzer::{Action, Measured};
use kulta_plugin::fetch::{Answer, Request};
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure, with_fact};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label};

const CONFIG: &str = r#"{"address":"http://prometheus:9090","query":"up"}"#;

fn measured(config: &str, answer: &Answer) -> Measured {
    match measure::<Prometheus>(config, &input(), |_| answer.clone()).0 {
        Ok(Action::Measured(measured)) => measured,
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn request_of(config: &str) -> Request {
    let (_, mut requests) = measure::<Prometheus>(config, &input(), |_| respond(200, ""));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn vector(values: &[&str]) -> Answer {
    let samples: Vec<String> =
        values.iter().map(|value| format!(r#"{{"metric":{{"pod":"a"}},"value":[1767225600,"{value}"]}}"#)).collect();
    let result = samples.join(",");
    respond(200, &format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
}

#[test]
fn the_answer_is_the_value() {
    for (values, value) in [(&["0.95"][..], "[0.95]"), (&[], "[]"), (&["1", "NaN", "+Inf"], r#"[1,"NaN","+Inf"]"#)] {
        assert_eq!(measured(CONFIG, &vector(values)).value, value);
    }
}

#[test]
fn the_query_is_kept_as_metadata() {
    let expected = Label { key: "ResolvedPrometheusQuery".into(), value: "up".into() };
    assert_eq!(measured(CONFIG, &vector(&["1"])).metadata, [expected]);
}

#[test]
fn warnings_are_kept_as_metadata() {
    let answer = respond(
        200,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]},"warnings":["slow","old"]}"#,
    );
    let expected = Label { key: "warnings".into(), value: r#""slow", "old""#.into() };
    assert_eq!(measured(CONFIG, &answer).metadata[1], expected);
}

#[test]
fn a_failed_request_is_an_error() {
    let (ended, _) = measure::<Prometheus>(CONFIG, &input(), |_| respond(500, "oops"));
    assert_eq!(ended, Err(Error::Unavailable("the server answered 500: oops".into())));
}

#[test]
fn a_value_over_the_hosts_limit_is_rejected() {
    let values = vec!["0.12345678901234"; 4_000];
    let (ended, _) = measure::<Prometheus>(CONFIG, &input(), |_| vector(&values));
    match ended {
        Err(Error::Unavailable(message)) => {
            assert!(message.starts_with("the query answers a value of 68001 bytes, at most 65536"), "{message}");
        }
        other => panic!("expected unavailable, got {other:?}"),
    }
}

#[test]
fn an_instant_query_has_no_time() {
    assert_eq!(request_of(CONFIG).url, "http://prometheus:9090/api/v1/query?query=up");
}

#[test]
fn a_range_query_is_relative_to_now() {
    let config = r#"{"address":"http://p","query":"up","rangeQuery":{"start":"now() - duration(\"5m\")","end":"now()","step":"1m"}}"#;
    let now = NOW / 1_000;
    let expected = format!("http://p/api/v1/query_range?query=up&start={}&end={now}&step=60", now - 300);
    assert_eq!(request_of(config).url, expected);
}

#[test]
fn the_default_address_is_the_controllers() {
    let asked = with_fact(input(), promql::ADDRESS_FACT, "http://default");
    let (_, requests) = measure::<Prometheus>(r#"{"query":"up"}"#, &asked, |_| vector(&["1"]));
    assert_eq!(requests[0].url, "http://default/api/v1/query?query=up");
}

#[test]
fn without_any_address_the_field_is_reported() {
    let (ended, requests) = measure::<Prometheus>(r#"{"query":"up"}"#, &input(), |_| vector(&["1"]));
    let message = "address: missing, and the controller has no default";
    assert_eq!((ended, requests), (Err(Error::InvalidConfig(message.into())), Vec::new()));
}

#[test]
fn bad_configuration_is_reported_by_its_path() {
    for (config, start) in [
        ("{}", "missing field `query`"),
        (r#"{"query":" "}"#, "query: missing"),
        (r#"{"query":"up","address":"prometheus:9090"}"#, "address: not an http or https URL"),
        (r#"{"query":"up","timeout":-1}"#, "timeout: "),
        (r#"{"query":"up","headers":[{"key":"a"}]}"#, "headers[0]: missing field `value`"),
        (r#"{"query":"up","authentication":{"basicAuth":{"password":"p"}}}"#, "authentication.basicAuth.username: "),
        (r#"{"query":"up","rangeQuery":{"start":"x","end":"now()","step":"1m"}}"#, "rangeQuery.start: not understood"),
        (r#"{"query":"up","rangeQuery":{"start":"now()","end":"x","step":"1m"}}"#, "rangeQuery.end: not understood"),
        (r#"{"query":"up","rangeQuery":{"start":"now()","end":"now()","step":"x"}}"#, "rangeQuery.step: "),
        (r#"{"query":"up","rangeQuery":{"start":"now()","end":"now()","step":"0s"}}"#, "rangeQuery.step: must be"),
        (r#"{"query":"up","querry":"down"}"#, "querry: "),
    ] {
        match check_config::<Prometheus>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<Prometheus>(CONFIG), Ok(()));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: serde_json::Value = serde_json::from_str(&config_schema::<Prometheus>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["address", "authentication", "headers", "insecure", "query", "rangeQuery", "timeout"]);
}
