//! Observes every change of the cluster in order and checks the invariants that hold whatever happens.

mod analysis_runs;
mod events;
mod outcome;
mod recent_values;
mod safety;
mod write_rate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_embedded::store::Change;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use self::analysis_runs::AnalysisRuns;
use self::recent_values::RecentValues;
use self::write_rate::WriteRate;
use crate::cluster::{Cluster, ROLLOUT, ROUTE};
use crate::fields::{hash_of, number, text};
use crate::hazards;
use crate::log::Log;
use crate::scenario::Scenario;

const HASH: &str = "rollouts-pod-template-hash";
/// The controller's view of the cluster may be this old: watch events are late, and so are requests.
const STALE: SignedDuration = SignedDuration::from_secs(90);

/// Objects by plural and name.
type Objects = BTreeMap<(String, String), Arc<Value>>;

pub struct Checker {
    changes: UnboundedReceiver<Change>,
    cluster: Cluster,
    scenario: Scenario,
    log: Log,
    objects: Objects,
    /// Available pods of each revision, by its hash.
    available: BTreeMap<String, RecentValues>,
    /// `spec.replicas` of each Rollout.
    replicas: BTreeMap<String, RecentValues>,
    /// Rollouts with a step that sets the canary's scale.
    scales_canary: BTreeSet<String>,
    /// When a user or a simulated failure last changed pods, Services or routes.
    last_disruption: Timestamp,
    pub last_write: Timestamp,
    pub violations: Vec<String>,
    /// A user deleted ReplicaSets, and with them information that only they had.
    replica_sets_deleted: bool,
    pub runs: AnalysisRuns,
    write_rate: WriteRate,
}

impl Checker {
    #[must_use]
    pub fn new(cluster: Cluster, scenario: Scenario, log: Log) -> Self {
        let now = cluster.store.clock().now();
        Self {
            changes: cluster.store.subscribe(),
            cluster,
            scenario,
            log,
            objects: BTreeMap::new(),
            available: BTreeMap::new(),
            replicas: BTreeMap::new(),
            scales_canary: BTreeSet::new(),
            last_disruption: now,
            last_write: now,
            violations: Vec::new(),
            replica_sets_deleted: false,
            runs: AnalysisRuns::default(),
            write_rate: WriteRate::new(now),
        }
    }

