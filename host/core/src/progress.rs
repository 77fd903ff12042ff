//! Conditions, and the progress deadline (`reference/argo-rollouts.md` sections 2 and 4, "Deadline").

use kulta_api::conditions::{self, ConditionType};
use kulta_api::{ConditionReason, ConditionStatus, FailureKind, RolloutStatus};

use crate::decision::Waiting;
use crate::pass::{Pass, PluginTrouble};
use crate::plan::{EventKind, EventReason};
use crate::plugin_failure::{Effect, FailureClass};
use crate::time;
use crate::waits::Wait;

pub(crate) fn judge(pass: &mut Pass) {
    if pass.blocked.is_some() {
        availability(pass);
        outside(pass);
        paused(pass);
        if pass.status.abort {
            aborted(pass);
        }
        failure(pass);
        return;
    }
    conditions::remove(&mut pass.status.conditions, ConditionType::InvalidSpec);
    availability(pass);
    outside(pass);
    paused(pass);
    progressing(pass);
    completion(pass);
    failure(pass);
}

/// Messages as Argo words them (upstream `utils/conditions/conditions.go`).
const AVAILABLE: &str = "Rollout has minimum availability";
const ROUTES_ACCEPTED: &str = "all routes carry the weights that they should";
const NOT_AVAILABLE: &str = "Rollout does not have minimum availability";
const PAUSED: &str = "Rollout is paused";
const RESUMED: &str = "Rollout is resumed";
const RETRYING: &str = "Retrying Rollout after abort";

fn set(pass: &mut Pass, kind: ConditionType, status: ConditionStatus, reason: ConditionReason, message: &str) {
    let now = time::floor(pass.scene.now);
    conditions::set(&mut pass.status.conditions, kind, status, reason, message, &now);
}

fn availability(pass: &mut Pass) {
    let available = u32::try_from(pass.status.available_replicas).is_ok_and(|pods| pods >= pass.scene.replicas);
    let message = if available { AVAILABLE } else { NOT_AVAILABLE };
    set(pass, ConditionType::Available, available.into(), ConditionReason::Available, message);
}

/// What stands in the way from outside: routes, other writers, the plugin, the CRD. `TrafficReady` and `StrategyReady` hold when all is
/// well, `RecordKept` is absent then.
fn outside(pass: &mut Pass) {
    let traffic = pass.scene.traffic.as_ref();
    let obstacle = traffic.and_then(|traffic| traffic.obstacle.clone()).or_else(|| pass.contested.clone());
    let unproven = traffic.is_some_and(|traffic| traffic.confirmed.is_none());
    match (obstacle, traffic.and_then(|traffic| traffic.on_trust.clone())) {
        (Some(obstacle), _) => {
            let known = conditions::find(&pass.status.conditions, ConditionType::TrafficReady)
                .is_some_and(|old| old.message == obstacle.message);
            set(pass, ConditionType::TrafficReady, ConditionStatus::False, obstacle.reason, &obstacle.message);
            if !known {
                pass.event(EventKind::Warning, EventReason::TrafficRoutingError, obstacle.message);
            }
        }
        (None, Some(on_trust)) => {
            set(pass, ConditionType::TrafficReady, ConditionStatus::True, on_trust.reason, &on_trust.message);
        }
        // What was told goes when the routes are seen to work, not while the data plane has yet to say so.
        (None, None) if unproven => {}
        (None, None) if pass.scene.traffic.is_some() => {
            let (kind, reason) = (ConditionType::TrafficReady, ConditionReason::RoutesAccepted);
            set(pass, kind, ConditionStatus::True, reason, ROUTES_ACCEPTED);
        }
        (None, None) => conditions::remove(&mut pass.status.conditions, ConditionType::TrafficReady),
    }
    let strategy = pass.strategy_failure.clone();
    let strategy =
        strategy.map(|failure| PluginTrouble { who: format!("strategy {:?}", pass.scene.strategy.plugin), failure });
    let told = conditions::find(&pass.status.conditions, ConditionType::StrategyReady).map(|old| old.status);
    let known = told == Some(ConditionStatus::False);
    match strategy.or_else(|| pass.trouble.clone()) {
        Some(PluginTrouble { failure, .. }) if failure.class.effect() == Effect::AwaitedSilently => {}
        // Why it rests is told already.
        Some(PluginTrouble { failure, .. }) if failure.class == FailureClass::Resting && known => {}
        Some(PluginTrouble { who, failure: failed }) => {
            let message = format!("{who} gave no usable answer ({}): {}", failed.class.label(), failed.message);
            set(pass, ConditionType::StrategyReady, ConditionStatus::False, failed.class.reason(), &message);
            if !known {
                pass.event(EventKind::Warning, EventReason::StrategyError, message);
            }
        }
        // It holds until the component is had, or a person goes past it.
        None if pass.step_plugin_is_lost() && is_lost(pass) => {}
        // While the strategy is not asked, what was told of it stays.
        None if pass.blocked.is_some() => {}
        None if known && pass.waiting.is_none() && !pass.scene.is_stable(&pass.status) => {}
        None => {
            let (kind, reason) = (ConditionType::StrategyReady, ConditionReason::StrategyAnswers);
            let message = format!("strategy {:?} is ready", pass.scene.strategy.plugin);
            set(pass, kind, ConditionStatus::True, reason, &message);
        }
    }
    if pass.scene.observed.record_kept {
        conditions::remove(&mut pass.status.conditions, ConditionType::RecordKept);
    } else {
        let message = "the Rollout CRD prunes status.kulta: events and the decision log do not outlive the controller; install KULTA's CRD";
        set(pass, ConditionType::RecordKept, ConditionStatus::False, ConditionReason::Pruned, message);
    }
}

