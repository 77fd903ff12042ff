//! The rules of managed routes (`setHeaderRoute`, `setMirrorRoute`): which of them the strategy may ask for, and which are safe now.
//! They send requests to the canary whatever its weight is, so they need its pods as a weight does.

use super::context::Context;
use super::outcome::SidesGoal;
use super::questions::LookedUp;
use super::record::Record;
use super::restart;
use crate::decision::{FailureClass, ManagedRoute, StrategyFailure};
use crate::identity;
use crate::replicas::basic::Side;
use crate::traffic::{ManagedGoal, Traffic};
use crate::workload::Revision;

/// The managed routes of a decision, in the order of `managedRoutes`.
///
/// # Errors
/// The decision names one that the spec does not, or one twice.
pub(super) fn wanted(context: &Context, routes: &[ManagedRoute]) -> Result<Vec<ManagedRoute>, StrategyFailure> {
    let names = context.traffic.as_ref().map_or(&[][..], names_of);
    let failed = |message: String| StrategyFailure { class: FailureClass::BadAnswer, message };
    for (index, route) in routes.iter().enumerate() {
        if !names.contains(&route.name) {
            return Err(failed(format!("routes: trafficRouting.managedRoutes does not name {:?}", route.name)));
        }
        if routes.iter().take(index).any(|before| before.name == route.name) {
            return Err(failed(format!("routes: {:?} is there twice", route.name)));
        }
    }
    Ok(names.iter().filter_map(|name| routes.iter().find(|route| route.name == *name)).cloned().collect())
}

fn names_of(traffic: &Traffic) -> &[String] {
    traffic.gateway().map_or(&[], |gateway| gateway.managed_names())
}

/// The rules that may be written now on the way to the wanted ones.
pub(super) fn safe(
    context: &Context,
    record: &Record,
    traffic: &Traffic,
    (goal, wanted): (SidesGoal, &ManagedGoal),
    looked_up: &LookedUp,
) -> ManagedGoal {
    let canary = context.canary_side();
    // A canary whose last ready pod is about to be restarted gets no requests.
    let restarts = || !goal.is_held && restart::empties_canary(context, record, looked_up);
    let can_serve = context.canary_selected() && !record.is_stable(context) && canary.available > 0 && !restarts();
    let safe = match wanted {
        ManagedGoal::Exactly(routes) if can_serve => {
            let enough = canary.available >= goal.canary_needed;
            let is_there = |route: &&ManagedRoute| enough || has(traffic, &route.name);
            ManagedGoal::Exactly(routes.iter().filter(is_there).cloned().collect())
        }
        held if can_serve => held.clone(),
        ManagedGoal::Exactly(_) | ManagedGoal::AsWritten | ManagedGoal::Present => ManagedGoal::default(),
    };
    // Requests that leave the canary's Service go where the weights send them.
    let all_to_canary = traffic.state.range.min == traffic.shape.max_weight;
    let may_leave =
        all_to_canary || stable_serves(context, record, traffic) || !canary_service_serves(context, traffic);
    if safe.is_none() && !may_leave { ManagedGoal::Present } else { safe }
}

fn has(traffic: &Traffic, name: &str) -> bool {
    traffic.gateway().is_some_and(|gateway| gateway.has_managed(name))
}

/// The stable Service selects the stable revision, which has an available pod.
fn stable_serves(context: &Context, record: &Record, traffic: &Traffic) -> bool {
    let stable_hash = record.status.stable_rs.as_str();
    let is_new = record.is_stable(context) || stable_hash.is_empty();
    let stable: Side = if is_new { context.canary_side() } else { context.stable_side() };
    let service = context.service(Some(&traffic.stable_service));
    let selects = service.is_some_and(|service| service.hash().is_none_or(|selected| selected == stable_hash));
    selects && stable.available > 0
}

/// The canary's Service selects an available pod.
fn canary_service_serves(context: &Context, traffic: &Traffic) -> bool {
    let revisions = &context.observed.revisions;
    context.service(Some(&traffic.canary_service)).is_some_and(|service| match service.hash() {
        Some(hash) => identity::by_hash(revisions, hash).is_some_and(|revision| revision.available_replicas > 0),
        None => revisions.iter().any(|revision| revision.available_replicas > 0),
    })
}

/// Number of pods that a canary keeps because a rule may send requests to it: those of its scale, which is `canary`, or all until the
/// rule is gone.
pub(super) fn pods_to_keep(
    (context, record): (&Context, &Record),
    traffic: &Traffic,
    revision: &Revision,
    (canary, safe): (u32, &ManagedGoal),
) -> u32 {
    let selected = context.selected(&traffic.canary_service) == Some(revision.hash());
    let is_canary = revision.hash() != record.status.stable_rs;
    let stays = canary > 0 && !safe.is_none();
    if traffic.state.managed.may_send && selected && is_canary && !stays { revision.replicas } else { 0 }
}

/// Whether all routes have exactly the rules of these managed routes.
pub(super) fn are_in_place(traffic: &Traffic, wanted: &[ManagedRoute], weight: u32) -> bool {
    traffic.gateway().is_none_or(|gateway| gateway.has_exactly(wanted, weight))
}
