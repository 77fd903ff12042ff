//! How long pods of superseded revisions are kept (`reference/argo-rollouts.md` section 4, "Scale-down").

use jiff::Timestamp;

use super::context::Context;
use super::record::Record;
use crate::time;
use crate::workload::Revision;

/// Pods of a revision that are kept for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub pods: u32,
    /// When the pods are deleted, if this reconciliation sets the deadline.
    pub deadline: Option<Timestamp>,
    pub wake_up: Option<Timestamp>,
}

impl Kept {
    fn pods(pods: u32) -> Self {
        Self { pods, ..Self::default() }
    }

    fn until_set(pods: u32, deadline: Timestamp) -> Self {
        let at = time::ceil(deadline).0;
        Self { pods, deadline: Some(at), wake_up: Some(at) }
    }
}

/// Pods of the canary that are kept after an abort: all of them until the deadline, which is set once stable has all its pods.
pub(super) fn canary_after_abort(context: &Context, stable_whole: bool) -> Kept {
    let Some(canary) = &context.new else { return Kept::default() };
    let Some(delay) = context.fields.abort_scale_down_delay_seconds() else { return Kept::pods(canary.replicas) };
    match canary.scale_down_deadline() {
        Some(deadline) if deadline <= context.now => Kept::default(),
        Some(deadline) => Kept { wake_up: Some(deadline), ..Kept::pods(canary.replicas) },
        None if stable_whole && canary.replicas > 0 => {
            Kept::until_set(canary.replicas, time::after(context.now, delay))
        }
        None => Kept::pods(canary.replicas),
    }
}

/// Pods of each revision that is neither new nor stable, behind routes. They are kept while requests may reach them, and for the
/// scale-down delay after a promotion.
pub(super) fn older(context: &Context, record: &Record) -> Vec<Kept> {
    let mut lingering = 0;
    let mut kept = Vec::with_capacity(context.others.len());
    for other in &context.others {
        let one = of_other(context, record, other, lingering);
        lingering += usize::from(one.pods > 0);
        kept.push(one);
    }
    kept
}

fn of_other(context: &Context, record: &Record, other: &Revision, lingering: usize) -> Kept {
    if other.replicas == 0 {
        return Kept::default();
    }
    if context.may_serve(other) {
        return Kept::pods(other.replicas);
    }
    let limit = context.fields.scale_down_delay_revision_limit;
    let beyond_limit = limit.is_some_and(|limit| lingering >= usize::try_from(limit).unwrap_or(0));
    let being_left = record.kulta.restoring.as_deref() == Some(other.hash());
    if context.fields.dynamic_stable_scale() || beyond_limit || being_left {
        return Kept::default();
    }
    match other.scale_down_deadline() {
        Some(deadline) if deadline <= context.now => Kept::default(),
        Some(deadline) => Kept { wake_up: Some(deadline), ..Kept::pods(other.replicas) },
        // The revision was stable until the promotion. Its available pods are kept for a while, in case of a rollback.
        None if record.is_stable(context) && other.available_replicas > 0 => {
            let delay = context.fields.scale_down_delay_seconds();
            let pods = if delay == 0 { 0 } else { other.replicas };
            Kept::until_set(pods, time::after(context.now, delay))
        }
        // The revision was never stable.
        None => Kept::default(),
    }
}
