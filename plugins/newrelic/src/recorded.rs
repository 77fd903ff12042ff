//! `recorded.jsonl`: the policy's answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::NewRelic;
use kulta_plugin::analyzer::Occasion;
use kulta_plugin::fetch::{Answer, Failure};
use kulta_plugin::testing::analyzer::{input, record, with_credential};
use kulta_plugin::testing::respond;

const CONFIGS: [&str; 3] =
    [r#"{"query":"SELECT 1"}"#, r#"{"query":"SELECT 1","profile":"mine","timeout":20}"#, r#"{}"#];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<NewRelic>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn answers() -> Vec<Answer> {
    vec![
        respond(200, r#"{"data":{"actor":{"account":{"nrql":{"results":[{"average.duration":0.25,"facet":"x"}]}}}}}"#),
        respond(200, r#"{"data":{"actor":{"account":{"nrql":{"results":[{"a":1},{"a":2}]}}}}}"#),
        respond(200, r#"{"errors":[{"message":"NRQL Syntax Error"}]}"#),
        respond(401, "who are you"),
        respond(503, "<html>"),
        respond(200, "<html>"),
        Err(Failure::Timeout),
    ]
}

fn calls() -> Vec<(String, Occasion)> {
    let known = with_credential(
        with_credential(with_credential(input(), "personal-api-key", "kulta-secret-1"), "account-id", "1234567"),
        "region",
        "eu",
    );
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
