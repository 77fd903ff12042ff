//! A Plugin's status, as a merge patch.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kulta_api::plugin::{PluginReason, PluginStatus, READY};
use kulta_wasm::Loaded;
use serde_json::{Value, json};

/// Longest message of a condition that the API server accepts is 32 KiB, more than a user reads.
const MESSAGE_CHARS: usize = 1_000;

/// The result of a reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub reason: PluginReason,
    pub message: String,
}

impl Verdict {
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reason == PluginReason::Serving
    }
}

/// Writes down the verdict. Times move only with what they are the times of.
pub fn judge(status: &mut PluginStatus, verdict: &Verdict, generation: i64, now: Timestamp) {
    let ready = if verdict.is_ready() { "True" } else { "False" };
    let before = status.conditions.iter().find(|condition| condition.type_ == READY);
    let since =
        before.filter(|condition| condition.status == ready).map(|condition| condition.last_transition_time.clone());
    let condition = Condition {
        type_: READY.to_owned(),
        status: ready.to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        message: verdict.message.chars().take(MESSAGE_CHARS).collect(),
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or_else(|| Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
    };
    status.conditions.retain(|condition| condition.type_ != READY);
    status.conditions.push(condition);
    status.observed_generation = Some(generation);
}

/// Writes down what is served now.
pub fn describe(status: &mut PluginStatus, loaded: &Loaded, resolved: Option<(String, String)>) {
    status.kinds = loaded.kinds().iter().map(|kind| kind.as_str().to_owned()).collect();
    status.version.clone_from(&loaded.info().version);
    status.summary.clone_from(&loaded.info().summary);
    status.imports = loaded.imports().to_vec();
    status.digest = loaded.digest().to_owned();
    (status.resolved, status.resolved_image) = resolved.unwrap_or_default();
}

/// Nothing is served.
pub fn forget(status: &mut PluginStatus) {
    *status = PluginStatus {
        observed_generation: status.observed_generation,
        users: status.users,
        conditions: std::mem::take(&mut status.conditions),
        ..PluginStatus::default()
    };
}

/// From one status to the other; none when nothing changed.
#[must_use]
pub fn patch(before: &PluginStatus, after: &PluginStatus) -> Option<Value> {
    if before == after {
        return None;
    }
    let (before, mut after) = (json!(before), json!(after));
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) {
        // What is no longer there has to be named to be taken away.
        for field in before.keys() {
            after.entry(field).or_insert(Value::Null);
        }
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(reason: PluginReason) -> Verdict {
        Verdict { reason, message: "why".to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_of_a_condition_moves_only_with_its_status() {
        let mut status = PluginStatus::default();
        let mut times = Vec::new();
        for (second, reason) in
            [(1, PluginReason::Refused), (2, PluginReason::DigestMismatch), (3, PluginReason::Serving)]
        {
            judge(&mut status, &verdict(reason), 1, at(second));
            times.push(status.conditions[0].last_transition_time.0.as_second());
        }

        assert_eq!(times, [1, 1, 3]);
    }

    #[test]
    fn what_is_no_longer_there_is_taken_away() {
        let before = PluginStatus { digest: "sha256:a".to_owned(), ..PluginStatus::default() };

        assert_eq!(patch(&before, &PluginStatus::default()), Some(json!({ "users": 0, "digest": null })));
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        assert_eq!(patch(&PluginStatus::default(), &PluginStatus::default()), None);
    }
}
