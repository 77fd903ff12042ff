//! Analysis: from a rollout's request to the spec of a run, and from a run to what is to be measured now and what the measurements
//! say (`reference/argo-rollouts.md` sections 1.5 and 1.6). Pure: the caller looks templates and Secrets up, calls the analyzers,
//! judges values by their conditions, and stores what comes back.
//!
//! ```text
//! templates, args ──resolve──► AnalysisRunSpec                (a rollout makes a run)
//! run ──check──► Checked ──due──► calls ──the caller measures──► Taken ──assess──► status, events, wake-up
//! ```
//!
//! **No measurement counts twice.** All that is known of a run is its `status`, and an assessment is stored by one merge patch of
//! it that carries the resourceVersion: the measurement, the counters it moves, the analyzer's memory and the phases that follow are
//! stored together or not at all. [`due`] reads the stored status only, so a controller that dies
//! - before the patch asks for the same measurement again (same `number` and `attempt`), and nothing of the first is counted;
//! - after the patch finds the measurement finished and asks for the next one at its time.
//!
//! A second controller, or a stale cache, fails at the resourceVersion; and [`assess`] ignores a [`Taken`] that is not the one due.
//! Events are told after the patch, under names that come from the metric and the phase, so telling them again is refused.

mod args;
mod assess;
mod calls;
mod check;
mod condition;
mod configuration;
mod dropped;
mod field_path;
mod history;
mod job_name;
mod limits;
mod made;
mod memory;
mod pins;
mod record;
mod resolve;
mod size;
mod walk;

pub use args::{request_args, secrets};
pub use assess::{Assessed, RunEvent, RunEventReason, assess, invalid};
pub use calls::{Call, CallKind, Due, ERROR_RETRY_MILLIS, due};
pub use check::{Checked, CheckedMetric, DEFAULT_RETENTION, check, filled};
pub use condition::{Condition, judge};
pub use configuration::{Configuration, at_provider, conditions, paths_where};
pub(crate) use configuration::{NOT_KNOWN_YET, configurations};
pub use dropped::{Attempt, dropped};
pub use history::{HistoryLimits, expires, to_delete};
pub use job_name::job_name;
pub use made::{Occasion, base_name, body, is_ours, name};
pub use memory::{MEMORY_KEY, UnreadableMemory};
pub use pins::pins;
pub use record::{Outcome, Taken, Verdict};
pub use resolve::{Source, resolve};
pub use walk::{Scope, TemplateRef, Templates, referenced};

#[cfg(test)]
mod fixtures;
