//! What people do to a rollout while it is under way.

use anyhow::Result;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::cluster::{CANARY, Cluster, ROLLOUT, ROUTE, STABLE, What, neighbour};
use crate::scenario::{Health, Scenario, service, template};
use crate::story::Log;
use crate::{hazards, judging};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    NewVersion,
    EarlierVersion,
    OtherSteps,
    Promote,
    PromoteFull,
    Abort,
    Retry,
    Pause,
    GoOn,
    Scale,
    Restart,
    Annotate,
    KillPod,
    MoveWeights,
    TakeRoute,
    TakeService,
    DeleteReplicaSet,
}

/// Harmless ones: whatever they do, no request may fail.
const GENTLE: [Doing; 13] = [
    Doing::NewVersion,
    Doing::NewVersion,
    Doing::NewVersion,
    Doing::EarlierVersion,
    Doing::OtherSteps,
    Doing::Promote,
    Doing::Promote,
    Doing::PromoteFull,
    Doing::Abort,
    Doing::Retry,
    Doing::Pause,
    Doing::GoOn,
    Doing::Annotate,
];
/// Those that take pods or routes away under the traffic.
const ROUGH: [Doing; 7] = [
    Doing::Scale,
    Doing::Restart,
    Doing::KillPod,
    Doing::MoveWeights,
    Doing::TakeRoute,
    Doing::TakeService,
    Doing::DeleteReplicaSet,
];

pub struct People {
    pub cluster: Cluster,
    pub scenario: Scenario,
    pub log: Log,
    rng: Rng,
    /// For all that has to do with analyses.
    analyses: Rng,
    /// For all that the scenario's hazards add.
    added: Rng,
    versions: u32,
    /// Versions of the second Rollout so far.
    neighbour_versions: u32,
    /// Brought back by the next doing.
    taken: Vec<(What, Value)>,
}

impl People {
    #[must_use]
    pub fn new(cluster: Cluster, scenario: Scenario, seed: u64, log: Log) -> Self {
        // Not the dice that made the scenario.
        let (rng, analyses) = (Rng::with_seed(!seed), judging::dice(!seed));
        let added = hazards::random(!seed);
        Self { cluster, scenario, log, rng, analyses, added, versions: 1, neighbour_versions: 1, taken: Vec::new() }
    }

    /// Milliseconds until the next doing: often in the midst of things, at times after hours.
    pub fn pause(&mut self) -> u64 {
        match self.rng.u32(0..10) {
            0..=3 => self.rng.u64(1..2_000),
            4..=7 => self.rng.u64(2_000..60_000),
            _ => self.rng.u64(60_000..1_800_000),
        }
    }

    /// Does something. What the server refuses is as good as not done: people make mistakes.
    pub fn act(&mut self) {
        self.give_back();
        let rough = self.scenario.rough && self.rng.bool();
        let choice = if rough { self.rng.choice(ROUGH.as_slice()) } else { self.rng.choice(GENTLE.as_slice()) };
        let Some(&doing) = choice else { return };
        let done = self.carry_out(doing);
        match done {
            Ok(words) => self.log.line(&format!("a person: {doing:?} {words}")),
            Err(error) => self.log.line(&format!("a person: {doing:?} refused: {error}")),
        }
        if self.scenario.judging.is_some() && self.analyses.u32(0..3) == 0 {
            match self.meddle() {
                Ok(words) => self.log.line(&format!("a person: {words}")),
                Err(error) => self.log.line(&format!("a person: an AnalysisRun: refused: {error}")),
            }
        }
    }

    /// Acts on what the scenario's hazards add: the second Rollout, and the size of this one.
    pub fn act_on_hazards(&mut self) {
        if self.scenario.hazards.scaling && self.added.u32(0..3) == 0 {
            let replicas = self.added.u32(1..=8);
            self.report(&format!("scales to {replicas}"), self.spec(json!({ "replicas": replicas })));
        }
        if self.scenario.hazards.neighbour {
            if self.added.u32(0..3) == 0 {
                self.neighbour_versions += 1;
                let template = hazards::template(self.neighbour_versions);
                let done = self.cluster.replace(What::Rollout, neighbour::ROLLOUT, "/spec/template", template);
                self.report("updates the second rollout", done);
            } else if self.added.bool() {
                let done = self.resume_neighbour();
                self.report("promotes the second rollout", done);
            }
        }
    }