fn is_lost(pass: &Pass) -> bool {
    conditions::find(&pass.status.conditions, ConditionType::StrategyReady)
        .is_some_and(|condition| condition.reason == ConditionReason::PluginDigestGone.as_str())
}

fn is_paused(pass: &Pass) -> bool {
    pass.scene.observed.rollout.spec.paused() || !pass.status.pause_conditions.is_empty()
}

fn paused(pass: &mut Pass) {
    let paused = is_paused(pass);
    let known = conditions::find(&pass.status.conditions, ConditionType::Paused).is_some();
    if paused || known {
        // Argo keeps reason and message when it no longer holds.
        set(pass, ConditionType::Paused, paused.into(), ConditionReason::RolloutPaused, PAUSED);
    }
}

fn aborted(pass: &mut Pass) {
    let kind = ConditionType::Progressing;
    let number = pass.scene.revision_number();
    let existing = conditions::find(&pass.status.conditions, kind);
    if existing.is_none_or(|old| old.reason != ConditionReason::RolloutAborted.as_str()) {
        let why = if pass.kulta.failure.is_some() { format!(": {}", pass.reason) } else { String::new() };
        let message = format!("Rollout aborted update to revision {number}{why}");
        set(pass, kind, ConditionStatus::False, ConditionReason::RolloutAborted, &message);
    }
}

