//! The weights in routes, and the reports of the routes' parents.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::gateway::GATEWAY_API_GROUP;
use kulta_api::{CanaryFields, ConditionReason, GatewayRouting, RolloutStatus, RouteKind};

use super::acceptance::{self, Acceptance, Reservation};
use super::route::SharedRules;
use super::{Gateway, RouteView, managed};
use crate::observed::{Observed, ObservedRoute, Route, RouteState};
use crate::time;
use crate::traffic::{Blocked, ManagedRules, TrafficState, WeightRange};

/// The canary's share by one route.
struct RouteShare {
    view: RouteView,
    /// The share, if all rules of the route have it and the data plane has confirmed it.
    confirmed: Option<u32>,
    on_trust: Option<Reservation>,
    retry_at: Option<Timestamp>,
    blocked: Option<Blocked>,
}

/// `None` if the spec names no Gateway API routes. `status` has the weights that were last confirmed.
pub(crate) fn observe(
    observed: &Observed,
    fields: &CanaryFields,
    max_weight: u32,
    status: &RolloutStatus,
    now: Timestamp,
) -> Option<(Gateway, TrafficState)> {
    let routing = GatewayRouting::parse(fields.traffic_routing.as_ref()?.gateway()?).ok()?;
    let mut gateway = Gateway {
        namespace: observed.rollout.metadata.namespace.clone().unwrap_or_default(),
        canary_service: fields.canary_service.clone()?,
        stable_service: fields.stable_service.clone()?,
        max_weight,
        managed: managed_names(fields),
        routing,
        routes: Vec::new(),
        accepted: Vec::new(),
    };
    let mut blocked = None;
    let (mut on_trust, mut retry_at) = (None, None);
    let mut confirmed = Vec::new();
    let mut managed = ManagedRules::default();
    for observed_route in &observed.routes {
        if let RouteState::Forbidden { until, .. } = &observed_route.state {
            retry_at = time::earlier(retry_at, *until);
        }
        managed.present |= has_managed(&gateway, observed_route);
        managed.may_send |= !gateway.managed.is_empty() && matches!(observed_route.state, RouteState::Forbidden { .. });
        let (route, rules) = match readable(&gateway, observed_route) {
            Ok(readable) => readable,
            Err(why) => {
                blocked.get_or_insert(why);
                continue;
            }
        };
        let (acceptance, accepted) = acceptance::of(&route, &observed_route.key.namespace, now);
        gateway.accepted.push((observed_route.key.clone(), accepted));
        let accepts = matches!(acceptance, Acceptance::Accepted(_) | Acceptance::Held { .. });
        managed.may_send |= !gateway.managed.is_empty() && !accepts;
        let share = share(&gateway, observed_route, (route, rules), acceptance);
        confirmed.push(share.confirmed);
        on_trust = share.on_trust.or(on_trust);
        retry_at = time::earlier(retry_at, share.retry_at);
        blocked = blocked.or(share.blocked);
        gateway.routes.push(share.view);
    }
    if observed.routes.is_empty() {
        blocked = Some(Blocked { reason: ConditionReason::RouteNotFound, message: nothing_selected(&gateway.routing) });
    }
    let first = confirmed.first().copied().flatten();
    let all_read = confirmed.len() == observed.routes.len();
    let confirmed = first.filter(|_| all_read && confirmed.iter().all(|share| *share == first));
    let range = range(&gateway, confirmed, status);
    let last_written = last_written(&gateway).unwrap_or(range.max);
    managed.may_send |= managed.present;
    Some((gateway, TrafficState { range, confirmed, last_written, blocked, on_trust, retry_at, managed }))
}

fn nothing_selected(routing: &GatewayRouting) -> String {
    let selected = routing.kinds().filter(|routes| routes.selector.is_some()).map(|routes| routes.kind);
    let sentences = selected.map(|kind| format!("{} matches no {}", kind.keys().selector, kind.as_str()));
    sentences.collect::<Vec<_>>().join(", ")
}

fn managed_names(fields: &CanaryFields) -> Vec<String> {
    let routing = fields.traffic_routing.iter();
    routing.flat_map(|routing| &routing.managed_routes).map(|managed| managed.name.clone()).collect()
}

