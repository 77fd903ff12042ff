//! A rollout under way whose spec is invalid or whose references are broken: it goes no step further and begins nothing, but what serves
//! is kept serving, and an abort restores stable (design section 1, "What the host enforces whatever anybody says").

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::conditions::{self, ConditionType};
use kulta_api::validation::{self, FieldError};
use kulta_api::{Rollout, RolloutStatus};

use crate::course::Course;
use crate::identity::{self, Identity};
use crate::observed::Observed;
use crate::pass::{Pass, Turn};
use crate::reference;
use crate::runs::Stop;
use crate::scene::{Scene, StrategyChoice};
use crate::status;

/// Members of the strategy that say where traffic goes.
const TRAFFIC_FIELDS: [&str; 3] = ["trafficRouting", "canaryService", "stableService"];

/// What keeps the spec from being followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// The spec breaks rules.
    pub invalid: Vec<FieldError>,
    /// What the spec refers to is missing, or somebody else's.
    pub broken: Vec<FieldError>,
}

impl Faults {
    pub fn of(observed: &Observed) -> Self {
        let invalid = validation::validate(&observed.rollout).err().unwrap_or_default();
        let broken = reference::check(observed);
        Self { invalid, broken }
    }

    pub fn is_empty(&self) -> bool {
        self.invalid.is_empty() && self.broken.is_empty()
    }

    /// All of them, in the order of the fields.
    pub fn all(&self) -> Vec<FieldError> {
        self.invalid.iter().chain(&self.broken).cloned().collect()
    }
}

/// A rollout that is blocked.
#[derive(Clone, Debug)]
pub(crate) struct Blocked {
    pub errors: Vec<FieldError>,
    /// The spec does not say where this rollout's traffic is, or names Services that are another rollout's: no weight can be moved, so
    /// no pod that may serve can go.
    pub traffic_unknown: bool,
}

/// Begins a pass of a rollout with faults. Without a stable revision there is nothing to keep or to restore.
pub(crate) fn begin(observed: Arc<Observed>, faults: &Faults, now: Timestamp) -> Turn {
    let before = observed.rollout.status.clone().unwrap_or_default();
    if before.stable_rs.is_empty() || before.current_pod_hash.is_empty() {
        return Turn::Done(Box::new(status::invalid(&observed, &faults.all(), now)));
    }
    let blocked = Blocked { errors: faults.all(), traffic_unknown: traffic_unknown(&observed, faults, &before) };
    let mut observed = Arc::unwrap_or_clone(observed);
    observed.rollout.spec.replicas = Some(replicas(&observed, &before));
    let rolled_back = match identity::identify(&observed) {
        Identity::Known(known) => known.hash() == before.stable_rs,
        Identity::New { .. } | Identity::Unclear | Identity::Refused { .. } => false,
    };
    // A template that is not stable's is another revision, which begins once the faults are gone.
    let hash = if rolled_back { before.stable_rs.clone() } else { before.current_pod_hash.clone() };
    let new = identity::by_hash(&observed.replica_sets, &hash);
    let strategy = &observed.rollout.spec.strategy;
    let fields = strategy.fields().cloned().unwrap_or_default();
    let choice = StrategyChoice::of(strategy).unwrap_or_else(StrategyChoice::none);
    let mut scene = Scene::set(Arc::new(observed), fields, choice, (hash, new), &before, now);
    if blocked.traffic_unknown {
        scene.traffic = None;
    }
    let mut pass = Pass::new(scene, before);
    pass.blocked = Some(blocked);
    pass.observe_step_plugins();
    if rolled_back {
        pass.settle_revision();
    }
    pass.settle_abort();
    pass.observe_runs();
    if let Some(Stop::Abort(why)) = pass.background_stop()
        && pass.course() != Course::Aborted
        && !pass.scene.is_stable(&pass.status)
    {
        pass.abort_by_analysis(&why);
    }
    pass.keep_serving();
    pass.done()
}

/// Pods wanted by a spec that says so; else as many as stable was last scaled for.
fn replicas(observed: &Observed, status: &RolloutStatus) -> i32 {
    let written = observed.rollout.spec.replicas.filter(|replicas| *replicas >= 0);
    written.unwrap_or_else(|| {
        let stable = identity::by_hash(&observed.replica_sets, &status.stable_rs);
        let last = stable.map_or(0, |stable| stable.desired_replicas().unwrap_or(stable.replicas));
        i32::try_from(last).unwrap_or(i32::MAX)
    })
}

fn traffic_unknown(observed: &Observed, faults: &Faults, status: &RolloutStatus) -> bool {
    let path = reference::strategy_path(&observed.rollout);
    let about_traffic = |error: &FieldError| {
        let field = error.path.strip_prefix(path).and_then(|field| field.strip_prefix('.'));
        field.is_some_and(|field| TRAFFIC_FIELDS.iter().any(|about| field.starts_with(about)))
    };
    faults.invalid.iter().any(about_traffic)
        || !reference::misfits(observed).is_empty()
        || (!is_routed(&observed.rollout) && was_routed(status))
}

fn is_routed(rollout: &Rollout) -> bool {
    rollout.spec.strategy.fields().is_some_and(|fields| fields.traffic_routing.is_some())
}

/// Routes that the spec no longer names gave the canary traffic.
fn was_routed(status: &RolloutStatus) -> bool {
    status.canary.weights.as_ref().is_some_and(|weights| weights.canary.weight > 0)
}

impl Pass {
    /// The spec could not be followed when the rollout was last reconciled.
    pub fn was_blocked(&self) -> bool {
        conditions::find(&self.before.conditions, ConditionType::InvalidSpec).is_some()
    }

    /// An abort that a user asks for. Other verbs wait until the faults are gone, and a stable rollout has nothing to abort.
    fn settle_abort(&mut self) {
        if self.scene.is_stable(&self.status) {
            self.settle_verbs();
        } else if self.status.abort && self.status.aborted_at.is_none() {
            self.begin_abort(None);
        }
    }

    fn keep_serving(&mut self) {
        if self.blocked.as_ref().is_some_and(|blocked| blocked.traffic_unknown) {
            self.keep_pods();
            return;
        }
        match self.course() {
            Course::Steady => self.steady(),
            Course::StableGone => self.take_over(),
            Course::Aborted => self.restore(0),
            Course::First | Course::Held | Course::Full | Course::Forward => self.hold(),
        }
    }
}