    fn report(&self, what: &str, done: Result<()>) {
        match done {
            Ok(()) => self.log.line(&format!("a user {what}")),
            Err(error) => self.log.line(&format!("a user {what}: refused: {error}")),
        }
    }

    /// Ends the pause of the second Rollout, if there is one.
    fn resume_neighbour(&self) -> Result<()> {
        let rollout = self.cluster.get(What::Rollout, neighbour::ROLLOUT)?;
        let paused = rollout.is_some_and(|rollout| {
            rollout.pointer("/status/pauseConditions").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
        });
        if paused {
            let patch = json!({ "status": { "pauseConditions": null } });
            self.cluster.patch(What::Rollout, neighbour::ROLLOUT, true, patch)?;
        }
        Ok(())
    }

    /// Ends or deletes an analysis.
    fn meddle(&mut self) -> Result<String> {
        let all = self.cluster.list(What::Run)?;
        let index = self.analyses.usize(0..all.len().max(1));
        let name = all.get(index).and_then(|run| run.pointer("/metadata/name")?.as_str());
        let Some(name) = name else { return Ok("there is no analysis".to_owned()) };
        if self.analyses.bool() {
            self.cluster.delete(What::Run, name)?;
            return Ok(format!("deletes {name}"));
        }
        self.cluster.patch(What::Run, name, false, json!({ "spec": { "terminate": true } }))?;
        Ok(format!("terminates {name}"))
    }

    fn rollout(&self) -> Result<Value> {
        Ok(self.cluster.get(What::Rollout, ROLLOUT)?.map(|rollout| Value::clone(&rollout)).unwrap_or_default())
    }

    fn spec(&self, patch: Value) -> Result<()> {
        self.cluster.patch(What::Rollout, ROLLOUT, false, json!({ "spec": patch }))
    }

    fn status(&self, patch: Value) -> Result<()> {
        self.cluster.patch(What::Rollout, ROLLOUT, true, json!({ "status": patch }))
    }

    fn carry_out(&mut self, doing: Doing) -> Result<String> {
        match doing {
            Doing::NewVersion => {
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
            Doing::EarlierVersion => {
                let version = format!("v{}", self.rng.u32(1..=self.versions));
                let found = self.cluster.list(What::ReplicaSet)?.into_iter().find(|set| {
                    set.pointer("/spec/template/metadata/labels/version").and_then(Value::as_str) == Some(&version)
                });
                let Some(found) = found else { return Ok(format!("{version} is not there any more")) };
                let mut template = found.pointer("/spec/template").cloned().unwrap_or_default();
                if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
                    labels.remove("rollouts-pod-template-hash");
                }
                self.set_template(template)?;
                return Ok(version);
            }
            Doing::OtherSteps => {
                let way = self.scenario.another_way(&mut self.rng, &mut self.analyses);
                let strategy = if self.scenario.linear { "plugin" } else { "canary" };
                self.spec(json!({ "strategy": { strategy: way } }))?;
                return Ok(way.to_string());
            }
            Doing::Promote => self.promote()?,
            Doing::PromoteFull => self.status(json!({ "promoteFull": true }))?,
            Doing::Abort => self.status(json!({ "abort": true }))?,
            Doing::Retry => self.status(json!({ "abort": false }))?,
            Doing::Pause => self.spec(json!({ "paused": true }))?,
            Doing::GoOn => self.spec(json!({ "paused": false }))?,
            Doing::Scale => {
                let replicas = self.rng.u32(0..=6);
                self.spec(json!({ "replicas": replicas }))?;
                return Ok(replicas.to_string());
            }
            Doing::Restart => {
                let now = self.cluster.store.clock().second().to_string();
                self.spec(json!({ "restartAt": now }))?;
            }
            Doing::Annotate => {
                let note = json!({ "metadata": { "annotations": { "note": self.rng.u32(..).to_string() } } });
                self.cluster.patch(What::Rollout, ROLLOUT, false, note)?;
            }
            Doing::KillPod => return self.delete_one(What::Pod),
            Doing::DeleteReplicaSet => return self.delete_one(What::ReplicaSet),
            Doing::MoveWeights => return self.move_weights(),
            Doing::TakeRoute => return self.take(What::Route, ROUTE),
            Doing::TakeService => {
                let name = if self.rng.bool() { CANARY } else { STABLE };
                return self.take(What::Service, name);
            }
        }
        Ok(String::new())
    }

