//! What is to be done: plain values that the controller carries out in order.

use jiff::{SignedDuration, Timestamp};
use kulta_api::analysis::AnalysisPhase;
use serde_json::Value;

use crate::observed::AcceptedRoute;
use crate::rollout::transition::Transition;
use crate::step_plugins::StepCall;

/// The outcome of one look at a rollout. The status goes first, then the writes in order, each followed by its events.
/// If one fails the rest is dropped and the rollout is looked at again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub status: Option<StatusPatch>,
    pub writes: Vec<Write>,
    /// Told after the status is stored.
    pub events: Vec<KubeEvent>,
    /// What the status stores, for the log.
    pub transitions: Vec<Transition>,
    /// To be made beside everything else once the status is stored, unless a call of this rollout is still under way; what it comes to
    /// goes into [`crate::Observed::step_answers`].
    pub step_call: Option<StepCall>,
    /// Of `step_call`, the first of its work: all that this plan stores and tells may wait [`FIRST_CALL_MILLIS`] for what the call comes
    /// to, and is planned anew with that. The call is then made with its entry not stored, and is
    /// [`crate::Observed::unstored_call`] until the entry is: it may only make requests that change nothing.
    pub first_call_may_wait: bool,
    /// The answers in [`crate::Observed::step_answers`] are in this status, or of no use any more.
    pub step_answers_taken: bool,
    /// Of each route that was found, by namespace and name: what to give back as [`crate::observed::Route::accepted`].
    pub accepted_routes: Vec<(String, String, Option<AcceptedRoute>)>,
    /// When to look again if nothing changes until then.
    pub wake_up: Option<Timestamp>,
    /// Why the rollout stands where it does, for the log.
    pub reason: String,
}

/// A merge patch of `status`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusPatch {
    /// The object patched is `{"metadata": {"resourceVersion": …}, "status": this}`.
    pub patch: Value,
    /// Only counts and what follows from them changed: may wait up to [`GATHER_MILLIS`] for more of the same.
    pub gather: bool,
    /// Sequence after this patch, when it stores transitions.
    pub stores_transitions: bool,
}

impl Plan {
    /// Gives each event its time: what begins a revision, then its ReplicaSet, then what else was decided, then the other writes, which
    /// is the order in which Argo tells them (upstream `test/e2e/functional_test.go`).
    pub(crate) fn order_events(&mut self, now: Timestamp) {
        let opens = |event: &KubeEvent| {
            matches!(event.reason, EventReason::RolloutAddedToInformer | EventReason::RolloutUpdated)
        };
        let (openings, rest): (Vec<_>, Vec<_>) = self.events.iter_mut().partition(|event| opens(event));
        let creates = |write: &&mut Write| matches!(write.action, Action::CreateReplicaSet { .. });
        let (created, others): (Vec<_>, Vec<_>) = self.writes.iter_mut().partition(creates);
        let created = created.into_iter().flat_map(|write| &mut write.events);
        let others = others.into_iter().flat_map(|write| &mut write.events);
        let all = openings.into_iter().chain(created).chain(rest).chain(others);
        for (event, micros) in all.zip(0..) {
            event.at = now.checked_add(SignedDuration::from_micros(micros)).unwrap_or(now);
        }
    }
}

/// How long count-only changes are gathered, in milliseconds.
pub const GATHER_MILLIS: i64 = 1_000;

/// How long the first call of a step plugin is waited for until its work is noted as running, in milliseconds.
pub const FIRST_CALL_MILLIS: i64 = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub action: Action,
    /// Told in this order once the write has succeeded.
    pub events: Vec<KubeEvent>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Merge patch of the Rollout itself (its spec or metadata, not its status).
    PatchRollout {
        patch: Value,
    },
    /// A 409 "already exists" means that somebody holds the name: a stranger's goes into [`crate::Observed::taken_names`].
    CreateReplicaSet {
        name: String,
        body: Value,
    },
    /// Merge patch.
    PatchReplicaSet {
        name: String,
        patch: Value,
    },
    DeleteReplicaSet {
        name: String,
        uid: String,
    },
    /// Merge patch with the resourceVersion in it.
    PatchService {
        name: String,
        patch: Value,
    },
    /// JSON Patch with `test` guards: a 422 means that the route is not what was seen.
    PatchRoute {
        namespace: String,
        name: String,
        patch: Value,
        weight: u32,
        /// Value of the in-progress label after the write.
        label: Option<String>,
        /// The field manager whose weight this puts right.
        corrects: Option<String>,
        /// This writes the label alone, or puts it right after somebody else changed it.
        corrects_label: bool,
    },
    /// A 409 "already exists" means that somebody holds the name: a stranger's goes into [`crate::Observed::taken_run_names`],
    /// one that this rollout controls is the run itself, which the cache has yet to tell of.
    CreateAnalysisRun {
        name: String,
        body: Value,
    },
    /// Merge patch. One that is gone needs no end.
    PatchAnalysisRun {
        name: String,
        patch: Value,
    },
    DeleteAnalysisRun {
        name: String,
        uid: String,
    },
    /// Through the eviction subresource, so that disruption budgets hold.
    EvictPod {
        name: String,
    },
    /// Merge patch.
    PatchPod {
        name: String,
        patch: Value,
    },
}

