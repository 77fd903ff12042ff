//! The strategy gave no usable answer: the rollout holds, and after several failures in a row it pauses for a user.

use jiff::Timestamp;

use super::context::Context;
use super::lifecycle;
use super::outcome::{Next, Outcome, Progress};
use super::record::Record;
use super::stages;
use crate::decision::{PauseCause, StrategyFailure, Waiting};
use crate::plugin_failure::Effect;
use crate::runs;
use crate::time;

/// Failures in a row after which the rollout is paused.
const FAILURES_UNTIL_PAUSE: u64 = 5;
/// Seconds until a failed strategy is asked again, multiplied by the number of failures so far.
const RETRY_SECONDS: u32 = 2;

/// When the failed strategy is asked again; `None` if it may be asked now.
pub(super) fn retry_at(context: &Context, record: &Record) -> Option<Timestamp> {
    // A user who lifts the pause expects an answer at once.
    let is_retried = record.kulta.plugin_failures >= FAILURES_UNTIL_PAUSE && record.status.pause_lifted();
    let at = record.kulta.strategy_retry_at.as_ref().map(|at| at.0)?;
    (at > context.now && !is_retried).then_some(at)
}

/// Holds the rollout. An aborted update restores stable without the strategy.
pub(super) fn undecided(context: &Context, progress: Progress, failure: &StrategyFailure) -> Next {
    let class = failure.class;
    let reason = format!("strategy {:?} failed ({}): {}", context.strategy.plugin, class.label(), failure.message);
    let progress = Progress { strategy_failure: Some(failure.clone()), ..progress };
    if progress.record.status.abort {
        return Next::Settled(stages::restore(context, progress, 0, Some(reason)));
    }
    if let Some(why) = runs::background_failure(context, &progress.record) {
        return stages::abort_by_analysis(context, progress, &why);
    }
    let (progress, waiting, wake_up) = match class.effect() {
        Effect::Retried => retried(context, progress),
        Effect::Paused | Effect::Repinned => (paused(context, progress), Some(Waiting::Other), None),
        Effect::Awaited | Effect::AwaitedSilently => (progress, None, Some(time::after(context.now, RETRY_SECONDS))),
    };
    let outcome = stages::hold(context, progress, reason);
    Next::Settled(stages::wakes_at(Outcome { waiting, ..outcome }, wake_up))
}

fn paused(context: &Context, progress: Progress) -> Progress {
    Progress { record: lifecycle::pause(context, progress.record, PauseCause::Step), ..progress }
}

fn retried(context: &Context, mut progress: Progress) -> (Progress, Option<Waiting>, Option<Timestamp>) {
    let before = progress.record.kulta.plugin_failures;
    let waits_for_user = before >= FAILURES_UNTIL_PAUSE;
    let failures = before.saturating_add(1).min(FAILURES_UNTIL_PAUSE);
    progress.record.kulta.plugin_failures = failures;
    let seconds = RETRY_SECONDS * u32::try_from(failures).unwrap_or(1);
    let at = time::ceil(time::after(context.now, seconds));
    // A wake-up time that changes with each failure would be written again and again while the rollout waits for a user.
    progress.record.kulta.strategy_retry_at = (!waits_for_user).then(|| at.clone());
    if failures == FAILURES_UNTIL_PAUSE {
        return (paused(context, progress), Some(Waiting::Other), Some(at.0));
    }
    (progress, None, Some(at.0))
}

/// A strategy's memory in the status, as hex because the status is JSON.
pub(super) mod memory {
    use std::fmt::Write as _;

    pub fn encode(bytes: &[u8]) -> String {
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// A value that another controller wrote counts as no memory.
    pub fn decode(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
        digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>().unwrap_or_default()
    }
}
