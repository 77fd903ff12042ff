//! AnalysisRuns: what `kulta-core` says is due is measured by analyzers, beside the workers, and what comes back is stored.
//!
//! ```text
//! AnalysisRun ──check──► due ──► measure (analyzer ⇄ fetch, conditions) ──► landed ──assess──► status
//! ```
//!
//! A measurement that is under way is remembered here only. Its result is stored by one patch that carries the run's version, so that
//! one which was in the air when the controller died is taken again, and none is counted twice (`kulta_core::analysis`).

mod analyzers;
mod convert;
mod job;
mod kept;
mod look;
mod measure;
mod notes;
mod secrets;
mod surroundings;

pub use analyzers::Analyzers;
pub use convert::Surroundings;
pub use look::look;
pub use notes::RunNotes;
pub use secrets::SecretReader;
