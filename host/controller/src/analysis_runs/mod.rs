//! AnalysisRuns: what `kulta-core` says is due is measured by analyzers, beside the workers, and the results are stored.
//!
//! ```text
//! AnalysisRun ──check──► due ──► measure (analyzer ⇄ requests, conditions) ──► completed ──assess──► status
//! ```
//!
//! A measurement that is under way is remembered here only. Its result is stored by one patch that carries the run's version, so that
//! one which was under way when the controller died is taken again, and none is counted twice (`kulta_core::analysis`).

mod analyzers;
mod cached_run;
mod credentials;
mod job;
mod local_runs;
mod measure;
mod metric_context;
mod owner;
mod reconciler;

pub use analyzers::Analyzers;
pub use credentials::{CredentialReader, ProviderEnvironment};
pub use local_runs::LocalRuns;
pub use reconciler::AnalysisRunReconciler;
