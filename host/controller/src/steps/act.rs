//! One call of a step plugin: it is asked, the requests that it wants are made, and it is asked again with the answers.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use kulta_api::validation::joined;
use kulta_api::{FieldError, Rollout};
use kulta_core::decision::FailureClass;
use kulta_core::step_plugins::{Operation, StepAnswer, StepCall, StepOutcome};
use kulta_fetch::Secrets;
use kulta_wasm::fetch::Request;
use kulta_wasm::step::{Action, Call, Occasion, Outcome};
use kulta_wasm::{Kind, StepPlugin};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::apply::Target;
use crate::clock::{self, Clock, millis};
use crate::memory::Memory;
use crate::metrics::{Metrics, OK};
use crate::plugins::{CallFailure, Catalog, Checks, Choice, Errands, MOST_ROUNDS, Pin};
use crate::queue::Queue;
use crate::strategies::rollout_to_wit;

/// Message of a call whose program broke down.
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

pub struct Steps {
    catalog: Arc<Catalog>,
    errands: Arc<Errands>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    memory: Arc<Memory>,
    checks: Checks,
    /// Calls under way; given up when the controller is.
    tasks: Mutex<JoinSet<()>>,
}

impl Steps {
    #[must_use]
    pub fn new(
        catalog: Arc<Catalog>,
        errands: Arc<Errands>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        memory: Arc<Memory>,
    ) -> Self {
        Self { catalog, errands, metrics, clock, memory, checks: Checks::default(), tasks: Mutex::default() }
    }

    /// What step plugins find wrong with the configurations that a rollout's steps hold; those of disabled steps are not asked. One that
    /// is unknown, or fails to answer, finds nothing: the rollout gets as far as its step, and the call there tells.
    pub async fn check(&self, rollout: &Rollout) -> Vec<FieldError> {
        let steps = rollout.spec.strategy.canary.iter().flat_map(|canary| canary.steps.iter().enumerate());
        let mut errors = Vec::new();
        for (index, step) in steps {
            let Some(plugin) = step.plugin.as_ref().filter(|plugin| !plugin.disabled && !plugin.name.is_empty()) else {
                continue;
            };
            if self.catalog.skips_steps(&plugin.name) {
                continue;
            }
            let Ok(choice) = self.catalog.step(&plugin.name, None).await else { continue };
            let path = format!("spec.strategy.canary.steps[{index}].plugin");
            errors.extend(self.checked(&choice, &plugin.name, &plugin.configured(), &path).await.unwrap_or_default());
        }
        errors
    }

    async fn checked(
        &self,
        choice: &Choice<StepPlugin>,
        name: &str,
        config: &Value,
        path: &str,
    ) -> Result<Vec<FieldError>, CallFailure> {
        self.checks.check(Kind::Step, name, choice, config, path, self.clock.now()).await
    }

    /// Makes a call, unless one of that rollout is under way: it is looked at again once that one has landed. A call that panics lands
    /// too: nobody would ask again.
    pub fn make(self: &Arc<Self>, queue: &Arc<Queue>, target: &Target, call: StepCall, allowed: Allowed) {
        let begun = self.memory.note(&target.uid, |notes| notes.steps.begin(call.id));
        if begun != Some(true) {
            return;
        }
        let (steps, queue, key, uid) = (Arc::clone(self), Arc::clone(queue), target.key.clone(), target.uid.clone());
        let task = async move {
            let outcome = AssertUnwindSafe(steps.act(&call, allowed)).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!(rollout = %key, plugin = call.plugin, "a call of a step plugin panicked");
                StepOutcome::Errored { class: FailureClass::Host, message: PANICKED.to_owned() }
            });
            let answer = StepAnswer { id: call.id, outcome };
            steps.memory.note(&uid, |notes| notes.steps.land(answer));
            queue.add(key);
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Never fails: what goes wrong is the call's outcome.
    async fn act(&self, call: &StepCall, allowed: Allowed) -> StepOutcome {
        let outcome = self.rounds(call, allowed).await;
        let class = outcome.as_ref().map_or_else(|(class, _)| class.label(), |_| OK);
        self.metrics.plugin_call(&call.plugin, class);
        outcome.unwrap_or_else(|(class, message)| StepOutcome::Errored { class, message })
    }

    async fn rounds(&self, call: &StepCall, allowed: Allowed) -> Result<StepOutcome, Failure> {
        let pin = call.pin.as_deref().and_then(Pin::read);
        let choice = self.catalog.step(&call.plugin, pin.as_ref()).await;
        let choice = choice.map_err(|error| (error.class(), error.to_string()))?;
        // A plugin that cannot say whether it takes the configuration is not called with it.
        let checked = self.checked(&choice, &call.plugin, &call.config, "plugin").await;
        let faults = checked.map_err(|error| (error.class(), format!("check-config: {error}")))?;
        if !faults.is_empty() {
            return Err((FailureClass::InvalidConfig, joined(&faults)));
        }
        let config = choice.terms.configured(&call.config).to_string();
        let secrets = Secrets::new();
        let errand = self.errands.begin(&choice.terms, &secrets).await;
        let mut errand = errand.map_err(|why| (FailureClass::Unavailable, why))?;
        let mut occasion = self.occasion(call);
        for _ in 0..MOST_ROUNDS {
            occasion.now = millis(self.clock.now());
            let answer = choice.guarded(self.clock.now(), choice.plugin.act(&config, &occasion)).await;
            match answer.map_err(|error| (error.class(), error.to_string()))? {
                Action::Fetch(fetching) if !allowed.includes(&fetching.requests) => return Ok(StepOutcome::NotStored),
                Action::Fetch(fetching) => {
                    let answers = errand.run(fetching.requests).await;
                    occasion.answers = answers.map_err(|why| (FailureClass::BadAnswer, why))?;
                    occasion.memory = fetching.memory;
                }
                Action::Wait(waiting) => {
                    let until = clock::instant(waiting.until)
                        .ok_or_else(|| (FailureClass::BadAnswer, "it waits for no instant".to_owned()))?;
                    return Ok(StepOutcome::Waiting { until, reason: waiting.reason, memory: waiting.memory });
                }
                Action::Finished(finished) => {
                    let (reason, memory) = (finished.reason, finished.memory);
                    return Ok(match finished.outcome {
                        Outcome::Successful => StepOutcome::Successful { reason, memory },
                        Outcome::Failed(why) if reason.is_empty() => StepOutcome::Failed { reason: why, memory },
                        Outcome::Failed(_) => StepOutcome::Failed { reason, memory },
                    });
                }
            }
        }
        Err((FailureClass::Endless, format!("it asked for requests {MOST_ROUNDS} times and came to no end")))
    }

    fn occasion(&self, call: &StepCall) -> Occasion {
        Occasion {
            rollout: rollout_to_wit(&call.situation),
            call: match call.id.operation {
                Operation::Run => Call::Run,
                Operation::Terminate => Call::Terminate,
                Operation::Abort => Call::Abort,
            },
            index: u32::try_from(call.id.index).unwrap_or(0),
            now: millis(self.clock.now()),
            memory: call.memory.clone(),
            answers: Vec::new(),
            facts: Vec::new(),
        }
    }
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
