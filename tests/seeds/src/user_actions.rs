//! What users do to a rollout while it is updated.

use anyhow::Result;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::cluster::{CANARY, Cluster, ObjectKind, ROLLOUT, ROUTE, STABLE, neighbour};
use crate::log::Log;
use crate::objects::Health;
use crate::scenario::{Scenario, service, template};
use crate::{analyses, blue_green, hazards};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    NewVersion,
    EarlierVersion,
    ChangeSteps,
    Promote,
    PromoteFull,
    Abort,
    Retry,
    Pause,
    Resume,
    Scale,
    Restart,
    Annotate,
    DeletePod,
    ChangeWeights,
    DeleteRoute,
    DeleteService,
    DeleteReplicaSet,
}

/// Actions after which no request may fail.
const HARMLESS: [Action; 13] = [
    Action::NewVersion,
    Action::NewVersion,
    Action::NewVersion,
    Action::EarlierVersion,
    Action::ChangeSteps,
    Action::Promote,
    Action::Promote,
    Action::PromoteFull,
    Action::Abort,
    Action::Retry,
    Action::Pause,
    Action::Resume,
    Action::Annotate,
];
/// Actions that remove pods, Services or routes that serve requests.
const DISRUPTIVE: [Action; 7] = [
    Action::Scale,
    Action::Restart,
    Action::DeletePod,
    Action::ChangeWeights,
    Action::DeleteRoute,
    Action::DeleteService,
    Action::DeleteReplicaSet,
];

pub struct UserActions {
    pub cluster: Cluster,
    pub scenario: Scenario,
    pub log: Log,
    rng: Rng,
    /// For actions on analyses.
    analysis_rng: Rng,
    /// For actions that the scenario's hazards add.
    hazard_rng: Rng,
    /// For changes between blue-green and a canary.
    blue_green_rng: Rng,
    versions: u32,
    /// Versions of the second Rollout so far.
    neighbour_versions: u32,
    /// Objects that the next action creates again.
    deleted: Vec<(ObjectKind, Value)>,
}

impl UserActions {
    #[must_use]
    pub fn new(cluster: Cluster, scenario: Scenario, seed: u64, log: Log) -> Self {
        // These are not the random numbers that the scenario was made with.
        Self {
            cluster,
            scenario,
            log,
            rng: Rng::with_seed(!seed),
            analysis_rng: analyses::random(!seed),
            hazard_rng: hazards::random(!seed),
            blue_green_rng: blue_green::random(!seed),
            versions: 1,
            neighbour_versions: 1,
            deleted: Vec::new(),
        }
    }

    /// Milliseconds until the next action: often while the controller still reacts to the last one, at times half an hour.
    pub fn pause(&mut self) -> u64 {
        match self.rng.u32(0..10) {
            0..=3 => self.rng.u64(1..2_000),
            4..=7 => self.rng.u64(2_000..60_000),
            _ => self.rng.u64(60_000..1_800_000),
        }
    }

    /// Performs a random action. It is only logged if the server refuses it, because users make mistakes.
    pub fn perform(&mut self) {
        self.restore_deleted();
        let disruptive = self.scenario.disruptive && self.rng.bool();
        let choice =
            if disruptive { self.rng.choice(DISRUPTIVE.as_slice()) } else { self.rng.choice(HARMLESS.as_slice()) };
        let Some(&action) = choice else { return };
        match self.apply(action) {
            Ok(details) => self.log.line(&format!("a user: {action:?} {details}")),
            Err(error) => self.log.line(&format!("a user: {action:?} refused: {error}")),
        }
        if self.scenario.analyses.is_some() && self.analysis_rng.u32(0..3) == 0 {
            match self.interfere_with_analysis() {
                Ok(details) => self.log.line(&format!("a user: {details}")),
                Err(error) => self.log.line(&format!("a user: an AnalysisRun: refused: {error}")),
            }
        }
    }

    /// Performs the actions that the scenario's hazards add: on the second Rollout, and on the size and the strategy of this one.
    pub fn perform_hazards(&mut self) {
        if self.scenario.blue_green.is_some_and(|blue_green| blue_green.changes) && self.blue_green_rng.u32(0..4) == 0 {
            let strategy = self.other_strategy();
            self.log_result(&format!("changes the strategy: {strategy}"), self.spec(json!({ "strategy": strategy })));
        }
        if self.scenario.hazards.scaling && self.hazard_rng.u32(0..3) == 0 {
            let replicas = self.hazard_rng.u32(1..=8);
            self.log_result(&format!("scales to {replicas}"), self.spec(json!({ "replicas": replicas })));
        }
        if self.scenario.hazards.neighbour {
            if self.hazard_rng.u32(0..3) == 0 {
                self.neighbour_versions += 1;
                let template = hazards::template(self.neighbour_versions);
                let result = self.cluster.replace(ObjectKind::Rollout, neighbour::ROLLOUT, "/spec/template", template);
                self.log_result("updates the second rollout", result);
            } else if self.hazard_rng.bool() {
                let result = self.resume_neighbour();
                self.log_result("promotes the second rollout", result);
            }
        }
    }

