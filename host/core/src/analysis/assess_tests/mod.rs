mod phases;
mod records;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::analysis::fixtures::{SERVED, Scenario, at, measured, metric};
use crate::analysis::{CallKind, Outcome, Verdict, check};

use AnalysisPhase::{Error, Failed, Inconclusive, Running, Successful};

fn measured_with(phase: AnalysisPhase, message: &str) -> Outcome {
    Outcome::Measured {
        value: "[1]".into(),
        phase,
        message: message.into(),
        metadata: BTreeMap::new(),
        memory: Vec::new(),
    }
}

fn judged(verdict: Verdict, settles: bool, reason: &str) -> Outcome {
    Outcome::Judged {
        verdict,
        settles,
        value: "1".into(),
        metadata: BTreeMap::new(),
        reason: reason.into(),
        memory: Vec::new(),
    }
}

fn waiting(until: i64) -> Outcome {
    Outcome::Waiting { until: at(until), metadata: BTreeMap::new(), memory: Vec::new() }
}

pub(super) fn one(fields: Value) -> Scenario {
    Scenario::new(json!({ "metrics": [metric("m", fields)] }))
}

/// S, F, I and E are measurements of that phase.
fn outcomes(letters: &str) -> Vec<Outcome> {
    letters.chars().map(|letter| measured(phase_of(letter))).collect()
}

pub(super) fn phase_of(letter: char) -> AnalysisPhase {
    match letter {
        'S' => Successful,
        'F' => Failed,
        'I' => Inconclusive,
        _ => Error,
    }
}
