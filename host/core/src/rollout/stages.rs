//! The traffic and pods that each stage of a rollout wants. [`super::safety`] decides what is safe now.

use kulta_api::TransitionKind;

use super::context::Context;
use super::lifecycle::{self, completion, note_exposure};
use super::managed_routes;
use super::outcome::{Goal, Next, Outcome, Progress, SidesGoal};
use super::scale_down::{self, Kept};
use crate::decision::{ManagedRoute, Scale, Waiting};
use crate::replicas::basic::{self, Split};
use crate::replicas::routed::Shape;
use crate::replicas::share_of;
use crate::runs::{self, Ending};
use crate::step_plugins;
use crate::time;
use crate::traffic::{ManagedGoal, Pods, Traffic, Unrouted};
use crate::workload::Revision;

/// Analyses end because there is no update to judge.
const NOT_WANTED: Ending = Ending { outcome: kulta_api::Outcome::Cancel, why: "no longer wanted" };
/// Analyses end because a user or the rollback window skipped the remaining steps.
const SKIPPED: Ending = Ending { outcome: kulta_api::Outcome::Cancel, why: "skipped" };

const PROMOTED: &str = "promoted: the new revision is stable";
pub(super) const INCONCLUSIVE: &str = "paused: the background analysis is inconclusive";
const RESTORING: &str = "aborted: stable serves";

/// The target of the strategy for the canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Weight in parts of the maximum weight.
    pub weight: u32,
    pub canary: Scale,
    /// The managed routes, in the order of their precedence.
    pub routes: Vec<ManagedRoute>,
}

impl Target {
    /// The managed routes whose rules are wanted now. A canary that is to have no pods gets no requests.
    pub fn routes_now(&self, context: &Context) -> &[ManagedRoute] {
        let wanted =
            context.shape().map_or(0, |shape| shape.canary_wanted(self.canary, self.weight.min(shape.max_weight)));
        if wanted > 0 { &self.routes } else { &[] }
    }
}

/// The update is aborted, so another stage follows.
pub(super) fn abort_by_analysis(context: &Context, progress: Progress, why: &str) -> Next {
    let record = lifecycle::abort_by_analysis(context, progress.record, why);
    Next::Stage(Progress { record, ..progress })
}

/// Ends the parts of an update.
pub(super) fn without_update(context: &Context, mut progress: Progress) -> Progress {
    if context.faults.is_none() {
        runs::drop_all(context, &mut progress.record, NOT_WANTED);
        step_plugins::end(&mut progress.record);
    }
    progress
}

fn with_exposure(context: &Context, progress: Progress) -> Progress {
    Progress { record: note_exposure(context, progress.record), ..progress }
}

fn routed(shape: Shape, weight: u32, canary: u32, canary_needed: u32) -> Goal {
    let stable = shape.stable_wanted(weight);
    Goal::Sides(SidesGoal { weight, canary_needed, canary, stable, is_held: false })
}

fn by_pods(split: Split) -> Goal {
    let Split { canary, stable } = split;
    Goal::Sides(SidesGoal { weight: 0, canary_needed: 0, canary, stable, is_held: false })
}

fn nearest_split(context: &Context, weight: u32) -> Split {
    basic::nearest_split(context.replicas, weight, context.max_weight(), context.limits.surge)
}

/// All pods for the new revision. `weight` applies to its Service if routes split the traffic.
fn all_new(context: &Context, weight: u32, canary_needed: u32) -> Goal {
    match context.shape() {
        Some(_) => Goal::Sides(SidesGoal {
            weight,
            canary_needed,
            canary: context.replicas,
            stable: context.replicas,
            is_held: false,
        }),
        None => by_pods(Split { canary: context.replicas, stable: 0 }),
    }
}

/// All pods of the new revision exist and are available.
fn is_new_whole(context: &Context) -> bool {
    let new = context.canary_side();
    context.new.is_some() && new.replicas == context.replicas && new.available >= context.replicas
}

/// No revision is stable yet: all pods are created at once, without steps.
pub(super) fn first_deploy(context: &Context, mut progress: Progress) -> Outcome {
    let goal = all_new(context, 0, 0);
    if is_new_whole(context) {
        progress.record = completion::promote(context, progress.record);
        return Outcome::new(progress, goal, PROMOTED);
    }
    let reason = "first revision: waiting for its pods to become available";
    Outcome::new(with_exposure(context, progress), goal, reason).waits_for(Waiting::Pods)
}

