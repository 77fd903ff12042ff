//! The lifecycle of a pod: pending, running, ready or not, crashing, removed.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    behaviour::{Behaviour, Behaviours, Readiness},
    client::{Client, Watched},
};
use crate::{
    json::{items, meta, set, text},
    kind::Key,
};

/// The node that all pods run on.
pub const NODE: &str = "embedded";
const NODE_ADDRESS: &str = "192.0.2.1";
/// Pods' addresses are of 10.0.0.0/8.
const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
/// Restarts of a crash loop when it begins.
const RESTARTS: i64 = 3;

/// State of the living pods.
#[derive(Debug, Default)]
pub struct Pods {
    lives: BTreeMap<String, Life>,
    addresses: u32,
}

/// Times in full resolution, because objects have whole seconds.
#[derive(Debug, Clone, Copy)]
struct Life {
    born: Timestamp,
    address: u32,
    ready: Option<Timestamp>,
    deleted: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    NotReady,
    Crashing,
}

/// The next action on a pod.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Become(State),
    Wait(Timestamp),
    Go,
    Rest,
}

impl Pods {
    /// Marks the addresses of existing pods as used.
    pub fn of(client: &Client) -> Self {
        let pods = client.list_in(Watched::Pod, "");
        let addresses = pods.iter().filter_map(|pod| text(pod, "/status/podIP").parse::<Ipv4Addr>().ok());
        let highest = addresses.map(|address| u32::from(address) & !u32::from(NETWORK)).max();
        Self { lives: BTreeMap::new(), addresses: highest.unwrap_or(0) }
    }

    pub fn forget(&mut self, uid: &str) {
        self.lives.remove(uid);
    }

    /// Since when a pod is ready, if it is.
    pub fn ready_since(&self, pod: &Value) -> Option<Timestamp> {
        let noted = noted_ready(pod)?;
        self.lives.get(meta::uid(pod)).and_then(|life| life.ready).or(noted)
    }

    /// Takes a pod's next step if it is due.
    pub fn live(&mut self, client: &Client, behaviours: &Behaviours, key: &Key, now: Timestamp) -> Option<Timestamp> {
        let pod = client.get(Watched::Pod, key)?;
        let life = self.lives.entry(meta::uid(&pod).to_owned()).or_insert_with(|| {
            self.addresses = self.addresses.saturating_add(1);
            Life { born: now, address: self.addresses, ready: None, deleted: None }
        });
        // Made ready by another writer, or by an earlier simulation.
        if let (None, Some(noted)) = (life.ready, noted_ready(&pod)) {
            life.ready = Some(noted.unwrap_or(now));
        }
        if meta::deleting(&pod) {
            life.deleted = life.deleted.or(Some(now));
        }
        match step(&pod, &behaviours.of(&pod), life, now) {
            Step::Become(state) => {
                life.ready = (state == State::Ready).then_some(now);
                client.set_status(Watched::Pod, &pod, status(&pod, state, life.address, now));
                None
            }
            Step::Wait(until) => Some(until),
            Step::Go => {
                client.delete(Watched::Pod, key, true);
                None
            }
            Step::Rest => None,
        }
    }
}

fn step(pod: &Value, behaviour: &Behaviour, life: &Life, now: Timestamp) -> Step {
    if let Some(deleted) = life.deleted {
        return after(deleted, behaviour.gone_after, now, Step::Go);
    }
    let phase = text(pod, "/status/phase");
    match (phase, behaviour.ready, is_ready(pod)) {
        ("Pending" | "", Readiness::Never, _) | ("Running", Readiness::Never, true) => Step::Become(State::NotReady),
        ("Pending" | "", Readiness::After(time), _) => after(life.born, time, now, Step::Become(State::Ready)),
        ("Running", Readiness::After(_), true) => match behaviour.crash_after {
            Some(time) => after(life.ready.unwrap_or(now), time, now, Step::Become(State::Crashing)),
            None => Step::Rest,
        },
        ("Running", Readiness::After(_), false) if behaviour.crash_after.is_none() => Step::Become(State::Ready),
        _ => Step::Rest,
    }
}

fn after(start: Timestamp, time: Duration, now: Timestamp, then: Step) -> Step {
    let due = SignedDuration::try_from(time).ok().and_then(|time| start.checked_add(time).ok());
    match due {
        Some(due) if due <= now => then,
        Some(due) => Step::Wait(due),
        // Beyond the representable time.
        None => Step::Rest,
    }
}

pub fn is_ready(pod: &Value) -> bool {
    noted_ready(pod).is_some()
}

