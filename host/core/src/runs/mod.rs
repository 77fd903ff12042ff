//! The analyses of an update: which runs there should be, what they have come to, and what is told of them.
//!
//! `status.canary.current…AnalysisRunStatus` names the current run, and is stored before the run is created. So a controller that dies
//! in between creates the very run that was meant, a run is never made twice, and one that a person deleted is made again.

mod judged;
mod records;
mod role;
#[cfg(test)]
mod tests;
mod wanted;
mod writes;

pub(crate) use judged::Stop;
pub(crate) use records::{Ending, PROMOTED, shortened};
pub(crate) use role::Role;
