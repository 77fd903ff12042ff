//! `recorded.jsonl`: what the policy answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Threshold;
use kulta_plugin::analyzer::Occasion;
use kulta_plugin::fetch::{Answer, Failure};
use kulta_plugin::testing::analyzer::{input, record, with_fact};
use kulta_plugin::testing::respond;

const CONFIGS: [&str; 4] = [
    r#"{"gateway":"contour","service":"web-canary","errorRate":"< 1%","latency":{"p99":"< 300ms"}}"#,
    r#"{"gateway":"envoy","cluster":"web","successRate":"> 99%","window":"30s","noData":"fail","minimum":100}"#,
    r#"{"queries":{"requests":"r","errors":"e","latencyBuckets":"b"},"errorRate":"<= 0.01","latency":{"p50":"< 0.1s"},"noData":"pass"}"#,
    r#"{"gateway":"contour","errorRate":"< 1%"}"#,
];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Threshold>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn number(value: &str) -> Answer {
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#
    );
    respond(200, &body)
}

fn calls() -> Vec<(String, Occasion)> {
    let asked = with_fact(input(), promql::ADDRESS_FACT, "http://default:9090");
    let mut calls = Vec::new();
    for config in CONFIGS {
        calls.push((config.to_owned(), asked.clone()));
        for numbers in [["400.2", "1.1", "120"], ["400", "40", "0.05"], ["10", "0", "NaN"], ["200", "0", "+Inf"]] {
            let wanted = if config.contains("envoy") { 2 } else { 3 };
            let answers = numbers.iter().take(wanted).map(|value| number(value)).collect();
            calls.push((config.to_owned(), Occasion { answers, ..asked.clone() }));
        }
        let answers = vec![Err(Failure::Timeout), number("1"), number("1")];
        calls.push((config.to_owned(), Occasion { answers, ..asked.clone() }));
    }
    calls
}
