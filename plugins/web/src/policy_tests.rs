//! The policy by tables, called as the host calls it: configuration as JSON.

use crate::Web;
use kulta_plugin::analyzer::Action;
use kulta_plugin::fetch::{Answer, Auth, Basic, Failure, Request, Response};
use kulta_plugin::testing::analyzer::{check_config, config_schema, input, measure};
use kulta_plugin::testing::respond;
use kulta_plugin::{Error, Label};

const CONFIG: &str = r#"{"url":"http://shop/measure","jsonPath":"{$.data.ok}"}"#;
const WHOLE: &str = r#"{"url":"http://shop/measure"}"#;

fn measured(config: &str, answer: Answer) -> Result<String, Error> {
    match measure::<Web>(config, &input(), |_| answer.clone()).0? {
        Action::Measured(measured) => Ok(measured.value),
        other => panic!("expected a measurement, got {other:?}"),
    }
}

fn request_of(config: &str) -> Request {
    let (_, mut requests) = measure::<Web>(config, &input(), |_| respond(200, "1"));
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn typed(media_type: &str, body: &str) -> Answer {
    let header = Label { key: "Content-Type".into(), value: media_type.into() };
    Ok(Response { headers: vec![header], ..Response::new(200, body) })
}

#[test]
fn the_value_is_the_one_at_the_path() {
    for (config, body, value) in [
        (CONFIG, r#"{"data":{"ok":true}}"#, "true"),
        (WHOLE, r#"{"b":[1,0.5],"a":null}"#, r#"{"a":null,"b":[1,0.5]}"#),
        (WHOLE, "3", "3"),
    ] {
        assert_eq!(measured(config, respond(200, body)), Ok(value.into()));
    }
}

#[test]
fn a_body_that_is_not_json_is_a_text() {
    for config in [WHOLE, CONFIG] {
        for (body, value) in [
            ("PASS", r#""PASS""#),
            ("all \"ok\"\n", r#""all \"ok\"\n""#),
            ("", r#""""#),
            ("\n", r#""\n""#),
            ("<html>", r#""<html>""#),
            ("{\"a\":", r#""{\"a\":""#),
        ] {
            assert_eq!(measured(config, respond(200, body)), Ok(value.into()), "{body:?}");
            assert_eq!(measured(config, typed("text/html", body)), Ok(value.into()), "{body:?}");
        }
    }
}

#[test]
fn an_invalid_value_is_unavailable_with_a_short_reason() {
    let large = format!("\"{}\"", "x".repeat(70_000));
    for (config, answer, start) in [
        (CONFIG, respond(404, "no such page"), "received non 2xx response code: 404: no such page"),
        (CONFIG, respond(301, ""), "received non 2xx response code: 301: an empty body"),
        (CONFIG, respond(200, "{}"), "Could not find JSONPath in body: data is not found"),
        (WHOLE, respond(200, &large), "a value of 70002 bytes, at most 65536"),
        (WHOLE, Err(Failure::Timeout), "the request timed out"),
        (WHOLE, Err(Failure::Denied("169.254.169.254".into())), "the request is not allowed: 169.254.169.254"),
    ] {
        match measured(config, answer) {
            Err(Error::Unavailable(message)) => assert!(message.starts_with(start), "{start}: {message}"),
            other => panic!("expected unavailable, got {other:?}"),
        }
    }
}

#[test]
fn a_request_is_a_get_with_the_default_timeout() {
    assert_eq!(request_of(WHOLE), Request::get("http://shop/measure").timeout(10_000));
    let negative = r#"{"url":"http://shop/measure","timeoutSeconds":-1}"#;
    assert_eq!(request_of(negative).timeout, 10_000);
}

#[test]
fn method_headers_and_body_follow_the_configuration() {
    let request = request_of(
        r#"{"url":"https://shop","method":"PUT","headers":[{"key":"Authorization","value":"Bearer kulta-secret-1"}],
            "body":"text","timeoutSeconds":20,"insecure":true,"authentication":{"basicAuth":{"username":"u","password":"p"}}}"#,
    );
    let expected = Request::new("PUT", "https://shop")
        .header("Authorization", "Bearer kulta-secret-1")
        .body("text")
        .timeout(20_000)
        .skip_tls_verify(true)
        .auth(Auth::Basic(Basic { username: "u".into(), password: "p".into() }));
    assert_eq!(request, expected);
}

#[test]
fn a_json_body_sets_the_content_type() {
    let request = request_of(
        r#"{"url":"http://shop","method":"POST","headers":[{"key":"content-type","value":"text/plain"}],"jsonBody":{"a":[1]}}"#,
    );
    assert_eq!(request.body, br#"{"a":[1]}"#);
    assert_eq!(request.headers, [Label { key: "Content-Type".into(), value: "application/json".into() }]);
}

#[test]
fn bad_configuration_is_reported_by_its_path() {
    let large = format!(r#"{{"url":"http://a","method":"POST","body":"{}"}}"#, "x".repeat(70_000));
    for (config, start) in [
        ("{}", "missing field `url`"),
        (r#"{"url":"shop/measure"}"#, "url: not an http or https URL"),
        (r#"{"url":"http://a","method":"DELETE"}"#, "method: "),
        (r#"{"url":"http://a","body":"x"}"#, "method: a body can only be sent with POST or PUT"),
        (r#"{"url":"http://a","jsonBody":{}}"#, "method: a body can only be sent with POST or PUT"),
        (r#"{"url":"http://a","method":"POST","body":"x","jsonBody":{}}"#, "body: use either body or jsonBody"),
        (large.as_str(), "body: 70000 bytes, at most 65536"),
        (r#"{"url":"http://a","jsonPath":"{$.a"}"#, "jsonPath: one path is understood"),
        (
            r#"{"url":"http://a","authentication":{"oauth2":{"tokenUrl":"x"}}}"#,
            "authentication.oauth2.clientId: missing",
        ),
        (r#"{"url":"http://a","headers":[{"value":"x"}]}"#, "headers[0]: missing field `key`"),
        (r#"{"url":"http://a","uri":"x"}"#, "uri: "),
    ] {
        match check_config::<Web>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<Web>(CONFIG), Ok(()));
}

#[test]
fn the_schema_has_the_fields_of_argo_rollouts() {
    let schema: serde_json::Value = serde_json::from_str(&config_schema::<Web>()).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let expected =
        ["authentication", "body", "headers", "insecure", "jsonBody", "jsonPath", "method", "timeoutSeconds", "url"];
    assert_eq!(fields, expected);
}

#[test]
fn a_url_from_a_secret_is_left_to_the_host() {
    assert_eq!(check_config::<Web>(r#"{"url":"kulta-secret-0a1b"}"#), Ok(()));
}