/// A ReplicaSet, as its pods name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodController {
    pub uid: String,
    /// Of their label.
    pub hash: String,
}

/// A Kubernetes event on the Rollout. `name` is derived from what it tells, so that telling it twice is refused by the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeEvent {
    /// Suffix of the event's name: `<rollout>.<name>`.
    pub name: String,
    pub kind: EventKind,
    pub reason: EventReason,
    pub message: String,
    /// When it happened. The events of one plan are a microsecond apart, so that a consumer sorts them by `eventTime` into Argo's order.
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Normal,
    Warning,
}

/// Argo's reasons: notifications are keyed by them (`reference/argo-rollouts.md` section 4, "Events").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventReason {
    RolloutAddedToInformer,
    RolloutUpdated,
    NewReplicaSetCreated,
    RolloutNotCompleted,
    ScalingReplicaSet,
    RolloutStepCompleted,
    RolloutPaused,
    RolloutResumed,
    RolloutAborted,
    RolloutRetry,
    RolloutCompleted,
    SwitchService,
    TrafficWeightUpdated,
    TrafficRoutingError,
    SkipSteps,
    InvalidSpec,
    ProgressDeadlineExceeded,
    StrategyError,
    ReplicaSetCreateError,
    AnalysisRunPending,
    AnalysisRunRunning,
    AnalysisRunSuccessful,
    AnalysisRunFailed,
    AnalysisRunError,
    AnalysisRunInconclusive,
    StepPluginTransition,
    SpecWarning,
    AnalysisWarning,
    ReconciliationError,
}

impl EventReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RolloutAddedToInformer => "RolloutAddedToInformer",
            Self::RolloutUpdated => "RolloutUpdated",
            Self::NewReplicaSetCreated => "NewReplicaSetCreated",
            Self::RolloutNotCompleted => "RolloutNotCompleted",
            Self::ScalingReplicaSet => "ScalingReplicaSet",
            Self::RolloutStepCompleted => "RolloutStepCompleted",
            Self::RolloutPaused => "RolloutPaused",
            Self::RolloutResumed => "RolloutResumed",
            Self::RolloutAborted => "RolloutAborted",
            Self::RolloutRetry => "RolloutRetry",
            Self::RolloutCompleted => "RolloutCompleted",
            Self::SwitchService => "SwitchService",
            Self::TrafficWeightUpdated => "TrafficWeightUpdated",
            Self::TrafficRoutingError => "TrafficRoutingError",
            Self::SkipSteps => "SkipSteps",
            Self::InvalidSpec => "InvalidSpec",
            Self::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Self::StrategyError => "StrategyError",
            Self::ReplicaSetCreateError => "ReplicaSetCreateError",
            Self::AnalysisRunPending => "AnalysisRunPending",
            Self::AnalysisRunRunning => "AnalysisRunRunning",
            Self::AnalysisRunSuccessful => "AnalysisRunSuccessful",
            Self::AnalysisRunFailed => "AnalysisRunFailed",
            Self::AnalysisRunError => "AnalysisRunError",
            Self::AnalysisRunInconclusive => "AnalysisRunInconclusive",
            Self::StepPluginTransition => "StepPluginTransition",
            Self::SpecWarning => "SpecWarning",
            Self::AnalysisWarning => "AnalysisWarning",
            Self::ReconciliationError => "ReconciliationError",
        }
    }

    /// What is told on the Rollout when one of its runs comes to this phase.
    #[must_use]
    pub const fn of_run(phase: AnalysisPhase) -> Self {
        match phase {
            AnalysisPhase::Pending => Self::AnalysisRunPending,
            AnalysisPhase::Running => Self::AnalysisRunRunning,
            AnalysisPhase::Successful => Self::AnalysisRunSuccessful,
            AnalysisPhase::Failed => Self::AnalysisRunFailed,
            AnalysisPhase::Error => Self::AnalysisRunError,
            AnalysisPhase::Inconclusive => Self::AnalysisRunInconclusive,
        }
    }
}
