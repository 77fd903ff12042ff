//! The gateway: accepts classes and Gateways, and programs routes after a delay.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Settings,
    client::{self, Client, GATEWAY_API, RouteKind, Watched},
    pods::{set_condition, whole_second},
    route::{self, Share},
};
use crate::{
    json::{items, meta, set, text},
    kind::Key,
};

/// The gateway's address.
const ADDRESS: &str = "192.0.2.2";

/// A programmed route.
#[derive(Debug, Default)]
pub struct Gateways {
    routes: BTreeMap<(RouteKind, Key), Programmed>,
}

#[derive(Debug)]
struct Programmed {
    uid: String,
    /// The generation that waits to be programmed, and since when.
    pending: Option<(i64, Timestamp)>,
    generation: i64,
    shares: Vec<Share>,
}

impl Gateways {
    /// The backends of a route; `None` if it is not programmed.
    pub fn shares(&self, kind: RouteKind, route: &Key) -> Option<&[Share]> {
        self.routes
            .get(&(kind, route.clone()))
            .filter(|found| found.generation > 0)
            .map(|found| found.shares.as_slice())
    }

    pub fn accept_class(
        &mut self,
        client: &Client,
        key: &Key,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let class = client.get(Watched::Class, key)?;
        if text(&class, "/spec/controllerName") == settings.controller_name {
            let accepted = [("Accepted", true, "Accepted", "")];
            client.set_status(Watched::Class, &class, with_conditions(&class, &accepted, now));
        }
        None
    }

    pub fn program(&mut self, client: &Client, key: &Key, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
        let gateway = client.get(Watched::Gateway, key)?;
        if !is_ours(client, &gateway, settings) {
            return None;
        }
        let conditions = [("Accepted", true, "Accepted", ""), ("Programmed", true, "Programmed", "")];
        let mut status = with_conditions(&gateway, &conditions, now);
        let routes = client.routes("");
        let attached = routes.iter().filter(|(_, route)| route::parents(route).contains(key)).count();
        let kinds: Vec<Value> =
            RouteKind::ALL.iter().map(|kind| json!({"group": GATEWAY_API, "kind": kind.kind()})).collect();
        let listeners = items(&gateway, "/spec/listeners").map(|listener| {
            let name = text(listener, "/name");
            let before = items(&gateway, "/status/listeners").find(|before| text(before, "/name") == name);
            let resolved = [conditions.as_slice(), &[("ResolvedRefs", true, "ResolvedRefs", "")]].concat();
            json!({
                "name": name, "attachedRoutes": attached,
                "supportedKinds": kinds,
                "conditions": conditions_of(before, meta::generation(&gateway), &resolved, now),
            })
        });
        set(&mut status, &["listeners"], listeners.collect::<Vec<Value>>());
        set(&mut status, &["addresses"], json!([{"type": "IPAddress", "value": ADDRESS}]));
        client.set_status(Watched::Gateway, &gateway, status);
        None
    }

    /// Programs a route after its delay, and reports it in its status.
    pub fn program_route(
        &mut self,
        client: &Client,
        kind: RouteKind,
        key: &Key,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let place = (kind, key.clone());
        let Some(route) = client.get(Watched::Route(kind), key) else {
            self.routes.remove(&place);
            return None;
        };
        let ours: Vec<&Value> = items(&route, "/spec/parentRefs")
            .filter(|parent| {
                let gateway = route::gateway_of(&route, parent).and_then(|key| client.get(Watched::Gateway, &key));
                gateway.is_some_and(|gateway| is_ours(client, &gateway, settings))
            })
            .collect();
        if ours.is_empty() {
            self.routes.remove(&place);
            let controller = settings.controller_name.as_str();
            if items(&route, "/status/parents").any(|entry| text(entry, "/controllerName") == controller) {
                client.set_status(Watched::Route(kind), &route, route_status(client, &route, &ours, settings, now));
            }
            return None;
        }
        let generation = meta::generation(&route).unwrap_or(1);
        let uid = meta::uid(&route);
        if self.routes.get(&place).is_none_or(|found| found.uid != uid) {
            let fresh = Programmed { uid: uid.to_owned(), pending: None, generation: 0, shares: Vec::new() };
            self.routes.insert(place.clone(), fresh);
        }
        let programmed = self.routes.get_mut(&place)?;
        if programmed.generation != generation {
            let since = match programmed.pending {
                Some((pending, since)) if pending == generation => since,
                _ => now,
            };
            programmed.pending = Some((generation, since));
            let due =
                SignedDuration::try_from(settings.route_delay).ok().and_then(|delay| since.checked_add(delay).ok())?;
            if due > now {
                return Some(due);
            }
            programmed.pending = None;
            programmed.generation = generation;
            programmed.shares = route::shares(&route);
        }
        client.set_status(Watched::Route(kind), &route, route_status(client, &route, &ours, settings, now));
        None
    }
}

fn is_ours(client: &Client, gateway: &Value, settings: &Settings) -> bool {
    let class = client
        .get(Watched::Class, &client::key(&json!({"metadata": {"name": text(gateway, "/spec/gatewayClassName")}})));
    class.is_some_and(|class| text(&class, "/spec/controllerName") == settings.controller_name)
}

/// Entries of other controllers are kept.
fn route_status(client: &Client, route: &Value, ours: &[&Value], settings: &Settings, now: Timestamp) -> Value {
    let controller = settings.controller_name.as_str();
    let resolved = match route::unresolved(client, route) {
        None => ("ResolvedRefs", true, "ResolvedRefs", String::new()),
        Some((why, message)) => ("ResolvedRefs", false, why.reason(), message),
    };
    let resolved = (resolved.0, resolved.1, resolved.2, resolved.3.as_str());
    let conditions = [("Accepted", true, "Accepted", ""), resolved];
    let is_mine = |entry: &&Value| text(entry, "/controllerName") == controller;
    let others = items(route, "/status/parents").filter(|entry| !is_mine(entry)).cloned();
    let mine = ours.iter().map(|parent| {
        let before =
            items(route, "/status/parents").filter(is_mine).find(|entry| entry.get("parentRef") == Some(*parent));
        json!({
            "parentRef": parent, "controllerName": controller,
            "conditions": conditions_of(before, meta::generation(route), &conditions, now),
        })
    });
    json!({"parents": others.chain(mine).collect::<Vec<Value>>()})
}

/// Type, status, reason and message.
type Condition<'a> = (&'a str, bool, &'a str, &'a str);

fn with_conditions(object: &Value, conditions: &[Condition<'_>], now: Timestamp) -> Value {
    let mut status = object.get("status").filter(|status| status.is_object()).cloned().unwrap_or_else(|| json!({}));
    let all = conditions_of(object.get("status"), meta::generation(object), conditions, now);
    set(&mut status, &["conditions"], all);
    status
}

/// The conditions of `before`, updated with these.
fn conditions_of(
    before: Option<&Value>,
    generation: Option<i64>,
    conditions: &[Condition<'_>],
    now: Timestamp,
) -> Vec<Value> {
    let second = whole_second(now);
    let mut all: Vec<Value> = before.into_iter().flat_map(|before| items(before, "/conditions")).cloned().collect();
    for (kind, holds, reason, message) in conditions {
        let status = if *holds { "True" } else { "False" };
        let mut condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
        if let Some(generation) = generation {
            set(&mut condition, &["observedGeneration"], generation);
        }
        set_condition(&mut all, condition, &second);
    }
    all
}
