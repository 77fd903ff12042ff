//! Reads and writes an entry of `stepPluginStatuses`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use kulta_api::Time;
use kulta_api::duration;
use kulta_api::foreign_status::StepPluginStatus;
use kulta_api::template::Opaque;
use serde_json::json;

use super::call::{CallId, Operation};

/// Member of an entry's `status` that holds the plugin's memory, as base64 (RFC 4648, with padding).
const MEMORY: &str = "memory";

/// Phases, named as in Argo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    Successful,
    Failed,
    /// The last call gave no usable answer.
    Error,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Running, Self::Successful, Self::Failed, Self::Error];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
        }
    }
}

/// An entry of an operation that has not begun: it waits until earlier operations are done.
pub fn waiting(index: i32, name: &str, operation: Operation) -> StepPluginStatus {
    StepPluginStatus {
        index,
        name: name.to_owned(),
        operation: operation.as_str().to_owned(),
        ..StepPluginStatus::default()
    }
}

/// `None` for a value that another controller wrote.
pub fn operation(entry: &StepPluginStatus) -> Option<Operation> {
    Operation::ALL.into_iter().find(|operation| operation.as_str() == entry.operation)
}

pub fn is(entry: &StepPluginStatus, operation: Operation) -> bool {
    self::operation(entry) == Some(operation)
}

/// `None` before the operation has begun.
pub fn phase(entry: &StepPluginStatus) -> Option<Phase> {
    let text = entry.phase.as_deref()?;
    Phase::ALL.into_iter().find(|phase| phase.as_str() == text)
}

/// Further calls of the operation follow.
pub fn is_open(entry: &StepPluginStatus) -> bool {
    entry.finished_at.is_none() && !matches!(phase(entry), Some(Phase::Successful | Phase::Failed))
}

/// `None` before the operation has begun.
pub fn id(entry: &StepPluginStatus) -> Option<CallId> {
    Some(CallId {
        index: entry.index,
        operation: operation(entry)?,
        started_at: entry.started_at.as_ref()?.0,
        execution: entry.executions.unwrap_or(0),
    })
}

/// When the next call may be made; `None` if it may be made at once. A backoff that cannot be parsed counts as none.
pub fn not_before(entry: &StepPluginStatus) -> Option<Timestamp> {
    let millis = duration::parse_text(entry.backoff.as_deref()?).ok()?;
    let pause = SignedDuration::from_millis(i64::try_from(millis).ok()?);
    entry.updated_at.as_ref()?.0.checked_add(pause).ok()
}

/// A value that another controller wrote counts as no memory.
pub fn memory(entry: &StepPluginStatus) -> Vec<u8> {
    let text = entry.status.as_ref().and_then(|status| status.0.get(MEMORY)?.as_str());
    text.and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
}

pub fn remember(entry: &mut StepPluginStatus, memory: &[u8]) {
    entry.status = (!memory.is_empty()).then(|| Opaque(json!({ MEMORY: STANDARD.encode(memory) })));
}

pub fn begin(entry: &mut StepPluginStatus, now: &Time) {
    entry.phase = Some(Phase::Running.as_str().to_owned());
    entry.started_at = Some(now.clone());
    entry.updated_at = Some(now.clone());
}

/// No further call is made.
pub fn finish(entry: &mut StepPluginStatus, phase: Phase, message: &str, now: &Time) {
    entry.phase = Some(phase.as_str().to_owned());
    entry.message = some(message);
    entry.backoff = None;
    entry.updated_at = Some(now.clone());
    entry.finished_at = Some(now.clone());
}

/// The step completes without a call.
pub fn skip(entry: &mut StepPluginStatus, message: &str, now: &Time) {
    entry.disabled = Some(true);
    finish(entry, Phase::Successful, message, now);
}

/// The next call is made `seconds` later.
pub fn put_off(entry: &mut StepPluginStatus, phase: Phase, message: &str, seconds: u64, now: &Time) {
    entry.phase = Some(phase.as_str().to_owned());
    entry.message = some(message);
    entry.backoff = Some(format!("{seconds}s"));
    entry.updated_at = Some(now.clone());
}

fn some(message: &str) -> Option<String> {
    (!message.is_empty()).then(|| message.to_owned())
}
