//! The modelled cluster as the oracle sees it.

use std::collections::BTreeSet;

use kulta_core::observed::RouteState;
use kulta_core::workload;
use kulta_oracle::{Backend, Cluster, Revision, Routing, Selected, Services, Threshold, Weights};
use serde_json::Value;

use crate::setup::{CANARY, STABLE};
use crate::world::World;

/// Argo's default for `maxSurge` and `maxUnavailable`, in percent.
const DEFAULT_PERCENT: u32 = 25;

pub fn cluster(world: &World) -> Cluster {
    let status = world.status();
    let spec = &world.observed.rollout.spec;
    let replicas = spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(0);
    let revisions = world.observed.revisions.iter().map(|one| Revision {
        hash: one.hash().to_owned(),
        scale: one.replicas,
        available: one.available_replicas,
        pods: pods(one),
    });
    Cluster {
        replicas,
        max_unavailable: max_unavailable(world, replicas),
        threshold: world.config.threshold.map_or(Threshold::default(), Threshold::Percent),
        revisions: revisions.collect(),
        stable: Some(status.stable_rs.clone()).filter(|hash| !hash.is_empty()),
        canary: Some(status.current_pod_hash.clone()).filter(|hash| !hash.is_empty()),
        canary_scale: world.canary_scale,
        aborted: status.abort,
        routing: routing(world),
        services: (world.config.routed && !world.config.router)
            .then(|| Services { stable: backend(world, STABLE), canary: backend(world, CANARY) }),
    }
}

/// Names of the pods of a ReplicaSet.
pub fn pods(revision: &workload::Revision) -> BTreeSet<String> {
    (0..revision.created_replicas).map(|number| format!("{}-{number:05}", revision.name)).collect()
}

fn max_unavailable(world: &World, replicas: u32) -> u32 {
    let surge = world.config.max_surge.unwrap_or((replicas * DEFAULT_PERCENT).div_ceil(100));
    let unavailable = world.config.max_unavailable.unwrap_or(replicas * DEFAULT_PERCENT / 100);
    if surge == 0 && unavailable == 0 { 1 } else { unavailable }
}

fn backend(world: &World, name: &str) -> Backend {
    let service = world.observed.services.get(name).cloned().flatten();
    let selects = match service.as_ref().map(|service| service.hash()) {
        None => Selected::Nobody,
        Some(None) => Selected::All,
        Some(Some(hash)) => Selected::Revision(hash.to_owned()),
    };
    Backend { selects, listed: world.listed.get(name).cloned().unwrap_or_default() }
}

fn routing(world: &World) -> Option<Routing> {
    if world.config.blue_green.is_some() {
        return Some(Routing::by_active_service(backend(world, STABLE), backend(world, CANARY)));
    }
    (world.config.routed && world.config.router).then(|| by_routes(world))
}

fn by_routes(world: &World) -> Routing {
    let max_weight = world.config.max_weight;
    let found = world.observed.routes.iter().filter_map(|route| match &route.state {
        RouteState::Found(route) => Some(&route.spec),
        _ => None,
    });
    let confirmed = world.status().canary.weights;
    let in_force = confirmed.map(|weights| {
        let canary = u32::try_from(weights.canary.weight).unwrap_or(0).min(max_weight);
        Weights { stable: max_weight - canary, canary }
    });
    Routing {
        max_weight,
        stable: backend(world, STABLE),
        canary: backend(world, CANARY),
        by_match: found.clone().any(sends_by_match),
        rules: found.flat_map(rules).collect(),
        in_force: in_force.into_iter().collect(),
    }
}

/// A rule sends requests, or copies of them, to the canary without splitting them.
fn sends_by_match(spec: &Value) -> bool {
    let rules = spec.get("rules").and_then(Value::as_array).into_iter().flatten();
    let list = |rule: &Value, key: &str| rule.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let is = |backend: Option<&Value>, name: &str| {
        backend.and_then(|backend| backend.get("name")).and_then(Value::as_str) == Some(name)
    };
    rules.into_iter().any(|rule| {
        let backends = list(rule, "backendRefs");
        let refers = |name: &str| backends.iter().any(|backend| is(Some(backend), name));
        let mirrors =
            list(rule, "filters").iter().any(|filter| is(filter.pointer("/requestMirror/backendRef"), CANARY));
        mirrors || (refers(CANARY) && !refers(STABLE))
    })
}

fn rules(spec: &Value) -> Vec<Weights> {
    let rules = spec.get("rules").and_then(Value::as_array).into_iter().flatten();
    let weight = |rule: &Value, service: &str| {
        let backends = rule.get("backendRefs").and_then(Value::as_array)?;
        let backend = backends.iter().find(|backend| backend.get("name").and_then(Value::as_str) == Some(service))?;
        u32::try_from(backend.get("weight").map_or(Some(1), Value::as_u64)?).ok()
    };
    rules.filter_map(|rule| Some(Weights { stable: weight(rule, STABLE)?, canary: weight(rule, CANARY)? })).collect()
}
