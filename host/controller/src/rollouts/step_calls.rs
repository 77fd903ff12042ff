//! Calls of step plugins. They are made beside the workers, so that a slow one delays no reconciliation.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use kulta_api::validation::joined;
use kulta_api::{FieldError, Rollout};
use kulta_core::decision::FailureClass;
use kulta_core::step_plugins::{Operation, StepAnswer, StepCall, StepOutcome};
use kulta_fetch::Secrets;
use kulta_wasm::fetch::{Answer, Request};
use kulta_wasm::step::{Action, Call, Fetching, Occasion, Outcome};
use kulta_wasm::{Kind, StepPlugin};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::clock::{self, Clock, millis};
use crate::key::Key;
use crate::local_state::LocalStates;
use crate::metrics::{Metrics, OK};
use crate::plugins::{
    CallFailure, ConfigCheck, ConfigChecks, ConfigErrors, HttpClient, Pin, PluginHandle, PluginRegistry, Reply,
    SessionError, errors_below,
};
use crate::queue::Queue;
use crate::wit_rollout::RolloutView;

/// Message of a call that panicked.
const PANICKED: &str = "the controller failed to call the step plugin: see its log";

/// Methods of requests that change nothing (RFC 9110, section 9.2.1).
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

type Failure = (FailureClass, String);

/// The requests that a call may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Its entry is stored: what it changes can be undone.
    All,
    /// Those that change nothing.
    Safe,
}

impl Allowed {
    fn includes(self, requests: &[Request]) -> bool {
        let is_safe = |request: &Request| SAFE_METHODS.iter().any(|safe| request.method.eq_ignore_ascii_case(safe));
        self == Self::All || requests.iter().all(is_safe)
    }
}

pub struct StepCalls {
    pub registry: Arc<PluginRegistry>,
    pub http: Arc<HttpClient>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub local: Arc<LocalStates>,
    pub checks: Arc<ConfigChecks>,
    /// Where a rollout is added once a call of it is answered.
    pub queue: Arc<Queue>,
    /// Calls under way; they are dropped with the controller.
    pub tasks: Mutex<JoinSet<()>>,
}

impl StepCalls {
    /// The errors that step plugins report in the configurations of a rollout's steps. Plugins of disabled steps are not called. A plugin
    /// that is unknown or fails reports nothing here: the rollout proceeds to its step, where the call fails and is reported.
    pub async fn check(&self, rollout: &Rollout) -> Vec<FieldError> {
        let steps = rollout.spec.strategy.canary.iter().flat_map(|canary| canary.steps.iter().enumerate());
        let mut errors = Vec::new();
        for (index, step) in steps {
            let Some(plugin) = step.plugin.as_ref().filter(|plugin| !plugin.disabled && !plugin.name.is_empty()) else {
                continue;
            };
            if self.registry.skips_steps(&plugin.name) {
                continue;
            }
            let Ok(handle) = self.registry.step(&plugin.name, None).await else { continue };
            let path = format!("spec.strategy.canary.steps[{index}].plugin");
            let checked = self.checked(&handle, &plugin.name, &plugin.configured()).await.unwrap_or_default();
            errors.extend(errors_below(&path, &checked));
        }
        errors
    }

    async fn checked(
        &self,
        handle: &PluginHandle<StepPlugin>,
        name: &str,
        config: &Value,
    ) -> Result<ConfigErrors, CallFailure> {
        self.checks.check(ConfigCheck { kind: Kind::Step, name, handle, config }, self.clock.now()).await
    }

    /// Makes a call of a rollout, unless one is under way: the rollout is reconciled once that one is answered. A call that panics is
    /// answered too: nobody would call again.
    pub fn make(self: &Arc<Self>, rollout: &Key, uid: &str, call: StepCall, allowed: Allowed) {
        let begun = self.local.change(uid, |state| state.step_calls.begin(call.id));
        if begun != Some(true) {
            return;
        }
        let (calls, key, uid) = (Arc::clone(self), rollout.clone(), uid.to_owned());
        let task = async move {
            let outcome = AssertUnwindSafe(calls.act(&call, allowed)).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!(rollout = %key, plugin = call.plugin, "a call of a step plugin panicked");
                StepOutcome::Errored { class: FailureClass::Host, message: PANICKED.to_owned() }
            });
            let answer = StepAnswer { id: call.id, outcome };
            calls.local.change(&uid, |state| state.step_calls.complete(answer));
            calls.queue.add(key);
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Never fails: what goes wrong is the call's outcome.
    async fn act(&self, call: &StepCall, allowed: Allowed) -> StepOutcome {
        let outcome = self.run(call, allowed).await;
        let class = outcome.as_ref().map_or_else(|(class, _)| class.label(), |_| OK);
        self.metrics.plugin_call(&call.plugin, class);
        outcome.unwrap_or_else(|(class, message)| StepOutcome::Errored { class, message })
    }

