//! What a pass may see of a rollout, from the caches and the memory.

use std::sync::Arc;

use jiff::Timestamp;
use kube::core::SelectorExt;
use kulta_api::{FieldError, KultaStatus};
use kulta_core::Observed;
use kulta_core::observed::{ObservedRoute, Route, RouteState};
use serde_json::Value;

use crate::caches::{Contents, RouteWatch};
use crate::decode::{CachedRollout, Decoded, References};
use crate::index::selects;
use crate::key::Key;
use crate::memory::{Memory, RouteMemory};
use crate::store::Scope;

#[derive(Debug)]
pub enum Sight {
    /// There is no such rollout, or it is being deleted.
    Gone,
    /// A cache that it needs is still being filled.
    NotYet,
    Undecodable { object: Arc<Value>, error: FieldError },
    Rollout(Box<Observed>),
}

#[must_use]
pub fn observe(contents: &Contents, key: &Key, memory: &Memory, record_kept: bool, now: Timestamp) -> Sight {
    let Some(cached) = contents.rollouts.get(key) else { return Sight::Gone };
    let (rollout, unknown_fields) = match &cached.decoded {
        Decoded::Undecodable { object, error } if object.pointer("/metadata/deletionTimestamp").is_none() => {
            return Sight::Undecodable { object: object.clone(), error: error.clone() };
        }
        Decoded::Rollout { rollout, unknown_fields } if rollout.metadata.deletion_timestamp.is_none() => {
            (rollout, unknown_fields)
        }
        Decoded::Undecodable { .. } | Decoded::Rollout { .. } => return Sight::Gone,
    };
    let Some(routes) = routes(contents, key, &cached.references, memory, now) else { return Sight::NotYet };
    let mut rollout = rollout.as_ref().clone();
    if !record_kept {
        rollout.status.get_or_insert_default().kulta = Some(record(memory, now));
    }
    Sight::Rollout(Box::new(Observed {
        replica_sets: contents
            .index
            .replica_sets(&cached.uid)
            .filter_map(|key| contents.replica_sets.get(key))
            .map(|cached| cached.replica_set.clone())
            .collect(),
        services: cached
            .references
            .services
            .iter()
            .map(|name| (name.clone(), contents.services.get(&key.sibling(name)).map(|cached| cached.service.clone())))
            .collect(),
        routes,
        rival_services: cached
            .references
            .services
            .iter()
            .filter_map(|name| {
                let mut rivals = contents.index.rollouts_of_service(&key.sibling(name)).filter(|rival| *rival != key);
                Some((name.clone(), rivals.next()?.name.clone()))
            })
            .collect(),
        rival_selector: rival_selector(contents, key, cached),
        unknown_fields: unknown_fields.as_ref().clone(),
        record_kept,
        create_error: memory.create_error(rollout.metadata.generation.unwrap_or(0)),
        rollout,
        ..Observed::default()
    }))
}

/// Where the CRD keeps no record: what this process remembers of it. Without any, numbering begins at the time, so that the ids of
/// events do not repeat those from before a restart.
fn record(memory: &Memory, now: Timestamp) -> KultaStatus {
    let remembered = memory.record.clone().and_then(|record| serde_json::from_value(record).ok());
    remembered.unwrap_or_else(|| KultaStatus {
        sequence: u64::try_from(now.as_second()).unwrap_or(0),
        ..KultaStatus::default()
    })
}

fn rival_selector(contents: &Contents, key: &Key, cached: &CachedRollout) -> Option<String> {
    contents
        .rollouts
        .in_namespace(&key.namespace)
        .find(|(other, rival)| *other != key && selects(&rival.references, &cached.references))
        .map(|(other, _)| other.name.clone())
}

/// `None` while the routes of a namespace are not known yet.
fn routes(
    contents: &Contents,
    key: &Key,
    references: &References,
    memory: &Memory,
    now: Timestamp,
) -> Option<Vec<ObservedRoute>> {
    let mut keys = references.routes.named.clone();
    if let Some((namespace, selector)) = &references.routes.selected {
        for (route, cached) in contents.routes.in_namespace(namespace) {
            if selector.matches(&cached.route.labels) && !keys.contains(route) {
                keys.push(route.clone());
            }
        }
        // A namespace whose routes cannot be seen shows as a route without a name.
        if keys.is_empty() && !matches!(watch_of(contents, namespace), RouteWatch::Filled) {
            keys.push(Key::new(namespace.clone(), ""));
        }
    }
    tracing::trace!(rollout = %key, ?keys, "routes in question");
    keys.into_iter()
        .map(|key| {
            let state = route_state(contents, &key, memory.routes.get(&key), now)?;
            Some(ObservedRoute { namespace: key.namespace, name: key.name, state })
        })
        .collect()
}

fn watch_of<'a>(contents: &'a Contents, namespace: &str) -> &'a RouteWatch {
    contents
        .route_watches
        .get(&Scope::Cluster)
        .or_else(|| contents.route_watches.get(&Scope::Namespace(namespace.to_owned())))
        .unwrap_or(&RouteWatch::Filling)
}

fn route_state(
    contents: &Contents,
    key: &Key,
    memory: Option<&RouteMemory>,
    now: Timestamp,
) -> Option<RouteState> {
    Some(match watch_of(contents, &key.namespace) {
        RouteWatch::Filling => return None,
        RouteWatch::NotInstalled => RouteState::NotInstalled,
        RouteWatch::Forbidden(message) => RouteState::Forbidden(message.clone()),
        RouteWatch::Filled => match contents.routes.get(key) {
            None => RouteState::Missing,
            Some(cached) => {
                let forbidden = memory.and_then(|memory| memory.forbidden_state(cached.version, now));
                forbidden.unwrap_or_else(|| RouteState::Found(remembered(&cached.route, memory)))
            }
        },
    })
}

/// The route together with what this process has done to it.
fn remembered(route: &Arc<Route>, memory: Option<&RouteMemory>) -> Arc<Route> {
    match memory {
        Some(memory) if memory.last_write.is_some() || memory.refusal_told().is_some() => Arc::new(Route {
            last_write: memory.last_write,
            refused: memory.refusal_told(),
            ..route.as_ref().clone()
        }),
        _ => route.clone(),
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
