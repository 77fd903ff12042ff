//! The writes of routes, with their events.

use super::Writes;
use crate::plan::{EventReason, Write};
use crate::rollout::context::Context;
use crate::rollout::safety::SafeGoal;
use crate::traffic::{Router, gateway};

pub(super) fn plan(context: &Context, goal: &SafeGoal) -> Writes {
    let Some(traffic) = &context.traffic else { return Writes::default() };
    let planned = match &traffic.router {
        Router::Gateway(routes) => gateway::plan(routes, &traffic.state, goal, context.now),
        Router::ActiveService => return Writes::default(),
    };
    let (mut writes, mut refused_before) = (Vec::new(), Vec::new());
    for write in planned.writes {
        let moved = write.moved.map(|message| context.event(&write.mark, EventReason::TrafficWeightUpdated, message));
        let relabelled =
            write.relabelled.map(|message| context.warning(&write.mark, EventReason::TrafficRoutingError, message));
        let list = if write.refused_before { &mut refused_before } else { &mut writes };
        list.push(Write { action: write.action, events: moved.into_iter().chain(relabelled).collect() });
    }
    Writes { writes, refused_before, conflict: planned.conflict, wake_up: planned.wake_up, ..Writes::default() }
}
