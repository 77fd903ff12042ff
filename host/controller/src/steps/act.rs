//! One call of a step plugin: it is asked, the requests that it wants are made, and it is asked again with the answers.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use kulta_api::{FieldError, Rollout};
use kulta_core::decision::FailureClass;
use kulta_core::step_plugins::{Operation, StepAnswer, StepCall, StepOutcome};
use kulta_fetch::Secrets;
use kulta_wasm::Kind;
use kulta_wasm::step::{Action, Call, Occasion, Outcome};
use tokio::task::JoinSet;

use crate::apply::Target;
use crate::clock::{self, Clock, millis};
use crate::memory::Memory;
use crate::metrics::{Metrics, OK};
use crate::plugins::{Catalog, Checks, Errands, MOST_ROUNDS, Pin};
use crate::queue::Queue;
use crate::strategies::rollout_to_wit;

/// Message of a call whose program broke down.
const PANICKED: &str = "the controller failed to call the step plugin: see its log";

type Failure = (FailureClass, String);

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

    /// What is wrong with the step plugins that a rollout names; those of disabled steps are not asked.
    pub async fn check(&self, rollout: &Rollout) -> Vec<FieldError> {
        let steps = rollout.spec.strategy.canary.iter().flat_map(|canary| canary.steps.iter().enumerate());
        let mut errors = Vec::new();
        for (index, step) in steps {
            let Some(plugin) = step.plugin.as_ref().filter(|plugin| !plugin.disabled && !plugin.name.is_empty()) else {
                continue;
            };
            let choice = self.catalog.step(&plugin.name, None).await;
            let path = format!("spec.strategy.canary.steps[{index}].plugin");
            errors.extend(self.checks.check(Kind::Step, &plugin.name, choice, &plugin.configured(), &path).await);
        }
        errors
    }

    /// Makes a call, unless one of that rollout is under way: it is looked at again once that one has landed. A call that panics lands
    /// too: nobody would ask again.
    pub fn make(self: &Arc<Self>, queue: &Arc<Queue>, target: &Target, call: StepCall) {
        let begun = self.memory.note(&target.uid, |notes| notes.steps.begin(call.id));
        if begun != Some(true) {
            return;
        }
        let (steps, queue, key, uid) = (Arc::clone(self), Arc::clone(queue), target.key.clone(), target.uid.clone());
        let task = async move {
            let outcome = AssertUnwindSafe(steps.act(&call)).catch_unwind().await.unwrap_or_else(|_| {
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
    async fn act(&self, call: &StepCall) -> StepOutcome {
        let outcome = self.rounds(call).await;
        let class = outcome.as_ref().map_or_else(|(class, _)| class.label(), |_| OK);
        self.metrics.plugin_call(&call.plugin, class);
        outcome.unwrap_or_else(|(class, message)| StepOutcome::Errored { class, message })
    }

    async fn rounds(&self, call: &StepCall) -> Result<StepOutcome, Failure> {
        let pin = call.pin.as_deref().and_then(Pin::read);
        let choice = self.catalog.step(&call.plugin, pin.as_ref()).await;
        let choice = choice.map_err(|error| (error.class(), error.to_string()))?;
        let config = choice.terms.configured(&call.config).to_string();
        let secrets = Secrets::new();
        let errand = self.errands.begin(&choice.terms, &secrets).await;
        let mut errand = errand.map_err(|why| (FailureClass::Unavailable, why))?;
        let mut occasion = self.occasion(call);
        for _ in 0..MOST_ROUNDS {
            occasion.now = millis(self.clock.now());
            let answer = choice.guarded(self.clock.now(), choice.plugin.act(&config, &occasion)).await;
            match answer.map_err(|error| (error.class(), error.to_string()))? {
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
