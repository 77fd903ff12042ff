//! One call of a component: component, kind and input.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use kulta_wasm::fetch::{Answer, Request};
use kulta_wasm::strategy::{Goal, Revision, Rollout, Situation};
use kulta_wasm::{
    AnalyzerPlugin, CallError, ConditionPlugin, EnricherPlugin, Kind, Loaded, StepPlugin, StrategyPlugin, analyzer,
    enricher, step,
};
use serde_json::{Value, json};

use super::json::fill;

/// Pods of the sample rollout.
const PODS: u32 = 4;
const MAX_WEIGHT: u32 = 100;
/// The subject of the value for a condition language.
const ABOUT: &str = "shop/web errors";

/// The component, the kind and the input.
#[derive(Clone)]
pub enum Call {
    Strategy(Arc<StrategyPlugin>, Situation),
    Analyzer(Arc<AnalyzerPlugin>, analyzer::Occasion),
    Enricher(Arc<EnricherPlugin>, enricher::Occasion),
    Step(Arc<StepPlugin>, step::Occasion),
    /// The value is JSON.
    Condition(Arc<ConditionPlugin>, String),
}

/// The outcome of a call.
pub struct Reply {
    /// In the form of the interface.
    pub answer: Value,
    /// What must happen before the next call; `None` if the plugin is done.
    pub wanted: Option<Wanted>,
}

pub struct Wanted {
    pub requests: Vec<Request>,
    pub memory: Vec<u8>,
}

impl Call {
    /// `given` overrides fields of a sample rollout that begins at `now` (Unix milliseconds).
    ///
    /// # Errors
    /// If the component is not of the kind, or the input is invalid.
    pub fn new(loaded: &Loaded, kind: Kind, given: &Value, now: u64) -> Result<Self> {
        const NOT_OF_THE_KIND: &str = "the component is not of that kind";
        Ok(match kind {
            Kind::Strategy => {
                let situation = fill("situation", &situation(now), given)?;
                Self::Strategy(loaded.strategy().cloned().context(NOT_OF_THE_KIND)?, situation)
            }
            Kind::Analyzer => {
                let occasion = fill("occasion", &measurement(now), given)?;
                Self::Analyzer(loaded.analyzer().cloned().context(NOT_OF_THE_KIND)?, occasion)
            }
            Kind::Enricher => {
                let occasion = fill("occasion", &event(), given)?;
                Self::Enricher(loaded.enricher().cloned().context(NOT_OF_THE_KIND)?, occasion)
            }
            Kind::Step => {
                let occasion = fill("occasion", &work(now), given)?;
                Self::Step(loaded.step().cloned().context(NOT_OF_THE_KIND)?, occasion)
            }
            Kind::Condition => {
                Self::Condition(loaded.condition().cloned().context(NOT_OF_THE_KIND)?, given.to_string())
            }
        })
    }

    /// The complete input.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn occasion(&self) -> Result<Value> {
        match self {
            Self::Strategy(_, situation) => serde_json::to_value(situation),
            Self::Analyzer(_, occasion) => serde_json::to_value(occasion),
            Self::Enricher(_, occasion) => serde_json::to_value(occasion),
            Self::Step(_, occasion) => serde_json::to_value(occasion),
            Self::Condition(_, value) => serde_json::from_str(value),
        }
        .context("write the occasion as JSON")
    }

    /// Makes one call. The outer error is this program's, the inner one the call's.
    ///
    /// # Errors
    /// If a condition language's configuration is not an expression.
    pub async fn ask(&self, config: &Value) -> Result<Result<Reply, CallError>> {
        let text = config.to_string();
        Ok(match self {
            Self::Strategy(plugin, situation) => done(plugin.decide(&text, situation).await),
            Self::Analyzer(plugin, occasion) => plugin.analyze(&text, occasion).await.map(|action| {
                let wanted = match &action {
                    analyzer::Action::Fetch(it) => Some(wanted(&it.requests, &it.memory)),
                    _ => None,
                };
                Reply { answer: json!(action), wanted }
            }),
            Self::Enricher(plugin, occasion) => plugin.enrich(&text, occasion).await.map(|action| {
                let wanted = match &action {
                    enricher::Action::Fetch(it) => Some(wanted(&it.requests, &it.memory)),
                    enricher::Action::Add(_) => None,
                };
                Reply { answer: json!(action), wanted }
            }),
            Self::Step(plugin, occasion) => plugin.act(&text, occasion).await.map(|action| {
                let wanted = match &action {
                    step::Action::Fetch(it) => Some(wanted(&it.requests, &it.memory)),
                    _ => None,
                };
                Reply { answer: json!(action), wanted }
            }),
            Self::Condition(plugin, value) => {
                let Some(expression) = config.as_str() else {
                    bail!(
                        "--config: a condition language takes an expression, a JSON string such as '\"result < 1\"'; found {config}"
                    )
                };
                done(plugin.evaluate(ABOUT, expression, value).await)
            }
        })
    }

    /// The next call: with the state that the last one returned, and the answers to its requests.
    pub fn go_on(&mut self, memory: Vec<u8>, answers: Vec<Answer>) {
        match self {
            Self::Analyzer(_, occasion) => (occasion.memory, occasion.answers) = (memory, answers),
            Self::Enricher(_, occasion) => (occasion.memory, occasion.answers) = (memory, answers),
            Self::Step(_, occasion) => (occasion.memory, occasion.answers) = (memory, answers),
            // Neither returns requests.
            Self::Strategy(..) | Self::Condition(..) => {}
        }
    }
}

