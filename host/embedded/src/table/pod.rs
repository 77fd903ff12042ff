//! The row of a pod: its state in one word.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::since;
use super::builtin::NONE;
use super::{count, list, text};

/// The status of a finished pod.
pub(super) fn conditions(pod: &Value) -> Option<Value> {
    let (reason, message) = match text(pod, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{ "type": "Completed", "status": "True", "reason": reason, "message": message }]))
}

/// Counts over the containers.
#[derive(Default)]
struct Tally {
    ready: usize,
    restarts: i64,
    last_restart: String,
}

impl Tally {
    fn restarted(&mut self, status: &Value) {
        self.restarts += count(status, "/restartCount");
        let ended = text(status, "/lastState/terminated/finishedAt");
        // Times of one format compare as texts.
        if ended > self.last_restart.as_str() {
            ended.clone_into(&mut self.last_restart);
        }
    }
}

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let restartable: Vec<&str> = list(pod, "/spec/initContainers")
        .iter()
        .filter(|container| text(container, "/restartPolicy") == "Always")
        .map(|container| text(container, "/name"))
        .collect();
    let total = list(pod, "/spec/containers").len() + restartable.len();
    let (mut tally, mut sidecars) = (Tally::default(), Tally::default());
    let mut reason = waiting_reason(pod);
    let mut initializing = false;
    for (index, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        tally.restarted(status);
        let sidecar = restartable.contains(&text(status, "/name"));
        if sidecar {
            sidecars.restarted(status);
        }
        if let Some(words) = init_reason(pod, status, index, sidecar) {
            reason = words;
            initializing = true;
            break;
        }
        if sidecar && is(status, "/ready") {
            sidecars.ready += 1;
        }
    }
    tally.ready = sidecars.ready;
    if !initializing || has_condition(pod, "Initialized") {
        tally = sidecars;
        let mut running = false;
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            tally.restarted(status);
            if let Some(words) = container_reason(status) {
                reason = words;
            } else if is(status, "/ready") && status.pointer("/state/running").is_some() {
                running = true;
                tally.ready += 1;
            }
        }
        // One container has completed, another one runs.
        if reason == "Completed" && running {
            reason = if has_condition(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        if text(pod, "/status/reason") == "NodeLost" {
            "Unknown".clone_into(&mut reason);
        } else if !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut reason);
        }
    }
    let restarts = match (tally.restarts, tally.last_restart.as_str()) {
        (0, _) | (_, "") => tally.restarts.to_string(),
        (restarts, time) => format!("{restarts} ({} ago)", since(Some(&time.into()), now)),
    };
    let or_none = |text: &str| Value::from(if text.is_empty() { NONE } else { text });
    vec![
        text(pod, "/metadata/name").into(),
        format!("{}/{total}", tally.ready).into(),
        reason.into(),
        restarts.into(),
        since(pod.pointer("/metadata/creationTimestamp"), now).into(),
        or_none(text(pod, "/status/podIPs/0/ip")),
        or_none(text(pod, "/spec/nodeName")),
        or_none(text(pod, "/status/nominatedNodeName")),
        gates(pod).into(),
    ]
}

/// The state of the pod as a whole.
fn waiting_reason(pod: &Value) -> String {
    const GATED: &str = "SchedulingGated";
    let gated = list(pod, "/status/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == "PodScheduled" && text(condition, "/reason") == GATED);
    match (gated, text(pod, "/status/reason")) {
        (true, _) => GATED.to_owned(),
        (false, "") => text(pod, "/status/phase").to_owned(),
        (false, reason) => reason.to_owned(),
    }
}

/// Why an init container blocks the pod; `None` if it does not.
fn init_reason(pod: &Value, status: &Value, index: usize, sidecar: bool) -> Option<String> {
    let terminated = status.pointer("/state/terminated");
    if terminated.is_some_and(|terminated| count(terminated, "/exitCode") == 0) || (sidecar && is(status, "/started")) {
        return None;
    }
    Some(match (terminated, text(status, "/state/waiting/reason")) {
        (Some(terminated), _) => format!("Init:{}", ended(terminated)),
        (None, "" | "PodInitializing") => format!("Init:{index}/{}", list(pod, "/spec/initContainers").len()),
        (None, reason) => format!("Init:{reason}"),
    })
}

fn container_reason(status: &Value) -> Option<String> {
    match text(status, "/state/waiting/reason") {
        "" => status.pointer("/state/terminated").map(ended),
        reason => Some(reason.to_owned()),
    }
}

fn ended(terminated: &Value) -> String {
    match (text(terminated, "/reason"), count(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", count(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is(status: &Value, pointer: &str) -> bool {
    status.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

fn has_condition(pod: &Value, kind: &str) -> bool {
    list(pod, "/status/conditions")
        .iter()
        .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
}

fn gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let open = gates.iter().filter(|gate| has_condition(pod, text(gate, "/conditionType"))).count();
    format!("{open}/{}", gates.len())
}
