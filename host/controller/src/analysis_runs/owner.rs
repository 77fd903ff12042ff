//! The rollout that owns a run, as analyzers get it.

use kulta_wasm::analyzer as wit;

use super::metric_context::{Serving, Update};
use crate::cache::{CachedReplicaSet, CachedRollout, Contents, Decoded};
use crate::key::Key;
use crate::wit_rollout::{RolloutView, revision};

/// A view of the rollout, and the versions of the objects that it was read from.
#[derive(Clone, Debug)]
pub struct CachedOwner {
    versions: Vec<u64>,
    view: OwnerView,
}

/// The rollout, and how far it has come.
pub type OwnerView = Option<(wit::Rollout, Update)>;

/// The rollout with this uid as the caches hold it; `known` is used if no object has changed since. `record_kept`: its status holds
/// KULTA's record.
pub fn of(caches: &Contents, owner: &str, record_kept: bool, known: &mut Option<CachedOwner>) -> OwnerView {
    let key = caches.index.rollout(owner)?;
    let cached = caches.rollouts.get(key)?;
    let sets: Vec<_> = caches.index.replica_sets(owner).filter_map(|name| caches.replica_sets.get(name)).collect();
    let versions: Vec<u64> = std::iter::once(cached.version).chain(sets.iter().map(|set| set.version)).collect();
    if let Some(same) = known.as_ref().filter(|known| known.versions == versions) {
        return same.view.clone();
    }
    let view = read(key, cached, &sets, record_kept);
    *known = Some(CachedOwner { versions, view: view.clone() });
    view
}

fn read(key: &Key, cached: &CachedRollout, sets: &[&CachedReplicaSet], record_kept: bool) -> OwnerView {
    let Decoded::Rollout { rollout, .. } = cached.open() else { return None };
    let status = rollout.status.unwrap_or_default();
    let sets: Vec<_> = sets.iter().filter_map(|cached| cached.open().ok()).collect();
    let fields = rollout.spec.strategy.fields();
    let began = status.duration.as_ref().and_then(|duration| duration.rollout_started_at.as_ref()).map(|time| time.0);
    let since = status.kulta.as_ref().and_then(|kulta| kulta.serving_since.as_ref()).map(|time| time.0);
    let serving = match since {
        Some(since) => Serving::Since(since),
        None if !record_kept => Serving::Unknown,
        None => Serving::NotYet,
    };
    let (stable, canary) = (revision(&status.stable_rs, &sets), revision(&status.current_pod_hash, &sets)?);
    let view = RolloutView {
        namespace: &key.namespace,
        name: &key.name,
        replicas: rollout.spec.replicas.map_or(1, |replicas| u32::try_from(replicas).unwrap_or(0)),
        max_weight: fields.map_or(kulta_api::strategy::DEFAULT_MAX_WEIGHT, kulta_api::CanaryFields::max_weight),
        stable: stable.as_ref(),
        canary: &canary,
        others: &[],
    };
    Some((view.to_wit(), Update { began, serving }))
}
