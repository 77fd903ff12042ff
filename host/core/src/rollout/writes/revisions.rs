//! The writes of the objects that run the pods of revisions.

use kulta_api::annotations;
use serde_json::{Value, json};

use super::AnnotationChanges;
use crate::plan::{Action, EventReason, Write};
use crate::rollout::context::Context;
use crate::rollout::record::Record;
use crate::rollout::safety::SafeGoal;
use crate::workload::{self, Change, NewWorkload, Revision, WorkloadWrite};
use crate::{affinity, hash, identity, patch};

/// Creates the new revision's object, scales all revisions, and writes annotations in the same patches.
pub(super) fn plan(context: &Context, record: &Record, goal: &SafeGoal, annotations: &AnnotationChanges) -> Vec<Write> {
    let new = goal.canary().and_then(|pods| new_revision(context, record, pods, annotations));
    let other_stable = context.stable.as_ref().filter(|stable| Some(&stable.name) != new_name(context));
    let stable = other_stable.zip(goal.stable());
    let older = context.others.iter().zip(goal.older().iter().copied());
    let others = stable
        .into_iter()
        .chain(older)
        .filter_map(|(revision, pods)| scale(context, revision, pods, Change::default(), annotations));
    new.into_iter().chain(others).collect()
}

fn new_name(context: &Context) -> Option<&String> {
    context.new.as_ref().map(|new| &new.name)
}

fn new_revision(context: &Context, record: &Record, replicas: u32, annotations: &AnnotationChanges) -> Option<Write> {
    match &context.new {
        Some(new) if context.faults.is_some() => scale(context, new, replicas, Change::default(), annotations),
        Some(new) => scale(context, new, replicas, changes_of_new(context, record, new), annotations),
        // The spec or an error in it stops the rollout, so a revision without pods gets none.
        None if context.is_stopped() || context.faults.is_some() => None,
        None => Some(create(context, record, replicas)),
    }
}

/// The parts of the Rollout that the new revision's object does not have yet.
fn changes_of_new(context: &Context, record: &Record, new: &Revision) -> Change {
    let rollout = &context.observed.rollout;
    let number = context.revision_number();
    let canonical = hash::template_hash(&context.observed.template().0);
    let mut wanted = workload::copied_annotations(rollout);
    wanted.insert(annotations::TEMPLATE_HASH.to_owned(), identity::with_hash(new, &canonical));
    if new.number() != number {
        wanted.insert(annotations::REVISION.to_owned(), number.to_string());
        if new.number() > 0 {
            let before = new.annotations.get(annotations::REVISION_HISTORY);
            let history = before.map_or_else(String::new, |history| format!("{history},"));
            wanted.insert(annotations::REVISION_HISTORY.to_owned(), format!("{history}{}", new.number()));
        }
    }
    wanted.retain(|key, value| new.annotations.get(key) != Some(value));
    let ready_seconds = rollout.spec.min_ready_seconds();
    Change {
        annotations: wanted.into_iter().map(|(key, value)| (key, json!(value))).collect(),
        replicas: None,
        min_ready_seconds: (new.min_ready_seconds != ready_seconds).then_some(ready_seconds),
        template: affinity_change(context, record, new).map(|change| json!({ "spec": { "affinity": change } })),
    }
}

/// The injected rule names the stable revision. It is removed once this revision is stable.
fn affinity_change(context: &Context, record: &Record, new: &Revision) -> Option<Value> {
    let stable = other_stable(context, record);
    let wanted = context.fields.anti_affinity.as_ref().and(stable);
    let present = affinity::injected(&new.template.0);
    if present == wanted.map(str::to_owned).into_iter().collect::<Vec<_>>() {
        return None;
    }
    let body = workload::body(&NewWorkload {
        rollout: &context.observed.rollout,
        template: context.observed.template(),
        hash: &context.new_hash,
        revision: context.revision_number(),
        replicas: 0,
        stable,
    });
    let at = |template: &Value| template.pointer("/spec/affinity").cloned().unwrap_or(Value::Null);
    let after = body.pointer("/spec/template").map_or(Value::Null, at);
    patch::diff(&at(&new.template.0), &after)
}

/// Hash of the stable revision, if the new revision is another one.
fn other_stable<'a>(context: &Context, record: &'a Record) -> Option<&'a str> {
    let stable = record.status.stable_rs.as_str();
    (!stable.is_empty() && !record.is_stable(context)).then_some(stable)
}

