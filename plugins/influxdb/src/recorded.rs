//! `recorded.jsonl`: the policy's answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Influxdb;
use kulta_plugin::analyzer::Occasion;
use kulta_plugin::fetch::{Answer, Failure};
use kulta_plugin::testing::analyzer::{input, record, with_credential};
use kulta_plugin::testing::respond;

const CONFIGS: [&str; 3] = [r#"{"query":"from(bucket: \"b\")"}"#, r#"{"query":"x","profile":"mine"}"#, r#"{}"#];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Influxdb>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn answers() -> Vec<Answer> {
    vec![
        respond(
            200,
            "#datatype,string,long,double\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,0.5\r\n,,0,NaN\r\n",
        ),
        respond(200, "error,reference\r\nbad query,897\r\n"),
        respond(200, ""),
        respond(401, "who are you"),
        respond(503, "<html>"),
        respond(200, "<html>"),
        Err(Failure::Timeout),
    ]
}

fn calls() -> Vec<(String, Occasion)> {
    let known = with_credential(
        with_credential(with_credential(input(), "authToken", "kulta-secret-1"), "address", "kulta-secret-2"),
        "org",
        "acme",
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
