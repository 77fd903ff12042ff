//! What the routes say, and what their parents say of them.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::{CanaryFields, ConditionReason, GatewayRouting, RolloutStatus};

use super::acceptance::{self, Acceptance, Reservation};
use super::route::SharedRules;
use super::{Gateway, RouteView};
use crate::observed::{Observed, ObservedRoute, Route, RouteState};
use crate::time;
use crate::traffic::{Blocked, TrafficState, WeightRange};

/// What one route says of the canary's share.
struct RouteShare {
    view: RouteView,
    /// `Some` if the data plane has taken the share that the route says in all of its rules.
    confirmed: Option<u32>,
    on_trust: Option<Reservation>,
    retry_at: Option<Timestamp>,
    blocked: Option<Blocked>,
}

/// `None` if the spec names no routes of Gateway API. `status` has the weights that were last confirmed.
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
        routing,
        routes: Vec::new(),
        accepted: Vec::new(),
    };
    let mut blocked = None;
    let (mut on_trust, mut retry_at) = (None, None);
    let mut confirmed = Vec::new();
    for seen in &observed.routes {
        if let RouteState::Forbidden { until, .. } = &seen.state {
            retry_at = time::earlier(retry_at, *until);
        }
        let (route, rules) = match readable(&gateway, seen) {
            Ok(readable) => readable,
            Err(why) => {
                blocked.get_or_insert(why);
                continue;
            }
        };
        let (acceptance, accepted) = acceptance::of(&route, &seen.namespace, now);
        gateway.accepted.push((seen.namespace.clone(), seen.name.clone(), accepted));
        let share = share(&gateway, seen, (route, rules), acceptance);
        confirmed.push(share.confirmed);
        on_trust = share.on_trust.or(on_trust);
        retry_at = time::earlier(retry_at, share.retry_at);
        blocked = blocked.or(share.blocked);
        gateway.routes.push(share.view);
    }
    if observed.routes.is_empty() {
        blocked = Some(Blocked {
            reason: ConditionReason::RouteNotFound,
            message: "httpRouteSelector matches no HTTPRoute".to_owned(),
        });
    }
    let first = confirmed.first().copied().flatten();
    let all_read = confirmed.len() == observed.routes.len();
    let confirmed = first.filter(|_| all_read && confirmed.iter().all(|share| *share == first));
    let range = range(&gateway, confirmed, status);
    let last_written = last_written(&gateway).unwrap_or(range.max);
    Some((gateway, TrafficState { range, confirmed, last_written, blocked, on_trust, retry_at }))
}

fn readable(gateway: &Gateway, seen: &ObservedRoute) -> Result<(Arc<Route>, SharedRules), Blocked> {
    let shown = seen.shown(&gateway.namespace);
    let route = found(seen.state.clone(), &shown)?;
    let rules = SharedRules::find(&shown, &seen.namespace, &route, gateway.backends())?;
    Ok((route, rules))
}

fn found(state: RouteState, name: &str) -> Result<Arc<Route>, Blocked> {
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
    Err(Blocked { reason, message })
}

fn share(
    gateway: &Gateway,
    seen: &ObservedRoute,
    (route, rules): (Arc<Route>, SharedRules),
    acceptance: Acceptance,
) -> RouteShare {
    let shown = seen.shown(&gateway.namespace);
    let (least, most) = rules.canary_share(gateway.max_weight);
    let agreed = (least == most && rules.says(most, gateway.max_weight)).then_some(most);
    let (mut on_trust, mut retry_at, mut blocked) = (None, None, None);
    let confirmed = match acceptance {
        Acceptance::Accepted(reservation) => {
            on_trust = reservation.map(|Reservation { reason, message }| Reservation {
                reason,
                message: format!("HTTPRoute {shown:?}: {message}"),
            });
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
            blocked = Some(Blocked {
                reason: ConditionReason::RouteNotAccepted,
                message: format!("HTTPRoute {shown:?}: {why}"),
            });
            None
        }
    };
    let view = RouteView { namespace: seen.namespace.clone(), name: seen.name.clone(), shown, route, rules };
    RouteShare { view, confirmed, on_trust, retry_at, blocked }
}

/// The canary's share as the routes say, and as it last was in force while the data plane has not taken the change.
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
        min: shares.iter().map(|(least, _)| *least).min().unwrap_or(0),
        max: shares.iter().map(|(_, most)| *most).max().unwrap_or(0),
    }
}

fn last_written(gateway: &Gateway) -> Option<u32> {
    let weights = gateway.routes.iter().map(|view| {
        let own = view.route.last_write.as_ref().filter(|last| last.generation <= view.route.generation);
        own.map_or_else(|| view.rules.canary_share(gateway.max_weight).1, |last| last.weight)
    });
    weights.max()
}
