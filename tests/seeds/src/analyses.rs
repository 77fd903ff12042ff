//! The analyses of a scenario: where they run, by which template, and how many bad answers they get.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::cluster::NAMESPACE;

/// The share of scenarios with analyses.
const SHARE: f32 = 0.35;
/// Selects random numbers of its own, so that this file does not change scenarios without analyses: among them are seeds that found
/// defects.
const STREAM: u64 = 0x05ee_d0fa_11a1_f5e9;
const TEMPLATE: &str = "judge";
/// Bad answers per thousand during the phase with faults.
const BAD_ANSWERS: [u32; 4] = [0, 50, 150, 400];

#[derive(Clone, Debug)]
pub struct Analyses {
    background: bool,
    in_steps: bool,
    /// The AnalysisTemplate that all of them name.
    pub template: Value,
    /// The rollout's `spec.analysis`: the history limits.
    pub history: Value,
    /// Bad answers of the metrics server, per thousand.
    pub bad_answers: u32,
}

impl Analyses {
    /// Most seeds have no analyses.
    #[must_use]
    pub fn from_seed(seed: u64, linear: bool) -> Option<Self> {
        let mut rng = random(seed);
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
        Some(Self { background, in_steps, template, history, bad_answers: rng.choice(BAD_ANSWERS).unwrap_or_default() })
    }

    /// Gives each metric a failure condition, so that an answer which meets neither condition is inconclusive.
    #[must_use]
    pub fn undecided(mut self) -> Self {
        let metrics = self.template.pointer_mut("/spec/metrics").and_then(Value::as_array_mut);
        for metric in metrics.into_iter().flatten() {
            json_patch::merge(metric, &json!({ "failureCondition": "result.ok == 0" }));
        }
        self.bad_answers = 0;
        self
    }

    /// The reference to the AnalysisTemplate, as an analysis of a strategy has it.
    #[must_use]
    pub fn reference() -> Value {
        json!({ "templates": [{ "templateName": TEMPLATE }] })
    }

    /// Adds analyses to a strategy that has `steps`, or the `config` of a plugin. A `startingStep` that is not set is null, so that a
    /// merge patch removes it.
    #[must_use]
    pub fn add_to(&self, mut strategy: Value, rng: &mut Rng) -> Value {
        let templates = json!([{ "templateName": TEMPLATE }]);
        let mut steps_count = None;
        if let Some(steps) = strategy.get_mut("steps").and_then(Value::as_array_mut) {
            for _ in 0..if self.in_steps { rng.u32(1..=2) } else { 0 } {
                steps.insert(rng.usize(0..=steps.len()), json!({ "analysis": { "templates": templates } }));
            }
            steps_count = Some(steps.len());
        }
        if let Some(strategy) = strategy.as_object_mut().filter(|_| self.background) {
            let start = rng.bool().then(|| rng.usize(0..=steps_count.unwrap_or(2)));
            strategy.insert("analysis".to_owned(), json!({ "templates": templates, "startingStep": start }));
        }
        strategy
    }
}

/// The random numbers for everything about analyses.
#[must_use]
pub fn random(seed: u64) -> Rng {
    Rng::with_seed(seed ^ STREAM)
}

/// A metric with a count, so that every run ends by itself.
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
        // A measurement that meets neither condition is inconclusive.
        json_patch::merge(&mut metric, &json!({ "failureCondition": "result.ok == 0" }));
    }
    if rng.f32() < 0.3 {
        json_patch::merge(&mut metric, &json!({ "initialDelay": format!("{}s", rng.u32(1..=30)) }));
    }
    metric
}
