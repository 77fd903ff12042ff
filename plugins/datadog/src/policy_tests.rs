//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Datadog;
use crate::server::{API_KEY, APP_KEY, datadog};
use kulta_plugin::analyzer::{Action, Measured, Occasion};
use kulta_plugin::fetch::{Answer, Failure, Request, Response};
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure, with_credential};
use kulta_plugin::testing::{NOW, respond};
use kulta_plugin::{Error, Label};
use serde_json::{Value, json};

const V1: &str = r#"{"query":"avg:errors{*}"}"#;
const V2: &str = r#"{"apiVersion":"v2","query":"avg:errors{*}"}"#;

fn asked() -> Occasion {
    with_credential(with_credential(input(), "api-key", API_KEY), "app-key", APP_KEY)
}

fn measured(config: &str, mut server: impl FnMut(&Request) -> Answer) -> Result<Measured, Error> {
    match measure::<Datadog>(config, &asked(), &mut server).0? {
        Action::Measured(measured) => Ok(measured),
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn value(config: &str, body: &Value) -> Result<String, Error> {
    measured(config, |_| respond(200, &body.to_string())).map(|measured| measured.value)
}

fn request_of(config: &str, asked: &Occasion) -> Request {
    let (_, mut requests) = measure::<Datadog>(config, asked, |_| respond(500, ""));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn body_of(config: &str) -> Value {
    serde_json::from_slice(&request_of(config, &asked()).body).unwrap()
}

#[test]
fn the_api_answers_both_versions() {
    for config in [V1, V2, r#"{"apiVersion":"v2","queries":{"a":"x","b":"y"},"formula":"a/b"}"#] {
        let measured = measured(config, |request| datadog(request, json!(0.25))).unwrap();
        assert_eq!(measured.value, "0.25", "{config}");
    }
}

#[test]
fn v1_asks_for_the_last_five_minutes_at_datadogs_us_site() {
    let now = NOW / 1_000;
    let url = format!("https://api.datadoghq.com/api/v1/query?from={}&query=avg%3Aerrors%7B%2A%7D&to={now}", now - 300);
    let expected = Request::get(url)
        .header("Content-Type", "application/json")
        .header("DD-API-KEY", API_KEY)
        .header("DD-APPLICATION-KEY", APP_KEY)
        .timeout(10_000);
    assert_eq!(request_of(V1, &asked()), expected);
}

#[test]
fn the_address_is_that_of_the_secret() {
    let eu = with_credential(asked(), "address", "https://api.datadoghq.eu/");
    assert_eq!(request_of(V2, &eu).url, "https://api.datadoghq.eu/api/v2/query/scalar");
}

#[test]
fn v2_asks_for_the_last_value_of_one_query() {
    let expected = json!({ "data": { "type": "scalar_request", "attributes": {
        "from": NOW - 300_000, "to": NOW, "formulas": [],
        "queries": [{ "aggregator": "last", "data_source": "metrics", "name": "query", "query": "avg:errors{*}" }],
    } } });
    assert_eq!(body_of(V2), expected);
}

#[test]
fn v2_asks_for_a_formula_over_queries() {
    let config =
        r#"{"apiVersion":"v2","queries":{"b":"y","a":"x"},"formula":"a/b","aggregator":"l2norm","interval":"1m30s"}"#;
    let attributes = &body_of(config)["data"]["attributes"];
    let query = |name: &str, query: &str| json!({ "aggregator": "l2norm", "data_source": "metrics", "name": name, "query": query });
    assert_eq!(attributes["queries"], json!([query("a", "x"), query("b", "y")]));
    assert_eq!(attributes["formulas"], json!([{ "formula": "a/b" }]));
    assert_eq!(attributes["from"], json!(NOW - 90_000));
}

#[test]
fn the_value_of_v1_is_the_last_point_of_the_first_series() {
    for (series, expected) in [
        (json!([{ "pointlist": [[1, 2], [2, 0.5]] }, { "pointlist": [[1, 9]] }]), "0.5"),
        (json!([{ "pointlist": [[1, 2], [2, null]] }]), "null"),
        (json!([{ "pointlist": [] }]), "null"),
        (json!([]), "null"),
    ] {
        assert_eq!(value(V1, &json!({ "series": series })), Ok(expected.into()), "{series}");
    }
}

fn columns(columns: Value) -> Value {
    json!({ "data": { "attributes": { "columns": columns } } })
}

#[test]
fn the_value_of_v2_is_a_number_or_for_groups_a_list() {
    let region = json!({ "type": "group", "values": [["eu"], ["us"], ["ap"]] });
    let host = json!({ "type": "group", "values": [["a"], ["b"], ["c"]] });
    for (answer, expected) in [
        (json!([{ "type": "number", "values": [0.5] }]), "0.5"),
        (json!([{ "values": [3] }]), "3"),
        (json!([{ "type": "number", "values": [null] }]), "null"),
        (json!([]), "null"),
        (json!([region, { "type": "number", "values": [1, null, 0.5] }]), "[1,0.5]"),
        (json!([region, host, { "type": "number", "values": [null, 2, null] }]), "[2]"),
    ] {
        assert_eq!(value(V2, &columns(answer.clone())), Ok(expected.into()), "{answer}");
    }
}

#[test]
fn groups_are_kept_as_metadata() {
    let answer = columns(json!([
        { "type": "group", "values": [["eu"], ["us"]] }, { "type": "group", "values": [["a"], ["b"]] },
        { "type": "number", "values": [null, 2] },
    ]));
    let measured = measured(V2, |_| respond(200, &answer.to_string())).unwrap();
    let expected = Label { key: "groups".into(), value: r#"[{"name":"us,b","value":2.0}]"#.into() };
    assert_eq!(measured.metadata, [expected]);
}

#[test]
fn what_is_no_value_is_an_error_that_says_why() {
    let limited = Response {
        headers: vec![Label { key: "Retry-After".into(), value: "12".into() }],
        ..Response::new(429, r#"{"errors":["Rate limit of 300 requests in 3600 seconds reached"]}"#)
    };
    let group = json!([{ "type": "group", "values": [null] }, { "type": "number", "values": [1] }]);
    for (config, answer, start) in [
        (
            V1,
            respond(401, "no"),
            "received authentication error response code: 401: check api-key and app-key of the Secret: no",
        ),
        (V2, respond(403, "{}"), "received authentication error response code: 403: check api-key and app-key"),
        (V2, Ok(limited), "received response code: 429, too many requests, Retry-After: 12: "),
        (V1, respond(502, "<html>bad gateway"), "received non 2xx response code: 502: <html>bad gateway"),
        (V1, respond(200, "<html>login"), "the answer is not the JSON that was expected"),
        (V1, respond(200, r#"{"status":"error","error":"parse error"}"#), "Datadog rejects the query: parse error"),
        (V1, respond(200, r#"{"series":[{"pointlist":[[1]]}]}"#), "the answer is not the JSON that was expected"),
        (V2, respond(200, r#"{"data":{"errors":"bad query"}}"#), "There were errors in your query: bad query"),
        (V2, respond(200, r#"{"errors":["bad"]}"#), r#"There were errors in your query: ["bad"]"#),
        (V2, respond(200, &columns(json!([{ "values": ["x"] }])).to_string()), r#"Datadog answers "x" where a number"#),
        (V2, respond(200, &columns(group).to_string()), "Datadog names no group for the value at index 0"),
        (V2, Err(Failure::Timeout), "the request timed out"),
        (V2, Err(Failure::TooLarge(1_048_576)), "the answer is larger than the limit of 1048576 bytes"),
    ] {
        match measured(config, |_| answer.clone()) {
            Err(Error::Unavailable(message)) => assert!(message.starts_with(start), "{start}: {message}"),
            other => panic!("expected unavailable for {start}, got {other:?}"),
        }
    }
}

#[test]
fn without_credentials_the_field_is_reported_and_nothing_is_sent() {
    let (ended, requests) = measure::<Datadog>(V1, &input(), |_| respond(200, "{}"));
    let message = "secretRef: the controller gives no api-key";
    assert_eq!((ended, requests), (Err(Error::InvalidConfig(message.into())), Vec::new()));
}

#[test]
fn bad_configuration_is_reported_by_its_path() {
    for (config, start) in [
        ("{}", "query: missing, and apiVersion v1 takes nothing else"),
        (r#"{"apiVersion":"v2"}"#, "query: missing, and so is queries"),
        (r#"{"apiVersion":"v3","query":"x"}"#, "apiVersion: "),
        (r#"{"queries":{"a":"x"}}"#, "query: missing, and apiVersion v1"),
        (r#"{"apiVersion":"v2","query":"x","queries":{"a":"x"}}"#, "queries: cannot be used together with query"),
        (r#"{"apiVersion":"v2","query":"x","formula":"a"}"#, "formula: needs queries"),
        (r#"{"apiVersion":"v2","queries":{"a":"x","b":"y"}}"#, "formula: missing"),
        (r#"{"query":"x","aggregator":"sum"}"#, "aggregator: not supported with apiVersion v1"),
        (r#"{"apiVersion":"v2","query":"x","aggregator":"most"}"#, "aggregator: "),
        (r#"{"query":"x","interval":"soon"}"#, "interval: "),
        (r#"{"query":"x","requestTimeout":"0s"}"#, "requestTimeout: must be longer than 0"),
        (r#"{"query":"x","secretRef":{"namespaced":true}}"#, "secretRef.name: missing"),
        (r#"{"query":"x","secretRef":{"key":"a"}}"#, "secretRef.key: "),
        (r#"{"query":"x","querry":"y"}"#, "querry: "),
    ] {
        match check_config::<Datadog>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!((check_config::<Datadog>(V1), check_config::<Datadog>(V2)), (Ok(()), Ok(())));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: Value = serde_json::from_str(&config_schema::<Datadog>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let expected =
        ["aggregator", "apiVersion", "formula", "interval", "queries", "query", "requestTimeout", "secretRef"];
    assert_eq!(fields, expected);
}
