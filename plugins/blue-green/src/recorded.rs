//! `recorded.jsonl`: what the policy answers to many situations. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::BlueGreen;
use kulta_plugin::testing::{NOW, strategy};
use kulta_plugin::{Goal, Run, RunPhase, Situation, Verdict};

const CONFIGS: [&str; 4] = [
    "{}",
    r#"{"autoPromotionEnabled":false,"prePromotionAnalysis":{}}"#,
    r#"{"previewReplicaCount":1,"autoPromotionSeconds":30,"postPromotionAnalysis":{}}"#,
    r#"{"previewReplicaCount":"one"}"#,
];

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = strategy::record::<BlueGreen>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn calls() -> Vec<(String, Situation)> {
    let run = |name: &str, phase| vec![Run { name: name.into(), attempt: 1, phase, started_at: NOW }];
    let judged = |verdict| RunPhase::Judged(verdict);
    let mut calls = Vec::new();
    for config in CONFIGS {
        for step in 0..=6 {
            for (reached, promoted) in [(false, false), (true, false), (true, true)] {
                let runs = match step {
                    1 => run("pre", judged(Verdict::Inconclusive("no data".into()))),
                    2 => run("pre", judged(Verdict::Pass)),
                    5 => run("post", judged(Verdict::Fail("slow".into()))),
                    _ => Vec::new(),
                };
                for runs in [Vec::new(), runs] {
                    let asked = Situation { step, reached, promoted, runs, ..strategy::situation() };
                    calls.push((config.to_owned(), asked));
                }
            }
        }
        for weight in [100, 0] {
            let asked = Situation { goal: Goal::Restore, weight, ..strategy::situation() };
            calls.push((config.to_owned(), asked));
        }
    }
    calls
}
