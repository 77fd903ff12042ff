//! The objects that a rollout waits for, by name, for messages in the status.

use crate::decision::Waiting;
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::runs::current;
use crate::step_plugins;
use crate::workload::{KIND, Revision};

/// The wait, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    Pods(String),
    /// Traffic cannot be routed, or the data plane has not accepted a weight yet.
    Routes(String),
    /// An analysis, or the work of a step plugin.
    Runs(String),
}

/// `None` if the rollout waits for nothing, for a time, or for a user.
pub(super) fn of(context: &Context, record: &Record, waiting: Option<Waiting>) -> Option<Wait> {
    let blocked = || Some(Wait::Routes(context.traffic.as_ref()?.state.blocked.clone()?.message));
    match waiting {
        Some(Waiting::Pods) => missing_pods(context).map(Wait::Pods).or_else(blocked),
        Some(Waiting::Routes) => blocked().or_else(|| unconfirmed_routes(context, record).map(Wait::Routes)),
        Some(Waiting::Runs) => open_work(context, record).map(Wait::Runs),
        Some(Waiting::Other) => None,
        // An aborted update has its own reason.
        None => blocked().filter(|_| !record.status.abort),
    }
}

fn missing_pods(context: &Context) -> Option<String> {
    let new = context.new.iter();
    let stable = context.stable.iter().filter(|stable| stable.hash() != context.new_hash);
    let lacking = new.chain(stable).filter(|revision| revision.available_replicas < revision.replicas);
    joined(lacking.map(|revision| lack(revision)))
}

/// `None` for an idle rollout. Its stable revision serves with either Service, so a gateway that has not reported on a change of
/// the route yet is not mentioned.
fn unconfirmed_routes(context: &Context, record: &Record) -> Option<String> {
    if record.is_stable(context) && record.kulta.restoring.is_none() {
        return None;
    }
    let objects = context.traffic.as_ref()?.objects();
    joined(objects.map(|object| format!("{object} has yet to be accepted with its weights")))
}

fn open_work(context: &Context, record: &Record) -> Option<String> {
    let runs = current::open_runs(context, record).into_iter().map(|name| format!("AnalysisRun {name:?}"));
    let plugin = step_plugins::awaited(record, Some(Waiting::Runs)).map(|name| format!("step plugin {name:?}"));
    joined(runs.chain(plugin))
}

fn lack(revision: &Revision) -> String {
    let Revision { name, available_replicas, replicas, failure, .. } = revision;
    let why = failure.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{KIND} {name:?} has {available_replicas} of {replicas} pods available{why}")
}

fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
