//! What an analyzer gets beside its metric's configuration, and how its answers become core's outcomes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kulta_core::analysis::{Call, CallKind, Outcome, Verdict};
use kulta_wasm::analyzer as wit;

use crate::clock::millis;

/// Name of the fact that says since when the rollout updates to this revision, in Unix milliseconds.
const STARTED_FACT: &str = "rollout.started-at";
/// Name of the fact that says since when requests reach this revision and no other by way of the canary's Service, in Unix
/// milliseconds; now while they do not. What a Service of a fixed name answered before was another revision's. Absent where the CRD
/// prunes what is known of it.
const SERVING_FACT: &str = "rollout.serving-since";
/// Name of the fact that says which address analyzers use when a metric names no address.
const ADDRESS_FACT: &str = "prometheus.address";

/// How far a rollout has come with its revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Update {
    pub began: Option<Timestamp>,
    pub serving: Serving,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serving {
    #[default]
    Unknown,
    NotYet,
    Since(Timestamp),
}

/// What an analyzer gets beside its metric.
#[derive(Clone, Debug)]
pub struct MetricContext {
    /// `<namespace>/<name>` of the run.
    pub run: String,
    pub run_started_at: Timestamp,
    /// Absent for a run that no rollout owns.
    pub rollout: Option<wit::Rollout>,
    pub update: Update,
    /// Where Prometheus is when a metric does not say.
    pub prometheus: Option<String>,
}

pub fn occasion(
    call: &Call,
    context: &MetricContext,
    now: Timestamp,
    memory: Vec<u8>,
    answers: Vec<wit::Answer>,
) -> wit::Occasion {
    let fact = |key: &str, value: String| wit::Label { key: key.to_owned(), value };
    let address = context.prometheus.clone().map(|address| fact(ADDRESS_FACT, address));
    let began = context.update.began.map(|began| fact(STARTED_FACT, millis(began).to_string()));
    let serving = match context.update.serving {
        Serving::Unknown => None,
        Serving::NotYet => Some(now),
        Serving::Since(since) => Some(since),
    };
    let serving = serving.map(|since| fact(SERVING_FACT, millis(since).to_string()));
    wit::Occasion {
        call: match call.kind {
            CallKind::Measure => wit::Call::Measure,
            CallKind::Resume => wit::Call::Resume,
            CallKind::Terminate => wit::Call::Terminate,
        },
        rollout: context.rollout.clone(),
        run: context.run.clone(),
        metric: call.metric.clone(),
        now: millis(now),
        run_started_at: millis(context.run_started_at),
        number: call.number,
        last: call.last,
        memory,
        answers,
        facts: address.into_iter().chain(began).chain(serving).collect(),
    }
}

pub fn judged(judged: wit::Judged, redact: impl Fn(String) -> String) -> Outcome {
    Outcome::Judged {
        verdict: match judged.verdict {
            wit::Verdict::Pass => Verdict::Pass,
            wit::Verdict::Fail(why) => Verdict::Fail(redact(why)),
            wit::Verdict::Inconclusive(why) => Verdict::Inconclusive(redact(why)),
        },
        settles: judged.settles,
        value: redact(judged.value),
        metadata: metadata(judged.metadata, &redact),
        reason: redact(judged.reason),
        memory: judged.memory,
    }
}

pub fn metadata(labels: Vec<wit::Label>, redact: impl Fn(String) -> String) -> BTreeMap<String, String> {
    labels.into_iter().map(|label| (label.key, redact(label.value))).collect()
}