    /// As the kubectl plugin does it.
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
        self.cluster.replace(What::Rollout, ROLLOUT, "/spec/template", template)
    }

    fn delete_one(&mut self, what: What) -> Result<String> {
        let all = self.cluster.list_of(what, ROLLOUT)?;
        let names: Vec<String> =
            all.iter().filter_map(|object| object.pointer("/metadata/name")?.as_str()).map(str::to_owned).collect();
        if names.is_empty() {
            return Ok("none is there".to_owned());
        }
        let name = names.get(self.rng.usize(0..names.len())).cloned().unwrap_or_default();
        self.cluster.delete(what, &name)?;
        Ok(name)
    }

    fn move_weights(&mut self) -> Result<String> {
        let Some(route) = self.cluster.get(What::Route, ROUTE)? else { return Ok("no route".to_owned()) };
        let share = self.rng.u32(0..=self.scenario.max_weight);
        let mut rules = route.pointer("/spec/rules").cloned().unwrap_or_default();
        for (index, weight) in [(0, self.scenario.max_weight - share), (1, share)] {
            if let Some(backend) = rules.pointer_mut(&format!("/0/backendRefs/{index}")) {
                json_patch::merge(backend, &json!({ "weight": weight }));
            }
        }
        self.cluster.patch(What::Route, ROUTE, false, json!({ "spec": { "rules": rules } }))?;
        Ok(share.to_string())
    }

    /// Takes an object away; the next doing brings it back.
    fn take(&mut self, what: What, name: &str) -> Result<String> {
        let Some(found) = self.cluster.get(what, name)? else { return Ok("not there".to_owned()) };
        self.cluster.delete(what, name)?;
        let again = match what {
            What::Service => service(name),
            _ => json!({
                "apiVersion": found.get("apiVersion"), "kind": found.get("kind"),
                "metadata": { "name": name }, "spec": found.get("spec"),
            }),
        };
        self.taken.push((what, again));
        Ok(name.to_owned())
    }

    /// Brings back what was taken.
    pub fn give_back(&mut self) {
        for (what, object) in std::mem::take(&mut self.taken) {
            let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
            match self.cluster.create(what, object) {
                Ok(()) => self.log.line(&format!("a person brings back {what:?} {name}")),
                Err(error) => self.log.line(&format!("a person cannot bring back {what:?} {name}: {error}")),
            }
        }
    }

    /// Mends everything and asks for a good version: what a person does in the end.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn mend(&mut self) -> Result<()> {
        self.give_back();
        self.log.line("a person mends all and wants the last version");
        let replicas = self.scenario.replicas;
        self.spec(json!({ "paused": false, "replicas": replicas }))?;
        // With analyses that never decide the pods are slow too: an update that waits for a user must not be scaled down meanwhile.
        let health = if self.scenario.hazards.undecided { Health::Slow } else { Health::Good };
        self.set_template(template("last", health))
    }

    /// Presses on while it is paused; false when there was nothing to promote.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn press_on(&self) -> Result<bool> {
        if self.scenario.hazards.neighbour {
            self.resume_neighbour()?;
        }
        let rollout = self.rollout()?;
        let paused = rollout.pointer("/status/phase").and_then(Value::as_str) == Some("Paused");
        if paused {
            self.log.line("a person promotes");
            self.promote()?;
        }
        Ok(paused)
    }
}
