//! The facts of one pass, put in order: who is new, who is stable, what the routes say.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::analysis::RolloutAnalysis;
use kulta_api::{
    CanaryFields, CanaryStrategy, ConditionReason, GatewayRouting, PluginStrategy, RolloutStatus, RolloutStrategy,
};
use serde_json::{Value, json};

use crate::decision::Revision;
use crate::hash;
use crate::identity;
use crate::observed::{AcceptedRoute, Observed, ReplicaSet, Route, RouteState, Service};
use crate::replicas::limits::Limits;
use crate::replicas::routed::{Served, Shape};
use crate::time;
use crate::traffic::Obstacle;
use crate::traffic::acceptance::{self, Acceptance, Reservation};
use crate::traffic::route::{Backends, SharedRules};

#[derive(Debug)]
pub(crate) struct Scene {
    pub observed: Arc<Observed>,
    pub now: Timestamp,
    pub fields: CanaryFields,
    pub strategy: StrategyChoice,
    pub replicas: u32,
    pub limits: Limits,
    /// Hash of the revision that the template is.
    pub new_hash: String,
    pub new: Option<Arc<ReplicaSet>>,
    /// The stable revision's ReplicaSet; the same as `new` when the template is stable.
    pub stable: Option<Arc<ReplicaSet>>,
    /// Neither new nor stable, newest first.
    pub others: Vec<Arc<ReplicaSet>>,
    /// Absent without traffic routing.
    pub traffic: Option<Traffic>,
}

/// Who decides, and by what.
#[derive(Clone, Debug)]
pub(crate) struct StrategyChoice {
    pub plugin: String,
    pub config: Value,
    /// Steps, when the strategy has a list of them.
    pub steps: Option<u32>,
    pub hash: String,
}

#[derive(Debug)]
pub(crate) struct Traffic {
    /// Of the rollout and its Services.
    namespace: String,
    pub canary_service: String,
    pub stable_service: String,
    pub gateway: GatewayRouting,
    pub routes: Vec<RouteView>,
    pub shape: Shape,
    pub served: Served,
    /// The share that every route says and every parent has taken.
    pub confirmed: Option<u32>,
    pub obstacle: Option<Obstacle>,
    /// What of the confirmed share is on trust.
    pub on_trust: Option<Reservation>,
    /// For each route, by namespace and name: what to remember of its acceptance.
    pub accepted: Vec<(String, String, Option<AcceptedRoute>)>,
    /// When to look again at a route that is too fresh to be believed.
    pub wake_up: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct RouteView {
    pub namespace: String,
    pub name: String,
    /// What messages call it: its name, behind its namespace when that is not the rollout's.
    pub shown: String,
    pub route: Arc<Route>,
    pub rules: SharedRules,
}

/// The plugin that serves `strategy.canary`.
pub const CANARY_PLUGIN: &str = "canary";

/// What it is configured with.
#[must_use]
pub fn canary_config(canary: &CanaryStrategy) -> Value {
    let mut config = json!({ "steps": canary.steps });
    // Without templates there is nothing to measure.
    if let Some(analysis) = canary.fields.analysis.as_ref().filter(|analysis| !analysis.templates.is_empty())
        && let Some(config) = config.as_object_mut()
    {
        // Before the first step is with it: the strategy knows indexes of steps alone.
        let starting_step = analysis.starting_step.filter(|step| *step >= 0);
        config.insert("analysis".to_owned(), json!(RolloutAnalysis { starting_step, ..analysis.clone() }));
    }
    config
}

impl StrategyChoice {
    /// None when the spec names no strategy that this build knows.
    pub fn of(strategy: &RolloutStrategy) -> Option<Self> {
        match (&strategy.canary, &strategy.plugin) {
            (Some(canary), _) => Some(Self::of_canary(canary)),
            (None, Some(plugin)) => Some(Self::of_plugin(plugin)),
            (None, None) => None,
        }
    }

    /// Of a spec that names no strategy: nobody is asked.
    pub fn none() -> Self {
        Self { plugin: String::new(), config: Value::Null, steps: None, hash: String::new() }
    }

    pub fn of_canary(canary: &CanaryStrategy) -> Self {
        Self {
            plugin: CANARY_PLUGIN.to_owned(),
            hash: hash::steps_hash(&json!(canary.steps)),
            config: canary_config(canary),
            steps: Some(u32::try_from(canary.steps.len()).unwrap_or(u32::MAX)),
        }
    }