fn done(answer: Result<impl serde::Serialize, CallError>) -> Result<Reply, CallError> {
    answer.map(|answer| Reply { answer: json!(answer), wanted: None })
}

fn wanted(requests: &[Request], memory: &[u8]) -> Wanted {
    Wanted { requests: requests.to_vec(), memory: memory.to_vec() }
}

/// The kind to call: the named one, or the only one.
///
/// # Errors
/// If the component does not have the kind, or has several and none is named.
pub fn kind(loaded: &Loaded, named: Option<Kind>) -> Result<Kind> {
    let kinds = loaded.kinds();
    let listed = || kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    match (named, kinds) {
        (Some(kind), kinds) if kinds.contains(&kind) => Ok(kind),
        (Some(kind), _) => {
            bail!("--kind {}: the component is {}; name that, or leave --kind out", kind.as_str(), listed())
        }
        (None, [kind]) => Ok(*kind),
        (None, _) => bail!("the component is of several kinds ({}); choose one with --kind", listed()),
    }
}

/// 4 pods; the new revision has none yet.
fn rollout() -> Rollout {
    let revision = |hash: &str, number, pods| Revision {
        hash: hash.to_owned(),
        number,
        desired: pods,
        created: pods,
        ready: pods,
        available: pods,
    };
    Rollout {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        replicas: PODS,
        max_weight: MAX_WEIGHT,
        stable: Some(revision("5d7c9b8f6", 1, PODS)),
        canary: revision("7f4b6d9c8", 2, 0),
        others: Vec::new(),
        facts: Vec::new(),
    }
}

fn situation(now: u64) -> Situation {
    Situation {
        rollout: rollout(),
        now,
        goal: Goal::Forward,
        step: 0,
        step_started_at: now,
        memory: Vec::new(),
        weight: 0,
        reached: false,
        paused: None,
        promoted: false,
        runs: Vec::new(),
        facts: Vec::new(),
    }
}

fn measurement(now: u64) -> analyzer::Occasion {
    analyzer::Occasion {
        call: analyzer::Call::Measure,
        rollout: Some(rollout()),
        run: "shop/web-7f4b6d9c8-2".to_owned(),
        metric: "errors".to_owned(),
        now,
        run_started_at: now,
        number: 1,
        last: false,
        memory: Vec::new(),
        answers: Vec::new(),
        facts: Vec::new(),
    }
}

fn event() -> enricher::Occasion {
    let event = json!({
        "context": {
            "specversion": "0.5.1", "id": "8f3f5a0e-6c1b-5d8a-9a53-0d5b7c1f2e11", "source": "/kulta",
            "type": "dev.cdevents.service.upgraded.0.3.0", "timestamp": "2026-01-01T00:00:00Z",
        },
        "subject": {
            "id": "shop/web",
            "content": { "environment": { "id": "production" }, "artifactId": "pkg:oci/web@sha256:0b1c" },
        },
    });
    enricher::Occasion {
        rollout: rollout(),
        event: event.to_string(),
        annotations: "{}".to_owned(),
        memory: Vec::new(),
        answers: Vec::new(),
    }
}

fn work(now: u64) -> step::Occasion {
    step::Occasion {
        rollout: rollout(),
        call: step::Call::Run,
        index: 1,
        now,
        memory: Vec::new(),
        answers: Vec::new(),
        facts: Vec::new(),
    }
}
