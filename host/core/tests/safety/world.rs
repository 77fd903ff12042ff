//! A modelled cluster with one rollout: reconciliations are carried out on it write by write, and each write is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kulta_api::{Rollout, RolloutStatus, annotations};
use kulta_core::decision::{Decision, Goal, ManagedRoute, Scale, Situation, StrategyFailure};
use kulta_core::observed::{Endpoints, Observed, Route, RouteState, RouteWrite, Service};
use kulta_core::plan::Action;
use kulta_core::workload::{Revision, WorkloadWrite};
use kulta_core::{LookedUp, Need, Plan, Turn, begin};
use serde_json::{Value, json};

use crate::setup::{Config, STEPS};
use crate::view;

/// When the first reconciliation is.
const BEGIN: i64 = 1_800_000_000;
/// Facts that one reconciliation may ask for, one after the other.
const LOOK_UPS: usize = 4;
/// Characters that are shown of a line of the log.
const LINE: usize = 900;

/// What the strategy answers.
pub type Answer = Result<Decision, StrategyFailure>;

pub struct World {
    pub config: Config,
    pub observed: Observed,
    pub now: Timestamp,
    /// Pods that EndpointSlices list, by Service; they follow the Services' selectors when they are made to.
    pub listed: BTreeMap<String, BTreeSet<String>>,
    /// Services that a user has deleted.
    pub taken: Vec<Arc<Service>>,
    /// Images whose pods never become available.
    pub bad_images: BTreeSet<String>,
    /// Pods that the strategy last asked for beside the weight.
    pub canary_scale: Option<u32>,
    /// Writes so far, those of the status among them.
    pub written: usize,
    pub log: Vec<String>,
    /// Lines of the log that only set the case up.
    pub began: usize,
}

impl World {
    pub fn new(config: Config) -> Self {
        let observed = config.observed();
        let now = Timestamp::from_second(BEGIN).unwrap();
        let (listed, bad_images) = (BTreeMap::new(), BTreeSet::new());
        Self {
            config,
            observed,
            now,
            listed,
            taken: Vec::new(),
            bad_images,
            canary_scale: None,
            written: 0,
            log: Vec::new(),
            began: 0,
        }
    }

    /// What has happened since the case began, a line each.
    pub fn story(&self) -> String {
        let lines = self.log.iter().skip(self.began);
        lines.map(|line| line.chars().take(LINE).collect::<String>()).collect::<Vec<_>>().join("\n")
    }

    pub fn status(&self) -> RolloutStatus {
        self.observed.rollout.status.clone().unwrap_or_default()
    }

    pub fn status_mut(&mut self) -> &mut RolloutStatus {
        self.observed.rollout.status.get_or_insert_default()
    }

    /// Changes the spec as a user does.
    pub fn change_spec(&mut self, patch: &Value) {
        let mut object = serde_json::to_value(&self.observed.rollout).unwrap();
        json_patch::merge(&mut object, &json!({ "spec": patch }));
        self.observed.rollout = serde_json::from_value::<Rollout>(object).unwrap();
        let generation = &mut self.observed.rollout.metadata.generation;
        *generation = generation.map(|generation| generation + 1);
    }

    pub fn revisions(&mut self) -> impl Iterator<Item = &mut Revision> {
        self.observed.revisions.iter_mut().map(Arc::make_mut)
    }

