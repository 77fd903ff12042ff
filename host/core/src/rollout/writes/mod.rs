//! The writes that make the safe changes in the cluster. A write that changes nothing is not planned.

pub(crate) mod analysis_runs;
mod annotations;
mod pods;
mod revisions;
mod routes;
mod services;

use jiff::Timestamp;
use kulta_api::Time;

use super::context::Context;
use super::questions::{LookedUp, Need};
use super::record::Record;
use super::safety::SafeGoal;
use crate::plan::Write;
use crate::time;
use crate::traffic::Blocked;

pub(crate) use annotations::AnnotationChanges;

/// The writes, in order.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub writes: Vec<Write>,
    /// Writes that the API server has refused before. They come last, so that the others are made.
    pub refused_before: Vec<Write>,
    /// Another writer changes the weights of this rollout, or the API server refuses them.
    pub conflict: Option<Blocked>,
    /// A fact to look up before all writes can be planned.
    pub need: Option<Need>,
    /// When to plan again.
    pub wake_up: Option<Timestamp>,
    /// The restart that is completed.
    pub restarted_at: Option<Time>,
}

impl Writes {
    fn only(writes: Vec<Write>) -> Self {
        Self { writes, ..Self::default() }
    }

    fn and(mut self, later: Self) -> Self {
        self.writes.extend(later.writes);
        self.refused_before.extend(later.refused_before);
        Self {
            conflict: self.conflict.or(later.conflict),
            need: later.need.or(self.need),
            wake_up: time::earlier(self.wake_up, later.wake_up),
            restarted_at: self.restarted_at.or(later.restarted_at),
            ..self
        }
    }
}

/// Plans the writes of Services, routes, ReplicaSets and pods. While the spec has errors nothing new begins.
pub(crate) fn plan(
    context: &Context,
    record: &Record,
    goal: &SafeGoal,
    annotations: &AnnotationChanges,
    looked_up: &LookedUp,
) -> Writes {
    let moves = Writes::only(services::plan(context, goal))
        .and(routes::plan(context, goal))
        .and(Writes::only(revisions::plan(context, record, goal, annotations)));
    if context.faults.is_some() {
        return moves;
    }
    moves
        .and(pods::sync_metadata(context, record, looked_up))
        .and(pods::restart(context, record, looked_up))
        .and(Writes::only(revisions::collect_history(context, record)))
        .and(Writes::only(revisions::number_rollout(context)))
}