fn create(context: &Context, record: &Record, replicas: u32) -> Write {
    let number = context.revision_number();
    let body = workload::body(&NewWorkload {
        rollout: &context.observed.rollout,
        template: context.observed.template(),
        hash: &context.new_hash,
        revision: number,
        replicas,
        stable: other_stable(context, record),
    });
    let name = workload::name(context.rollout_name(), &context.new_hash);
    let mark = context.new_hash.as_str();
    let mut events = vec![context.event(
        mark,
        EventReason::NewReplicaSetCreated,
        format!("Created {} {name} (revision {number})", workload::KIND),
    )];
    if !record.is_stable(context) {
        events.push(context.not_completed_event());
    }
    // Argo creates the ReplicaSet without pods and scales it in a second write. Here it is one write with the events of both.
    if replicas > 0 {
        let message = format!("Scaled up {} {name} (revision {number}) from 0 to {replicas}", workload::KIND);
        events.push(context.event(mark, EventReason::ScalingReplicaSet, message));
    }
    Write { action: Action::Workload(WorkloadWrite::Create { name, body }), events }
}

/// Scales a revision and writes its other changes in one patch; `None` if nothing changes.
fn scale(
    context: &Context,
    revision: &Revision,
    target: u32,
    mut change: Change,
    annotations: &AnnotationChanges,
) -> Option<Write> {
    let deadlines = annotations.of(revision.hash());
    change.annotations.extend(deadlines.map(|(key, value)| (key.to_owned(), json!(value))));
    let current = revision.replicas;
    let mut events = Vec::new();
    if current != target {
        let direction = if target > current { "up" } else { "down" };
        change.replicas = Some(target);
        let desired = context.replicas;
        if revision.desired_replicas() != Some(desired) {
            change.annotations.insert(annotations::DESIRED_REPLICAS.to_owned(), json!(desired.to_string()));
        }
        if target == 0 && revision.annotations.contains_key(annotations::SCALE_DOWN_DEADLINE) {
            change.annotations.insert(annotations::SCALE_DOWN_DEADLINE.to_owned(), Value::Null);
        }
        events.push(context.event(
            &format!("{}.g{}", revision.hash(), revision.generation),
            EventReason::ScalingReplicaSet,
            format!(
                "Scaled {direction} {} {} (revision {}) from {current} to {target}",
                workload::KIND,
                revision.name,
                revision.number()
            ),
        ));
    }
    let patch = change.patch()?;
    Some(Write { action: Action::Workload(WorkloadWrite::Patch { name: revision.name.clone(), patch }), events })
}

/// Deletes old revisions without pods beyond the history limit, oldest first.
pub(super) fn collect_history(context: &Context, record: &Record) -> Vec<Write> {
    let limit = context.observed.rollout.spec.revision_history_limit();
    let mut empty: Vec<_> = context
        .others
        .iter()
        .filter(|other| other.replicas == 0 && other.created_replicas == 0 && !other.deleting)
        .filter(|other| !has_undelivered_events(record, other.hash()))
        .collect();
    empty.sort_by_key(|other| (other.number(), other.created));
    let excess = context.others.len().saturating_sub(limit);
    let delete =
        |old: &Revision| Action::Workload(WorkloadWrite::Delete { name: old.name.clone(), uid: old.uid.clone() });
    empty.into_iter().take(excess).map(|old| Write { action: delete(old), events: Vec::new() }).collect()
}

/// An event about the revision may still be sent, or sent again by a process that does not know about the first delivery. The
/// number of the revision is stored only in its object, until the entry is removed from the stored outbox.
fn has_undelivered_events(record: &Record, hash: &str) -> bool {
    record.kulta.outbox.iter().any(|entry| entry.hash == hash || entry.stable.as_deref() == Some(hash))
}

/// Writes the revision's number to the Rollout, where kubectl plugins read it.
pub(super) fn number_rollout(context: &Context) -> Vec<Write> {
    let number = context.revision_number().to_string();
    let annotations = context.observed.rollout.metadata.annotations.as_ref();
    let present = annotations.and_then(|all| all.get(annotations::REVISION));
    if context.new.is_none() || present == Some(&number) {
        return Vec::new();
    }
    let patch = json!({ "metadata": { "annotations": { annotations::REVISION: number } } });
    vec![Write { action: Action::PatchRollout { patch }, events: Vec::new() }]
}
