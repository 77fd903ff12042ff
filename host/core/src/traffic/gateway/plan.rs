//! The writes that set routes to the decided weight. A write that changes nothing is not planned.

use jiff::Timestamp;
use kulta_api::ConditionReason;
use serde_json::Value;

use super::foreign::{Foreign, Wanted};
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
    let unreachable = state.blocked.as_ref().is_some_and(|blocked| blocked.reason != ConditionReason::RouteNotAccepted)
        || gateway.routes.iter().any(|view| view.route.refused.is_some());
    // If a route is missing or cannot be written, the others keep at most the canary's present weight.
    let others = if unreachable { weight.min(state.range.max) } else { weight };
    let mut plan = RoutePlan::default();
    for view in &gateway.routes {
        let weight = if view.route.refused.is_some() { weight } else { others };
        let one = plan_one(gateway, view, weight, now);
        plan.writes.extend(one.writes);
        plan.conflict = one.conflict.or(plan.conflict);
        plan.wake_up = time::earlier(plan.wake_up, one.wake_up);
    }
    plan
}

fn plan_one(gateway: &Gateway, view: &RouteView, weight: u32, now: Timestamp) -> RoutePlan {
    let mut operations = view.rules.patch(weight, gateway.backends());
    let moves = !operations.is_empty();
    let label = label::patch(&view.route, &view.key.namespace, gateway.routing.in_progress_label(), weight > 0);
    let relabels = !label.operations.is_empty();
    operations.extend(label.operations);
    let foreign = Foreign::observe(&view.route, Wanted { weight, moves, label: label.value.as_deref(), relabels });
    let mut plan = RoutePlan::default();
    if let Some((manager, until)) = foreign.shown(now) {
        plan.conflict = Some(Blocked {
            reason: ConditionReason::ForeignWeight,
            message: format!("{}: field manager {manager:?} writes weights that this rollout owns", view.shown),
        });
        plan.wake_up = until;
    }
    if let Some(next) = foreign.waits_until(now) {
        plan.wake_up = time::earlier(plan.wake_up, Some(next));
        return plan;
    }
    if operations.is_empty() {
        return plan;
    }
    if let Some(error_message) = &view.route.refused {
        plan.conflict = Some(Blocked {
            reason: ConditionReason::RouteConflict,
            message: format!("{}: the API server refuses its weights: {error_message}", view.shown),
        });
    }
    let (min, max) = view.rules.canary_share(gateway.max_weight);
    let before = if max == weight { min } else { max };
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
            corrects_label: !moves || foreign.label_changed_by.is_some(),
        },
    });
    plan
}
