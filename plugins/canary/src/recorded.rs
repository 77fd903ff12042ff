//! `recorded.jsonl`: the policy's answers to many situations. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Canary;
use kulta_plugin::testing::{NOW, strategy};
use kulta_plugin::{Goal, PauseCause, Run, RunPhase, Situation, Verdict};

const STEPS: [&str; 3] = [
    "[]",
    r#"[{"setWeight":10},{"pause":{"duration":"30s"}},{"setWeight":50},{"pause":{}}]"#,
    r#"[{"setCanaryScale":{"replicas":3}},{"setWeight":20},{"setCanaryScale":{"matchTrafficWeight":true}},{"setWeight":120}]"#,
];

const ANALYSED: &str = r#"{"steps":[{"setWeight":10},{"analysis":{"templates":[{"templateName":"errors"}]}},{"setWeight":50}],
    "analysis":{"templates":[{"templateName":"errors"}],"startingStep":1}}"#;

const DELEGATED: &str =
    r#"{"steps":[{"setWeight":10},{"plugin":{"name":"team/gate","config":{"url":"http://gate"}}},{"setWeight":50}]}"#;

const ROUTED: &str = r#"{"steps":[{"setCanaryScale":{"replicas":2}},
    {"setHeaderRoute":{"name":"beta","match":[{"headerName":"team","headerValue":{"prefix":"qa"}}]}},
    {"setMirrorRoute":{"name":"copy","percentage":20,"match":[{"method":{"exact":"GET"},"path":{"prefix":"/"},"headers":{"x":{"regex":"y"}}}]}},
    {"setHeaderRoute":{"name":"beta"}}]}"#;

#[test]
fn the_recording_equals_the_policys_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = strategy::record::<Canary>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn calls() -> Vec<(String, Situation)> {
    let mut calls = Vec::new();
    for steps in STEPS {
        for step in 0..=4 {
            for (reached, promoted) in [(false, false), (true, false), (true, true)] {
                let asked = Situation { step, reached, promoted, ..strategy::situation() };
                calls.push((config(steps), asked));
            }
        }
    }
    for ago in [0, 29_500, 30_000] {
        let paused = Some((PauseCause::Step, NOW - ago));
        let asked = Situation { step: 1, reached: true, paused, ..strategy::situation() };
        calls.push((config(STEPS[1]), asked));
    }
    for weight in [100, 50, 10, 0] {
        let asked = Situation { goal: Goal::Restore, weight, ..strategy::situation() };
        calls.push((config(STEPS[1]), asked));
    }
    for phase in phases() {
        for (step, name) in [(1, "steps/1/analysis"), (1, "background"), (2, "background")] {
            for promoted in [false, true] {
                let run = Run { name: name.into(), attempt: 2, phase: phase.clone(), started_at: NOW };
                let asked = Situation { step, promoted, weight: 10, runs: vec![run], ..strategy::situation() };
                calls.push((ANALYSED.to_owned(), asked));
            }
        }
    }
    for phase in phases() {
        for promoted in [false, true] {
            let run = Run { name: "steps/1/plugin".into(), attempt: 1, phase: phase.clone(), started_at: NOW };
            let asked = Situation { step: 1, promoted, weight: 10, runs: vec![run], ..strategy::situation() };
            calls.push((DELEGATED.to_owned(), asked));
        }
    }
    for step in 0..=4 {
        calls.push((ROUTED.to_owned(), Situation { step, ..strategy::situation() }));
    }
    for broken in ["{", r#"{"steps":[{"experiment":{}}]}"#, r#"{"steps":[{"pause":{"duration":"x"}}]}"#] {
        calls.push((broken.to_owned(), strategy::situation()));
    }
    calls
}

fn phases() -> [RunPhase; 5] {
    [
        RunPhase::Running,
        RunPhase::Judged(Verdict::Pass),
        RunPhase::Judged(Verdict::Fail("9 % of requests fail".into())),
        RunPhase::Judged(Verdict::Inconclusive("no data".into())),
        RunPhase::FailedToRun("no route".into()),
    ]
}

fn config(steps: &str) -> String {
    format!(r#"{{"steps":{steps}}}"#)
}