    pub fn of_plugin(plugin: &PluginStrategy) -> Self {
        let config = plugin.config.as_ref().map_or_else(|| json!({}), |config| config.0.clone());
        Self {
            hash: hash::steps_hash(&json!({ "name": plugin.name, "config": config })),
            plugin: plugin.name.clone(),
            config,
            steps: None,
        }
    }
}

impl Scene {
    /// `new` and `new_hash` come from [`identity::identify`].
    pub fn set(
        observed: Arc<Observed>,
        fields: CanaryFields,
        strategy: StrategyChoice,
        (new_hash, new): (String, Option<Arc<ReplicaSet>>),
        status: &RolloutStatus,
        now: Timestamp,
    ) -> Self {
        let replicas = observed.rollout.spec.replicas();
        let stable = identity::by_hash(&observed.replica_sets, &status.stable_rs);
        let name = |replica_set: &Option<Arc<ReplicaSet>>| replica_set.as_ref().map(|found| found.name.clone());
        let (new_name, stable_name) = (name(&new), name(&stable));
        let mut others: Vec<_> = observed
            .replica_sets
            .iter()
            .filter(|other| Some(&other.name) != new_name.as_ref() && Some(&other.name) != stable_name.as_ref())
            .cloned()
            .collect();
        others.sort_by_key(|other| std::cmp::Reverse((other.created, other.revision())));
        let traffic = Traffic::see(&observed, &fields, replicas, status, now);
        Self {
            limits: Limits::of(&fields, replicas),
            observed,
            now,
            fields,
            strategy,
            replicas,
            new_hash,
            new,
            stable,
            others,
            traffic,
        }
    }

    pub fn service(&self, name: Option<&String>) -> Option<&Arc<Service>> {
        self.observed.services.get(name?)?.as_ref()
    }

    pub fn is_stable(&self, status: &RolloutStatus) -> bool {
        !status.stable_rs.is_empty() && status.stable_rs == self.new_hash
    }

    pub fn revision_number(&self) -> u64 {
        let highest = self.others.iter().chain(&self.stable).map(|other| (other.name.as_str(), other.revision()));
        let new_name = self.new.as_ref().map(|new| new.name.as_str());
        let above =
            highest.filter(|(name, _)| Some(*name) != new_name).map(|(_, number)| number).max().unwrap_or(0) + 1;
        self.new.as_ref().map_or(above, |new| new.revision().max(above))
    }

    pub fn max_weight(&self) -> u32 {
        self.traffic.as_ref().map_or(kulta_api::strategy::DEFAULT_MAX_WEIGHT, |traffic| traffic.shape.max_weight)
    }

    /// The canary's share in force: confirmed by the data plane, or by pods when there is no traffic routing.
    pub fn weight_in_force(&self) -> u32 {
        match &self.traffic {
            Some(traffic) => traffic.confirmed.unwrap_or(traffic.served.most),
            None => {
                let canary = self.new.as_ref().map_or(0, |new| new.available_replicas);
                let rest = self.stable.iter().chain(&self.others).map(|old| old.available_replicas).sum::<u32>();
                (canary * self.max_weight()).checked_div(canary + rest).unwrap_or(0)
            }
        }
    }

    /// Pods of the new revision serve requests, or may: the canary has been exposed.
    pub fn canary_exposed(&self) -> bool {
        match &self.traffic {
            Some(traffic) => traffic.served.most > 0,
            None => self.new.as_ref().is_some_and(|new| new.available_replicas > 0),
        }
    }

    /// Exposed, and by no other revision's pods: between two canaries the Service is not moved before it has no traffic.
    pub fn canary_serves(&self) -> bool {
        let service = self.service(self.fields.canary_service.as_ref());
        self.canary_exposed() && service.is_none_or(|service| service.hash() == Some(self.new_hash.as_str()))
    }
}

pub(crate) fn revision(replica_set: &ReplicaSet) -> Revision {
    Revision {
        hash: replica_set.hash().to_owned(),
        number: replica_set.revision(),
        desired: replica_set.replicas,
        created: replica_set.created_replicas,
        ready: replica_set.ready_replicas,
        available: replica_set.available_replicas,
    }
}

impl Traffic {
    fn see(
        observed: &Observed,
        fields: &CanaryFields,
        replicas: u32,
        status: &RolloutStatus,
        now: Timestamp,
    ) -> Option<Self> {
        let gateway = GatewayRouting::parse(fields.traffic_routing.as_ref()?.gateway()?).ok()?;
        let shape = Shape {
            replicas,
            max_weight: fields.max_weight(),
            min_pods: fields.min_pods_per_replica_set(),
            dynamic_stable: fields.dynamic_stable_scale(),
        };
        let mut traffic = Self {
            namespace: observed.rollout.metadata.namespace.clone().unwrap_or_default(),
            canary_service: fields.canary_service.clone()?,
            stable_service: fields.stable_service.clone()?,
            gateway,
            routes: Vec::new(),
            shape,
            served: Served { least: 0, most: 0 },
            confirmed: None,
            obstacle: None,
            on_trust: None,
            accepted: Vec::new(),
            wake_up: None,
        };
        traffic.look(observed, now);
        traffic.measure(status);
        Some(traffic)
    }

