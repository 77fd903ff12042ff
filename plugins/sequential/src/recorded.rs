//! `recorded.jsonl`: the analyzer's answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Sequential;
use kulta_plugin::analyzer::{Action, Occasion};
use kulta_plugin::testing::NOW;
use kulta_plugin::testing::analyzer::{analyze, input, record};
use kulta_plugin::testing::respond;

const CONFIG: &str = r#"{"address":"http://prometheus:9090","warmup":0,"fewestWindows":1,
    "canary":{"total":"ct","bad":"cb"},"stable":{"total":"st","bad":"sb"}}"#;

/// Counters at the end of each measurement: of the canary all and bad, of stable all and bad. The third measurement fails.
const COUNTERS: [[u64; 4]; 7] = [
    [1_000, 10, 19_000, 30],
    [1_050, 10, 19_950, 32],
    [1_101, 11, 20_905, 34],
    [1_150, 12, 21_850, 36],
    [1_203, 14, 22_811, 38],
    [1_250, 18, 23_752, 40],
    [1_302, 25, 24_699, 41],
];

#[test]
fn the_recording_equals_the_analyzers_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Sequential>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn calls() -> Vec<(String, Occasion)> {
    let mut calls = Vec::new();
    let mut memory = Vec::new();
    for (number, counters) in (1..).zip(COUNTERS.windows(2)) {
        let end = NOW + u64::from(number) * 10_000;
        let asking = Occasion { now: end, run_started_at: NOW, number, memory: memory.clone(), ..input() };
        let Ok(Action::Fetch(fetching)) = analyze::<Sequential>(CONFIG, &asking) else { panic!("no requests") };
        let body = |from: u64, to: u64| {
            let (start, end) = ((end - 10_000) / 1_000, end / 1_000);
            format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"pod":"p"}},"values":[[{start},"{from}"],[{end},"{to}"]]}}]}}}}"#
            )
        };
        let bodies = counters[0].iter().zip(counters[1]).map(|(from, to)| body(*from, to));
        let status = if number == 3 { 503 } else { 200 };
        let answers = bodies.map(|body| respond(status, &body)).collect();
        let answered = Occasion { memory: fetching.memory, answers, ..asking.clone() };
        calls.extend([(CONFIG.to_owned(), asking), (CONFIG.to_owned(), answered.clone())]);
        if let Ok(Action::Judged(judged)) = analyze::<Sequential>(CONFIG, &answered) {
            memory = judged.memory;
        }
    }
    calls.push((CONFIG.to_owned(), Occasion { memory: vec![9], ..input() }));
    calls.push((CONFIG.replace("\"fewestWindows\":1", "\"fewestWindows\":0"), input()));
    calls
}
