//! The writes that bring routes to the weight that was decided. A write that changes nothing is not planned.

use kulta_api::ConditionReason;
use serde_json::Value;

use crate::pass::Pass;
use crate::plan::{Action, EventReason, Write};
use crate::time;
use crate::traffic::Obstacle;
use crate::traffic::foreign::{Foreign, Wanted};
use crate::traffic::label;

impl Pass {
    /// Plans what the routes are to say; hands back the writes that the API server has refused before.
    pub fn write_routes(&mut self, weight: u32) -> Vec<Write> {
        let Some(traffic) = &self.scene.traffic else { return Vec::new() };
        let blocked =
            traffic.obstacle.as_ref().is_some_and(|obstacle| obstacle.reason != ConditionReason::RouteNotAccepted)
                || traffic.routes.iter().any(|view| view.route.refused.is_some());
        // With a route missing or out of reach, the others get no more than they have.
        let others = if blocked { weight.min(traffic.served.most) } else { weight };
        let now = self.scene.now;
        let (mut writes, mut refused) = (Vec::new(), Vec::new());
        let mut wake_up = None;
        let mut obstacle = None;
        for view in &traffic.routes {
            let weight = if view.route.refused.is_some() { weight } else { others };
            let mut operations = view.rules.patch(weight, traffic.backends());
            let moves = !operations.is_empty();
            let label = label::patch(&view.route, &view.namespace, traffic.gateway.in_progress_label(), weight > 0);
            let relabels = !label.operations.is_empty();
            operations.extend(label.operations);
            let wanted = Wanted { weight, moves, label: label.value.as_deref(), relabels };
            let foreign = Foreign::see(&view.route, wanted);
            if let Some((manager, until)) = foreign.shown(now) {
                obstacle = Some(Obstacle {
                    reason: ConditionReason::ForeignWeight,
                    message: format!(
                        "HTTPRoute {:?}: field manager {manager:?} writes weights that this rollout owns",
                        view.shown
                    ),
                });
                wake_up = time::earlier(wake_up, until);
            }
            if let Some(next) = foreign.waits_until(now) {
                wake_up = time::earlier(wake_up, Some(next));
                continue;
            }
            if operations.is_empty() {
                continue;
            }
            if let Some(words) = &view.route.refused {
                obstacle = Some(Obstacle {
                    reason: ConditionReason::RouteConflict,
                    message: format!("HTTPRoute {:?}: the API server refuses its weights: {words}", view.shown),
                });
            }
            let (least, most) = view.rules.canary_share(traffic.shape.max_weight);
            let before = if most == weight { least } else { most };
            let mark = format!("{}.rv{}", view.name, view.route.resource_version);
            let moved = (before != weight).then(|| {
                let message = format!("Traffic weight updated from {before} to {weight} (HTTPRoute {:?})", view.shown);
                self.write_event(&mark, EventReason::TrafficWeightUpdated, message)
            });
            let relabelled = foreign.label_changed_by.map(|manager| {
                let message = format!(
                    "HTTPRoute {:?}: field manager {manager:?} changed the in-progress label that this rollout owns",
                    view.shown
                );
                self.warning(&mark, EventReason::TrafficRoutingError, message)
            });
            let action = Action::PatchRoute {
                namespace: view.namespace.clone(),
                name: view.name.clone(),
                patch: Value::Array(operations),
                weight,
                label: label.value.clone(),
                corrects: foreign.present.map(str::to_owned),
                corrects_label: !moves || foreign.label_changed_by.is_some(),
            };
            let list = if view.route.refused.is_some() { &mut refused } else { &mut writes };
            list.push(Write { action, events: moved.into_iter().chain(relabelled).collect() });
        }
        self.writes.extend(writes);
        self.contested = obstacle;
        if let Some(at) = wake_up {
            self.wake(at);
        }
        refused
    }
}
