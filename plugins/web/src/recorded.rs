//! `recorded.jsonl`: what the policy answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Web;
use kulta_plugin::analyzer::Occasion;
use kulta_plugin::fetch::{Answer, Failure};
use kulta_plugin::testing::analyzer::{input, record};
use kulta_plugin::testing::respond;

const CONFIGS: [&str; 5] = [
    r#"{"url":"http://shop"}"#,
    r#"{"url":"http://shop","jsonPath":"{$.data.ok}"}"#,
    r#"{"url":"http://shop","jsonPath":"{..items[?(@.name=='b')].value}"}"#,
    r#"{"url":"https://shop","method":"POST","jsonBody":{"a":1},"timeoutSeconds":3,"insecure":true}"#,
    r#"{"url":"http://shop","jsonPath":"{$.data"}"#,
];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Web>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn answers() -> [Answer; 5] {
    [
        respond(200, r#"{"data":{"ok":true},"items":[{"name":"a","value":1},{"name":"b","value":2.5}]}"#),
        respond(200, "[1,\"x\",null]"),
        respond(200, "<html>"),
        respond(500, "oops"),
        Err(Failure::Failed("connection refused".into())),
    ]
}

fn calls() -> Vec<(String, Occasion)> {
    let mut calls = Vec::new();
    for config in CONFIGS {
        calls.push((config.to_owned(), input()));
        for answer in answers() {
            calls.push((config.to_owned(), Occasion { answers: vec![answer], ..input() }));
        }
    }
    calls
}
