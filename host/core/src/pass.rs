//! One look at a rollout, from what is seen to what is to be done.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::validation::FieldError;
use kulta_api::{KultaStatus, Outcome, Rollout, RolloutStatus};
use serde_json::Value;

use crate::blocked::{self, Blocked, Faults};
use crate::course::Course;
use crate::decision::{Decision, PauseCause, Situation, StrategyFailure, Waiting};
use crate::identity::{self, Identity};
use crate::observed::Observed;
use crate::plan::{Action, KubeEvent, Need, Plan, Write};
use crate::replica_set::{self, Blueprint};
use crate::runs::{Ending, Stop};
use crate::scene::{Scene, StrategyChoice};
use crate::status;
use crate::step_plugins::StepCall;
use crate::traffic::Obstacle;
use crate::transition::Transition;
use crate::workload::Notes;
use crate::{hash, tell, time};

/// There is no update to judge.
const NOT_WANTED: Ending = Ending { outcome: Outcome::Cancel, why: "no longer wanted" };
/// A person, or the rollback window, skipped what is left.
const SKIPPED: Ending = Ending { outcome: Outcome::Cancel, why: "skipped" };

/// A pass either needs the strategy's answer or is done.
#[derive(Debug)]
pub enum Turn {
    Ask(Box<Ask>),
    Done(Box<Plan>),
}

/// A question to the strategy, and the pass that waits for the answer.
#[derive(Debug)]
pub struct Ask {
    /// Name of the plugin that decides.
    pub plugin: String,
    pub config: Value,
    /// What the revision began with: see [`crate::pins`].
    pub pin: Option<String>,
    pub situation: Situation,
    pub(crate) pass: Pass,
}

impl Ask {
    /// Goes on with the strategy's answer.
    #[must_use]
    pub fn answer(self: Box<Self>, answer: Result<Decision, StrategyFailure>) -> Turn {
        let Self { situation, pass, .. } = *self;
        match answer {
            Ok(decision) => pass.decided(situation, decision),
            Err(failure) => pass.undecided(&failure),
        }
    }
}

/// The state of a pass: what was seen, and what has come of it so far.
#[derive(Debug)]
pub(crate) struct Pass {
    pub scene: Scene,
    /// The status as it was read.
    pub before: RolloutStatus,
    pub status: RolloutStatus,
    pub kulta: KultaStatus,
    pub events: Vec<KubeEvent>,
    pub transitions: Vec<Transition>,
    pub writes: Vec<Write>,
    pub wake_up: Option<Timestamp>,
    pub need: Option<Need>,
    /// The spec cannot be followed.
    pub blocked: Option<Blocked>,
    /// What the revision waits for, when it waits.
    pub waiting: Option<Waiting>,
    /// Steps that have passed in this very pass.
    pub steps_passed: u32,
    /// The step whose target is in place, and the target's weight.
    pub in_place: Option<(u32, u32)>,
    pub strategy_failure: Option<StrategyFailure>,
    /// A plugin other than the strategy stops the rollout.
    pub trouble: Option<PluginTrouble>,
    /// Step plugins are being loaded: they are asked a little later.
    pub step_plugins_loading: bool,
    /// The call of a step plugin that is due.
    pub step_call: Option<StepCall>,
    /// Work that was begun in this very pass has its first answer: the strategy has not heard of it.
    pub step_answered: bool,
    /// An answer that the next look records.
    pub step_answer_kept: bool,
    /// Somebody else writes our weights, or the API server refuses them.
    pub contested: Option<Obstacle>,
    /// Annotations to write with the next patch of a ReplicaSet.
    pub notes: Notes,
    /// Writes that the API server has refused before: they come last, so that they do not keep the rest from being written.
    pub refused: Vec<Write>,
    pub reason: String,
}

/// A plugin, and why it gave no usable answer.
#[derive(Clone, Debug)]
pub(crate) struct PluginTrouble {
    /// Its kind and name.
    pub who: String,
    pub failure: StrategyFailure,
}

/// Begins a pass. `now` is the wall clock. What is observed may be shared, so that asking for more costs no copy of it.
#[must_use]
pub fn begin(observed: impl Into<Arc<Observed>>, now: Timestamp) -> Turn {
    start(observed.into(), now)
}

