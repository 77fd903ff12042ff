//! The effects of the background analysis, whatever the strategy decides.

use super::current::current_run;
use super::inconclusive::is_promoted_past;
use super::role::Role;
use crate::decision::{Next, PauseCause};
use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// Message as in Argo.
const BACKGROUND_FAILED: &str = "Background analysis phase error/failed";

/// The action of the host because of the background analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Aborts the update for this reason.
    Abort(String),
    Pause,
}

/// The background analysis stops the update: it has failed, or it is inconclusive and no user has promoted past it.
pub(crate) fn background_stop(context: &Context, record: &Record) -> Option<Stop> {
    let current = current_run(context, record, Role::Background)?;
    if current.has_failed() {
        let message = current.message();
        let why = if message.is_empty() { String::new() } else { format!(": {message}") };
        return Some(Stop::Abort(format!("{BACKGROUND_FAILED}{why}")));
    }
    (current.is_inconclusive() && !is_promoted_past(record, &current)).then_some(Stop::Pause)
}

/// Why the update is to be aborted, if the background analysis has failed.
pub(crate) fn background_failure(context: &Context, record: &Record) -> Option<String> {
    match background_stop(context, record) {
        Some(Stop::Abort(why)) => Some(why),
        Some(Stop::Pause) | None => None,
    }
}

/// The same as [`background_stop`], unless the strategy's decision has the same effect.
pub(crate) fn background_overrules(context: &Context, record: &Record, next: &Next) -> Option<Stop> {
    match (background_stop(context, record), next) {
        (_, Next::Abort { .. }) | (Some(Stop::Pause), Next::Pause { cause: PauseCause::Analysis, .. }) => None,
        (stop, _) => stop,
    }
}
