//! Weights on Gateway API routes (design section 4): the observed weights, their acceptance by the data plane, and the next
//! writes.

pub mod acceptance;
pub mod foreign;
pub mod label;
mod managed;
mod observe;
mod plan;
pub mod route;

use std::sync::Arc;

use kulta_api::{GatewayRouting, RouteKey};

pub use acceptance::Reservation;
pub(crate) use managed::ManagedGoal;
pub(crate) use observe::observe;
pub(crate) use plan::plan;

use crate::decision::ManagedRoute;
use crate::observed::{AcceptedRoute, Route};
use managed::Place;
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
    /// Names of the managed routes, in their order.
    managed: Vec<String>,
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
    /// The route gets the rules of managed routes.
    takes_managed: bool,
}

impl Gateway {
    fn backends(&self) -> Backends<'_> {
        Backends {
            namespace: &self.namespace,
            canary: &self.canary_service,
            stable: &self.stable_service,
            max_weight: self.max_weight,
            managed: &self.managed,
        }
    }

    fn place<'a>(&'a self, view: &'a RouteView) -> Place<'a> {
        Place { shown: &view.shown, key: &view.key, route: &view.route, rules: &view.rules, backends: self.backends() }
    }

    /// Names of the managed routes, in their order.
    pub fn managed_names(&self) -> &[String] {
        &self.managed
    }

    /// Whether a route has a rule of this managed route.
    pub fn has_managed(&self, name: &str) -> bool {
        self.routes.iter().any(|view| managed::present(self.place(view)).any(|present| present == name))
    }

    /// Whether all routes have exactly the rules of these managed routes.
    pub fn has_exactly(&self, wanted: &[ManagedRoute], weight: u32) -> bool {
        self.routes.iter().all(|view| {
            let goal = view.goal(ManagedGoal::Exactly(wanted.to_vec()));
            managed::plan(self.place(view), &goal, weight).is_ok_and(|patch| patch.operations.is_empty())
        })
    }

    /// The routes as named in messages.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.routes.iter().map(|view| view.shown.clone())
    }
}

impl RouteView {
    /// What of the goal is for this route.
    fn goal(&self, goal: ManagedGoal) -> ManagedGoal {
        if self.takes_managed { goal } else { ManagedGoal::default() }
    }
}