/// The stable ReplicaSet does not exist. The new revision gets all pods, and all traffic as soon as one pod is available. It
/// becomes stable once all its pods are available, unless it was aborted or the spec has errors.
pub(super) fn take_over(context: &Context, mut progress: Progress) -> Outcome {
    if context.faults.is_none() {
        runs::drop_unfinished(context, &mut progress.record, NOT_WANTED);
        step_plugins::end(&mut progress.record);
        progress.record.clear_pause();
    }
    let goal = all_new(context, context.max_weight(), 1);
    if is_new_whole(context) && !progress.record.status.abort && context.faults.is_none() {
        progress.record = completion::promote(context, progress.record);
        return Outcome::new(progress, goal, PROMOTED);
    }
    let reason = "the stable ReplicaSet is gone: the new revision takes over";
    Outcome::new(with_exposure(context, progress), goal, reason).waits_for(Waiting::Pods)
}

/// The pod template is stable: it gets all pods and all traffic, and the remaining pods of other revisions are deleted.
pub(super) fn steady(context: &Context, mut progress: Progress) -> Outcome {
    let replicas = context.replicas;
    let new = context.canary_side();
    let traffic_back = match &context.traffic {
        Some(traffic) => traffic.state.is_confirmed_alone(0),
        None => is_service_back(context, &progress),
    };
    let left = progress.record.kulta.restoring.clone().unwrap_or_default();
    let gone = context.others.iter().all(|other| other.hash() != left || other.replicas == 0);
    if traffic_back && gone {
        progress.record = completion::restored(context, progress.record);
    }
    let goal = all_new(context, 0, 0);
    if new.available < replicas || new.replicas != replicas {
        let reason = "waiting for pods of the stable revision";
        return Outcome::new(progress, goal, reason).waits_for(Waiting::Pods);
    }
    if !traffic_back {
        let reason = "waiting for all traffic to be on the stable Service";
        return Outcome::new(progress, goal, reason).waits_for(Waiting::Routes);
    }
    Outcome::new(progress, goal, "")
}

/// Without a router: the canary's Service, if there is one, selects the stable revision.
fn is_service_back(context: &Context, progress: &Progress) -> bool {
    let service = context.service(context.fields.canary_service.as_ref()).filter(|_| context.unrouted.is_some());
    service.is_none_or(|service| service.hash() == Some(progress.record.status.stable_rs.as_str()))
}

/// The rollout is stopped. Only changes that keep requests answered are made, and the scale follows `spec.replicas`.
pub(super) fn hold(context: &Context, progress: Progress, reason: impl Into<String>) -> Outcome {
    let goal = held(context, &progress);
    Outcome { routes: ManagedGoal::AsWritten, ..Outcome::new(with_exposure(context, progress), goal, reason) }
}

fn held(context: &Context, progress: &Progress) -> Goal {
    let Some(stable) = &context.stable else {
        // Without a stable revision that serves, the new revision gets all requests.
        let weight = if progress.record.status.stable_rs.is_empty() { 0 } else { context.max_weight() };
        let canary = context.new.as_deref().map_or(0, |new| new.replicas);
        return Goal::Sides(SidesGoal { weight, canary_needed: 1, canary, stable: 0, is_held: true });
    };
    let canary = context.new.as_deref().map_or(0, |new| rescaled(new, context.replicas));
    match (&context.traffic, &context.unrouted) {
        (Some(traffic), _) => {
            let weight = traffic.state.last_written;
            let stable = traffic.shape.stable_wanted(weight);
            Goal::Sides(SidesGoal { weight, canary_needed: 0, canary, stable, is_held: true })
        }
        (None, Some(Unrouted { shape })) => {
            let stable = if shape.dynamic_stable { rescaled(stable, context.replicas) } else { context.replicas };
            Goal::Sides(SidesGoal { weight: 0, canary_needed: 0, canary, stable, is_held: true })
        }
        (None, None) => by_pods(held_split(context, stable)),
    }
}

/// Number of pods of a held side: as many as exist, or its share of `spec.replicas` if a user has changed that.
fn rescaled(side: &Revision, replicas: u32) -> u32 {
    match side.desired_replicas() {
        Some(desired) if desired != replicas && desired > 0 => share_of(replicas, side.replicas, desired),
        _ => side.replicas,
    }
}

/// A held split without routes: unchanged, or in proportion if a user has changed `spec.replicas` and the sides have not followed
/// yet.
fn held_split(context: &Context, stable: &Revision) -> Split {
    let replicas = context.replicas;
    let canary = context.canary_side();
    let total = canary.replicas + stable.replicas;
    let differs = |side: &Revision| side.desired_replicas().is_some_and(|desired| desired != replicas);
    let changed = differs(stable) || context.new.as_deref().is_some_and(differs);
    if !changed && total <= replicas + context.limits.surge {
        return Split { canary: canary.replicas, stable: stable.replicas };
    }
    let canary = share_of(replicas, canary.replicas, total);
    Split { canary, stable: replicas.saturating_sub(canary) }
}

