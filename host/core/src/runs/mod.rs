//! The analyses of an update: which runs there should be, which phases they have reached, and what is emitted about them.
//!
//! `status.canary.current…AnalysisRunStatus` names the current run, and is stored before the run is created. So a controller that dies
//! in between creates the very run that was meant, a run is never created twice, and one that a user deleted is created again.

pub(crate) mod current;
mod emit;
pub(crate) mod inconclusive;
mod judged;
pub(crate) mod records;
mod role;
#[cfg(test)]
mod tests;
mod wanted;

pub(crate) use inconclusive::{is_background_promoted_past, is_due_afresh};
pub(crate) use judged::{Stop, background_failure, background_overrules, background_stop};
pub(crate) use records::{
    Ending, PROMOTED, drop_all, drop_unfinished, forget_promotion, record_phases, reported, shortened,
};
pub(crate) use role::Role;
pub(crate) use wanted::{WantedRuns, analysis_of, want, want_background, wanted_by};
