//! Checks the state that the cluster must have when the rollout is idle, and when the last version is rolled out.

use std::sync::Arc;

use serde_json::Value;

use super::safety::is_of;
use super::{Checker, HASH};
use crate::cluster::{CANARY, ROLLOUT, ROUTE, STABLE, neighbour};
use crate::fields::{hash_of, number, text};
use crate::hazards;

/// The label that a route has while a rollout moves its weights, as Argo's Gateway API plugin names it.
const IN_PROGRESS: &str = "rollouts.argoproj.io/gatewayapi-canary";

impl Checker {
    /// Checks the state when the controller is idle and there are no more faults.
    pub fn check_idle(&mut self) {
        let Some(rollout) = self.object("rollouts", ROLLOUT).cloned() else { return };
        let phase = text(&rollout, "/status/phase");
        let message = text(&rollout, "/status/message");
        let current = text(&rollout, "/status/currentPodHash");
        let lacks_pods = self.replica_sets().iter().any(|set| {
            hash_of(set) == current && number(set, "/status/availableReplicas") < number(set, "/spec/replicas")
        });
        if text(&rollout, "/status/observedGeneration") != number(&rollout, "/metadata/generation").to_string() {
            self.violation(format!("the controller is idle and has not observed the newest spec: {message}"));
        }
        match phase.as_str() {
            "Healthy" | "Paused" => {}
            "Degraded" if message.starts_with("InvalidSpec") => {
                self.violation(format!("the controller is idle: {message}"));
            }
            "Degraded" => {}
            _ if lacks_pods => {}
            _ => self.violation(format!("the controller is idle in the phase {phase}: {message}")),
        }
        if let Some(missing) = self.missing_after_abort() {
            self.violation(format!("the rollout is aborted, and stable is not restored: {missing}"));
        }
        self.check_idle_runs(&rollout);
    }

    fn check_idle_runs(&mut self, rollout: &Value) {
        let runs = self.objects.iter().filter(|((plural, _), _)| plural == "analysisruns");
        let runs: Vec<_> = runs.map(|((_, name), run)| (name.clone(), Arc::clone(run))).collect();
        let hashes = self.replica_sets().iter().map(|set| hash_of(set)).collect();
        let violations = self.runs.check_idle(rollout, &runs, &hashes);
        self.violations(violations);
    }

    /// Checks the state when the last version is rolled out.
    pub fn check_final(&mut self) {
        let Some(rollout) = self.object("rollouts", ROLLOUT).cloned() else {
            return self.violation("the rollout is gone".to_owned());
        };
        self.check_idle_runs(&rollout);
        let current = text(&rollout, "/status/currentPodHash");
        if text(&rollout, "/status/phase") != "Healthy" || text(&rollout, "/status/stableRS") != current {
            let decisions = rollout.pointer("/status/kulta/decisions").cloned().unwrap_or_default();
            self.violation(format!(
                "the last version was not rolled out: {} {}; the last decisions: {decisions}",
                text(&rollout, "/status/phase"),
                text(&rollout, "/status/message"),
            ));
            return;
        }
        self.check_final_replica_sets(&current, number(&rollout, "/spec/replicas"));
        if self.scenario.routed && !self.scenario.hazards.no_router && self.canary_weight() != Some(0) {
            self.violation(format!("in the end the canary has weight {:?}", self.canary_weight()));
        }
        if self.object("httproutes", ROUTE).is_some_and(|route| rules(route).any(hazards::is_managed)) {
            self.violation("in the end the route has a rule of a managed route".to_owned());
        }
        if self.scenario.hazards.neighbour {
            self.check_final_neighbour();
        }
        let has_canary_service = self.scenario.blue_green.is_none_or(|blue_green| blue_green.preview);
        let named = [(STABLE, true), (CANARY, has_canary_service)].into_iter().filter(|(_, named)| *named);
        for (service, _) in named.filter(|_| self.scenario.routed) {
            let selected = self.selected(service);
            if selected.as_deref() != Some(&current) {
                self.violation(format!("in the end {service} selects {selected:?} instead of {current}"));
                return;
            }
        }
    }

    fn check_final_replica_sets(&mut self, current: &str, wanted: i64) {
        let mut versions: Vec<String> = Vec::new();
        for set in self.replica_sets() {
            let (hash, replicas) = (hash_of(&set), number(&set, "/spec/replicas"));
            let expected = if hash == current { wanted } else { 0 };
            if replicas != expected {
                self.violation(format!("in the end {hash} has {replicas} pods instead of {expected}"));
            }
            let version = text(&set, "/spec/template/metadata/labels/version");
            if versions.contains(&version) {
                self.violation(format!("two ReplicaSets for {version}"));
            }
            versions.push(version);
        }
    }

    /// Checks that no rollout of the shared route is in an update any more.
    fn check_final_neighbour(&mut self) {
        let phase = self.object("rollouts", neighbour::ROLLOUT).map(|rollout| text(rollout, "/status/phase"));
        if phase.as_deref() != Some("Healthy") {
            self.violation(format!("in the end the second rollout is {phase:?}"));
        }
        let labels = self.object("httproutes", ROUTE).and_then(|route| route.pointer("/metadata/labels").cloned());
        if labels.as_ref().and_then(|labels| labels.get(IN_PROGRESS)).is_some() {
            self.violation(format!("in the end the route is labelled as being in an update: {labels:?}"));
        }
    }

    /// Writes the state of all objects to the log, for the user who looks for the cause of a violation.
    pub fn log_objects(&self) {
        for ((plural, name), object) in &self.objects {
            let line = match plural.as_str() {
                "replicasets" => {
                    let counts =
                        ["/spec/replicas", "/status/replicas", "/status/readyReplicas", "/status/availableReplicas"]
                            .map(|pointer| number(object, pointer));
                    format!("{counts:?} wanted, created, ready, available")
                }
                "pods" => text(object, "/status/phase"),
                "services" => format!("selects {:?}", self.selected(name)),
                "httproutes" => format!("{} stable, {} canary", weight(object, STABLE), weight(object, CANARY)),
                "analysisruns" | "rollouts" => object.get("status").cloned().unwrap_or_default().to_string(),
                _ => continue,
            };
            self.log.line(&format!("{plural} {name}: {line}"));
        }
    }

    fn selected(&self, service: &str) -> Option<String> {
        let selector = format!("/spec/selector/{HASH}");
        Some(self.object("services", service)?.pointer(&selector)?.as_str()?.to_owned())
    }

    fn canary_weight(&self) -> Option<i64> {
        self.object("httproutes", ROUTE).map(|route| weight(route, CANARY))
    }

    fn replica_sets(&self) -> Vec<Arc<Value>> {
        let sets = self.objects.iter().filter(|((plural, _), set)| plural == "replicasets" && is_of(set, ROLLOUT));
        sets.map(|(_, set)| Arc::clone(set)).collect()
    }
}

fn rules(route: &Value) -> impl Iterator<Item = &Value> {
    route.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten()
}

/// A Service's weight in the first rule of the manifest, which is the one in which the controller changes weights.
fn weight(route: &Value, service: &str) -> i64 {
    let rule = rules(route).find(|rule| !hazards::is_managed(rule));
    let backends = rule.and_then(|rule| rule.get("backendRefs")?.as_array()).into_iter().flatten();
    backends
        .filter(|backend| backend.get("name").and_then(Value::as_str) == Some(service))
        .map(|backend| backend.get("weight").and_then(Value::as_i64).unwrap_or(1))
        .sum()
}
