//! Sees every change in its order and holds it against what the design says is enforced whatever happens (its section 1).

mod pace;
mod recent;
mod safety;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_embedded::store::Change;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use self::pace::Pace;
use self::recent::Recent;
use crate::cluster::{CANARY, Cluster, ROLLOUT, ROUTE, STABLE, neighbour};
use crate::runs::Runs;
use crate::scenario::Scenario;
use crate::story::Log;

pub const HASH: &str = "rollouts-pod-template-hash";
/// The label that a route has while a rollout moves its weights, as Argo's Gateway API plugin names it.
const IN_PROGRESS: &str = "rollouts.argoproj.io/gatewayapi-canary";
/// What the controller sees may be this old: late events of watches, and requests that are late themselves.
pub const STALE: SignedDuration = SignedDuration::from_secs(90);

/// By plural and name.
type Objects = BTreeMap<(String, String), Arc<Value>>;

pub struct Witness {
    changes: UnboundedReceiver<Change>,
    cluster: Cluster,
    scenario: Scenario,
    log: Log,
    objects: Objects,
    /// Available pods of each revision, by its hash.
    available: BTreeMap<String, Recent>,
    /// `spec.replicas` of each Rollout.
    wanted: BTreeMap<String, Recent>,
    /// Rollouts with a step that sets the canary's scale.
    scales_canary: BTreeSet<String>,
    /// When a person or chance last moved pods, Services or routes.
    stirred: Timestamp,
    /// Changes of specs and statuses by the controller so far.
    pub written: u64,
    pub last_write: Timestamp,
    pub violations: Vec<String>,
    /// A person deleted ReplicaSets: what only they said is lost for good.
    robbed: bool,
    pub runs: Runs,
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
            wanted: BTreeMap::new(),
            scales_canary: BTreeSet::new(),
            stirred: now,
            written: 0,
            last_write: now,
            violations: Vec::new(),
            robbed: false,
            runs: Runs::default(),
            pace: Pace::new(now),
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
                "rollouts" => self.rollout_moved(before, after),
                _ => {}
            }
        }
        let respecified = after
            .as_ref()
            .is_none_or(|after| before.as_ref().is_some_and(|before| before.get("spec") != after.get("spec")));
        if respecified && !person {
            self.judge(&plural, &name, after.as_ref());
        }
        if plural == "analysisruns" {
            let rollout = self.object("rollouts", ROLLOUT).cloned();
            let versions = [before.as_deref(), after.as_deref()];
            let wrong = self.runs.moved(&name, versions, (rollout.as_deref(), &self.scenario), (person, now));
            self.all_wrong(wrong);
        }
        if let ("rollouts", Some(rollout)) = (plural.as_str(), &after) {
            // The API's default.
            let replicas = rollout.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            self.wanted.entry(name.clone()).or_default().record(now, replicas, STALE);
            let steps = rollout.pointer("/spec/strategy/canary/steps").and_then(Value::as_array);
            if steps.is_some_and(|steps| steps.iter().any(|step| step.get("setCanaryScale").is_some())) {
                self.scales_canary.insert(name.clone());
            }
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
        if !by_controller || moves(&plural, before.as_deref(), after.as_deref()) {
            self.pace.disturb(now);
        }
        if by_controller {
            self.written += 1;
            self.last_write = now;
            if plural != "analysisruns"
                && let Some(wrong) = self.pace.count(now, format!("{plural} {name}"))
            {
                self.wrong(wrong);
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

    /// Something is wrong: nothing more is to be learnt from the scenario, and a loop of writes takes hours.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !self.violations.is_empty()
    }

    /// Something has happened that no object shows: a fault, a process that begins, a sink that is back.
    pub fn disturb(&mut self) {
        let now = self.now();
        self.pace.disturb(now);
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
        if without_weights(before) != without_weights(after) {
            self.wrong(format!("a route's spec changed beside its weights: {before} became {after}"));
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
        if let Some(missing) = self.unrestored() {
            self.wrong(format!("aborted, and stable is not restored: {missing}"));
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

/// A rollout goes on, or stops.
fn moves(plural: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
    const PLACE: [&str; 6] = [
        "/status/phase",
        "/status/currentStepIndex",
        "/status/currentPodHash",
        "/status/stableRS",
        "/status/abort",
        "/status/pauseConditions",
    ];
    let place =
        |rollout: Option<&Value>| PLACE.map(|pointer| rollout.and_then(|rollout| rollout.pointer(pointer)).cloned());
    plural == "rollouts" && place(before) != place(after)
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
