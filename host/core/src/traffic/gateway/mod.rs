//! Weights on Gateway API routes (design section 4): the observed weights, their acceptance by the data plane, and the next
//! writes.

pub mod acceptance;
pub mod foreign;
pub mod label;
mod observe;
mod plan;
pub mod route;

use std::sync::Arc;

use kulta_api::{GatewayRouting, RouteKey};

pub use acceptance::Reservation;
pub(crate) use observe::observe;
pub(crate) use plan::plan;

use crate::observed::{AcceptedRoute, Route};
use route::{Backends, SharedRules};

/// The readable routes of a rollout.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Namespace of the rollout and its Services.
    namespace: String,
    canary_service: String,
    stable_service: String,
    max_weight: u32,
    routing: GatewayRouting,
    routes: Vec<RouteView>,
    /// For each route that was found: its acceptance, to be passed to the next reconciliation.
    pub accepted: Vec<(RouteKey, Option<AcceptedRoute>)>,
}

#[derive(Debug)]
struct RouteView {
    key: RouteKey,
    /// The route as messages name it ([`RouteKey::shown`]).
    shown: String,
    route: Arc<Route>,
    rules: SharedRules,
}

impl Gateway {
    fn backends(&self) -> Backends<'_> {
        Backends {
            namespace: &self.namespace,
            canary: &self.canary_service,
            stable: &self.stable_service,
            max_weight: self.max_weight,
        }
    }

    /// The routes as named in messages.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.routes.iter().map(|view| view.shown.clone())
    }
}
