//! Checks the events that the sink has received.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Checker;
use crate::cluster::{ROLLOUT, neighbour};
use crate::fields::{number, text};

impl Checker {
    /// Checks that each transition was emitted, in order, and that an event which was sent again is the same event.
    pub fn check_events(&mut self, events: &[Value]) {
        let Some(rollout) = self.object("rollouts", ROLLOUT).cloned() else { return };
        let sequence = number(&rollout, "/status/kulta/sequence");
        let dropped = number(&rollout, "/status/kulta/dropped");
        let waiting = rollout.pointer("/status/kulta/outbox").and_then(Value::as_array).map_or(0, Vec::len);
        let expected = ids(&rollout);
        let of_the_neighbour =
            self.object("rollouts", neighbour::ROLLOUT).map(|rollout| ids(rollout)).unwrap_or_default();
        let mut first: BTreeMap<i64, &Value> = BTreeMap::new();
        let mut highest = 0;
        for event in events {
            let id = text(event, "/context/id");
            if of_the_neighbour.contains_key(&id) {
                continue;
            }
            let Some(&number) = expected.get(&id) else {
                self.violation(format!("an event of no known transition: {event}"));
                continue;
            };
            match first.get(&number) {
                None if number < highest => {
                    self.violation(format!("event {number} was sent after event {highest}"));
                }
                Some(before) if !self.replica_sets_deleted && !same(before, event) => {
                    self.violation(format!("event {number} was sent with two contents: {before} and {event}"));
                }
                _ => {}
            }
            first.entry(number).or_insert(event);
            highest = highest.max(number);
        }
        let missing = sequence - i64::try_from(first.len()).unwrap_or_default();
        if (missing != dropped && !self.replica_sets_deleted) || waiting > 0 {
            let missing: Vec<i64> = (1..=sequence).filter(|number| !first.contains_key(number)).collect();
            self.violation(format!(
                "of {sequence} transitions {missing:?} were not emitted, {dropped} were dropped, {waiting} wait in the outbox"
            ));
        } else if missing == 0 {
            let violations = self.runs.check_events(&first.into_values().collect::<Vec<_>>());
            self.violations(violations);
        }
    }
}

/// The ids of a rollout's events, each with its sequence number.
fn ids(rollout: &Value) -> BTreeMap<String, i64> {
    let uid = uuid::Uuid::try_parse(&text(rollout, "/metadata/uid")).unwrap_or_default();
    (1..=number(rollout, "/status/kulta/sequence"))
        .map(|number| (uuid::Uuid::new_v5(&uid, number.to_string().as_bytes()).to_string(), number))
        .collect()
}

/// Whether two events are the same. The image and the annotations of a revision are on its ReplicaSet: before that is created and after
/// it is deleted, a rollout's event that is sent again may lack them, but nothing else. A service's event is the same to the byte.
fn same(one: &Value, other: &Value) -> bool {
    if !text(one, "/context/type").starts_with("dev.cdeventsx.") {
        return one == other;
    }
    let of_replica_sets = json!({ "artifactId": null, "previousArtifactId": null });
    let bare = |event: &Value| {
        let mut event = event.clone();
        let optional = json!({ "customData": null, "subject": { "content": of_replica_sets } });
        json_patch::merge(&mut event, &optional);
        event
    };
    bare(one) == bare(other) && agree(one, other)
}

/// Whether the fields that both values have are equal.
fn agree(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.iter().all(|(name, value)| other.get(name).is_none_or(|other| agree(value, other)))
        }
        _ => one == other,
    }
}