/// The spec has errors. Revisions that serve requests are kept.
pub(super) fn blocked(context: &Context, progress: Progress) -> Outcome {
    if context.faults.as_ref().is_some_and(|faults| faults.traffic_unknown) {
        return Outcome::new(progress, Goal::KeepPods, "");
    }
    hold(context, progress, "")
}

/// Gives the canary all pods, then all traffic, then makes it stable.
pub(super) fn promote(context: &Context, mut progress: Progress, skips_analysis: bool) -> Outcome {
    step_plugins::end(&mut progress.record);
    if skips_analysis {
        runs::drop_all(context, &mut progress.record, SKIPPED);
    } else {
        let record = runs::want_background(context, progress.record);
        progress.record = lifecycle::continue_after_pause(context, record);
    }
    progress.record.clear_pause();
    if !progress.record.kulta.promoting {
        progress.record.kulta.promoting = true;
        progress.record.store(context, TransitionKind::Promoted, |_| {});
    }
    // Without replicas there are no pods to wait for. The ReplicaSet must exist nevertheless, because it identifies the stable
    // revision.
    let whole = is_new_whole(context);
    let max = context.max_weight();
    let (goal, confirmed) = match (&context.traffic, &context.unrouted) {
        (Some(traffic), _) => {
            let weight = if whole { max } else { promoting_weight(context, traffic) };
            let confirmed = traffic.state.confirmed;
            let goal = routed(traffic.shape, weight, context.replicas, 0);
            (goal, traffic.state.is_confirmed_alone(max) || (context.replicas == 0 && confirmed.is_some()))
        }
        (None, Some(unrouted)) => {
            let share = unrouted.shape.weight_of(context.canary_side().available);
            (routed(unrouted.shape, share, context.replicas, 0), true)
        }
        (None, None) => (by_pods(Split { canary: context.replicas, stable: 0 }), true),
    };
    if whole && confirmed {
        progress.record = completion::promote(context, progress.record);
        return Outcome::new(progress, goal, PROMOTED);
    }
    let progress = with_exposure(context, progress);
    if whole {
        let reason = "promoting: waiting for all traffic to reach the new revision";
        return Outcome::new(progress, goal, reason).waits_for(Waiting::Routes);
    }
    let reason = "promoting: waiting for all pods of the new revision";
    Outcome::new(progress, goal, reason).waits_for(Waiting::Pods)
}

/// The canary's share while its pods start. If stable shrinks, the share follows the available pods.
fn promoting_weight(context: &Context, traffic: &Traffic) -> u32 {
    let held = traffic.state.last_written;
    if !traffic.shape.dynamic_stable || context.replicas == 0 {
        return held;
    }
    held.max(traffic.shape.weight_of(context.canary_side().available)).min(traffic.shape.max_weight)
}

/// The update is aborted: the canary gets at most `weight`, and stable gets all pods.
pub(super) fn restore(context: &Context, mut progress: Progress, weight: u32, reason: Option<String>) -> Outcome {
    let reason = reason.or_else(|| progress.record.abort_reason.clone()).unwrap_or_else(|| RESTORING.to_owned());
    progress = with_exposure(context, progress);
    let canary = context.canary_side();
    let (goal, kept, back) = match (&context.traffic, &context.unrouted) {
        (Some(traffic), _) => {
            let kept = scale_down::canary_after_abort(context, context.stable_side().available >= context.replicas);
            let weight = weight.min(traffic.state.range.max);
            let (canary, stable) = (kept.pods, context.replicas);
            let goal = SidesGoal { weight, canary_needed: 0, canary, stable, is_held: false };
            (Goal::Sides(goal), Some(kept), traffic.state.is_confirmed_alone(0))
        }
        (None, Some(_)) => restore_unrouted(context, &progress),
        (None, None) => (by_pods(nearest_split(context, 0)), None, canary.replicas == 0),
    };
    if back {
        progress.record = completion::restored(context, progress.record);
    }
    let outcome = Outcome::new(progress, goal, reason);
    Outcome {
        wake_up: kept.as_ref().and_then(|kept| kept.wake_up),
        canary_deadline: kept.and_then(|kept| kept.deadline),
        ..outcome
    }
}

