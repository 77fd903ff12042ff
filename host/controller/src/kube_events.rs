//! Kubernetes events on Rollouts, AnalysisRuns and Plugins, named after what they report: the API server refuses a second event of the same name.

use jiff::Timestamp;
use kulta_core::plan::EventKind;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::kinds::{Kind, MANAGER};

/// Longest name of an object.
const NAME_LENGTH: usize = 253;
/// Longest message that the API server takes of an event with an `eventTime` (`NoteLengthLimit` in Kubernetes' validation of events).
const MESSAGE_BYTES: usize = 1_024;
/// Where Kubernetes keeps events of objects in no namespace.
const CLUSTER_EVENTS: &str = "default";
/// Hex characters that replace what is cut off a name.
const HASH_LENGTH: usize = 16;

/// The object that an event is about.
#[derive(Clone, Debug)]
pub struct Regarding {
    pub kind: Kind,
    pub key: Key,
    pub uid: String,
}

#[derive(Clone, Debug)]
pub struct Message {
    /// What it reports, as a part of the event's name.
    pub name: String,
    pub kind: EventKind,
    pub reason: &'static str,
    pub message: String,
}

/// The event as the API server takes it. It is written straight to JSON: a fleet has thousands of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    involved_object: InvolvedObject<'a>,
    r#type: &'static str,
    reason: &'static str,
    message: &'a str,
    source: Source,
    first_timestamp: Timestamp,
    last_timestamp: Timestamp,
    /// A consumer sorts by this: events of one reconciliation share a second, and may be posted in any order.
    event_time: String,
    /// The API server requires these three of an event that has an `eventTime`.
    reporting_component: &'static str,
    reporting_instance: &'static str,
    action: &'static str,
    count: u32,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: String,
    namespace: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvolvedObject<'a> {
    api_version: String,
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

#[derive(Serialize)]
struct Source {
    component: &'static str,
}

#[must_use]
pub fn body<'a>(regarding: &'a Regarding, event: &'a Message, at: Timestamp) -> Body<'a> {
    let time = Timestamp::from_second(at.as_second()).unwrap_or(at);
    Body {
        api_version: "v1",
        kind: Kind::Event.as_str(),
        metadata: Metadata { name: name(&regarding.key.name, &event.name), namespace: namespace(&regarding.key) },
        involved_object: InvolvedObject {
            api_version: regarding.kind.api_version(),
            kind: regarding.kind.as_str(),
            namespace: &regarding.key.namespace,
            name: &regarding.key.name,
            uid: &regarding.uid,
        },
        r#type: type_of(event.kind),
        reason: event.reason,
        message: shortened(&event.message),
        source: Source { component: MANAGER },
        first_timestamp: time,
        last_timestamp: time,
        event_time: format!("{at:.6}"),
        reporting_component: MANAGER,
        reporting_instance: MANAGER,
        action: event.reason,
        count: 1,
    }
}

/// The field `type` of an event.
#[must_use]
pub const fn type_of(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Normal => "Normal",
        EventKind::Warning => "Warning",
    }
}

/// As many whole characters as the API server takes.
fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MESSAGE_BYTES)).unwrap_or(message)
}

/// Where an object's events are: those of cluster scope have theirs in the default namespace.
#[must_use]
pub fn namespace(object: &Key) -> &str {
    match object.namespace.as_str() {
        "" => CLUSTER_EVENTS,
        namespace => namespace,
    }
}

/// `<object>.<what>` as a DNS subdomain; one that is too long ends in a hash of itself.
fn name(object: &str, what: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
    let full: String = format!("{object}.{what}")
        .to_lowercase()
        .chars()
        .map(|character| if allowed(character) { character } else { '-' })
        .collect();
    if full.len() <= NAME_LENGTH {
        return full;
    }
    let digest: String = Sha256::digest(full.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let kept: String = full.chars().take(NAME_LENGTH - HASH_LENGTH - 1).collect();
    format!("{kept}-{}", digest.chars().take(HASH_LENGTH).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_posted_with_its_object_and_the_second_of_its_time() {
        let regarding = Regarding { kind: Kind::Rollout, key: Key::new("ns", "web"), uid: "u".to_owned() };
        let event = Message {
            name: "1".to_owned(),
            kind: EventKind::Warning,
            reason: "RolloutAborted",
            message: "m".repeat(1_025),
        };

        let body = body(&regarding, &event, Timestamp::from_millisecond(1_800_000_000_999).unwrap());

        assert_eq!(
            json!(body),
            json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": { "name": "web.1", "namespace": "ns" },
                "involvedObject": {
                    "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "namespace": "ns", "name": "web", "uid": "u"
                },
                "type": "Warning",
                "reason": "RolloutAborted",
                "message": "m".repeat(1_024),
                "source": { "component": "kulta" },
                "firstTimestamp": "2027-01-15T08:00:00Z",
                "lastTimestamp": "2027-01-15T08:00:00Z",
                "eventTime": "2027-01-15T08:00:00.999000Z",
                "reportingComponent": "kulta",
                "reportingInstance": "kulta",
                "action": "RolloutAborted",
                "count": 1
            })
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters_to_the_bytes_that_the_api_server_takes() {
        let messages = [format!("{}é", "m".repeat(1_023)), "é".repeat(600), "m".repeat(1_024)];

        let lengths = messages.each_ref().map(|message| shortened(message).len());

        assert_eq!(lengths, [1_023, 1_024, 1_024]);
    }

    #[test]
    fn a_name_is_a_dns_subdomain() {
        assert_eq!(name("web", "6f1f3c1e.4.rolloutPaused_x"), "web.6f1f3c1e.4.rolloutpaused-x");
    }

    #[test]
    fn an_event_has_its_time_in_seconds_and_in_microseconds() {
        let at = Timestamp::new(1_800_000_000, 120_000).unwrap();
        let regarding = Regarding { kind: Kind::Rollout, key: Key::new("ns", "web"), uid: "u".into() };
        let message = "paused".to_owned();
        let event = Message { name: "1".into(), kind: EventKind::Normal, reason: "RolloutPaused", message };

        let body = json!(body(&regarding, &event, at));

        let second = "2027-01-15T08:00:00Z";
        assert_eq!([&body["firstTimestamp"], &body["lastTimestamp"]], [second, second]);
        assert_eq!(body["eventTime"], "2027-01-15T08:00:00.000120Z");
    }

    #[test]
    fn long_names_stay_apart() {
        let (one, other) = (name(&"a".repeat(250), "one"), name(&"a".repeat(250), "other"));

        assert!(one != other && one.len() <= NAME_LENGTH);
    }
}
