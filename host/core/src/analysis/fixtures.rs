//! Runs for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kulta_api::AnalysisPhase;
use kulta_api::analysis::AnalysisRun;
use kulta_api::validation::analysis::ServedAnalyzer;
use serde_json::{Value, json};

use super::{Assessed, Call, Checked, Outcome, assess, check, due};

pub const SERVED: [ServedAnalyzer<'static>; 1] = [ServedAnalyzer { name: "threshold" }];

pub fn metric(name: &str, fields: Value) -> Value {
    let mut metric = json!({ "name": name, "provider": { "threshold": {} } });
    metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    metric
}

pub fn run(spec: Value) -> AnalysisRun {
    serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": "web-abc-2", "namespace": "shop", "uid": "0a1b2c3d-5a0e-4c55-9e0c-6f3f4a1b2c3d", "resourceVersion": "7"
        },
        "spec": spec,
    }))
    .unwrap()
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn measured(phase: AnalysisPhase) -> Outcome {
    Outcome::Measured {
        value: "[1]".into(),
        phase,
        message: String::new(),
        metadata: BTreeMap::new(),
        memory: Vec::new(),
    }
}

/// A run that a controller reconciles, with a clock in seconds.
pub struct Scenario {
    pub run: AnalysisRun,
    pub now: i64,
}

impl Scenario {
    pub fn new(spec: Value) -> Self {
        Self { run: run(spec), now: 1_000 }
    }

    pub fn checked(&self) -> Checked {
        check(&self.run, &BTreeMap::new(), &SERVED).unwrap()
    }

    pub fn due(&self) -> Vec<Call> {
        due(&self.run, &self.checked(), at(self.now)).calls
    }

    /// Names of the metrics that are due.
    pub fn names(&self) -> Vec<String> {
        self.due().into_iter().map(|call| call.metric).collect()
    }

    /// Answers the calls that are due, and stores the result.
    pub fn answer(&mut self, outcome: impl Fn(&Call) -> Outcome) -> Assessed {
        let taken = self.due().iter().map(|call| call.taken(outcome(call))).collect();
        let assessed = assess(&self.run, &self.checked(), taken, at(self.now));
        self.run.status = Some(assessed.status.clone());
        assessed
    }

    /// Answers one outcome after another. Each is answered at the time that the previous assessment set.
    pub fn answer_all(&mut self, outcomes: &[Outcome]) -> Assessed {
        let mut assessed = None;
        for outcome in outcomes {
            let last = self.answer(|_| outcome.clone());
            self.now = last.wake_up.map_or(self.now, |time| time.as_second());
            assessed = Some(last);
        }
        assessed.unwrap()
    }

    pub fn phase(&self) -> AnalysisPhase {
        self.run.status.as_ref().unwrap().phase.unwrap()
    }
}
