//! Reads the cluster's objects into values for the script and the picture.

use std::sync::Arc;

use kulta_api::{CanaryStep, DecisionEntry, IntOrString, Rollout, RolloutPhase, annotations};
use serde_json::Value;

use super::app::{CANARY, STABLE, VERSION_LABEL};

/// All objects as observed at one time. The default is an empty cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    pub rollout: Option<ObservedRollout>,
    pub weights: Weights,
    /// By number, the oldest first, without those that have no pods.
    pub revisions: Vec<Revision>,
}

/// The fields of the Rollout that the demo shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedRollout {
    pub phase: Option<RolloutPhase>,
    pub message: String,
    pub steps: Vec<String>,
    /// Index in `steps`, from 0; their number after the last step.
    pub step: usize,
    /// True if the status is about the current spec.
    pub up_to_date: bool,
    /// True if the desired revision is the stable one.
    pub stable: bool,
    pub aborted: bool,
    /// The desired version.
    pub version: String,
    /// Reasons of the last decisions, oldest first.
    pub decisions: Vec<DecisionEntry>,
}

/// The weights in the route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    pub stable: u32,
    pub canary: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Stable,
    Canary,
    /// Neither canary nor stable: scaled down.
    Old,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub number: u64,
    pub version: String,
    pub role: Role,
    /// Pods that are desired, that exist, and that are available.
    pub wanted: u64,
    pub pods: u64,
    pub ready: u64,
}

impl Observation {
    /// The version of the revision in that role.
    #[must_use]
    pub fn version(&self, role: Role) -> Option<&str> {
        self.revisions.iter().find(|revision| revision.role == role).map(|revision| revision.version.as_str())
    }
}

/// Reads the objects; missing objects are left out.
#[must_use]
pub fn observe(rollout: Option<&Value>, route: Option<&Value>, replica_sets: &[Arc<Value>]) -> Observation {
    let rollout = rollout.and_then(|rollout| kulta_api::decode(rollout).ok());
    let weights = route.map(weights).unwrap_or_default();
    let mut revisions: Vec<Revision> = rollout.as_ref().map_or_else(Vec::new, |rollout| {
        replica_sets
            .iter()
            .map(|set| revision(rollout, set))
            .filter(|found| found.wanted > 0 || found.pods > 0)
            .collect()
    });
    revisions.sort_by_key(|revision| revision.number);
    Observation { rollout: rollout.as_ref().map(observed_rollout), weights, revisions }
}

fn observed_rollout(rollout: &Rollout) -> ObservedRollout {
    let status = rollout.status.clone().unwrap_or_default();
    let steps = rollout.spec.strategy.canary.iter().flat_map(|canary| &canary.steps).map(step).collect();
    let generation = rollout.metadata.generation.unwrap_or_default();
    ObservedRollout {
        phase: status.phase,
        message: status.message,
        steps,
        step: status.current_step_index.and_then(|index| usize::try_from(index).ok()).unwrap_or_default(),
        up_to_date: status.observed_generation == generation.to_string(),
        stable: !status.stable_rs.is_empty() && status.stable_rs == status.current_pod_hash,
        aborted: status.abort,
        version: rollout.spec.template.labels().get(VERSION_LABEL).cloned().unwrap_or_default(),
        decisions: status.kulta.map(|record| record.decisions).unwrap_or_default(),
    }
}

/// Describes the kinds of steps that the demo uses; any other is "another step".
fn step(step: &CanaryStep) -> String {
    match (step.set_weight, &step.pause) {
        (Some(weight), _) => format!("weight {weight} %"),
        (None, Some(pause)) => match &pause.duration {
            Some(IntOrString::Int(seconds)) => format!("pause {seconds} s"),
            Some(IntOrString::String(text)) => match kulta_api::duration::parse_text(text) {
                Ok(millis) => format!("pause {} s", std::time::Duration::from_millis(millis).as_secs_f64()),
                Err(_) => format!("pause {text}"),
            },
            None => "pause".to_owned(),
        },
        (None, None) => "another step".to_owned(),
    }
}