    pub fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        self.observed.services.values_mut().flatten().map(Arc::make_mut)
    }

    pub fn routes(&mut self) -> impl Iterator<Item = &mut Route> {
        self.observed.routes.iter_mut().filter_map(|route| match &mut route.state {
            RouteState::Found(found) => Some(Arc::make_mut(found)),
            _ => None,
        })
    }

    pub fn pass_seconds(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    /// One reconciliation, with every fact that it asks for. The rules that its writes break are handed back.
    pub fn reconcile(&mut self, answers: &[Answer]) -> Vec<String> {
        let plan = self.plan(answers);
        self.log.push(format!("  plan: {}", plan.reason));
        self.carry_out(plan)
    }

    fn pods_of(&self, uid: &str) -> BTreeSet<String> {
        let owner = self.observed.revisions.iter().find(|revision| revision.uid == uid);
        owner.map(|owner| view::pods(owner)).unwrap_or_default()
    }

    /// Answers each question to the strategy with the next answer, and each look-up with what the cluster has.
    fn plan(&mut self, answers: &[Answer]) -> Plan {
        let mut turn = begin(self.observed.clone(), self.now);
        let mut next = answers.iter().cycle();
        let mut look_ups = 0;
        loop {
            turn = match turn {
                Turn::Done(plan) => return *plan,
                Turn::Ask(ask) => {
                    let answer = next.next().unwrap().clone();
                    let answer = answer.map(|decision| self.at_this_step(&ask.situation, decision));
                    ask.answer(answer)
                }
                Turn::LookUp(look_up) => {
                    look_ups += 1;
                    assert!(
                        look_ups <= LOOK_UPS,
                        "a reconciliation looks up more than {LOOK_UPS} facts: {:#?}",
                        self.log
                    );
                    let answer = self.answer(&look_up.need);
                    look_up.answer(answer)
                }
            };
        }
    }

    fn answer(&self, need: &Need) -> LookedUp {
        match need {
            Need::Endpoints { workloads, .. } => {
                let controlled = workloads.iter().map(|one| (one.uid.clone(), self.pods_of(&one.uid)));
                let endpoints = Endpoints { listed: self.listed.clone(), controlled: controlled.collect() };
                LookedUp { endpoints: Some(endpoints), ..LookedUp::default() }
            }
            Need::Pods { .. } => LookedUp { pods: Some(Vec::new()), ..LookedUp::default() },
            Need::DefaultedTemplate { .. } => panic!("every ReplicaSet is KULTA's own"),
        }
    }

    /// The step of an arbitrary decision is counted from the one that is asked about.
    fn at_this_step(&mut self, situation: &Situation, decision: Decision) -> Decision {
        if situation.goal == Goal::Forward {
            self.canary_scale = match decision.canary {
                Scale::FollowWeight => None,
                Scale::Weight(share) => {
                    let parts = u64::from(situation.replicas) * u64::from(share);
                    u32::try_from(parts.div_ceil(u64::from(situation.max_weight))).ok()
                }
                Scale::Replicas(pods) => Some(pods),
            };
        }
        // A strategy that names other managed routes fails.
        let is_named = |route: &ManagedRoute| self.config.managed.contains(&route.name.as_str());
        let routes = decision.routes.into_iter().filter(is_named).collect();
        let next = situation.step + decision.step;
        // Blue-green has no list of steps at whose end an arbitrary strategy would stop.
        let step = if self.config.blue_green.is_some() { next.min(STEPS) } else { next };
        Decision { step, routes, ..decision }
    }

    /// The status first, then the writes in their order, as the controller does; a write that fails ends it.
    fn carry_out(&mut self, plan: Plan) -> Vec<String> {
        if let Some(status) = plan.status {
            self.written += 1;
            self.log.push(format!("    status {}", status.patch));
            let mut stored = serde_json::to_value(self.status()).unwrap();
            json_patch::merge(&mut stored, &status.patch);
            self.observed.rollout.status = Some(serde_json::from_value(stored).unwrap());
        }
        for (key, accepted) in plan.accepted_routes {
            let named = self.observed.routes.iter_mut().find(|one| one.key == key);
            if let Some(RouteState::Found(route)) = named.map(|route| &mut route.state) {
                Arc::make_mut(route).accepted = accepted;
            }
        }
        let mut broken = Vec::new();
        let observed = view::cluster(self);
        for write in plan.writes {
            let before = view::cluster(self);
            let shown = format!("{:?}", write.action);
            self.written += 1;
            if !self.write(write.action) {
                self.log.push(format!("    fails: {shown}"));
                break;
            }
            let found = kulta_oracle::judge(&observed, &before, &view::cluster(self));
            broken.extend(found.iter().map(|one| format!("{one}: {shown}")));
            self.log.push(format!("    {shown}"));
        }
        broken
    }

    /// False when the API server refuses it.
    fn write(&mut self, action: Action) -> bool {
        match action {
            Action::PatchRollout { patch } => {
                let mut object = serde_json::to_value(&self.observed.rollout).unwrap();
                json_patch::merge(&mut object, &patch);
                self.observed.rollout = serde_json::from_value(object).unwrap();
            }
            Action::Workload(WorkloadWrite::Create { body, .. }) => self.create(&body),
            Action::Workload(WorkloadWrite::Patch { name, patch }) => {
                if let Some(found) = self.revisions().find(|one| one.name == name) {
                    patch_workload(found, &patch);
                }
            }
            Action::Workload(WorkloadWrite::Delete { name, .. }) => {
                self.observed.revisions.retain(|one| one.name != name)
            }
            Action::PatchService { name, patch } => {
                if let Some(service) = self.services().find(|service| service.name == name) {
                    patch_service(service, &patch);
                }
            }
            Action::PatchRoute { route: key, patch, weight, label, managed, .. } => {
                let now = self.now;
                let named = self.observed.routes.iter_mut().find(|route| route.key == key);
                let Some(RouteState::Found(route)) = named.map(|route| &mut route.state) else { return false };
                let version = route.version() + 1;
                let write = RouteWrite { weight, label, managed, at: now, version, ..RouteWrite::default() };
                return patch_route(Arc::make_mut(route), patch, write);
            }
            // Runs and single pods are nothing to the rules.
            _ => {}
        }
        true
    }

    fn create(&mut self, body: &Value) {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let map = |pointer: &str| serde_json::from_value(body.pointer(pointer).cloned().unwrap()).unwrap();
        let name = text("/metadata/name");
        self.pass_seconds(1);
        self.observed.revisions.push(Arc::new(Revision {
            uid: format!("uid-{name}"),
            created: self.now,
            generation: 1,
            labels: map("/metadata/labels"),
            annotations: map("/metadata/annotations"),
            replicas: u32::try_from(body.pointer("/spec/replicas").and_then(Value::as_u64).unwrap()).unwrap(),
            template: serde_json::from_value(body.pointer("/spec/template").cloned().unwrap()).unwrap(),
            name,
            ..Revision::default()
        }));
    }
}