/// Whether the route has a rule of a managed route, also if it cannot be used otherwise.
fn has_managed(gateway: &Gateway, observed_route: &ObservedRoute) -> bool {
    match &observed_route.state {
        RouteState::Found(route) => managed::has_own(&route.spec, &observed_route.key.namespace, gateway.backends()),
        RouteState::Missing | RouteState::Forbidden { .. } | RouteState::NotInstalled => false,
    }
}

fn readable(gateway: &Gateway, observed_route: &ObservedRoute) -> Result<(Arc<Route>, SharedRules), Blocked> {
    let key = &observed_route.key;
    let shown = key.shown(&gateway.namespace);
    let route = found(observed_route.state.clone(), key.kind, &shown)?;
    let rules = SharedRules::find(&shown, &key.namespace, &route, gateway.backends())?;
    Ok((route, rules))
}

fn found(state: RouteState, kind: RouteKind, shown: &str) -> Result<Arc<Route>, Blocked> {
    let (reason, message) = match state {
        RouteState::Found(route) => return Ok(route),
        RouteState::Missing => (ConditionReason::RouteNotFound, format!("{shown} not found")),
        RouteState::Forbidden { message, .. } => (ConditionReason::RouteForbidden, format!("{shown}: {message}")),
        RouteState::NotInstalled => (
            ConditionReason::GatewayApiNotInstalled,
            format!(
                "{shown}: the cluster serves no {GATEWAY_API_GROUP}/{} {}: install Gateway API",
                kind.versions().collect::<Vec<_>>().join(" or "),
                kind.as_str()
            ),
        ),
    };
    Err(Blocked { reason, message })
}

fn share(
    gateway: &Gateway,
    observed_route: &ObservedRoute,
    (route, rules): (Arc<Route>, SharedRules),
    acceptance: Acceptance,
) -> RouteShare {
    let shown = observed_route.key.shown(&gateway.namespace);
    let (min, max) = rules.canary_share(gateway.max_weight);
    let agreed = (min == max && rules.have_weight(max, gateway.max_weight)).then_some(max);
    let (mut on_trust, mut retry_at, mut blocked) = (None, None, None);
    let confirmed = match acceptance {
        Acceptance::Accepted(reservation) => {
            on_trust = reservation
                .map(|Reservation { reason, message }| Reservation { reason, message: format!("{shown}: {message}") });
            agreed
        }
        Acceptance::Held { until } => {
            retry_at = Some(until);
            agreed
        }
        Acceptance::TooFresh { until } | Acceptance::Behind { until } => {
            retry_at = Some(until);
            None
        }
        Acceptance::Waiting(why) => {
            blocked = Some(Blocked { reason: ConditionReason::RouteNotAccepted, message: format!("{shown}: {why}") });
            None
        }
    };
    let takes_managed = gateway.routing.takes_header_routes(&observed_route.key);
    let view = RouteView { key: observed_route.key.clone(), shown, route, rules, takes_managed };
    RouteShare { view, confirmed, on_trust, retry_at, blocked }
}

/// The canary's possible share: by the routes, and, until the data plane confirms a change, also the share before it.
fn range(gateway: &Gateway, confirmed: Option<u32>, status: &RolloutStatus) -> WeightRange {
    let max = gateway.max_weight;
    let mut shares: Vec<(u32, u32)> = gateway.routes.iter().map(|view| view.rules.canary_share(max)).collect();
    if confirmed.is_none()
        && let Some(weights) = &status.canary.weights
    {
        let last = u32::try_from(weights.canary.weight).unwrap_or(0);
        shares.push((last, last));
    }
    WeightRange {
        min: shares.iter().map(|(min, _)| *min).min().unwrap_or(0),
        max: shares.iter().map(|(_, max)| *max).max().unwrap_or(0),
    }
}

fn last_written(gateway: &Gateway) -> Option<u32> {
    let weights = gateway.routes.iter().map(|view| {
        let own = view.route.last_write.as_ref().filter(|last| last.generation <= view.route.generation);
        own.map_or_else(|| view.rules.canary_share(gateway.max_weight).1, |last| last.weight)
    });
    weights.max()
}