fn progressing(pass: &mut Pass) {
    let name = pass.scene.new.as_ref().map_or_else(
        || {
            format!(
                "{}-{}",
                pass.scene.observed.rollout.metadata.name.as_deref().unwrap_or_default(),
                pass.scene.new_hash
            )
        },
        |new| new.name.clone(),
    );
    let kind = ConditionType::Progressing;
    if pass.status.abort {
        aborted(pass);
        return;
    }
    // A fully promoted rollout has no update that a pause could stop.
    if is_paused(pass) && !pass.scene.is_stable(&pass.status) {
        set(pass, kind, ConditionStatus::Unknown, ConditionReason::RolloutPaused, PAUSED);
        return;
    }
    let is_whole = match pass.waiting {
        Some(Waiting::Routes) => pass.waits_for().is_none(),
        waiting => waiting.is_none(),
    };
    if pass.scene.is_stable(&pass.status) && is_whole {
        let message = format!("ReplicaSet {name:?} has successfully progressed.");
        set(pass, kind, ConditionStatus::True, ConditionReason::NewReplicaSetAvailable, &message);
        return;
    }
    if let Some(words) = pass.scene.observed.create_error.clone() {
        let message = format!("Failed to create new replica set {name:?}: {words}");
        let known = conditions::find(&pass.status.conditions, kind).is_some_and(|old| old.message == message);
        set(pass, kind, ConditionStatus::False, ConditionReason::ReplicaSetCreateError, &message);
        if !known {
            pass.event(EventKind::Warning, EventReason::ReplicaSetCreateError, message);
        }
        return;
    }
    let existing = conditions::find(&pass.status.conditions, kind).map(|old| old.reason.clone());
    // A blocked rollout takes no step: the time in which it was blocked does not count.
    let moved = made_progress(&pass.before, &pass.status) || pass.was_blocked();
    let overdue = existing.as_deref() == Some(ConditionReason::ProgressDeadlineExceeded.as_str());
    if overdue && !moved {
        return;
    }
    if let Some((status, reason, message)) = progress(pass, existing.as_deref(), moved, &name) {
        set(pass, kind, status, reason, &message);
    }
    if moved {
        touch(pass);
    }
    deadline(pass, &name);
}

/// What the condition says of a revision that is on its way; `None` leaves it as it is.
fn progress(
    pass: &Pass,
    existing: Option<&str>,
    moved: bool,
    name: &str,
) -> Option<(ConditionStatus, ConditionReason, String)> {
    /// They stay until there is progress to tell.
    const OPENINGS: [ConditionReason; 5] = [
        ConditionReason::NewReplicaSetCreated,
        ConditionReason::FoundNewReplicaSet,
        ConditionReason::RolloutResumed,
        ConditionReason::RolloutRetry,
        ConditionReason::ReplicaSetNotAvailable,
    ];
    let is_progressing = match pass.waits_for() {
        Some(Wait::Routes(words)) => format!("ReplicaSet {name:?} is progressing: {words}"),
        _ => format!("ReplicaSet {name:?} is progressing."),
    };
    let retried = pass.before.abort && !pass.status.abort && pass.before.aborted_at.is_some();
    if pass.scene.new.is_none() {
        let message = format!("Created new replica set {name:?}");
        return Some((ConditionStatus::True, ConditionReason::NewReplicaSetCreated, message));
    }
    if existing.is_none() {
        let message = format!("Found new replica set {name:?}");
        return Some((ConditionStatus::True, ConditionReason::FoundNewReplicaSet, message));
    }
    if retried {
        return Some((ConditionStatus::Unknown, ConditionReason::RolloutRetry, RETRYING.to_owned()));
    }
    if existing == Some(ConditionReason::RolloutPaused.as_str()) && !moved && !is_paused(pass) {
        return Some((ConditionStatus::Unknown, ConditionReason::RolloutResumed, RESUMED.to_owned()));
    }
    let was_available = existing == Some(ConditionReason::NewReplicaSetAvailable.as_str());
    if was_available && pass.scene.is_stable(&pass.before) && pass.waiting != Some(Waiting::Routes) {
        return Some((ConditionStatus::True, ConditionReason::ReplicaSetNotAvailable, NOT_AVAILABLE.to_owned()));
    }
    if !moved && OPENINGS.iter().any(|reason| existing == Some(reason.as_str())) {
        return None;
    }
    Some((ConditionStatus::True, ConditionReason::ReplicaSetUpdated, is_progressing))
}

/// Restarts the deadline's clock: the condition's update time is when progress was last made.
fn touch(pass: &mut Pass) {
    let now = time::floor(pass.scene.now);
    for condition in &mut pass.status.conditions {
        if condition.kind == ConditionType::Progressing.as_str() {
            condition.last_update_time = now.clone();
        }
    }
}

