//! Puts core's questions to the strategy plugins, and their answers back into core's words.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use kulta_api::FieldError;
use kulta_core::decision as core;
use kulta_wasm::strategy as wasm;
use kulta_wasm::{CheckError, FailureClass, LookupError, Plugins};
use serde_json::Value;

use crate::metrics::{Metrics, Text};

/// Where a plugin strategy's configuration is in a Rollout.
const NAME_PATH: &str = "spec.strategy.plugin.name";
const CONFIG_PATH: &str = "spec.strategy.plugin.config";

/// Who answers; the embedded plugins in production.
#[async_trait]
pub trait Strategies: Send + Sync + 'static {
    /// What is wrong with a plugin strategy's name or configuration.
    async fn check(&self, plugin: &str, config: &Value) -> Vec<FieldError>;

    async fn decide(
        &self,
        plugin: &str,
        config: &str,
        situation: &core::Situation,
    ) -> Result<core::Decision, core::StrategyFailure>;
}

pub struct PluginStrategies {
    pub plugins: Arc<Plugins>,
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl Strategies for PluginStrategies {
    async fn check(&self, plugin: &str, config: &Value) -> Vec<FieldError> {
        let found = match self.plugins.strategy(plugin).await {
            Ok(found) => found,
            Err(error @ LookupError::Unknown { .. }) => {
                return vec![FieldError { path: NAME_PATH.to_owned(), message: error.to_string() }];
            }
            // The decision fails in the same way, and is told with its class.
            Err(LookupError::Load { .. }) => return Vec::new(),
        };
        match found.check_config(config).await {
            Ok(()) | Err(CheckError::Call(_)) => Vec::new(),
            Err(CheckError::Invalid(errors)) => errors
                .into_iter()
                .map(|error| FieldError { path: config_path(&error.path), message: error.message })
                .collect(),
        }
    }

    async fn decide(
        &self,
        plugin: &str,
        config: &str,
        situation: &core::Situation,
    ) -> Result<core::Decision, core::StrategyFailure> {
        let found = match self.plugins.strategy(plugin).await {
            Ok(found) => found,
            Err(error) => return Err(self.failed(plugin, error.class(), error.to_string())),
        };
        let asked = question(situation);
        let answer = found.decide(config, &asked).await;
        match answer {
            Ok(decision) => match understood(decision) {
                Ok(decision) => {
                    self.metrics.plugin_call(Text(plugin.to_owned().into()), "ok".into());
                    Ok(decision)
                }
                Err(unserved) => {
                    self.metrics.plugin_call(Text(plugin.to_owned().into()), UNSERVED.into());
                    Err(core::StrategyFailure {
                        class: UNSERVED.to_owned(),
                        message: format!("strategy plugin {plugin:?} asks for {unserved}, which this version does not serve"),
                        permanent: true,
                    })
                }
            },
            Err(error) => Err(self.failed(plugin, error.class(), format!("strategy plugin {plugin:?}: {error}"))),
        }
    }
}

/// Failure class of an answer that asks for what this build does not have.
const UNSERVED: &str = "unserved";

impl PluginStrategies {
    fn failed(&self, plugin: &str, class: FailureClass, message: String) -> core::StrategyFailure {
        // A name that nobody serves came from a user: no label value.
        let label = if class == FailureClass::Unknown { Text::from("unknown") } else { Text(plugin.to_owned().into()) };
        self.metrics.plugin_call(label, class.as_str().into());
        let permanent = matches!(class, FailureClass::Unknown | FailureClass::Refused | FailureClass::InvalidConfig);
        core::StrategyFailure { class: class.as_str().to_owned(), message, permanent }
    }
}

fn config_path(path: &str) -> String {
    match path {
        "" => CONFIG_PATH.to_owned(),
        path if path.starts_with('[') => format!("{CONFIG_PATH}{path}"),
        path => format!("{CONFIG_PATH}.{path}"),
    }
}

fn question(situation: &core::Situation) -> wasm::Situation {
    wasm::Situation {
        rollout: wasm::Rollout {
            namespace: situation.namespace.clone(),
            name: situation.name.clone(),
            replicas: situation.replicas,
            max_weight: situation.max_weight,
            stable: situation.stable.as_ref().map(revision),
            canary: revision(&situation.canary),
            others: situation.others.iter().map(revision).collect(),
            facts: Vec::new(),
        },
        now: millis(situation.now),
        goal: match situation.goal {
            core::Goal::Forward => wasm::Goal::Forward,
            core::Goal::Restore => wasm::Goal::Restore,
        },
        step: situation.step,
        step_started_at: millis(situation.step_started_at),
        memory: situation.memory.clone(),
        weight: situation.weight,
        reached: situation.reached,
        paused: situation.paused.map(|(cause, since)| {
            let cause = match cause {
                core::PauseCause::Step => wasm::PauseCause::Step,
                core::PauseCause::Analysis => wasm::PauseCause::Analysis,
                core::PauseCause::Experiment => wasm::PauseCause::Experiment,
            };
            (cause, millis(since))
        }),
        promoted: situation.promoted,
        runs: Vec::new(),
        facts: Vec::new(),
    }
}

fn revision(revision: &core::Revision) -> wasm::Revision {
    wasm::Revision {
        hash: revision.hash.clone(),
        number: revision.number,
        desired: revision.desired,
        created: revision.created,
        ready: revision.ready,
        available: revision.available,
    }
}

/// Unix milliseconds; times before 1970 count as its beginning.
fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

/// Rounded up to what can be written down: an instant beyond the calendar is its end.
fn timestamp(millis: u64) -> Timestamp {
    i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or(Timestamp::MAX)
}

/// What the plugin said, or the name of what it asks for in vain.
fn understood(decision: wasm::Decision) -> Result<core::Decision, &'static str> {
    if !decision.routes.is_empty() {
        return Err("header or mirror routes");
    }
    if !decision.runs.is_empty() {
        return Err("analysis, experiment or step plugin runs");
    }
    if !decision.additional.is_empty() {
        return Err("traffic for further revisions");
    }
    Ok(core::Decision {
        step: decision.step,
        steps: decision.steps,
        memory: decision.memory,
        weight: decision.weight,
        canary: scale(decision.canary),
        next: next(decision.next),
        reason: decision.reason,
    })
}

