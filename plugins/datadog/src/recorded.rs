//! `recorded.jsonl`: the policy's answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Datadog;
use kulta_plugin::analyzer::Occasion;
use kulta_plugin::fetch::{Answer, Failure};
use kulta_plugin::testing::analyzer::{input, record, with_credential};
use kulta_plugin::testing::respond;

const CONFIGS: [&str; 3] = [
    r#"{"query":"avg:errors{*}"}"#,
    r#"{"apiVersion":"v2","queries":{"a":"sum:x{*}","b":"sum:y{*}"},"formula":"a/b","interval":"10m","requestTimeout":"3s"}"#,
    r#"{"apiVersion":"v2"}"#,
];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Datadog>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn answers() -> [Answer; 6] {
    [
        respond(200, r#"{"status":"ok","series":[{"pointlist":[[1767225599000,1],[1767225600000,0.25]]}]}"#),
        respond(200, r#"{"data":{"attributes":{"columns":[{"type":"number","values":[0.5]}]}}}"#),
        respond(
            200,
            r#"{"data":{"attributes":{"columns":[{"type":"group","values":[["a"],["b"]]},{"type":"number","values":[1,null]}]}}}"#,
        ),
        respond(403, r#"{"errors":["Forbidden"]}"#),
        respond(200, "<html>"),
        Err(Failure::Timeout),
    ]
}

fn calls() -> Vec<(String, Occasion)> {
    let known = ["address", "api-key", "app-key"]
        .into_iter()
        .fold(input(), |input, name| with_credential(input, name, &format!("kulta-secret-{name}")));
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
