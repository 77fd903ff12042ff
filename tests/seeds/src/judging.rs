//! What a seed makes of analyses: which there are, by which template, and how bad the news is.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::cluster::NAMESPACE;

/// Of all stories.
const SHARE: f32 = 0.35;
/// Dice of their own: without analyses a seed tells what it told before there were any, the seeds that found a defect among them.
const DICE: u64 = 0x05ee_d0fa_11a1_f5e9;
const TEMPLATE: &str = "judge";
/// Of 1,000 answers, while things may go wrong.
const BAD: [u32; 4] = [0, 50, 150, 400];

#[derive(Clone, Debug)]
pub struct Judging {
    background: bool,
    in_steps: bool,
    /// The AnalysisTemplate that all of them name.
    pub template: Value,
    /// `spec.analysis`: how many ended runs are kept.
    pub history: Value,
    /// Of 1,000 answers of the metrics server.
    pub bad: u32,
}

impl Judging {
    /// Most seeds have none.
    #[must_use]
    pub fn of(seed: u64, linear: bool) -> Option<Self> {
        let mut rng = dice(seed);
        if rng.f32() >= SHARE {
            return None;
        }
        let in_steps = !linear && rng.f32() < 0.7;
        let background = !in_steps || rng.bool();
        let metrics: Vec<Value> = (0..rng.u32(1..=2)).map(|index| metric(&mut rng, index)).collect();
        let template = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
            "metadata": { "name": TEMPLATE, "namespace": NAMESPACE },
            "spec": { "metrics": metrics },
        });
        let mut history = json!({});
        for limit in ["successfulRunHistoryLimit", "unsuccessfulRunHistoryLimit"] {
            if rng.f32() < 0.4 {
                json_patch::merge(&mut history, &json!({ limit: rng.u32(0..=2) }));
            }
        }
        Some(Self { background, in_steps, template, history, bad: rng.choice(BAD).unwrap_or_default() })
    }

    /// Metrics with a success and a failure condition, and a server that never meets either: each analysis is inconclusive.
    #[must_use]
    pub fn undecided(mut self) -> Self {
        let metrics = self.template.pointer_mut("/spec/metrics").and_then(Value::as_array_mut);
        for metric in metrics.into_iter().flatten() {
            json_patch::merge(metric, &json!({ "failureCondition": "result.ok == 0" }));
        }
        self.bad = 0;
        self
    }

    /// A way forward (`steps`, or the `config` of a plugin) with its analyses. An absent `startingStep` is null, for a patch.
    #[must_use]
    pub fn put_into(&self, mut way: Value, rng: &mut Rng) -> Value {
        let named = json!([{ "templateName": TEMPLATE }]);
        let mut last = None;
        if let Some(steps) = way.get_mut("steps").and_then(Value::as_array_mut) {
            for _ in 0..if self.in_steps { rng.u32(1..=2) } else { 0 } {
                steps.insert(rng.usize(0..=steps.len()), json!({ "analysis": { "templates": named } }));
            }
            last = Some(steps.len());
        }
        if let Some(way) = way.as_object_mut().filter(|_| self.background) {
            let start = rng.bool().then(|| rng.usize(0..=last.unwrap_or(2)));
            way.insert("analysis".to_owned(), json!({ "templates": named, "startingStep": start }));
        }
        way
    }
}

/// What a story's analyses are made with.
#[must_use]
pub fn dice(seed: u64) -> Rng {
    Rng::with_seed(seed ^ DICE)
}

/// Measured a few times, so that every run ends by itself.
fn metric(rng: &mut Rng, index: u32) -> Value {
    let count = if rng.f32() < 0.25 { 20 } else { rng.u32(2..=5) };
    let mut metric = json!({
        "name": format!("metric-{index}"),
        "interval": format!("{}s", rng.u32(5..=40)),
        "count": count,
        "failureLimit": rng.u32(0..=1),
        "inconclusiveLimit": rng.u32(0..=1),
        "successCondition": "result.ok == 1",
        "provider": { "web": { "url": format!("http://metrics.test/{index}"), "jsonPath": "{$}" } },
    });
    if rng.bool() {
        // What is neither is inconclusive.
        json_patch::merge(&mut metric, &json!({ "failureCondition": "result.ok == 0" }));
    }
    if rng.f32() < 0.3 {
        json_patch::merge(&mut metric, &json!({ "initialDelay": format!("{}s", rng.u32(1..=30)) }));
    }
    metric
}