    /// Looks at each route: its rules, and what its parents say.
    fn look(&mut self, observed: &Observed, now: Timestamp) {
        let mut confirmed = Vec::new();
        for seen in &observed.routes {
            let shown = seen.shown(&self.namespace);
            if let RouteState::Forbidden { until: Some(until), .. } = &seen.state {
                self.wake_up = time::earlier(self.wake_up, Some(*until));
            }
            let route = match found(seen.state.clone(), &shown) {
                Ok(route) => route,
                Err(obstacle) => {
                    self.obstacle.get_or_insert(obstacle);
                    continue;
                }
            };
            let rules = match SharedRules::find(&shown, &seen.namespace, &route, self.backends()) {
                Ok(rules) => rules,
                Err(obstacle) => {
                    self.obstacle.get_or_insert(obstacle);
                    continue;
                }
            };
            let (taken, accepted) = acceptance::of(&route, &seen.namespace, now);
            self.accepted.push((seen.namespace.clone(), seen.name.clone(), accepted));
            let (least, most) = rules.canary_share(self.shape.max_weight);
            let agreed = least == most && rules.says(most, self.shape.max_weight);
            match taken {
                Acceptance::Accepted(reservation) => {
                    if let Some(Reservation { reason, message }) = reservation {
                        let message = format!("HTTPRoute {shown:?}: {message}");
                        self.on_trust = Some(Reservation { reason, message });
                    }
                    confirmed.push(agreed.then_some(most));
                }
                Acceptance::Held { until } => {
                    self.wake_up = time::earlier(self.wake_up, Some(until));
                    confirmed.push(agreed.then_some(most));
                }
                Acceptance::TooFresh { until } | Acceptance::Behind { until } => {
                    self.wake_up = time::earlier(self.wake_up, Some(until));
                    confirmed.push(None);
                }
                Acceptance::Waiting(why) => {
                    self.obstacle.get_or_insert(Obstacle {
                        reason: ConditionReason::RouteNotAccepted,
                        message: format!("HTTPRoute {shown:?}: {why}"),
                    });
                    confirmed.push(None);
                }
            }
            let (namespace, name) = (seen.namespace.clone(), seen.name.clone());
            self.routes.push(RouteView { namespace, name, shown, route, rules });
        }
        if observed.routes.is_empty() {
            self.obstacle = Some(Obstacle {
                reason: ConditionReason::RouteNotFound,
                message: "httpRouteSelector matches no HTTPRoute".to_owned(),
            });
        }
        let first = confirmed.first().copied().flatten();
        let all_seen = confirmed.len() == observed.routes.len();
        self.confirmed = first.filter(|_| all_seen && confirmed.iter().all(|share| *share == first));
    }

    /// What the canary may be getting: as the routes say, and as they last were in force while the data plane has not taken the change.
    fn measure(&mut self, status: &RolloutStatus) {
        let max = self.shape.max_weight;
        let mut shares: Vec<(u32, u32)> = self.routes.iter().map(|view| view.rules.canary_share(max)).collect();
        if self.confirmed.is_none()
            && let Some(weights) = &status.canary.weights
        {
            let last = u32::try_from(weights.canary.weight).unwrap_or(0);
            shares.push((last, last));
        }
        self.served = Served {
            least: shares.iter().map(|(least, _)| *least).min().unwrap_or(0),
            most: shares.iter().map(|(_, most)| *most).max().unwrap_or(0),
        };
    }

    pub fn backends(&self) -> Backends<'_> {
        Backends {
            namespace: &self.namespace,
            canary: &self.canary_service,
            stable: &self.stable_service,
            max_weight: self.shape.max_weight,
        }
    }

    /// The weight to keep while nothing moves: what this process wrote, whatever somebody else has made of it since;
    /// else what the routes say.
    pub fn held(&self) -> u32 {
        let own = self.routes.iter().map(|view| {
            view.route
                .last_write
                .as_ref()
                .filter(|last| last.generation <= view.route.generation)
                .map_or_else(|| view.rules.canary_share(self.shape.max_weight).1, |last| last.weight)
        });
        own.max().unwrap_or(self.served.most)
    }
}

fn found(state: RouteState, name: &str) -> Result<Arc<Route>, Obstacle> {
    let (reason, message) = match state {
        RouteState::Found(route) => return Ok(route),
        RouteState::Missing => (ConditionReason::RouteNotFound, format!("HTTPRoute {name:?} not found")),
        RouteState::Forbidden { words, .. } => {
            (ConditionReason::RouteForbidden, format!("HTTPRoute {name:?}: {words}"))
        }
        RouteState::NotInstalled => (
            ConditionReason::GatewayApiNotInstalled,
            format!(
                "HTTPRoute {name:?}: the cluster serves no gateway.networking.k8s.io/v1 HTTPRoute: install Gateway API"
            ),
        ),
    };
    Err(Obstacle { reason, message })
}