fn patch_workload(found: &mut Revision, patch: &Value) {
    let changes = patch.pointer("/metadata/annotations").and_then(Value::as_object);
    for (key, value) in changes.into_iter().flatten() {
        match value.as_str() {
            Some(text) => found.annotations.insert(key.clone(), text.to_owned()),
            None => found.annotations.remove(key),
        };
    }
    if let Some(replicas) = patch.pointer("/spec/replicas").and_then(Value::as_u64) {
        found.replicas = u32::try_from(replicas).unwrap();
        found.generation += 1;
        // The ReplicaSet controller deletes pods that are not ready first.
        found.created_replicas = found.created_replicas.min(found.replicas);
        found.ready_replicas = found.ready_replicas.min(found.replicas);
        found.available_replicas = found.available_replicas.min(found.replicas);
    }
    if let Some(seconds) = patch.pointer("/spec/minReadySeconds").and_then(Value::as_u64) {
        found.min_ready_seconds = u32::try_from(seconds).unwrap();
    }
}

fn patch_service(service: &mut Service, patch: &Value) {
    if let Some(hash) = patch.pointer("/spec/selector/rollouts-pod-template-hash").and_then(Value::as_str) {
        service.selector.insert(annotations::POD_TEMPLATE_HASH.to_owned(), hash.to_owned());
    }
    service.managed_by = Some("web".to_owned());
    service.resource_version.push('1');
}

/// JSON Patch with its guards.
fn patch_route(route: &mut Route, patch: Value, write: RouteWrite) -> bool {
    let labels = (!route.labels.is_empty()).then_some(&route.labels);
    let mut object = json!({ "metadata": { "labels": labels }, "spec": route.spec });
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    if json_patch::patch(&mut object, &patch).is_err() {
        return false;
    }
    let spec = object["spec"].take();
    route.generation += i64::from(spec != route.spec);
    route.spec = spec;
    route.labels =
        serde_json::from_value::<Option<_>>(object["metadata"]["labels"].take()).unwrap().unwrap_or_default();
    route.resource_version = write.version.to_string();
    route.written = Some(write.at);
    route.last_write = Some(RouteWrite { generation: route.generation, ..write });
    true
}
