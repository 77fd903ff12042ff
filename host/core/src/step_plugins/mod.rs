//! The work of components for a canary's `steps[].plugin`: which call is due, and how the answers are recorded
//! (`reference/argo-rollouts.md` section 3, "Step rules").
//!
//! `status.canary.stepPluginStatuses` is the whole state: an entry for each operation on a step, in the order in which they were
//! requested. An entry is stored before a call may change anything, and a call is due until its answer is stored. So a controller
//! that dies in between repeats the call, and work that may have changed something is always ended or undone.
//!
//! The first call of work is made at once, and its entry is stored with the answer, or after a second
//! ([`crate::plan::FIRST_CALL_MILLIS`]); until then it may only make requests that change nothing.
//!
//! A rollout makes one call at a time. Operations that end or undo work come first, one after the other.

mod answers;
pub(crate) mod call;
mod due;
mod emit;
mod entries;
mod record;
#[cfg(test)]
mod tests;
mod wanted;

pub(crate) use answers::{AnswersTaken, PluginTrouble, record_answers};
pub use call::{CallId, Operation, StepAnswer, StepCall, StepOutcome};
pub(crate) use due::{due, first_call_may_wait};
pub(crate) use entries::{awaited, is_lost, reported};
pub(crate) use wanted::{FirstAnswer, end, index_of, is_at, leave, undo, want};
