//! Sees every change in its order and holds it against what the design says is enforced whatever happens (its section 1).

mod capacity;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_embedded::store::Change;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use self::capacity::{Pace, Wanted};
use crate::cluster::{CANARY, Cluster, ROLLOUT, ROUTE, STABLE, neighbour};
use crate::runs::Runs;
use crate::scenario::Scenario;
use crate::story::Log;

pub const HASH: &str = "rollouts-pod-template-hash";
/// The label that a route has while a rollout moves its weights, as Argo's Gateway API plugin names it.
const IN_PROGRESS: &str = "rollouts.argoproj.io/gatewayapi-canary";
/// What the controller sees may be this old: late events of watches, and requests that are late themselves.
pub const STALE: SignedDuration = SignedDuration::from_secs(90);

pub struct Witness {
    changes: UnboundedReceiver<Change>,
    cluster: Cluster,
    scenario: Scenario,
    log: Log,
    /// Plural and name.
    objects: BTreeMap<(String, String), Arc<Value>>,
    /// When a revision last had an available pod, by its hash.
    available: BTreeMap<String, Timestamp>,
    /// When a person or chance last moved pods, Services or routes.
    stirred: Timestamp,
    /// Changes of specs and statuses by the controller so far.
    pub written: u64,
    pub last_write: Timestamp,
    pub violations: Vec<String>,
    /// A person deleted ReplicaSets: what only they said is lost for good.
    robbed: bool,
    pub runs: Runs,
    wanted: Wanted,
    pace: Pace,
}