    /// A canary in place of blue-green, or blue-green again.
    fn other_strategy(&mut self) -> Value {
        let is_blue_green = self.rollout().is_ok_and(|rollout| rollout.pointer("/spec/strategy/blueGreen").is_some());
        if is_blue_green {
            blue_green::canary(&mut self.blue_green_rng)
        } else {
            self.changed(self.scenario.strategy.clone())
        }
    }

    /// The patch of `spec.strategy` that changes these fields of the scenario's strategy.
    fn changed(&self, fields: Value) -> Value {
        match &self.scenario.blue_green {
            Some(blue_green) => blue_green.patch(fields),
            None => json!({ (self.scenario.strategy_key()): fields }),
        }
    }

    fn log_result(&self, action: &str, result: Result<()>) {
        match result {
            Ok(()) => self.log.line(&format!("a user {action}")),
            Err(error) => self.log.line(&format!("a user {action}: refused: {error}")),
        }
    }

    /// Ends the pause of the second Rollout, if it is paused.
    fn resume_neighbour(&self) -> Result<()> {
        let rollout = self.cluster.get(ObjectKind::Rollout, neighbour::ROLLOUT)?;
        let paused = rollout.is_some_and(|rollout| {
            rollout.pointer("/status/pauseConditions").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
        });
        if paused {
            let patch = json!({ "status": { "pauseConditions": null } });
            self.cluster.patch(ObjectKind::Rollout, neighbour::ROLLOUT, true, patch)?;
        }
        Ok(())
    }

    /// Terminates or deletes a random AnalysisRun.
    fn interfere_with_analysis(&mut self) -> Result<String> {
        let all = self.cluster.list(ObjectKind::AnalysisRun)?;
        let index = self.analysis_rng.usize(0..all.len().max(1));
        let name = all.get(index).and_then(|run| run.pointer("/metadata/name")?.as_str());
        let Some(name) = name else { return Ok("no AnalysisRun found".to_owned()) };
        if self.analysis_rng.bool() {
            self.cluster.delete(ObjectKind::AnalysisRun, name)?;
            return Ok(format!("deletes {name}"));
        }
        self.cluster.patch(ObjectKind::AnalysisRun, name, false, json!({ "spec": { "terminate": true } }))?;
        Ok(format!("terminates {name}"))
    }

    fn rollout(&self) -> Result<Value> {
        Ok(self.cluster.get(ObjectKind::Rollout, ROLLOUT)?.map(|rollout| Value::clone(&rollout)).unwrap_or_default())
    }

    fn spec(&self, patch: Value) -> Result<()> {
        self.cluster.patch(ObjectKind::Rollout, ROLLOUT, false, json!({ "spec": patch }))
    }

    fn status(&self, patch: Value) -> Result<()> {
        self.cluster.patch(ObjectKind::Rollout, ROLLOUT, true, json!({ "status": patch }))
    }

