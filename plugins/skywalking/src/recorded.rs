//! `recorded.jsonl`: the policy's answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Skywalking;
use kulta_plugin::analyzer::Occasion;
use kulta_plugin::fetch::{Answer, Failure};
use kulta_plugin::testing::analyzer::{input, record};
use kulta_plugin::testing::respond;

const CONFIGS: [&str; 2] = [
    r#"{"address":"http://oap:12800","query":"query q($duration: Duration!) { v }","interval":"3m"}"#,
    r#"{"query":"x"}"#,
];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Skywalking>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn answers() -> Vec<Answer> {
    vec![
        respond(200, r#"{"data":{"service_apdex":{"label":"","values":{"values":[{"value":9900}]}}}}"#),
        respond(200, r#"{"data":null}"#),
        respond(200, r#"{"errors":[{"message":"bad"}]}"#),
        respond(401, "who are you"),
        respond(503, "<html>"),
        respond(200, "<html>"),
        Err(Failure::Timeout),
    ]
}

fn calls() -> Vec<(String, Occasion)> {
    let known = input();
    let mut calls = Vec::new();
    for config in CONFIGS {
        calls.push((config.to_owned(), input()));
        calls.push((config.to_owned(), known.clone()));
        for answer in answers() {
            calls.push((config.to_owned(), Occasion { answers: vec![answer], ..known.clone() }));
        }
    }
    calls
}