impl Witness {
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
            stirred: now,
            written: 0,
            last_write: now,
            violations: Vec::new(),
            robbed: false,
            runs: Runs::default(),
            wanted: Wanted::default(),
            pace: Pace::default(),
        }
    }

    /// Looks at all that has changed since.
    pub fn look(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            self.see(&change);
        }
    }

    fn wrong(&mut self, what: String) {
        self.log.line(&format!("!! {what}"));
        self.violations.push(what);
    }

    fn all_wrong(&mut self, all: Vec<String>) {
        for what in all {
            self.wrong(what);
        }
    }

    fn see(&mut self, change: &Change) {
        let plural = change.collection.plural.clone();
        let name = change.key.name().to_owned();
        let person = self.cluster.is_own(change.version);
        let now = self.cluster.store.clock().now();
        let (before, after) = (change.before.clone(), change.after.clone());
        let restarted = |rollout: Option<&Arc<Value>>| rollout.map(|rollout| text(rollout, "/spec/restartAt"));
        let restarts = plural == "rollouts" && restarted(before.as_ref()) != restarted(after.as_ref());
        if restarts || person && matches!(plural.as_str(), "httproutes" | "services" | "pods" | "replicasets") {
            self.stirred = now;
        }
        if let (Some(before), Some(after), false) = (&before, &after, person) {
            match plural.as_str() {
                "httproutes" if name == ROUTE => self.route_moved(before, after),
                "replicasets" if is_of(after, ROLLOUT) => {
                    self.replica_set_moved(before, after);
                    self.scaled(before, after);
                }
                "rollouts" => self.rollout_moved(before, after),
                _ => {}
            }
        }
        if plural == "analysisruns" {
            let rollout = self.object("rollouts", ROLLOUT).cloned();
            let versions = [before.as_deref(), after.as_deref()];
            let wrong = self.runs.moved(&name, versions, (rollout.as_deref(), &self.scenario), (person, now));
            self.all_wrong(wrong);
        }
        if let ("rollouts", Some(rollout)) = (plural.as_str(), &after) {
            self.resized(&name, rollout);
        }
        if let ("rollouts", ROLLOUT, Some(before), Some(after)) = (plural.as_str(), name.as_str(), &before, &after) {
            let wrong = self.runs.rollout_moved(before, after, person, now);
            self.all_wrong(wrong);
        }
        let by_controller = !person
            && match (&before, &after) {
                (Some(before), Some(after)) => {
                    let status = matches!(plural.as_str(), "rollouts" | "analysisruns")
                        && before.get("status") != after.get("status");
                    let spec = before.get("spec") != after.get("spec")
                        && matches!(
                            plural.as_str(),
                            "rollouts" | "replicasets" | "services" | "httproutes" | "analysisruns"
                        );
                    status || spec || relabelled(&plural, before, after)
                }
                _ => matches!(plural.as_str(), "replicasets" | "analysisruns"),
            };
        if by_controller {
            self.written += 1;
            self.last_write = now;
            if let Some(wrong) = self.pace.count(now) {
                self.wrong(wrong);
            }
        }
        match after {
            Some(after) => {
                let had = before.as_ref().is_some_and(|before| number(before, "/status/availableReplicas") > 0);
                if plural == "replicasets" && (had || number(&after, "/status/availableReplicas") > 0) {
                    self.available.insert(hash_of(&after), now);
                }
                self.objects.insert((plural, name), after);
            }
            None => {
                self.robbed |= person && plural == "replicasets";
                self.objects.remove(&(plural, name));
            }
        }
    }

    fn object(&self, plural: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&(plural.to_owned(), name.to_owned()))
    }

    fn selected(&self, service: &str) -> Option<String> {
        let selector = format!("/spec/selector/{HASH}");
        Some(self.object("services", service)?.pointer(&selector)?.as_str()?.to_owned())
    }

    /// The controller writes without end.
    #[must_use]
    pub const fn sees_runaway(&self) -> bool {
        self.pace.is_runaway()
    }

    fn now(&self) -> Timestamp {
        self.cluster.store.clock().now()
    }

    /// Nobody stirred for long enough that the controller must know how things are.
    fn calm(&self) -> bool {
        self.cluster.store.clock().now().duration_since(self.stirred) > STALE
    }

    fn route_moved(&mut self, before: &Value, after: &Value) {
        if before.get("spec") == after.get("spec") {
            return;
        }
        let share = |route: &Value| (weight(route, STABLE), weight(route, CANARY));
        let (stable, canary) = share(after);
        let max = i64::from(self.scenario.max_weight);
        if stable + canary != max || canary < 0 || canary > max {
            self.wrong(format!("weights {stable} and {canary} are no shares of {max}"));
        }
        if without_weights(before) != without_weights(after) {
            self.wrong(format!("a route's spec changed beside its weights: {before} became {after}"));
        }
        if canary > share(before).1 {
            let selected = self.selected(CANARY);
            let now = self.cluster.store.clock().now();
            let has_pods = self
                .replica_sets()
                .iter()
                .any(|set| selected.as_ref() == Some(&hash_of(set)) && number(set, "/status/availableReplicas") > 0);
            let lately = selected.as_ref().and_then(|hash| self.available.get(hash));
            if self.calm() && !has_pods && lately.is_none_or(|at| now.duration_since(*at) > STALE) {
                self.wrong(format!("weight {canary} for {selected:?}, which has no available pod"));
            }
        }
        if stable > share(before).0
            && let Some(wrong) = self.restored_to_nobody()
        {
            self.wrong(wrong);
        }
    }

    fn replica_set_moved(&mut self, before: &Value, after: &Value) {
        let (from, to) = (number(before, "/spec/replicas"), number(after, "/spec/replicas"));
        if to != 0 || from == 0 || !self.scenario.routed || !self.calm() {
            return;
        }
        let Some(route) = self.object("httproutes", ROUTE).cloned() else { return };
        if self.object("rollouts", ROLLOUT).is_some_and(|rollout| number(rollout, "/spec/replicas") == 0) {
            return;
        }
        let hash = hash_of(after);
        for service in [STABLE, CANARY] {
            if weight(&route, service) > 0 && self.selected(service).as_deref() == Some(&hash) {
                self.wrong(format!(
                    "the last pods of {hash} go while {service} has weight {}",
                    weight(&route, service)
                ));
            }
        }
    }

    fn rollout_moved(&mut self, before: &Value, after: &Value) {
        if before.get("spec") != after.get("spec") {
            self.wrong("the controller changed the Rollout's spec".to_owned());
        }
        let sequence = |rollout: &Value| number(rollout, "/status/kulta/sequence");
        if sequence(after) < sequence(before) {
            self.wrong(format!("the sequence fell from {} to {}", sequence(before), sequence(after)));
        }
        let stable = |rollout: &Value| text(rollout, "/status/stableRS");
        if stable(before) != stable(after) && stable(after) != text(after, "/status/currentPodHash") {
            self.wrong(format!("{} became stable while another revision is current", stable(after)));
        }
    }

    /// How things have to be when the rollout stands still and nothing is wrong with it.
    pub fn at_rest(&mut self) {
        let Some(rollout) = self.object("rollouts", ROLLOUT).cloned() else { return };
        let phase = text(&rollout, "/status/phase");
        let message = text(&rollout, "/status/message");
        let sets = self.replica_sets();
        let wanted = number(&rollout, "/spec/replicas");
        let stable = text(&rollout, "/status/stableRS");
        let current = text(&rollout, "/status/currentPodHash");
        let stuck = sets.iter().any(|set| {
            hash_of(set) == current && number(set, "/status/availableReplicas") < number(set, "/spec/replicas")
        });
        let at_last =
            text(&rollout, "/status/observedGeneration") == number(&rollout, "/metadata/generation").to_string();
        if !at_last {
            self.wrong(format!("at rest, the newest spec has not been looked at: {message}"));
        }
        match phase.as_str() {
            "Healthy" | "Paused" => {}
            "Degraded" if text(&rollout, "/status/message").starts_with("InvalidSpec") => {
                self.wrong(format!("at rest: {message}"));
            }
            "Degraded" => {}
            _ if stuck => {}
            _ => self.wrong(format!("at rest in the phase {phase}: {message}")),
        }
        let aborted = rollout.pointer("/status/abort").and_then(Value::as_bool) == Some(true);
        if aborted && stable != current {
            let whole =
                sets.iter().any(|set| hash_of(set) == stable && number(set, "/status/availableReplicas") >= wanted);
            let there = sets.iter().any(|set| hash_of(set) == stable);
            if !whole && there {
                self.wrong(format!("aborted, and stable {stable} has not all of its {wanted} pods"));
            }
            // Somebody deleted stable's ReplicaSet: the canary is all that can serve.
            if self.scenario.routed && there && self.canary_weight() != Some(0) {
                self.wrong(format!("aborted, and the canary has weight {:?}", self.canary_weight()));
            }
        }
        self.runs_at_rest(&rollout);
    }

    fn runs_at_rest(&mut self, rollout: &Value) {
        let runs = self.objects.iter().filter(|((plural, _), _)| plural == "analysisruns");
        let runs: Vec<_> = runs.map(|((_, name), run)| (name.clone(), Arc::clone(run))).collect();
        let hashes = self.replica_sets().iter().map(|set| hash_of(set)).collect();
        let wrong = self.runs.at_rest(rollout, &runs, &hashes);
        self.all_wrong(wrong);
    }

    /// How things have to be when the last version is out.
    pub fn at_the_end(&mut self) {
        let Some(rollout) = self.object("rollouts", ROLLOUT).cloned() else {
            return self.wrong("the rollout is gone".to_owned());
        };
        self.runs_at_rest(&rollout);
        let current = text(&rollout, "/status/currentPodHash");
        let wanted = number(&rollout, "/spec/replicas");
        if text(&rollout, "/status/phase") != "Healthy" || text(&rollout, "/status/stableRS") != current {
            let kulta = rollout.pointer("/status/kulta/decisions").cloned().unwrap_or_default();
            self.wrong(format!(
                "the last version did not get out: {} {}; the last decisions: {kulta}",
                text(&rollout, "/status/phase"),
                text(&rollout, "/status/message"),
            ));
            return;
        }
        let mut versions: Vec<String> = Vec::new();
        for set in self.replica_sets() {
            let (hash, replicas) = (hash_of(&set), number(&set, "/spec/replicas"));
            let expected = if hash == current { wanted } else { 0 };
            if replicas != expected {
                self.wrong(format!("in the end {hash} has {replicas} pods instead of {expected}"));
            }
            let version = text(&set, "/spec/template/metadata/labels/version");
            if versions.contains(&version) {
                self.wrong(format!("two ReplicaSets for {version}"));
            }
            versions.push(version);
        }
        if self.scenario.routed && self.canary_weight() != Some(0) {
            self.wrong(format!("in the end the canary has weight {:?}", self.canary_weight()));
        }
        if self.scenario.hazards.neighbour {
            self.neighbour_at_the_end();
        }
        for service in [STABLE, CANARY].iter().filter(|_| self.scenario.routed) {
            if self.selected(service).as_deref() != Some(&current) {
                let selected = self.selected(service);
                self.wrong(format!("in the end {service} selects {selected:?} instead of {current}"));
                return;
            }
        }
    }

    /// Both rollouts of the route are done: nothing of an update is left on it.
    fn neighbour_at_the_end(&mut self) {
        let phase = self.object("rollouts", neighbour::ROLLOUT).map(|rollout| text(rollout, "/status/phase"));
        if phase.as_deref() != Some("Healthy") {
            self.wrong(format!("in the end the second rollout is {phase:?}"));
        }
        let labels = self.object("httproutes", ROUTE).and_then(|route| route.pointer("/metadata/labels").cloned());
        if labels.as_ref().and_then(|labels| labels.get(IN_PROGRESS)).is_some() {
            self.wrong(format!("in the end the route is labelled as being in an update: {labels:?}"));
        }
    }

    /// What there is, for a person who reads the story.
    pub fn describe(&self) {
        for ((plural, name), object) in &self.objects {
            let line = match plural.as_str() {
                "replicasets" => {
                    let counts =
                        ["/spec/replicas", "/status/replicas", "/status/readyReplicas", "/status/availableReplicas"]
                            .map(|pointer| number(object, pointer));
                    format!("{counts:?} wanted, there, ready, available")
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

    fn canary_weight(&self) -> Option<i64> {
        self.object("httproutes", ROUTE).map(|route| weight(route, CANARY))
    }

    fn replica_sets(&self) -> Vec<Arc<Value>> {
        let sets = self.objects.iter().filter(|((plural, _), set)| plural == "replicasets" && is_of(set, ROLLOUT));
        sets.map(|(_, set)| Arc::clone(set)).collect()
    }
}

pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

pub fn hash_of(set: &Value) -> String {
    text(set, &format!("/metadata/labels/{HASH}"))
}

/// Over the first rule, which is the one with our Services.
fn weight(route: &Value, service: &str) -> i64 {
    let backends = route.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array).into_iter().flatten();
    backends
        .filter(|backend| backend.get("name").and_then(Value::as_str) == Some(service))
        .map(|backend| backend.get("weight").and_then(Value::as_i64).unwrap_or(1))
        .sum()
}

/// By the label of its pods.
fn is_of(set: &Value, rollout: &str) -> bool {
    text(set, "/spec/template/metadata/labels/app") == rollout
}

/// Labels and annotations that somebody changed, of the kinds whose metadata only users and the controller write.
fn relabelled(plural: &str, before: &Value, after: &Value) -> bool {
    matches!(plural, "rollouts" | "httproutes" | "services")
        && ["/metadata/labels", "/metadata/annotations"]
            .iter()
            .any(|pointer| before.pointer(pointer) != after.pointer(pointer))
}

/// The route's spec without the weights of any rule.
fn without_weights(route: &Value) -> Value {
    let mut spec = route.get("spec").cloned().unwrap_or_default();
    let rules = spec.pointer_mut("/rules").and_then(Value::as_array_mut).into_iter().flatten();
    for backend in rules.filter_map(|rule| rule.get_mut("backendRefs")?.as_array_mut()).flatten() {
        json_patch::merge(backend, &json!({ "weight": null }));
    }
    spec
}