/// The time in the condition of a ready pod, if it is valid.
fn noted_ready(pod: &Value) -> Option<Option<Timestamp>> {
    let mut conditions = items(pod, "/status/conditions");
    let ready =
        conditions.find(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True")?;
    Some(text(ready, "/lastTransitionTime").parse().ok())
}

fn status(pod: &Value, state: State, address: u32, now: Timestamp) -> Value {
    let second = whole_second(now);
    let mut status = pod.get("status").filter(|status| status.is_object()).cloned().unwrap_or_else(|| json!({}));
    let ready = if state == State::Ready { "True" } else { "False" };
    let gates = items(pod, "/spec/readinessGates").map(|gate| (text(gate, "/conditionType"), ready));
    let wanted = [("PodScheduled", "True"), ("Initialized", "True"), ("Ready", ready), ("ContainersReady", ready)];
    let mut conditions: Vec<Value> = items(&status, "/conditions").cloned().collect();
    for (kind, value) in wanted.into_iter().chain(gates) {
        set_condition(&mut conditions, json!({"type": kind, "status": value}), &second);
    }
    let ip =
        Some(text(pod, "/status/podIP")).filter(|ip| !ip.is_empty()).map_or_else(|| address_of(address), str::to_owned);
    set(&mut status, &["phase"], "Running");
    set(&mut status, &["conditions"], conditions);
    set(&mut status, &["containerStatuses"], containers(pod, state, &second));
    set(&mut status, &["hostIP"], NODE_ADDRESS);
    set(&mut status, &["podIP"], ip.as_str());
    set(&mut status, &["podIPs"], json!([{"ip": ip}]));
    crate::json::default(&mut status, &["startTime"], second);
    status
}

fn containers(pod: &Value, state: State, second: &str) -> Value {
    let container = |spec: &Value| {
        let image = text(spec, "/image");
        let (restarts, running) = match state {
            State::Crashing => {
                let message = "back-off restarting failed container";
                (RESTARTS, json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}}))
            }
            State::Ready | State::NotReady => (0, json!({"running": {"startedAt": second}})),
        };
        json!({
            "name": text(spec, "/name"), "image": image, "imageID": image_id(image), "ready": state == State::Ready,
            "started": true, "restartCount": restarts, "state": running,
        })
    };
    // As the kubelet does: by name, whatever their order in the spec.
    let mut specs: Vec<&Value> = items(pod, "/spec/containers").collect();
    specs.sort_by(|one, other| text(one, "/name").cmp(text(other, "/name")));
    specs.into_iter().map(container).collect()
}

/// A digest that depends on the image, like a real one.
fn image_id(image: &str) -> String {
    let tag = image.rfind(':').filter(|colon| image.rfind('/').is_none_or(|slash| slash < *colon));
    let name = tag.and_then(|colon| image.get(..colon)).unwrap_or(image);
    let digest: String = Sha256::digest(image.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}@sha256:{digest}")
}

fn address_of(number: u32) -> String {
    Ipv4Addr::from(u32::from(NETWORK) | number).to_string()
}

/// Kubernetes' times are whole seconds.
pub fn whole_second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// Replaces the condition of the same type; its time is that of the last change of its status.
pub fn set_condition(conditions: &mut Vec<Value>, mut new: Value, second: &str) {
    let found = conditions.iter_mut().find(|condition| text(condition, "/type") == text(&new, "/type"));
    let kept = found.as_deref().filter(|old| text(old, "/status") == text(&new, "/status"));
    let since = kept.map_or(second, |old| text(old, "/lastTransitionTime")).to_owned();
    set(&mut new, &["lastTransitionTime"], since);
    match found {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_s_digest_keeps_its_name() {
        let id = image_id("registry.test:5000/app:v1");

        assert!(id.starts_with("registry.test:5000/app@sha256:"), "{id}");
        assert_ne!(id, image_id("registry.test:5000/app:v2"));
    }

    #[test]
    fn a_condition_s_time_is_that_of_its_last_change() {
        let mut conditions = vec![json!({"type": "Ready", "status": "True", "lastTransitionTime": "old"})];

        set_condition(&mut conditions, json!({"type": "Ready", "status": "True"}), "new");
        assert_eq!(conditions[0]["lastTransitionTime"], "old");
        set_condition(&mut conditions, json!({"type": "Ready", "status": "False"}), "new");
        assert_eq!(conditions[0]["lastTransitionTime"], "new");
    }

    #[test]
    fn addresses_differ() {
        assert_eq!((address_of(1), address_of(258)), ("10.0.0.1".to_owned(), "10.0.1.2".to_owned()));
    }
}
