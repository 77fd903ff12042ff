//! Numbers of pods and weights in the status.

use kulta_api::annotations;
use kulta_api::status::{TrafficWeights, WeightDestination};

use super::autoscaling;
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::selector;
use crate::traffic::Traffic;
use crate::workload::Revision;

/// Step of the strategy (`plugins/blue-green`) at which a smaller preview grows to all pods.
const GROWTH: u32 = 3;

pub(super) fn update(context: &Context, record: Record) -> Record {
    let record = with_pods(context, record);
    if context.faults.as_ref().is_some_and(|faults| faults.traffic_unknown) {
        return record;
    }
    with_blue_green(context, with_weights(context, record))
}

fn number(pods: u32) -> i32 {
    i32::try_from(pods).unwrap_or(i32::MAX)
}

fn with_pods(context: &Context, mut record: Record) -> Record {
    let for_autoscaler = autoscaling::hpa_replicas(context, &record);
    let sum =
        |of: fn(&Revision) -> u32| number(context.observed.revisions.iter().map(|revision| of(revision)).sum::<u32>());
    let status = &mut record.status;
    status.replicas = sum(|revision| revision.created_replicas);
    status.hpa_replicas = number(for_autoscaler);
    status.ready_replicas = sum(|revision| revision.ready_replicas);
    status.available_replicas = sum(|revision| revision.available_replicas);
    status.updated_replicas = number(context.new.as_ref().map_or(0, |new| new.created_replicas));
    status.selector = selector_for_autoscaler(context);
    record
}

/// The selector of the pods that an autoscaler measures. Of blue-green these are the active revision's, as in Argo.
fn selector_for_autoscaler(context: &Context) -> String {
    let Some(selector) = &context.observed.rollout.spec.selector else { return String::new() };
    let active = context.active().map(|revision| revision.hash().to_owned());
    let mut selector = selector.clone();
    if let Some(hash) = active {
        selector.match_labels.get_or_insert_default().insert(annotations::POD_TEMPLATE_HASH.to_owned(), hash);
    }
    selector::format(&selector)
}

/// Records the revisions that the Services of a blue-green rollout select.
fn with_blue_green(context: &Context, mut record: Record) -> Record {
    let Some(strategy) = &context.observed.rollout.spec.strategy.blue_green else {
        if let Some(status) = &mut record.status.blue_green {
            (status.preview_selector, status.active_selector) = (None, None);
            status.scale_up_preview_check_point = None;
        }
        return record;
    };
    let selected = |name: Option<&String>| name.and_then(|name| context.selected(name)).map(str::to_owned);
    let (preview, active) =
        (selected(context.fields.canary_service.as_ref()), selected(context.fields.stable_service.as_ref()));
    let forward = !record.is_stable(context) && !record.status.abort;
    let judged = forward && strategy.preview_replica_count.is_some() && record.step() >= GROWTH;
    let status = record.status.blue_green.get_or_insert_default();
    status.preview_selector = preview;
    status.active_selector = active;
    status.scale_up_preview_check_point = judged.then_some(true);
    record
}

/// Records the weights that the data plane has confirmed. Until it confirms a change, the last confirmed weights stay, marked as
/// unverified.
fn with_weights(context: &Context, mut record: Record) -> Record {
    let Some(traffic) = context.traffic.as_ref().filter(|traffic| traffic.has_routes()) else {
        record.status.canary.weights = None;
        return record;
    };
    match traffic.state.confirmed {
        Some(confirmed) => record.status.canary.weights = Some(weights(context, traffic, confirmed)),
        // A pending change is not reported; a refused one is.
        None if traffic.state.blocked.is_some() => {
            if let Some(weights) = &mut record.status.canary.weights {
                weights.verified = Some(false);
            }
        }
        None => {}
    }
    record
}

fn weights(context: &Context, traffic: &Traffic, confirmed: u32) -> TrafficWeights {
    let part = |weight: u32, service: &String| WeightDestination {
        weight: number(weight),
        service_name: service.clone(),
        pod_template_hash: context.selected(service).unwrap_or_default().to_owned(),
    };
    TrafficWeights {
        canary: part(confirmed, &traffic.canary_service),
        stable: part(traffic.shape.max_weight.saturating_sub(confirmed), &traffic.stable_service),
        additional: Vec::new(),
        verified: Some(true),
    }
}
