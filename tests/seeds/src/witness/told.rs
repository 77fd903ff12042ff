//! What was told of the transitions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Witness, number, text};
use crate::cluster::{ROLLOUT, neighbour};

impl Witness {
    /// Every transition was told once, in order, and always as the same event.
    pub fn told(&mut self, events: &[Value]) {
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
                self.wrong(format!("an event that no transition stands for: {event}"));
                continue;
            };
            match first.get(&number) {
                None if number < highest => self.wrong(format!("event {number} came after event {highest}")),
                Some(before) if !self.robbed && !same(before, event) => {
                    self.wrong(format!("event {number} was told in two ways: {before} and {event}"));
                }
                _ => {}
            }
            first.entry(number).or_insert(event);
            highest = highest.max(number);
        }
        let missing = sequence - i64::try_from(first.len()).unwrap_or_default();
        if (missing != dropped && !self.robbed) || waiting > 0 {
            let untold: Vec<i64> = (1..=sequence).filter(|number| !first.contains_key(number)).collect();
            self.wrong(format!(
                "of {sequence} transitions {untold:?} were not told, {dropped} were dropped, {waiting} wait"
            ));
        } else if missing == 0 {
            let wrong = self.runs.told(&first.into_values().collect::<Vec<_>>());
            self.all_wrong(wrong);
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

/// The same event. Image and annotations of a revision stand on its ReplicaSet: while that is not made yet, or when it is gone, a
/// rollout's event that is told again may know less of them, but nothing else. A service's event is the same to the byte.
fn same(one: &Value, other: &Value) -> bool {
    if !text(one, "/context/type").starts_with("dev.cdeventsx.") {
        return one == other;
    }
    let taken_from_replica_sets = json!({ "artifactId": null, "previousArtifactId": null });
    let bare = |event: &Value| {
        let mut event = event.clone();
        let less = json!({ "customData": null, "subject": { "content": taken_from_replica_sets } });
        json_patch::merge(&mut event, &less);
        event
    };
    bare(one) == bare(other) && agree(one, other)
}

/// What both know is the same.
fn agree(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.iter().all(|(name, value)| other.get(name).is_none_or(|other| agree(value, other)))
        }
        _ => one == other,
    }
}
