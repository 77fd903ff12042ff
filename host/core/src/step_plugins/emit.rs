//! Kubernetes events about step plugins.

use kulta_api::foreign_status::StepPluginStatus;

use super::record::{self, Phase};
use crate::decision::FailureClass;
use crate::plan::{EventKind, EventReason};
use crate::rollout::context::Context;
use crate::rollout::record::Record;

/// Characters of a message that an event quotes.
const QUOTED_CHARS: usize = 256;

fn mark(record: &Record, entry: &StepPluginStatus) -> String {
    let started = entry.started_at.as_ref().map_or(0, |time| time.0.as_second());
    format!("{}.{started}.step{}", record.status.current_pod_hash, entry.index)
}

/// The step plugin is unknown. The rollout stops at its step until the deadline (upstream `test/e2e/step_plugin_test.go`,
/// `TestRolloutErrorWhenStepPluginNotConfigured`).
pub(super) fn not_served(
    context: &Context,
    record: &mut Record,
    entry: &StepPluginStatus,
    (class, message): (FailureClass, &str),
) {
    if !matches!(class, FailureClass::Unknown | FailureClass::Refused) {
        return;
    }
    let message = format!("Step plugin {:?} of step {}: {message}", entry.name, entry.index);
    let event = context.warning(&mark(record, entry), EventReason::ReconciliationError, message);
    record.events.push(event);
}

/// An operation has changed its phase from `before`.
pub(super) fn phase(context: &Context, record: &mut Record, entry: &StepPluginStatus, before: Option<Phase>) {
    let after = record::phase(entry);
    let Some(phase) = after.filter(|_| after != before) else { return };
    let (index, operation) = (entry.index, &entry.operation);
    let from = before.map_or_else(String::new, |before| format!(" from {}", before.as_str()));
    let mut quoted: String = entry.message.iter().flat_map(|message| message.chars()).take(QUOTED_CHARS).collect();
    if !quoted.is_empty() {
        quoted.insert_str(0, ": ");
    }
    let message =
        format!("Step plugin {:?} of step {index}: {operation} went{from} to {}{quoted}", entry.name, phase.as_str());
    let mark = format!(
        "{}-{}-{}-{}",
        mark(record, entry),
        operation.to_lowercase(),
        entry.executions.unwrap_or(0),
        phase.as_str().to_lowercase(),
    );
    let mut event = context.event(&mark, EventReason::StepPluginTransition, message);
    if matches!(phase, Phase::Failed | Phase::Error) {
        event.kind = EventKind::Warning;
    }
    record.events.push(event);
}