    fn apply(&mut self, action: Action) -> Result<String> {
        match action {
            Action::NewVersion => {
                self.versions += 1;
                let health = match self.rng.u32(0..10) {
                    0..=6 => Health::Good,
                    7..=8 => Health::Slow,
                    _ => Health::Never,
                };
                let version = format!("v{}", self.versions);
                self.set_template(template(&version, health))?;
                return Ok(format!("{version} {health:?}"));
            }
            Action::EarlierVersion => {
                let version = format!("v{}", self.rng.u32(1..=self.versions));
                let found = self.cluster.list(ObjectKind::ReplicaSet)?.into_iter().find(|set| {
                    set.pointer("/spec/template/metadata/labels/version").and_then(Value::as_str) == Some(&version)
                });
                let Some(found) = found else { return Ok(format!("{version} not found")) };
                let mut template = found.pointer("/spec/template").cloned().unwrap_or_default();
                if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
                    labels.remove("rollouts-pod-template-hash");
                }
                self.set_template(template)?;
                return Ok(version);
            }
            Action::ChangeSteps => {
                let strategy = self.scenario.new_strategy(&mut self.rng, &mut self.analysis_rng);
                self.spec(json!({ "strategy": self.changed(strategy.clone()) }))?;
                return Ok(strategy.to_string());
            }
            Action::Promote => self.promote()?,
            Action::PromoteFull => self.status(json!({ "promoteFull": true }))?,
            Action::Abort => self.status(json!({ "abort": true }))?,
            Action::Retry => self.status(json!({ "abort": false }))?,
            Action::Pause => self.spec(json!({ "paused": true }))?,
            Action::Resume => self.spec(json!({ "paused": false }))?,
            Action::Scale => {
                let replicas = self.rng.u32(0..=6);
                self.spec(json!({ "replicas": replicas }))?;
                return Ok(replicas.to_string());
            }
            Action::Restart => {
                let now = self.cluster.store.clock().second().to_string();
                self.spec(json!({ "restartAt": now }))?;
            }
            Action::Annotate => {
                let note = json!({ "metadata": { "annotations": { "note": self.rng.u32(..).to_string() } } });
                self.cluster.patch(ObjectKind::Rollout, ROLLOUT, false, note)?;
            }
            Action::DeletePod => return self.delete_any(ObjectKind::Pod),
            Action::DeleteReplicaSet => return self.delete_any(ObjectKind::ReplicaSet),
            Action::ChangeWeights => return self.change_weights(),
            Action::DeleteRoute => return self.delete_for_now(ObjectKind::HttpRoute, ROUTE),
            Action::DeleteService => {
                let name = if self.rng.bool() { CANARY } else { STABLE };
                return self.delete_for_now(ObjectKind::Service, name);
            }
        }
        Ok(String::new())
    }

    /// Promotes as Argo's kubectl plugin does.
    fn promote(&self) -> Result<()> {
        let rollout = self.rollout()?;
        if rollout.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
            self.spec(json!({ "paused": false }))?;
        }
        let paused = rollout.pointer("/status/pauseConditions").and_then(Value::as_array);
        if paused.is_some_and(|all| !all.is_empty()) {
            return self.status(json!({ "pauseConditions": null }));
        }
        let steps = rollout.pointer("/spec/strategy/canary/steps").and_then(Value::as_array).map_or(0, Vec::len);
        let next = rollout.pointer("/status/currentStepIndex").and_then(Value::as_u64).unwrap_or(0) + 1;
        if usize::try_from(next).is_ok_and(|next| next <= steps) {
            self.status(json!({ "pauseConditions": null, "currentStepIndex": next }))?;
        }
        Ok(())
    }

    fn set_template(&self, template: Value) -> Result<()> {
        self.cluster.replace(ObjectKind::Rollout, ROLLOUT, "/spec/template", template)
    }

    fn delete_any(&mut self, kind: ObjectKind) -> Result<String> {
        let all = self.cluster.list_of(kind, ROLLOUT)?;
        let names: Vec<String> =
            all.iter().filter_map(|object| object.pointer("/metadata/name")?.as_str()).map(str::to_owned).collect();
        if names.is_empty() {
            return Ok("not found".to_owned());
        }
        let name = names.get(self.rng.usize(0..names.len())).cloned().unwrap_or_default();
        self.cluster.delete(kind, &name)?;
        Ok(name)
    }

    fn change_weights(&mut self) -> Result<String> {
        if self.scenario.blue_green.is_some() {
            return Ok("not in blue-green".to_owned());
        }
        let Some(route) = self.cluster.get(ObjectKind::HttpRoute, ROUTE)? else { return Ok("not found".to_owned()) };
        let share = self.rng.u32(0..=self.scenario.max_weight);
        let mut rules = route.pointer("/spec/rules").cloned().unwrap_or_default();
        for (index, weight) in [(0, self.scenario.max_weight - share), (1, share)] {
            if let Some(backend) = rules.pointer_mut(&format!("/0/backendRefs/{index}")) {
                json_patch::merge(backend, &json!({ "weight": weight }));
            }
        }
        self.cluster.patch(ObjectKind::HttpRoute, ROUTE, false, json!({ "spec": { "rules": rules } }))?;
        Ok(share.to_string())
    }

    /// Deletes an object until the next action creates it again.
    fn delete_for_now(&mut self, kind: ObjectKind, name: &str) -> Result<String> {
        let Some(found) = self.cluster.get(kind, name)? else { return Ok("not found".to_owned()) };
        self.cluster.delete(kind, name)?;
        let object = match kind {
            ObjectKind::Service => service(name),
            _ => json!({
                "apiVersion": found.get("apiVersion"), "kind": found.get("kind"),
                "metadata": { "name": name }, "spec": found.get("spec"),
            }),
        };
        self.deleted.push((kind, object));
        Ok(name.to_owned())
    }

    /// Creates the deleted objects again.
    pub fn restore_deleted(&mut self) {
        for (kind, object) in std::mem::take(&mut self.deleted) {
            let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
            match self.cluster.create(kind, object) {
                Ok(()) => self.log.line(&format!("a user restores {kind:?} {name}")),
                Err(error) => self.log.line(&format!("a user cannot restore {kind:?} {name}: {error}")),
            }
        }
    }

    /// Undoes what keeps the rollout from an update, and updates it to a good version.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn deploy_last_version(&mut self) -> Result<()> {
        self.restore_deleted();
        self.log.line("a user restores everything and deploys the last version");
        let replicas = self.scenario.replicas;
        self.spec(json!({ "paused": false, "replicas": replicas }))?;
        // With analyses that never decide the pods are slow too: an update that waits for a user must not be scaled down meanwhile.
        let health = if self.scenario.hazards.undecided { Health::Slow } else { Health::Good };
        self.set_template(template("last", health))
    }

    /// Promotes the rollout if it is paused, and returns whether it was.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn promote_if_paused(&self) -> Result<bool> {
        if self.scenario.hazards.neighbour {
            self.resume_neighbour()?;
        }
        let rollout = self.rollout()?;
        let paused = rollout.pointer("/status/phase").and_then(Value::as_str) == Some("Paused");
        if paused {
            self.log.line("a user promotes");
            self.promote()?;
        }
        Ok(paused)
    }
}
