//! The writes that set routes to the decided weight. A write that changes nothing is not planned.

use jiff::Timestamp;
use kulta_api::ConditionReason;
use serde_json::Value;

use super::foreign::{Foreign, Wanted};
use super::managed::{self, ManagedGoal, ManagedPatch};
use super::{Gateway, RouteView, label};
use crate::plan::Action;
use crate::rollout::safety::SafeGoal;
use crate::time;
use crate::traffic::{Blocked, TrafficState};

/// The planned writes of routes.
#[derive(Debug, Default)]
pub(crate) struct RoutePlan {
    pub writes: Vec<RouteWrite>,
    /// Another writer changes the weights of this rollout, or the API server refuses them.
    pub conflict: Option<Blocked>,
    pub wake_up: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct RouteWrite {
    /// Identifies the write in the names of its events.
    pub mark: String,
    pub action: Action,
    /// Message about the new weight, if the write changes it.
    pub moved: Option<String>,
    /// Message about another writer's change of the label, if the write corrects it.
    pub relabelled: Option<String>,
    /// The API server has refused this write before.
    pub refused_before: bool,
}

/// Plans the writes of all routes.
pub(crate) fn plan(gateway: &Gateway, state: &TrafficState, goal: &SafeGoal, now: Timestamp) -> RoutePlan {
    let Some(weight) = goal.weight() else { return RoutePlan::default() };
    let refuses =
        |view: &RouteView| managed::plan(gateway.place(view), &view.goal(goal.managed().clone()), weight).err();
    let impossible = gateway.routes.iter().find_map(refuses);
    let unreachable = state.blocked.as_ref().is_some_and(|blocked| blocked.reason != ConditionReason::RouteNotAccepted)
        || impossible.is_some()
        || gateway.routes.iter().any(|view| view.route.refused.is_some());
    // If a route is missing or cannot be written, the others keep at most the canary's present weight, and the present rules.
    let (others, rules) = if unreachable && !goal.managed().is_none() {
        (weight.min(state.range.max), &ManagedGoal::Present)
    } else if unreachable {
        (weight.min(state.range.max), goal.managed())
    } else {
        (weight, goal.managed())
    };
    let mut plan = RoutePlan { conflict: impossible.clone(), ..RoutePlan::default() };
    for view in &gateway.routes {
        let is_retried = view.route.refused.is_some() && impossible.is_none();
        let (weight, rules) = if is_retried { (weight, goal.managed()) } else { (others, rules) };
        let one = match plan_one(gateway, view, (weight, rules), now) {
            Ok(one) => one,
            Err(blocked) => RoutePlan { conflict: Some(blocked), ..RoutePlan::default() },
        };
        plan.writes.extend(one.writes);
        plan.conflict = one.conflict.or(plan.conflict);
        plan.wake_up = time::earlier(plan.wake_up, one.wake_up);
    }
    plan
}

/// # Errors
/// The route cannot have the wanted rules.
fn plan_one(
    gateway: &Gateway,
    view: &RouteView,
    (weight, rules): (u32, &ManagedGoal),
    now: Timestamp,
) -> Result<RoutePlan, Blocked> {
    let mut plan = RoutePlan::default();
    let weights = view.rules.patch(weight, gateway.backends());
    let mut managed = managed::plan(gateway.place(view), &view.goal(rules.clone()), weight)?;
    if let Some(blocked) = not_stored(view, &managed) {
        plan.conflict = Some(blocked);
        managed = managed::plan(gateway.place(view), &ManagedGoal::Present, weight)?;
    }
    let (moves, reroutes) = (!weights.is_empty(), !managed.operations.is_empty());
    let in_progress = weight > 0 || !managed.rules.is_empty();
    let label = label::patch(&view.route, &view.key.namespace, gateway.routing.in_progress_label(), in_progress);
    let relabels = !label.operations.is_empty();
    let wanted = Wanted { weight, moves, managed: &managed.rules, reroutes, label: label.value.as_deref(), relabels };
    let foreign = Foreign::observe(&view.route, wanted);
    if let Some((manager, until)) = foreign.shown(now) {
        let what = if gateway.managed.is_empty() { "weights" } else { "weights or rules" };
        plan.conflict = Some(Blocked {
            reason: ConditionReason::ForeignWeight,
            message: format!("{}: field manager {manager:?} writes {what} that this rollout owns", view.shown),
        });
        plan.wake_up = until;
    }
    if let Some(next) = foreign.waits_until(now) {
        plan.wake_up = time::earlier(plan.wake_up, Some(next));
        return Ok(plan);
    }
    // The label's operations come before those that move rules, because they test rules too.
    let operations: Vec<Value> =
        [managed.tests, weights, label.operations, managed.operations].into_iter().flatten().collect();
    if operations.is_empty() {
        return Ok(plan);
    }
    if let Some(error_message) = &view.route.refused {
        plan.conflict = Some(refused(view, error_message));
    }
    let before = view.rules.canary_share(gateway.max_weight).1;
    let corrects_label = !(moves || reroutes) || foreign.label_changed_by.is_some();
    plan.writes.push(RouteWrite {
        mark: format!("{}.rv{}", view.key.name, view.route.resource_version),
        moved: (before != weight).then(|| format!("Traffic weight updated from {before} to {weight} ({})", view.shown)),
        relabelled: foreign.label_changed_by.map(|manager| {
            format!("{}: field manager {manager:?} changed the in-progress label that this rollout owns", view.shown)
        }),
        refused_before: view.route.refused.is_some(),
        action: Action::PatchRoute {
            route: view.key.clone(),
            patch: Value::Array(operations),
            weight,
            label: label.value.clone(),
            corrects: foreign.present.map(str::to_owned),
            corrects_label,
            managed: managed.rules,
        },
    });
    Ok(plan)
}

/// The API server has stored the rules differently than this process last wrote them. Another write would not change that.
fn not_stored(view: &RouteView, managed: &ManagedPatch) -> Option<Blocked> {
    let last = view.route.last_write.as_ref()?;
    let unchanged = last.generation == view.route.generation && last.managed == managed.rules;
    (unchanged && !managed.operations.is_empty()).then(|| Blocked {
        reason: ConditionReason::ManagedRouteNotStored,
        message: format!(
            "{}: spec.rules: the API server has changed the rules of managed routes while it stored them: an admission policy, or a CRD without spec.rules[].name",
            view.shown
        ),
    })
}

fn refused(view: &RouteView, error_message: &str) -> Blocked {
    match unknown_field(error_message) {
        Some(field) => Blocked {
            reason: ConditionReason::ManagedRouteNotStored,
            message: format!(
                "{}: the cluster's {} has no field {field}, which managed routes need: install a later version of Gateway API",
                view.shown,
                view.key.kind.as_str()
            ),
        },
        None => Blocked {
            reason: ConditionReason::RouteConflict,
            message: format!("{}: the API server refuses its weights: {error_message}", view.shown),
        },
    }
}

/// The field that a strict API server does not know, from its message: `unknown field "spec.rules[0].name"`.
fn unknown_field(message: &str) -> Option<&str> {
    let (_, field) = message.split_once("unknown field \"")?;
    field.split_once('"').map(|(field, _)| field)
}