/// Without a router: stable gets all pods. The canary keeps its pods for a while, as behind routes, if its Service can lead requests
/// away from them, or if the spec sets how long. Returns the goal, the canary's kept pods, and whether stable is restored.
fn restore_unrouted(context: &Context, progress: &Progress) -> (Goal, Option<Kept>, bool) {
    let stable_whole = context.stable_side().available >= context.replicas;
    let has_service = context.service(context.fields.canary_service.as_ref()).is_some();
    let stays = has_service || context.fields.abort_scale_down_delay_seconds.is_some();
    let kept = if stays { scale_down::canary_after_abort(context, stable_whole) } else { Kept::default() };
    let back =
        if stays { stable_whole && is_service_back(context, progress) } else { context.canary_side().replicas == 0 };
    let (canary, stable) = (kept.pods, context.replicas);
    (Goal::Sides(SidesGoal { weight: 0, canary_needed: 0, canary, stable, is_held: false }), Some(kept), back)
}

/// The update moves forward: the strategy decides.
pub(super) fn forward(context: &Context, target: &Target) -> Goal {
    let weight = target.weight.min(context.max_weight());
    match context.shape() {
        Some(shape) => {
            let wanted = shape.canary_wanted(target.canary, weight);
            routed(shape, weight, wanted, context.needed(wanted))
        }
        None => by_pods(nearest_split(context, weight)),
    }
}

/// The missing part of the target; `None` if the target is in place.
pub(super) fn lacks(context: &Context, target: &Target) -> Option<Waiting> {
    let canary = context.canary_side();
    let stable = context.stable_side();
    let weight = target.weight.min(context.max_weight());
    if let Some(unrouted) = &context.unrouted {
        return lacks_unrouted(context, unrouted, target.canary, weight);
    }
    let Some(traffic) = &context.traffic else {
        let goal = nearest_split(context, weight);
        let older = context.others.iter().all(|other| other.available_replicas == 0);
        let there = canary.replicas == goal.canary
            && canary.available >= context.needed(goal.canary)
            && stable.replicas == goal.stable
            && stable.available >= context.needed(goal.stable)
            && older;
        return (!there).then_some(Waiting::Pods);
    };
    let (shape, range) = (traffic.shape, traffic.state.range);
    let pods = shape.canary_target(shape.canary_wanted(target.canary, weight), canary.replicas, range);
    let stable_pods = shape.stable_target(shape.stable_wanted(weight), range);
    let stable_created = context.stable.as_ref().is_some_and(|stable| stable.created_replicas >= stable.replicas);
    let there = canary.replicas == pods
        && canary.available >= context.needed(pods)
        && stable.replicas == stable_pods
        && (shape.dynamic_stable || stable_created);
    if !there {
        return Some(Waiting::Pods);
    }
    // Without pods there is no traffic to split, and no weight would be safe.
    let shared = match traffic.state.confirmed {
        Some(_) if context.replicas == 0 => true,
        confirmed if !traffic.has_routes() => confirmed == Some(weight),
        confirmed => {
            let routes = target.routes_now(context);
            let is_exposed = weight > 0 || !routes.is_empty();
            confirmed == Some(weight)
                && (!is_exposed || context.canary_selected())
                && managed_routes::are_in_place(traffic, routes, weight)
        }
    };
    (!shared).then_some(Waiting::Routes)
}

fn lacks_unrouted(context: &Context, unrouted: &Unrouted, scale: Scale, weight: u32) -> Option<Waiting> {
    let (canary, stable, shape) = (context.canary_side(), context.stable_side(), unrouted.shape);
    let wanted = Pods { canary: shape.canary_wanted(scale, weight), stable: shape.stable_wanted(weight) };
    let pods = unrouted.targets(wanted, canary, stable, context.canary_may_serve());
    let stable_created = context.stable.as_ref().is_some_and(|stable| stable.created_replicas >= stable.replicas);
    let there = canary.replicas == pods.canary
        && canary.available >= context.needed(pods.canary)
        && stable.replicas == pods.stable
        && (shape.dynamic_stable || stable_created);
    if !there {
        return Some(Waiting::Pods);
    }
    let has_service = context.service(context.fields.canary_service.as_ref()).is_some();
    let selected = pods.canary == 0 || !has_service || context.canary_selected();
    (!selected).then_some(Waiting::Routes)
}

/// When the strategy's pause or wait ends; `None` if it has no end.
pub(super) fn wakes_at(outcome: Outcome, at: Option<jiff::Timestamp>) -> Outcome {
    Outcome { wake_up: time::earlier(outcome.wake_up, at), ..outcome }
}
