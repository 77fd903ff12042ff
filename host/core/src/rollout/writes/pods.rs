//! The writes of single pods: evictions for `spec.restartAt`, and ephemeral metadata on running pods.

use std::collections::BTreeMap;

use kulta_api::annotations;
use kulta_api::strategy::PodMetadata;
use serde_json::json;

use super::Writes;
use crate::metadata::{self, Sync};
use crate::observed::Pod;
use crate::plan::{Action, Write};
use crate::rollout::context::Context;
use crate::rollout::questions::{LookedUp, Need};
use crate::rollout::record::Record;
use crate::rollout::restart;
use crate::workload::{Change, Revision, WorkloadWrite};
use crate::{selector, time};

/// Seconds until a restart that could not proceed is tried again, for example because of a disruption budget.
const RESTART_RETRY_SECONDS: u32 = 30;

/// Evicts pods older than `restartAt`. The last ready pod of a side with traffic stays.
pub(super) fn restart(context: &Context, record: &Record, looked_up: &LookedUp) -> Writes {
    let Some(restart_at) = restart::wanted(context, record) else { return Writes::default() };
    if restart_at.0 > context.now {
        return Writes { wake_up: Some(restart_at.0), ..Writes::default() };
    }
    let Some(pods) = restart::own_pods(context, looked_up) else { return ask_for_pods(context) };
    if !pods.iter().any(|pod| restart::is_outdated(context, pod, restart_at.0)) {
        return Writes { restarted_at: Some(restart_at.clone()), ..Writes::default() };
    }
    let mut ready: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| restart::is_up(pod)) {
        *ready.entry(pod.hash.as_str()).or_default() += 1;
    }
    let mut evictions = Vec::new();
    for pod in restart::next_evictions(context, record, restart_at.0, &pods) {
        let left = ready.entry(pod.hash.as_str()).or_default();
        if pod.ready && *left == 1 && restart::last_pod_serves(context, record, &pod.hash) {
            continue;
        }
        *left -= usize::from(pod.ready);
        evictions.push(Write { action: Action::EvictPod { name: pod.name.clone() }, events: Vec::new() });
    }
    let wake_up = Some(time::after(context.now, RESTART_RETRY_SECONDS));
    Writes { wake_up, ..Writes::only(evictions) }
}

/// Labels and annotations by role, on templates and on pods.
pub(super) fn sync_metadata(context: &Context, record: &Record, looked_up: &LookedUp) -> Writes {
    let canary_role = context.fields.canary_metadata.clone().unwrap_or_default();
    let stable_role = context.fields.stable_metadata.clone().unwrap_or_default();
    let is_stable = record.is_stable(context) || record.status.stable_rs.is_empty();
    let role = if is_stable { &stable_role } else { &canary_role };
    let new = context.new.as_ref().map(|new| sync_role(context, new, role, looked_up));
    let stable = context.stable.as_ref().filter(|_| !is_stable);
    let stable = stable.map(|stable| sync_role(context, stable, &stable_role, looked_up));
    new.into_iter().chain(stable).fold(Writes::default(), Writes::and)
}

fn sync_role(context: &Context, revision: &Revision, wanted: &PodMetadata, looked_up: &LookedUp) -> Writes {
    // The user's own values are restored from the template that is being replaced, because an older revision has no other record
    // of them.
    let written = if revision.hash() == context.new_hash {
        context.observed.template().clone()
    } else {
        kulta_api::PodTemplate::default()
    };
    let of_workload = |change: Change| {
        let write = |patch| Action::Workload(WorkloadWrite::Patch { name: revision.name.clone(), patch });
        change.patch().map(|patch| Write { action: write(patch), events: Vec::new() })
    };
    match metadata::next(revision, wanted, &written) {
        Sync::Done => Writes::default(),
        Sync::Template(template) => {
            let change = Change { template: Some(template), ..Change::default() };
            Writes::only(of_workload(change).into_iter().collect())
        }
        Sync::Pods => {
            let Some(pods) = restart::own_pods(context, looked_up) else { return ask_for_pods(context) };
            let old = metadata::injected(revision);
            let pod_patch = |pod: &Pod| {
                let patch = metadata::pod_patch(pod, &old, wanted, &written)?;
                Some(Write { action: Action::PatchPod { name: pod.name.clone(), patch }, events: Vec::new() })
            };
            let own = pods.iter().filter(|pod| pod.hash == revision.hash() && !pod.terminating);
            let annotation = (annotations::EPHEMERAL_METADATA.to_owned(), json!(metadata::annotation(wanted)));
            let last = of_workload(Change { annotations: [annotation].into_iter().collect(), ..Change::default() });
            Writes::only(own.filter_map(pod_patch).chain(last).collect())
        }
    }
}

fn ask_for_pods(context: &Context) -> Writes {
    let selector = context.observed.rollout.spec.selector.as_ref();
    let need = Need::Pods { selector: selector.map(selector::format).unwrap_or_default() };
    Writes { need: Some(need), ..Writes::default() }
}
