//! Where requests go: the two sides' shares as routers observe them, and the writes that change them (design section 2, "Router
//! seam").

mod active;
pub mod gateway;
mod unrouted;

use jiff::Timestamp;
use kulta_api::{CanaryFields, ConditionReason, RolloutStatus, RouteKey};

pub use crate::replicas::routed::WeightRange;

pub(crate) use gateway::ManagedGoal;
pub(crate) use unrouted::{Pods, Unrouted};

use crate::observed::{AcceptedRoute, Observed};
use crate::replicas::routed::Shape;
use gateway::Gateway;

/// A reason outside the rollout for which traffic cannot be moved. The message names the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub reason: ConditionReason,
    pub message: String,
}

/// The traffic as a router observes it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficState {
    pub range: WeightRange,
    /// The share that all objects have and the data plane has confirmed.
    pub confirmed: Option<u32>,
    /// The weight to keep while nothing moves: the last weight that this process wrote, even if another writer has changed it
    /// since. If it wrote none, the weight in the objects.
    pub last_written: u32,
    pub blocked: Option<Blocked>,
    /// Why the share counts as confirmed although the data plane has not fully reported it.
    pub on_trust: Option<gateway::Reservation>,
    /// When to observe again, if a write is too recent to count as confirmed.
    pub retry_at: Option<Timestamp>,
    pub managed: ManagedRules,
}

/// The observed rules of managed routes. The share of the requests that they send to the canary is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagedRules {
    /// A route has such a rule.
    pub present: bool,
    /// Requests may reach the canary by such a rule: there is one, or the data plane has not confirmed that there is none.
    pub may_send: bool,
}

impl TrafficState {
    /// Whether any request may reach the pods behind the canary's Service.
    #[must_use]
    pub fn is_canary_exposed(&self) -> bool {
        self.range.max > 0 || self.managed.may_send
    }

    /// The data plane has confirmed this share, and no rule of a managed route is left.
    #[must_use]
    pub fn is_confirmed_alone(&self, weight: u32) -> bool {
        self.confirmed == Some(weight) && !self.managed.present
    }
}

/// The traffic of a rollout that something shifts: the two Services, the observed traffic, and the router.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Of blue-green the preview Service; empty if there is none.
    pub canary_service: String,
    /// Of blue-green the active Service.
    pub stable_service: String,
    pub shape: Shape,
    pub state: TrafficState,
    pub router: Router,
}

/// The router that moves the traffic.
#[derive(Debug)]
pub(crate) enum Router {
    /// A router that writes weights on Gateway API routes.
    Gateway(Box<Gateway>),
    /// The selector of the active Service.
    ActiveService,
}

impl Traffic {
    /// `None` if neither routes nor an active Service shift traffic to the revision `new`. `status` has the weights that were last
    /// confirmed.
    pub fn observe(
        observed: &Observed,
        fields: &CanaryFields,
        status: &RolloutStatus,
        new: &str,
        now: Timestamp,
    ) -> Option<Self> {
        if let Some(strategy) = active::strategy(observed) {
            let shape = Shape::of(observed, fields);
            let hashes = active::Hashes { new, stable: &status.stable_rs };
            let state = active::observe(observed, &strategy.active_service, hashes, shape.max_weight);
            let canary_service = fields.canary_service.clone().unwrap_or_default();
            let stable_service = strategy.active_service.clone();
            return Some(Self { canary_service, stable_service, shape, state, router: Router::ActiveService });
        }
        let (canary_service, stable_service) = (fields.canary_service.clone()?, fields.stable_service.clone()?);
        let shape = Shape::of(observed, fields);
        let (gateway, state) = gateway::observe(observed, fields, shape.max_weight, status, now)?;
        Some(Self { canary_service, stable_service, shape, state, router: Router::Gateway(Box::new(gateway)) })
    }

    /// Whether any request may reach the pods behind the stable Service.
    pub fn is_stable_exposed(&self) -> bool {
        match self.router {
            Router::Gateway(_) => self.state.range.min < self.shape.max_weight,
            Router::ActiveService => true,
        }
    }

    /// The Services that requests may reach.
    pub fn exposed_services(&self) -> impl Iterator<Item = &String> {
        let canary = match self.router {
            Router::Gateway(_) => self.state.is_canary_exposed(),
            Router::ActiveService => false,
        };
        let stable = self.is_stable_exposed().then_some(&self.stable_service);
        stable.into_iter().chain(canary.then_some(&self.canary_service))
    }

    /// The routes, if they carry the weights.
    pub fn gateway(&self) -> Option<&Gateway> {
        match &self.router {
            Router::Gateway(gateway) => Some(gateway),
            Router::ActiveService => None,
        }
    }

    pub fn has_routes(&self) -> bool {
        self.gateway().is_some()
    }

    /// For each route that was found: its acceptance, to be passed to the next reconciliation.
    pub fn accepted_routes(self) -> Vec<(RouteKey, Option<AcceptedRoute>)> {
        match self.router {
            Router::Gateway(gateway) => gateway.accepted,
            Router::ActiveService => Vec::new(),
        }
    }

    /// The objects whose weights are not confirmed yet, as named in messages.
    pub fn objects(&self) -> impl Iterator<Item = String> {
        self.gateway().into_iter().flat_map(Gateway::names)
    }
}