fn scale(scale: wasm::Scale) -> core::Scale {
    match scale {
        wasm::Scale::FollowWeight => core::Scale::FollowWeight,
        wasm::Scale::Weight(weight) => core::Scale::Weight(weight),
        wasm::Scale::Replicas(replicas) => core::Scale::Replicas(replicas),
    }
}

fn next(next: wasm::Next) -> core::Next {
    match next {
        wasm::Next::Hold(waiting) => core::Next::Hold(match waiting {
            wasm::Waiting::Pods => core::Waiting::Pods,
            wasm::Waiting::Routes => core::Waiting::Routes,
            wasm::Waiting::Runs => core::Waiting::Runs,
            wasm::Waiting::Other => core::Waiting::Other,
        }),
        wasm::Next::Until(at) => core::Next::Until(timestamp(at)),
        wasm::Next::Pause(pause) => core::Next::Pause {
            cause: match pause.cause {
                wasm::PauseCause::Step => core::PauseCause::Step,
                wasm::PauseCause::Analysis => core::PauseCause::Analysis,
                wasm::PauseCause::Experiment => core::PauseCause::Experiment,
            },
            until: pause.until.map(timestamp),
        },
        wasm::Next::Promote => core::Next::Promote,
        wasm::Next::Abort(failure) => core::Next::Abort {
            kind: match failure.kind {
                wasm::FailureKind::Analysis => kulta_api::FailureKind::Analysis,
                wasm::FailureKind::Gate => kulta_api::FailureKind::Gate,
                wasm::FailureKind::Deployment => kulta_api::FailureKind::Deployment,
                wasm::FailureKind::Evaluation => kulta_api::FailureKind::Evaluation,
            },
            reason: failure.reason,
        },
    }
}
