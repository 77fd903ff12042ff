//! What happens between two reconciliations: what users do, what becomes of pods, Services and routes, and what goes wrong.

use std::sync::Arc;

use kulta_api::{FieldError, annotations};
use kulta_core::decision::{FailureClass, StrategyFailure};
use kulta_core::observed::{Route, RouteState};
use serde_json::{Value, json};

use crate::setup::{self, CANARY, STABLE, STEPS};
use crate::view;
use crate::world::World;

#[derive(Clone, Debug)]
pub enum Happening {
    // Users.
    Scale(u32),
    Abort,
    Retry,
    Promote,
    PromoteFull,
    /// A new template, or one that was there before.
    Version(u32),
    Pause(bool),
    Break(Fault),
    MendFaults,
    DeleteWorkload(usize),
    MoveWeights {
        route: usize,
        rule: usize,
        canary: u32,
    },
    TakeService(Side),
    /// The canary Service, or the active Service of blue-green, to the revision of this ReplicaSet.
    Repoint(usize),
    TakeRoute(usize),
    GiveBack,
    // The cluster.
    LosePods {
        set: usize,
        available: u32,
    },
    BadImage(u32),
    PodsStart,
    EndpointsFollow,
    GatewayTakes,
    TimePasses(i64),
}

#[derive(Clone, Copy, Debug)]
pub enum Side {
    Stable,
    Canary,
}

/// What keeps a spec from being followed.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Analyzer,
    StepPlugin,
    StrategyConfig,
    StrategyTraps,
    InvalidSpec,
}

impl Side {
    const fn service(self) -> &'static str {
        match self {
            Self::Stable => STABLE,
            Self::Canary => CANARY,
        }
    }
}

impl World {
    pub fn happen(&mut self, happening: &Happening) {
        self.log.push(format!("{happening:?}"));
        match *happening {
            Happening::Scale(replicas) => self.change_spec(&json!({ "replicas": replicas })),
            Happening::Abort => self.status_mut().abort = true,
            Happening::Retry => self.status_mut().abort = false,
            Happening::Promote => self.promote(),
            Happening::PromoteFull => self.status_mut().promote_full = true,
            Happening::Version(version) => self.change_spec(&json!({ "template": setup::template(version) })),
            Happening::Pause(paused) => self.change_spec(&json!({ "paused": paused })),
            Happening::Break(fault) => self.break_by(fault),
            Happening::MendFaults => self.mend_faults(),
            Happening::DeleteWorkload(index) => self.delete_workload(index),
            Happening::MoveWeights { route, rule, canary } => self.move_weights(route, rule, canary),
            Happening::TakeService(side) => {
                let service = self.observed.services.get_mut(side.service()).and_then(Option::take);
                self.taken.extend(service);
            }
            Happening::Repoint(set) => self.repoint(set),
            Happening::TakeRoute(index) => {
                if let Some(route) = self.observed.routes.get_mut(index) {
                    route.state = RouteState::Missing;
                }
            }
            Happening::GiveBack => self.give_back(),
            Happening::LosePods { set, available } => self.lose_pods(set, available),
            Happening::BadImage(version) => {
                self.bad_images.insert(setup::image(version));
            }
            Happening::PodsStart => self.pods_start(),
            Happening::EndpointsFollow => self.endpoints_follow(),
            Happening::GatewayTakes => self.gateway_takes(),
            Happening::TimePasses(seconds) => self.pass_seconds(seconds),
        }
    }

    /// As the kubectl plugin does it.
    fn promote(&mut self) {
        self.observed.rollout.spec.paused = Some(false);
        let status = self.status_mut();
        if !status.pause_conditions.is_empty() {
            status.pause_conditions.clear();
            return;
        }
        // Blue-green has no steps that a user could skip.
        if self.config.blue_green.is_some() {
            return;
        }
        let status = self.status_mut();
        let last = i32::try_from(STEPS).unwrap();
        status.current_step_index = status.current_step_index.map(|index| (index + 1).min(last));
    }

    fn break_by(&mut self, fault: Fault) {
        let errors = |path: &str| vec![FieldError { path: path.to_owned(), message: "broken".to_owned() }];
        let observed = &mut self.observed;
        match fault {
            Fault::Analyzer => observed.analyzer_errors = errors("spec.strategy.canary.analysis"),
            Fault::StepPlugin => observed.step_errors = errors("spec.strategy.canary.steps[1].plugin"),
            Fault::StrategyConfig => observed.strategy_errors = errors("spec.strategy.canary.steps"),
            Fault::StrategyTraps => {
                let message = "wasm trap".to_owned();
                observed.strategy_failure = Some(StrategyFailure { class: FailureClass::Trapped, message });
            }
            Fault::InvalidSpec => self.change_spec(&json!({ "minReadySeconds": -1 })),
        }
    }

