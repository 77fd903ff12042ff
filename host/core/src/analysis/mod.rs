//! Analysis: resolves a rollout's request into the spec of a run, says what a run has to measure now, and assesses the
//! measurements (`reference/argo-rollouts.md` sections 1.5 and 1.6). All functions are pure. The caller reads templates and
//! Secrets, calls the analyzers, evaluates conditions, and stores the result.
//!
//! ```text
//! templates, args ──resolve──► AnalysisRunSpec                (a rollout creates a run)
//! run ──check──► Checked ──due──► calls ──the caller measures──► Taken ──assess──► status, events, wake-up
//! ```
//!
//! **No measurement counts twice.** The `status` of a run is its whole state. One merge patch, guarded by the resourceVersion,
//! stores an assessment: the measurement, its counters, the analyzer's memory and the resulting phases are stored together or not
//! at all. [`due`] reads only the stored status, so the next controller
//! - repeats the measurement under the same `number` and `attempt` if the previous one died before the patch;
//! - asks for the next measurement at its time if the previous one died after the patch.
//!
//! A second controller, or one with a stale cache, fails at the resourceVersion. [`assess`] ignores a [`Taken`] that is not due.
//! Events are emitted after the patch. Their names are derived from the metric and the phase, so the API server refuses
//! duplicates.

mod args;
mod assess;
mod calls;
mod check;
mod condition;
mod configuration;
mod credentials;
mod dropped;
mod field_path;
mod history;
mod job_name;
mod limits;
mod memory;
mod pins;
mod record;
mod resolve;
mod run_object;
mod size;
mod source;
mod walk;

pub use args::{request_args, secrets};
pub use assess::{Assessed, RunEvent, RunEventReason, assess, invalid};
pub use calls::{Call, CallKind, Due, ERROR_RETRY_MILLIS, due};
pub use check::{Checked, CheckedMetric, DEFAULT_RETENTION, check, filled};
pub use condition::{Condition, judge};
pub use configuration::{Configuration, at_provider, conditions, paths_where};
pub(crate) use configuration::{NOT_KNOWN_YET, configurations};
pub use credentials::{CredentialKey, CredentialKind, Credentials, SecretNamespace};
pub use dropped::{Attempt, dropped};
pub use history::{HistoryLimits, expires, to_delete};
pub use job_name::job_name;
pub use memory::{MEMORY_KEY, UnreadableMemory};
pub use pins::pins;
pub use record::{Outcome, Taken, Verdict};
pub use resolve::{args_without_effect, resolve};
pub use run_object::{RunType, base_name, body, is_ours, name};
pub use source::Source;
pub use walk::{Scope, TemplateRef, Templates, referenced};

#[cfg(test)]
mod fixtures;