fn start(observed: Arc<Observed>, now: Timestamp) -> Turn {
    let rollout = &observed.rollout;
    let faults = Faults::of(&observed);
    let chosen = rollout.spec.strategy.fields().cloned().zip(StrategyChoice::of(&rollout.spec.strategy));
    let (fields, strategy) = match chosen {
        Some(chosen) if faults.is_empty() => chosen,
        _ => return blocked::begin(observed, &faults, now),
    };
    if rollout.spec.replicas.is_none() {
        return Turn::Done(Box::new(default_replicas()));
    }
    let before = rollout.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let mut kulta = status.kulta.take().unwrap_or_default();
    let new = match identity::identify(&observed) {
        Identity::Known(replica_set) => (replica_set.hash().to_owned(), Some(replica_set)),
        Identity::New { hash, collisions } => {
            identity::count_collisions(&rollout.spec.template, &hash, collisions, &mut status, &mut kulta);
            (hash, None)
        }
        Identity::Refused { hash, .. } => (hash, None),
        Identity::Unclear => return Turn::Done(Box::new(need_defaults(rollout))),
    };
    let scene = Scene::set(observed, fields, strategy, new, &status, now);
    let mut pass = Pass { status, kulta, ..Pass::new(scene, before) };
    let metadata = &pass.scene.observed.rollout.metadata;
    pass.events.extend(tell::added_event(
        &pass.before,
        &tell::full_name(metadata.namespace.as_deref(), metadata.name.as_deref()),
        metadata.uid.as_deref().unwrap_or_default(),
        now,
    ));
    pass.warn();
    pass.observe_step_plugins();
    pass.settle_revision();
    pass.settle_verbs();
    pass.settle_pins();
    pass.observe_runs();
    pass.go_on()
}

/// The plan for an object that could not be decoded: a condition that names the field, and nothing else is touched.
/// `object` is the Rollout as JSON.
#[must_use]
pub fn undecodable(object: &Value, error: &FieldError, now: Timestamp) -> Plan {
    status::undecodable(object, error, now)
}

/// A HorizontalPodAutoscaler reads `spec.replicas`, so the default is written down (`reference/argo-rollouts.md` section 1.1).
fn default_replicas() -> Plan {
    let patch = serde_json::json!({ "spec": { "replicas": kulta_api::rollout::DEFAULT_REPLICAS } });
    Plan {
        writes: vec![Write { action: Action::PatchRollout { patch }, events: Vec::new() }],
        reason: "spec.replicas is absent: writing the default".to_owned(),
        ..Plan::default()
    }
}

/// Asks for the template as the API server would store it.
fn need_defaults(rollout: &Rollout) -> Plan {
    let hash = hash::revision_hash(&rollout.spec.template.0, 0);
    let mut body = replica_set::body(&Blueprint { rollout, hash: &hash, revision: 0, replicas: 0, stable: None });
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        // Whoever holds the name must not keep the server from answering.
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), format!("{hash}-").into());
    }
    Plan {
        need: Some(Need::DefaultedTemplate { body }),
        reason: "comparing the template with ReplicaSets that another controller made".to_owned(),
        ..Plan::default()
    }
}

impl Pass {
    /// Nothing has come of it yet. `before` is the status as it was read.
    pub fn new(scene: Scene, before: RolloutStatus) -> Self {
        let mut status = before.clone();
        let kulta = status.kulta.take().unwrap_or_default();
        Self {
            scene,
            before,
            status,
            kulta,
            events: Vec::new(),
            transitions: Vec::new(),
            writes: Vec::new(),
            wake_up: None,
            need: None,
            blocked: None,
            waiting: None,
            steps_passed: 0,
            in_place: None,
            strategy_failure: None,
            trouble: None,
            step_plugins_loading: false,
            step_call: None,
            step_answered: false,
            step_answer_kept: false,
            contested: None,
            notes: Notes::new(),
            refused: Vec::new(),
            reason: String::new(),
        }
    }

    /// Takes the course that the status calls for.
    pub fn go_on(mut self) -> Turn {
        let course = self.course();
        match (course, self.background_stop()) {
            (Course::Held | Course::Full, Some(Stop::Abort(why))) if !self.skips_analysis() => {
                self.abort_by_analysis(&why);
                return self.go_on();
            }
            (Course::Full, Some(Stop::Pause)) if !self.skips_analysis() => {
                self.pause(PauseCause::Analysis, None);
                self.hold();
                return self.done();
            }
            _ => {}
        }
        match course {
            Course::First | Course::Steady => {
                self.drop_runs(NOT_WANTED);
                self.end_step_plugins();
                if course == Course::First { self.first_deploy() } else { self.steady() }
            }
            Course::StableGone => {
                self.drop_unfinished_runs(NOT_WANTED);
                self.end_step_plugins();
                self.take_over();
            }
            Course::Held => self.hold(),
            Course::Full => {
                self.end_step_plugins();
                if self.skips_analysis() {
                    self.drop_runs(SKIPPED);
                } else {
                    self.want_background();
                    self.went_on();
                }
                self.promote_fully();
            }
            Course::Aborted if self.scene.traffic.as_ref().is_some_and(|traffic| traffic.shape.dynamic_stable) => {
                return self.ask_to_restore();
            }
            Course::Aborted => self.restore(0),
            Course::Forward => return self.ask(false),
        }
        self.done()
    }

    /// Everything is decided: the plan.
    pub fn done(self) -> Turn {
        Turn::Done(Box::new(status::conclude(self)))
    }

    pub fn wake(&mut self, at: Timestamp) {
        self.wake_up = time::earlier(self.wake_up, Some(at));
    }
}