    async fn run(&self, call: &StepCall, allowed: Allowed) -> Result<StepOutcome, Failure> {
        let pin = call.pin.as_deref().and_then(Pin::read);
        let handle = self.registry.step(&call.plugin, pin.as_ref()).await;
        let handle = handle.map_err(|error| (error.class(), error.to_string()))?;
        // A plugin that cannot say whether it takes the configuration is not called with it.
        let checked = self.checked(&handle, &call.plugin, &call.config).await;
        let errors = checked.map_err(|error| (error.class(), format!("check-config: {error}")))?;
        if !errors.is_empty() {
            return Err((FailureClass::InvalidConfig, joined(&errors_below("plugin", &errors))));
        }
        let config = handle.policy.configured(&call.config).to_string();
        let secrets = Secrets::new();
        let session = self.http.session(&handle.policy, &secrets).await;
        let mut session = session.map_err(|why| (FailureClass::Unavailable, why))?;
        let action = session.run(call.memory.clone(), async |memory, answers| {
            let occasion = self.occasion(call, memory, answers);
            let action = handle.with_breaker(self.clock.now(), handle.plugin.act(&config, &occasion)).await?;
            Ok(match action {
                Action::Fetch(Fetching { requests, memory }) if allowed.includes(&requests) => {
                    Reply::Fetch { requests, memory }
                }
                action => Reply::Done(action),
            })
        });
        outcome(action.await.map_err(|error: SessionError| (error.class(), error.to_string()))?)
    }

    fn occasion(&self, call: &StepCall, memory: Vec<u8>, answers: Vec<Answer>) -> Occasion {
        Occasion {
            rollout: RolloutView::from(&call.situation).to_wit(),
            call: match call.id.operation {
                Operation::Run => Call::Run,
                Operation::Terminate => Call::Terminate,
                Operation::Abort => Call::Abort,
            },
            index: u32::try_from(call.id.index).unwrap_or(0),
            now: millis(self.clock.now()),
            memory,
            answers,
            facts: Vec::new(),
        }
    }
}

/// What the last answer of a call means. Requests are among the last answers only if they are not allowed yet.
fn outcome(action: Action) -> Result<StepOutcome, Failure> {
    Ok(match action {
        Action::Fetch(_) => StepOutcome::NotStored,
        Action::Wait(waiting) => {
            let until = clock::instant(waiting.until)
                .ok_or_else(|| (FailureClass::BadAnswer, "it waits for no instant".to_owned()))?;
            StepOutcome::Waiting { until, reason: waiting.reason, memory: waiting.memory }
        }
        Action::Finished(finished) => {
            let (reason, memory) = (finished.reason, finished.memory);
            match finished.outcome {
                Outcome::Successful => StepOutcome::Successful { reason, memory },
                Outcome::Failed(why) if reason.is_empty() => StepOutcome::Failed { reason: why, memory },
                Outcome::Failed(_) => StepOutcome::Failed { reason, memory },
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use kulta_wasm::fetch::Auth;

    use super::*;

    fn request(method: &str) -> Request {
        Request {
            method: method.to_owned(),
            url: "http://gate".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            auth: Auth::None,
            timeout: 0,
            skip_tls_verify: false,
            options: Vec::new(),
        }
    }

    #[test]
    fn until_its_entry_is_stored_a_call_makes_only_requests_that_change_nothing() {
        let made = |methods: &[&str]| {
            let requests: Vec<_> = methods.iter().map(|method| request(method)).collect();
            [Allowed::Safe, Allowed::All].map(|allowed| allowed.includes(&requests))
        };

        assert_eq!(made(&["GET", "HEAD", "OPTIONS"]), [true, true]);
        for unsafe_method in ["POST", "PUT", "PATCH", "DELETE", "BREW", ""] {
            assert_eq!(made(&["GET", unsafe_method]), [false, true], "{unsafe_method}");
        }
    }
}