fn weights(route: &Value) -> Weights {
    let of = |service: &str| {
        let backends = route.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array);
        let found = backends.into_iter().flatten().find(|backend| text(backend, "/name") == service);
        let weight = found.and_then(|backend| backend.get("weight")).and_then(Value::as_u64);
        weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or_default()
    };
    Weights { stable: of(STABLE), canary: of(CANARY) }
}

fn revision(rollout: &Rollout, set: &Value) -> Revision {
    let hash = set
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(annotations::POD_TEMPLATE_HASH))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let number = set.pointer("/metadata/annotations").and_then(|all| all.get(annotations::REVISION));
    let status = rollout.status.as_ref();
    let is = |of: Option<&String>| of.is_some_and(|known| known == hash);
    let role = if is(status.map(|status| &status.stable_rs)) {
        Role::Stable
    } else if is(status.map(|status| &status.current_pod_hash)) {
        Role::Canary
    } else {
        Role::Old
    };
    let count = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    Revision {
        number: number.and_then(Value::as_str).and_then(|number| number.parse().ok()).unwrap_or_default(),
        version: text(set, &format!("/spec/template/metadata/labels/{VERSION_LABEL}")).to_owned(),
        role,
        wanted: count("/spec/replicas"),
        pods: count("/status/replicas"),
        ready: count("/status/readyReplicas"),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::demo::app;

    fn replica_set(number: u32, version: &str, hash: &str, pods: u32) -> Arc<Value> {
        Arc::new(json!({
            "metadata": { "labels": { annotations::POD_TEMPLATE_HASH: hash }, "annotations": { annotations::REVISION: number.to_string() } },
            "spec": { "replicas": pods, "template": { "metadata": { "labels": { "version": version } } } },
            "status": { "replicas": pods, "readyReplicas": pods },
        }))
    }

    fn rollout(status: Value) -> Value {
        let mut rollout = app::rollout("1".parse().unwrap());
        rollout["metadata"]["generation"] = json!(2);
        rollout["status"] = status;
        rollout
    }

    #[test]
    fn a_rollout_is_shown_with_its_versions_and_steps() {
        let rollout = rollout(
            json!({ "phase": "Paused", "message": "CanaryPauseStep", "currentStepIndex": 1, "observedGeneration": "2",
            "stableRS": "a", "currentPodHash": "b", "abort": true }),
        );

        let seen = observe(Some(&rollout), None, &[]).rollout.unwrap();

        assert_eq!(
            seen,
            ObservedRollout {
                phase: Some(RolloutPhase::Paused),
                message: "CanaryPauseStep".into(),
                steps: vec!["weight 10 %".into(), "pause 7 s".into(), "weight 50 %".into(), "pause 7 s".into()],
                step: 1,
                up_to_date: true,
                stable: false,
                aborted: true,
                version: "v1".into(),
                decisions: Vec::new(),
            }
        );
    }

    #[test]
    fn revisions_have_roles_and_those_without_pods_are_left_out() {
        let rollout = rollout(json!({ "stableRS": "b", "currentPodHash": "c" }));
        let sets = [
            replica_set(3, "v3", "c", 1),
            replica_set(1, "v1", "a", 2),
            replica_set(2, "v2", "b", 4),
            replica_set(4, "v4", "d", 0),
        ];

        let seen = observe(Some(&rollout), None, &sets);

        let roles: Vec<_> = seen.revisions.iter().map(|found| (found.number, found.role, found.ready)).collect();
        assert_eq!(roles, [(1, Role::Old, 2), (2, Role::Stable, 4), (3, Role::Canary, 1)]);
        assert_eq!(seen.version(Role::Stable), Some("v2"));
    }

    #[test]
    fn the_route_tells_the_weights() {
        let route = json!({ "spec": { "rules": [{ "backendRefs": [{ "name": STABLE, "weight": 90 }, { "name": CANARY, "weight": 10 }] }] } });

        assert_eq!(observe(None, Some(&route), &[]).weights, Weights { stable: 90, canary: 10 });
    }
}
