//! The result of a reconciliation: plain values that the controller applies in order.

use jiff::{SignedDuration, Timestamp};
use kulta_api::RouteKey;
use kulta_api::analysis::AnalysisPhase;
use serde_json::Value;

use crate::observed::AcceptedRoute;
use crate::rollout::transition::Transition;
use crate::step_plugins::call::StepCall;
use crate::workload::WorkloadWrite;

/// The result of one reconciliation. The controller writes the status first, then makes the writes in order, each followed by its
/// events. If a write fails, the controller skips the rest and reconciles again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub status: Option<StatusPatch>,
    pub writes: Vec<Write>,
    /// Events to emit after the status is stored.
    pub events: Vec<KubeEvent>,
    /// The transitions that the status stores, for the log.
    pub transitions: Vec<Transition>,
    /// The call of a step plugin to make once the status is stored, unless another call of this rollout is in progress. The
    /// answer goes into [`crate::Observed::step_answers`].
    pub step_call: Option<StepCall>,
    /// `step_call` is the first call of its work, so the controller may delay storing and emitting this plan by
    /// [`FIRST_CALL_MILLIS`]. If the call completes by then, the controller plans again with the answer. Such a call is made
    /// before its entry is stored, is [`crate::Observed::unstored_call`] until then, and may only make requests that change
    /// nothing.
    pub first_call_may_wait: bool,
    /// The status contains the answers in [`crate::Observed::step_answers`], or they are no longer needed.
    pub step_answers_taken: bool,
    /// For each route that was found: the value to pass as [`crate::observed::Route::accepted`] next time.
    pub accepted_routes: Vec<(RouteKey, Option<AcceptedRoute>)>,
    /// When to reconcile again if nothing changes before.
    pub wake_up: Option<Timestamp>,
    /// Why the rollout is in its current state, for the log.
    pub reason: String,
}

/// A merge patch of `status`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusPatch {
    /// The patch of the object is `{"metadata": {"resourceVersion": …}, "status": this}`.
    pub patch: Value,
    /// Only counts and values derived from them changed. The patch may wait up to [`GATHER_MILLIS`] for further changes.
    pub gather: bool,
    /// The sequence after this patch, if the patch stores transitions.
    pub stores_transitions: bool,
}

impl Plan {
    /// Gives each event its time, in Argo's order (upstream `test/e2e/functional_test.go`): the start of the revision, its
    /// ReplicaSet, other decisions, other writes.
    pub(crate) fn order_events(&mut self, now: Timestamp) {
        let opens = |event: &KubeEvent| {
            matches!(event.reason, EventReason::RolloutAddedToInformer | EventReason::RolloutUpdated)
        };
        let (openings, rest): (Vec<_>, Vec<_>) = self.events.iter_mut().partition(|event| opens(event));
        let creates = |write: &&mut Write| matches!(write.action, Action::Workload(WorkloadWrite::Create { .. }));
        let (created, others): (Vec<_>, Vec<_>) = self.writes.iter_mut().partition(creates);
        let created = created.into_iter().flat_map(|write| &mut write.events);
        let others = others.into_iter().flat_map(|write| &mut write.events);
        let all = openings.into_iter().chain(created).chain(rest).chain(others);
        for (event, micros) in all.zip(0..) {
            event.at = now.checked_add(SignedDuration::from_micros(micros)).unwrap_or(now);
        }
    }
}

/// Time for which count-only changes are gathered, in milliseconds.
pub const GATHER_MILLIS: i64 = 1_000;

/// Time for which the first call of a step plugin may delay storing its entry, in milliseconds.
pub const FIRST_CALL_MILLIS: i64 = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub action: Action,
    /// Events to emit in this order once the write has succeeded.
    pub events: Vec<KubeEvent>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Merge patch of the Rollout's spec or metadata, not of its status.
    PatchRollout {
        patch: Value,
    },
    Workload(WorkloadWrite),
    /// Merge patch with the resourceVersion in it.
    PatchService {
        name: String,
        patch: Value,
    },
    /// JSON Patch with `test` guards. A 422 means that the route differs from the observed one.
    PatchRoute {
        route: RouteKey,
        patch: Value,
        weight: u32,
        /// Value of the in-progress label after the write.
        label: Option<String>,
        /// The rules of managed routes after the write, in their order.
        managed: Vec<Value>,
        /// The field manager whose weight this write corrects.
        corrects: Option<String>,
        /// This write changes only the label, or corrects a foreign change of the label.
        corrects_label: bool,
    },
    /// A 409 "already exists" means that the name is taken. If another owner has it, it goes into
    /// [`crate::Observed::taken_run_names`]. If this rollout controls the object, it is the run itself, which the cache does not
    /// have yet.
    CreateAnalysisRun {
        name: String,
        body: Value,
    },
    /// Merge patch. A run that no longer exists needs no patch.
    PatchAnalysisRun {
        name: String,
        patch: Value,
    },
    DeleteAnalysisRun {
        name: String,
        uid: String,
    },
    /// Eviction through the subresource, so that disruption budgets apply.
    EvictPod {
        name: String,
    },
    /// Merge patch of the pod.
    PatchPod {
        name: String,
        patch: Value,
    },
}

/// A Kubernetes event on the Rollout. `name` is derived from the content, so the API server refuses a duplicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeEvent {
    /// Suffix of the event's name: `<rollout>.<name>`.
    pub name: String,
    pub kind: EventKind,
    pub reason: EventReason,
    pub message: String,
    /// Time of the event. The events of one plan are a microsecond apart, so that sorting by `eventTime` gives Argo's order.
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

    /// The reason of the event on the Rollout when one of its runs reaches this phase.
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