    /// Checks all changes since the last call.
    pub fn observe_changes(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            self.observe(&change);
        }
    }

    /// Whether something is wrong. The scenario ends then, because a controller that writes in a loop would run for hours.
    #[must_use]
    pub const fn has_violations(&self) -> bool {
        !self.violations.is_empty()
    }

    /// Records that something happened which no object shows: a fault, a new process, a sink that is available again.
    pub fn record_activity(&mut self) {
        let now = self.now();
        self.write_rate.record_activity(now);
    }

    fn violation(&mut self, what: String) {
        self.log.line(&format!("!! {what}"));
        self.violations.push(what);
    }

    fn violations(&mut self, all: Vec<String>) {
        for what in all {
            self.violation(what);
        }
    }

    fn observe(&mut self, change: &Change) {
        let plural = change.collection.plural.clone();
        let name = change.key.name().to_owned();
        let by_user = self.cluster.is_by_user(change.version);
        let now = self.now();
        let (before, after) = (change.before.clone(), change.after.clone());
        let restart_at = |rollout: Option<&Arc<Value>>| rollout.map(|rollout| text(rollout, "/spec/restartAt"));
        let restarts = plural == "rollouts" && restart_at(before.as_ref()) != restart_at(after.as_ref());
        let strategy = |rollout: Option<&Arc<Value>>| rollout.map(|rollout| is_blue_green(rollout));
        let replaced = plural == "rollouts" && strategy(before.as_ref()) != strategy(after.as_ref());
        if restarts
            || replaced
            || by_user && matches!(plural.as_str(), "httproutes" | "services" | "pods" | "replicasets")
        {
            self.last_disruption = now;
        }
        if let (Some(before), Some(after), false) = (&before, &after, by_user) {
            match plural.as_str() {
                "httproutes" if name == ROUTE => self.check_route(before, after),
                "rollouts" => self.check_rollout(before, after),
                _ => {}
            }
        }
        let spec_changed = after
            .as_ref()
            .is_none_or(|after| before.as_ref().is_some_and(|before| before.get("spec") != after.get("spec")));
        if spec_changed && !by_user {
            self.check_safety(&plural, &name, after.as_ref());
        }
        if plural == "analysisruns" {
            let rollout = self.object("rollouts", ROLLOUT).cloned();
            let versions = [before.as_deref(), after.as_deref()];
            let violations =
                self.runs.run_changed(&name, versions, (rollout.as_deref(), &self.scenario), (by_user, now));
            self.violations(violations);
        }
        if let ("rollouts", Some(rollout)) = (plural.as_str(), &after) {
            self.record_spec(&name, rollout, now);
        }
        if let ("rollouts", ROLLOUT, Some(before), Some(after)) = (plural.as_str(), name.as_str(), &before, &after) {
            let violations = self.runs.rollout_changed(before, after, by_user, now);
            self.violations(violations);
        }
        let by_controller = !by_user && is_write_of_the_controller(&plural, before.as_deref(), after.as_deref());
        if !by_controller || progresses(&plural, before.as_deref(), after.as_deref()) {
            self.write_rate.record_activity(now);
        }
        if by_controller {
            self.last_write = now;
            if plural != "analysisruns"
                && let Some(violation) = self.write_rate.record_write(now, format!("{plural} {name}"))
            {
                self.violation(violation);
            }
        }
        match after {
            Some(after) => {
                if plural == "replicasets" {
                    let available = number(&after, "/status/availableReplicas");
                    self.available.entry(hash_of(&after)).or_default().record(now, available, STALE);
                }
                self.objects.insert((plural, name), after);
            }
            None => {
                self.replica_sets_deleted |= by_user && plural == "replicasets";
                self.objects.remove(&(plural, name));
            }
        }
    }

    fn record_spec(&mut self, name: &str, rollout: &Value, now: Timestamp) {
        // The API's default is 1.
        let replicas = rollout.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        self.replicas.entry(name.to_owned()).or_default().record(now, replicas, STALE);
        let steps = rollout.pointer("/spec/strategy/canary/steps").and_then(Value::as_array);
        if steps.is_some_and(|steps| steps.iter().any(|step| step.get("setCanaryScale").is_some())) {
            self.scales_canary.insert(name.to_owned());
        }
    }

    fn object(&self, plural: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&(plural.to_owned(), name.to_owned()))
    }

    fn now(&self) -> Timestamp {
        self.cluster.store.clock().now()
    }

    /// Whether the last disruption is so long ago that the controller must know the state of the cluster.
    fn is_undisturbed(&self) -> bool {
        self.now().duration_since(self.last_disruption) > STALE
    }

    fn check_route(&mut self, before: &Value, after: &Value) {
        if before.get("spec") == after.get("spec") {
            return;
        }
        if without_own_parts(before) != without_own_parts(after) {
            self.violation(format!(
                "the controller changed more of a route's spec than weights and managed rules: {before} became {after}"
            ));
        }
    }

    fn check_rollout(&mut self, before: &Value, after: &Value) {
        if before.get("spec") != after.get("spec") {
            self.violation("the controller changed the Rollout's spec".to_owned());
        }
        let sequence = |rollout: &Value| number(rollout, "/status/kulta/sequence");
        if sequence(after) < sequence(before) {
            self.violation(format!("the sequence fell from {} to {}", sequence(before), sequence(after)));
        }
        let stable = |rollout: &Value| text(rollout, "/status/stableRS");
        if stable(before) != stable(after) && stable(after) != text(after, "/status/currentPodHash") {
            self.violation(format!("{} became stable while another revision is current", stable(after)));
        }
    }
}

fn is_blue_green(rollout: &Value) -> bool {
    rollout.pointer("/spec/strategy/blueGreen").is_some()
}

/// Whether only the controller makes such a change, unless a user does.
fn is_write_of_the_controller(plural: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return matches!(plural, "replicasets" | "analysisruns");
    };
    let status = matches!(plural, "rollouts" | "analysisruns") && before.get("status") != after.get("status");
    let spec = before.get("spec") != after.get("spec")
        && matches!(plural, "rollouts" | "replicasets" | "services" | "httproutes" | "analysisruns");
    // Only users and the controller write the metadata of these kinds.
    let metadata = matches!(plural, "rollouts" | "httproutes" | "services")
        && ["/metadata/labels", "/metadata/annotations"]
            .iter()
            .any(|pointer| before.pointer(pointer) != after.pointer(pointer));
    status || spec || metadata
}

/// Whether a rollout has moved to another phase, step or revision.
fn progresses(plural: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
    const PROGRESS: [&str; 6] = [
        "/status/phase",
        "/status/currentStepIndex",
        "/status/currentPodHash",
        "/status/stableRS",
        "/status/abort",
        "/status/pauseConditions",
    ];
    let progress =
        |rollout: Option<&Value>| PROGRESS.map(|pointer| rollout.and_then(|rollout| rollout.pointer(pointer)).cloned());
    plural == "rollouts" && progress(before) != progress(after)
}

/// The route's spec without the rules of managed routes, and without the weights of any rule.
fn without_own_parts(route: &Value) -> Value {
    let mut spec = route.get("spec").cloned().unwrap_or_default();
    if let Some(rules) = spec.pointer_mut("/rules").and_then(Value::as_array_mut) {
        rules.retain(|rule| !hazards::is_managed(rule));
    }
    let rules = spec.pointer_mut("/rules").and_then(Value::as_array_mut).into_iter().flatten();
    for backend in rules.filter_map(|rule| rule.get_mut("backendRefs")?.as_array_mut()).flatten() {
        json_patch::merge(backend, &json!({ "weight": null }));
    }
    spec
}
