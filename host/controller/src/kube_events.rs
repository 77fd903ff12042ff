//! Kubernetes events: written in order, beside the rollout's own way, each at most once.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use kube::api::PostParams;
use kulta_core::plan::{EventKind, KubeEvent};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::key::Key;
use crate::kinds::{Kind, MANAGER};
use crate::metrics::{Metrics, Told as Outcome};
use crate::requests::{RequestError, send};

/// Events that wait to be written: what 500 rollouts tell in a step, twice. More are dropped and counted.
const CAPACITY: usize = 1_024;
/// Length of an object's name.
const NAME_LENGTH: usize = 253;
/// Hex digits of a hash that stand for the rest of a name that is too long.
const HASH_LENGTH: usize = 16;
/// The API server refuses a longer message.
const MESSAGE_LENGTH: usize = 1_024;

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub key: Key,
    pub uid: String,
    pub resource_version: String,
}

#[derive(Debug)]
struct Told {
    about: About,
    event: KubeEvent,
    at: Timestamp,
}

/// Where passes leave their events.
#[derive(Clone, Debug)]
pub struct KubeEvents {
    sender: mpsc::Sender<Told>,
    metrics: Arc<Metrics>,
}

/// Writes what was left.
pub struct EventWriter {
    receiver: mpsc::Receiver<Told>,
    client: Client,
    metrics: Arc<Metrics>,
}

#[must_use]
pub fn channel(client: Client, metrics: Arc<Metrics>) -> (KubeEvents, EventWriter) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (KubeEvents { sender, metrics: metrics.clone() }, EventWriter { receiver, client, metrics })
}

impl KubeEvents {
    /// Leaves an event to be written; never waits.
    pub fn tell(&self, about: &About, event: KubeEvent, at: Timestamp) {
        tracing::info!(rollout = %about.key, reason = event.reason.as_str(), "{}", event.message);
        if self.sender.try_send(Told { about: about.clone(), event, at }).is_err() {
            self.metrics.kube_event(Outcome::Dropped);
            tracing::warn!(rollout = %about.key, "too many Kubernetes events wait to be written; one was dropped");
        }
    }
}

impl EventWriter {
    /// Writes until nobody is left who could tell anything, and all has been written.
    pub async fn run(mut self) {
        while let Some(told) = self.receiver.recv().await {
            let result = match self.write(&told).await {
                Ok(()) => Outcome::Accepted,
                // It has been told before, by this process or the one before it.
                Err(error) if error.already_exists() => Outcome::Accepted,
                Err(error) => {
                    tracing::warn!(rollout = %told.about.key, reason = told.event.reason.as_str(), %error, "write a Kubernetes event");
                    Outcome::Refused
                }
            };
            self.metrics.kube_event(result);
        }
    }

    async fn write(&self, told: &Told) -> Result<(), RequestError> {
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let body = serde_json::to_vec(&body(told))?;
        let request = Kind::Event.request(&told.about.key.namespace).create(&parameters, body)?;
        send::<Value>(&self.client, request).await.map(drop)
    }
}

fn body(told: &Told) -> Value {
    let Told { about, event, at } = told;
    let time = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let kind = match event.kind {
        EventKind::Normal => "Normal",
        EventKind::Warning => "Warning",
    };
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": name(&about.key.name, &event.name), "namespace": about.key.namespace },
        "involvedObject": {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "namespace": about.key.namespace,
            "name": about.key.name,
            "uid": about.uid,
            "resourceVersion": about.resource_version,
        },
        "reason": event.reason.as_str(),
        "message": event.message.chars().take(MESSAGE_LENGTH).collect::<String>(),
        "type": kind,
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": { "component": MANAGER },
        "reportingComponent": MANAGER,
        "reportingInstance": "",
    })
}

/// A DNS subdomain made of both; one that is too long ends in a hash of the whole, so that it stays its own.
fn name(rollout: &str, event: &str) -> String {
    let full = format!("{rollout}.{event}");
    let mut name: String = full
        .to_ascii_lowercase()
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || matches!(character, '-' | '.') { character } else { '-' })
        .collect();
    if name.len() > NAME_LENGTH {
        name.truncate(NAME_LENGTH - HASH_LENGTH - 1);
        let digest: String = Sha256::digest(full.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        name = format!("{}-{}", name.trim_end_matches(['-', '.']), digest.chars().take(HASH_LENGTH).collect::<String>());
    }
    name.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use kulta_core::plan::EventReason;

    use super::*;

    #[test]
    fn an_events_name_is_a_dns_subdomain() {
        assert_eq!(name("shop", "12.ScalingReplicaSet_up"), "shop.12.scalingreplicaset-up");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let rollout = "r".repeat(250);

        let names = [name(&rollout, "1.a"), name(&rollout, "1.b")];

        assert!(names.iter().all(|name| name.len() <= NAME_LENGTH));
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn an_event_is_about_the_rollout_in_its_namespace() {
        let told = Told {
            about: About { key: Key::new("ns", "shop"), uid: "u".into(), resource_version: "3".into() },
            event: KubeEvent {
                name: "7".into(),
                kind: EventKind::Warning,
                reason: EventReason::RolloutAborted,
                message: "x".repeat(2_000),
            },
            at: Timestamp::from_second(0).unwrap(),
        };

        let body = body(&told);

        assert_eq!(body["metadata"], json!({ "name": "shop.7", "namespace": "ns" }));
        assert_eq!((&body["type"], &body["reason"]), (&json!("Warning"), &json!("RolloutAborted")));
        assert_eq!(body["message"].as_str().unwrap().len(), 1_024);
        assert_eq!(body["involvedObject"]["uid"], "u");
    }
}