fn deadline(pass: &mut Pass, name: &str) {
    let runs = matches!(pass.waiting, Some(Waiting::Pods | Waiting::Routes)) || pass.awaits_step_plugin();
    if !runs || pass.scene.is_stable(&pass.status) {
        return;
    }
    let Some(since) = conditions::find(&pass.status.conditions, ConditionType::Progressing) else { return };
    let seconds = pass.scene.observed.rollout.spec.progress_deadline_seconds();
    let due = time::after(since.last_update_time.0, seconds);
    if due > pass.scene.now {
        pass.wake(due);
        return;
    }
    let message = match pass.waits_for() {
        Some(Wait::Pods(words)) => format!("ReplicaSet {name:?} has timed out progressing: {words}"),
        // The pods are not what is late.
        Some(Wait::Routes(words) | Wait::Runs(words)) => {
            let rollout = pass.scene.observed.rollout.metadata.name.as_deref().unwrap_or_default();
            format!("Rollout {rollout:?} has timed out progressing: {words}")
        }
        None => format!("ReplicaSet {name:?} has timed out progressing."),
    };
    set(pass, ConditionType::Progressing, ConditionStatus::False, ConditionReason::ProgressDeadlineExceeded, &message);
    pass.event(EventKind::Warning, EventReason::ProgressDeadlineExceeded, message.clone());
    let abort = pass.scene.observed.rollout.spec.progress_deadline_abort.unwrap_or(false);
    if abort && !pass.status.stable_rs.is_empty() {
        pass.kulta.failure = Some(FailureKind::Deployment);
        pass.begin_abort(Some(&message));
        let number = pass.scene.revision_number();
        let message = format!("Rollout aborted update to revision {number}: {message}");
        set(pass, ConditionType::Progressing, ConditionStatus::False, ConditionReason::RolloutAborted, &message);
        // The way back begins with the next look.
        pass.wake(pass.scene.now);
    }
}

/// As upstream's RolloutProgressing: more new pods, fewer old ones, more of them up, or a step further.
fn made_progress(before: &RolloutStatus, after: &RolloutStatus) -> bool {
    let old = |status: &RolloutStatus| status.replicas - status.updated_replicas;
    after.updated_replicas != before.updated_replicas
        || old(after) < old(before)
        || after.ready_replicas > before.ready_replicas
        || after.available_replicas > before.available_replicas
        || after.stable_rs != before.stable_rs
        || after.current_step_index != before.current_step_index
        || after.current_step_hash != before.current_step_hash
        || after.current_pod_hash != before.current_pod_hash
        || before.abort && !after.abort
}

fn completion(pass: &mut Pass) {
    let completed = pass.scene.is_stable(&pass.status);
    set(pass, ConditionType::Completed, completed.into(), ConditionReason::RolloutCompleted, "RolloutCompleted");
    let replicas = i32::try_from(pass.scene.replicas).unwrap_or(i32::MAX);
    let status = &pass.status;
    let whole =
        status.updated_replicas == replicas && status.available_replicas == replicas && status.replicas == replicas;
    let routed = !matches!(pass.waits_for(), Some(Wait::Routes(_)));
    let healthy = completed && whole && routed && !is_paused(pass);
    let known = conditions::find(&pass.status.conditions, ConditionType::Healthy).is_some();
    if healthy || known {
        let message = if healthy { "Rollout is healthy" } else { "Rollout is not healthy" };
        set(pass, ConditionType::Healthy, healthy.into(), ConditionReason::RolloutHealthy, message);
    }
}

fn failure(pass: &mut Pass) {
    let words = pass.scene.observed.create_error.clone().or_else(|| {
        pass.scene.observed.replica_sets.iter().find_map(|replica_set| {
            (replica_set.replicas > replica_set.created_replicas).then(|| replica_set.failure.clone())?
        })
    });
    match words {
        Some(words) => {
            set(pass, ConditionType::ReplicaFailure, ConditionStatus::True, ConditionReason::FailedCreate, &words);
        }
        None => conditions::remove(&mut pass.status.conditions, ConditionType::ReplicaFailure),
    }
}
