//! `recorded.jsonl`: what the policy answers to many situations. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Linear;
use kulta_plugin::testing::{NOW, strategy};
use kulta_plugin::{Goal, Situation};

const CONFIGS: [&str; 4] = [
    r#"{"stepWeight":40,"interval":"1m"}"#,
    r#"{"stepWeight":20,"interval":30,"maxWeight":50}"#,
    r#"{"stepWeight":101,"interval":30}"#,
    r#"{"stepWeight":20,"interval":"soon"}"#,
];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = strategy::record::<Linear>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn calls() -> Vec<(String, Situation)> {
    let mut calls = Vec::new();
    for config in CONFIGS {
        for step in 0..=3 {
            for (reached, ago) in [(false, 0), (true, 0), (true, 60_000)] {
                let step_started_at = NOW - ago;
                let asked = Situation { step, reached, step_started_at, ..strategy::situation() };
                calls.push((config.to_owned(), asked));
            }
        }
        for weight in [100, 40, 0] {
            let asked = Situation { goal: Goal::Restore, weight, ..strategy::situation() };
            calls.push((config.to_owned(), asked));
        }
    }
    calls
}