    fn mend_faults(&mut self) {
        let observed = &mut self.observed;
        observed.analyzer_errors.clear();
        observed.step_errors.clear();
        observed.strategy_errors.clear();
        observed.strategy_failure = None;
        if observed.rollout.spec.min_ready_seconds.is_some() {
            self.change_spec(&json!({ "minReadySeconds": null }));
        }
    }

    fn delete_workload(&mut self, index: usize) {
        if index < self.observed.revisions.len() {
            self.observed.revisions.remove(index);
        }
    }

    pub fn move_weights(&mut self, route: usize, rule: usize, canary: u32) {
        let max_weight = self.config.max_weight;
        let canary = canary.min(max_weight);
        let Some(route) = self.routes().nth(route) else { return };
        let before = route.spec.clone();
        let backends = route.spec.pointer_mut(&format!("/rules/{rule}/backendRefs")).and_then(Value::as_array_mut);
        for (backend, weight) in backends.into_iter().flatten().zip([max_weight - canary, canary]) {
            json_patch::merge(backend, &json!({ "weight": weight }));
        }
        if route.spec != before {
            route.generation += 1;
            route.resource_version = (route.version() + 1).to_string();
            route.foreign_managers = vec!["kubectl".to_owned()];
        }
    }

    pub fn repoint(&mut self, set: usize) {
        let Some(hash) = self.observed.revisions.get(set).map(|set| set.hash().to_owned()) else { return };
        let repointed = if self.config.blue_green.is_some() { STABLE } else { CANARY };
        if let Some(service) = self.services().find(|service| service.name == repointed) {
            service.selector.insert(annotations::POD_TEMPLATE_HASH.to_owned(), hash);
        }
    }

    /// Services that were deleted come back as they were, and routes as in their manifests.
    fn give_back(&mut self) {
        for service in std::mem::take(&mut self.taken) {
            self.observed.services.insert(service.name.clone(), Some(service));
        }
        for (route, rules) in self.observed.routes.iter_mut().zip(&self.config.routes) {
            if route.state == RouteState::Missing {
                route.state = RouteState::Found(Arc::new(self.config.route(*rules)));
            }
        }
    }

    fn lose_pods(&mut self, set: usize, available: u32) {
        if let Some(found) = self.revisions().nth(set) {
            found.available_replicas = found.available_replicas.min(available);
            found.ready_replicas = found.available_replicas;
        }
    }

    /// Every wanted pod is there, and available unless its image is bad.
    pub fn pods_start(&mut self) {
        let bad = self.bad_images.clone();
        for found in self.revisions() {
            let image =
                found.template.0.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default();
            let is_bad = bad.contains(image);
            found.created_replicas = found.replicas;
            found.available_replicas =
                if is_bad { found.available_replicas.min(found.replicas) } else { found.replicas };
            found.ready_replicas = found.available_replicas;
        }
    }

    /// EndpointSlices list the pods that their Services select.
    pub fn endpoints_follow(&mut self) {
        let services: Vec<(String, Option<Option<String>>)> = self
            .observed
            .services
            .iter()
            .map(|(name, service)| (name.clone(), service.as_ref().map(|service| service.hash().map(str::to_owned))))
            .collect();
        for (name, selected) in services {
            let sets = self.observed.revisions.iter();
            let chosen = sets.filter(|set| match &selected {
                None => false,
                Some(None) => true,
                Some(Some(hash)) => set.hash() == hash,
            });
            let pods = chosen.flat_map(|set| view::pods(set)).collect();
            self.listed.insert(name, pods);
        }
    }

    /// The gateway accepts what the routes say.
    pub fn gateway_takes(&mut self) {
        for route in self.routes() {
            accept(route);
        }
    }

    /// Everything that was asked for comes about.
    pub fn settle(&mut self) {
        self.pods_start();
        self.endpoints_follow();
        self.gateway_takes();
    }
}

fn accept(route: &mut Route) {
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "observedGeneration": route.generation });
    let conditions = [condition("Accepted"), condition("ResolvedRefs")];
    route.status = json!({ "parents": [{ "parentRef": { "name": "gateway" }, "conditions": conditions }] });
}
