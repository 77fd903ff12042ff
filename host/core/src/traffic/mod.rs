//! Where requests go: what routers say of the two sides' shares, and what they write to move them (design section 2, "Router seam").

pub mod gateway;

use jiff::Timestamp;
use kulta_api::{CanaryFields, ConditionReason, RolloutStatus};

pub use crate::replicas::routed::WeightRange;

use crate::observed::{AcceptedRoute, Observed};
use crate::replicas::routed::Shape;
use gateway::Gateway;

/// Something outside the rollout keeps traffic from being moved. Names the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub reason: ConditionReason,
    pub message: String,
}

/// What a router observes.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficState {
    pub range: WeightRange,
    /// The share that every object says and the data plane has taken.
    pub confirmed: Option<u32>,
    /// The weight to keep while nothing moves: what this process wrote, whatever another writer has made of it since; else what the
    /// objects say.
    pub last_written: u32,
    pub blocked: Option<Blocked>,
    /// Why the confirmed share is believed although the data plane has not said so in full.
    pub on_trust: Option<gateway::Reservation>,
    /// When to observe again what is too fresh to be believed.
    pub retry_at: Option<Timestamp>,
}

impl TrafficState {
    /// Any request may reach the pods behind the canary's Service.
    #[must_use]
    pub fn is_canary_exposed(&self) -> bool {
        self.range.max > 0
    }
}

/// The traffic of a rollout with routing: the two Services, what the router observes, and the router itself.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub canary_service: String,
    pub stable_service: String,
    pub shape: Shape,
    pub state: TrafficState,
    pub router: Router,
}

/// Who moves the traffic.
#[derive(Debug)]
pub(crate) enum Router {
    /// Weights on Gateway API routes.
    Gateway(Gateway),
}

impl Traffic {
    /// `None` for a rollout without traffic routing. `status` has the weights that were last confirmed.
    pub fn observe(observed: &Observed, fields: &CanaryFields, status: &RolloutStatus, now: Timestamp) -> Option<Self> {
        let (canary_service, stable_service) = (fields.canary_service.clone()?, fields.stable_service.clone()?);
        let shape = Shape {
            replicas: observed.rollout.spec.replicas(),
            max_weight: fields.max_weight(),
            min_pods: fields.min_pods_per_replica_set(),
            dynamic_stable: fields.dynamic_stable_scale(),
        };
        let (gateway, state) = gateway::observe(observed, fields, shape.max_weight, status, now)?;
        Some(Self { canary_service, stable_service, shape, state, router: Router::Gateway(gateway) })
    }

    /// Any request may reach the pods behind the stable Service.
    pub fn is_stable_exposed(&self) -> bool {
        self.state.range.min < self.shape.max_weight
    }

    /// For each route, by namespace and name: what to remember of its acceptance.
    pub fn accepted_routes(self) -> Vec<(String, String, Option<AcceptedRoute>)> {
        match self.router {
            Router::Gateway(gateway) => gateway.accepted,
        }
    }

    /// The objects that have yet to be accepted with their weights, as messages name them.
    pub fn objects(&self) -> impl Iterator<Item = String> {
        match &self.router {
            Router::Gateway(gateway) => gateway.names(),
        }
    }
}
