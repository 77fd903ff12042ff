//! The writes that bring routes to the weight that was decided. A write that changes nothing is not planned.

use jiff::Timestamp;
use kulta_api::ConditionReason;
use serde_json::Value;

use super::foreign::{Foreign, Wanted};
use super::{Gateway, RouteView, label};
use crate::plan::Action;
use crate::rollout::safety::SafeGoal;
use crate::time;
use crate::traffic::{Blocked, TrafficState};

/// What is to be written to the routes.
#[derive(Debug, Default)]
pub(crate) struct RoutePlan {
    pub writes: Vec<RouteWrite>,
    /// Another writer changes the weights of this rollout, or the API server refuses them.
    pub conflict: Option<Blocked>,
    pub wake_up: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct RouteWrite {
    /// What the write is about: names its events.
    pub mark: String,
    pub action: Action,
    /// The message about the move, if the weight moves.
    pub moved: Option<String>,
    /// The message about a foreign change of the label, if the write corrects one.
    pub relabelled: Option<String>,
    /// The API server has refused this write before.
    pub refused_before: bool,
}

/// Plans what the routes should say.
pub(crate) fn plan(gateway: &Gateway, state: &TrafficState, goal: &SafeGoal, now: Timestamp) -> RoutePlan {
    let Some(weight) = goal.weight() else { return RoutePlan::default() };
    let unreachable = state.blocked.as_ref().is_some_and(|blocked| blocked.reason != ConditionReason::RouteNotAccepted)
        || gateway.routes.iter().any(|view| view.route.refused.is_some());
    // With a route missing or out of reach, the others get no more than they have.
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
    let label = label::patch(&view.route, &view.namespace, gateway.routing.in_progress_label(), weight > 0);
    let relabels = !label.operations.is_empty();
    operations.extend(label.operations);
    let foreign = Foreign::observe(&view.route, Wanted { weight, moves, label: label.value.as_deref(), relabels });
    let mut plan = RoutePlan::default();
    if let Some((manager, until)) = foreign.shown(now) {
        plan.conflict = Some(Blocked {
            reason: ConditionReason::ForeignWeight,
            message: format!(
                "HTTPRoute {:?}: field manager {manager:?} writes weights that this rollout owns",
                view.shown
            ),
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
    if let Some(words) = &view.route.refused {
        plan.conflict = Some(Blocked {
            reason: ConditionReason::RouteConflict,
            message: format!("HTTPRoute {:?}: the API server refuses its weights: {words}", view.shown),
        });
    }
    let (least, most) = view.rules.canary_share(gateway.max_weight);
    let before = if most == weight { least } else { most };
    plan.writes.push(RouteWrite {
        mark: format!("{}.rv{}", view.name, view.route.resource_version),
        moved: (before != weight)
            .then(|| format!("Traffic weight updated from {before} to {weight} (HTTPRoute {:?})", view.shown)),
        relabelled: foreign.label_changed_by.map(|manager| {
            format!(
                "HTTPRoute {:?}: field manager {manager:?} changed the in-progress label that this rollout owns",
                view.shown
            )
        }),
        refused_before: view.route.refused.is_some(),
        action: Action::PatchRoute {
            namespace: view.namespace.clone(),
            name: view.name.clone(),
            patch: Value::Array(operations),
            weight,
            label: label.value.clone(),
            corrects: foreign.present.map(str::to_owned),
            corrects_label: !moves || foreign.label_changed_by.is_some(),
        },
    });
    plan
}
