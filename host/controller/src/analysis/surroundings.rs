//! What analyzers are told of the rollout that owns a run.

use kulta_wasm::analyzer as wit;

use super::convert::{Serving, Update};
use crate::caches::Contents;
use crate::decode::{CachedReplicaSet, CachedRollout, Decoded};
use crate::key::Key;

/// What was told, and the versions of what it was read from.
#[derive(Clone, Debug)]
pub struct KeptRollout {
    versions: Vec<u64>,
    told: Told,
}

/// The rollout, and how far it has come.
pub type Told = Option<(wit::Rollout, Update)>;

/// As the caches tell of the rollout with this uid; `kept` is left as it is where they tell nothing new. `record_kept`: its status
/// holds KULTA's record.
pub fn of(caches: &Contents, owner: &str, record_kept: bool, kept: &mut Option<KeptRollout>) -> Told {
    let key = caches.index.rollout(owner)?;
    let cached = caches.rollouts.get(key)?;
    let sets: Vec<_> = caches.index.replica_sets(owner).filter_map(|name| caches.replica_sets.get(name)).collect();
    let versions: Vec<u64> = std::iter::once(cached.version).chain(sets.iter().map(|set| set.version)).collect();
    if let Some(same) = kept.as_ref().filter(|kept| kept.versions == versions) {
        return same.told.clone();
    }
    let told = read(key, cached, &sets, record_kept);
    *kept = Some(KeptRollout { versions, told: told.clone() });
    told
}

fn read(key: &Key, cached: &CachedRollout, sets: &[&CachedReplicaSet], record_kept: bool) -> Told {
    let Decoded::Rollout { rollout, .. } = cached.open() else { return None };
    let status = rollout.status.unwrap_or_default();
    let sets: Vec<_> = sets.iter().filter_map(|cached| cached.open().ok()).collect();
    let revision = |hash: &str| {
        let set = sets.iter().find(|set| !hash.is_empty() && set.hash() == hash)?;
        Some(wit::Revision {
            hash: hash.to_owned(),
            number: set.revision(),
            desired: set.replicas,
            created: set.created_replicas,
            ready: set.ready_replicas,
            available: set.available_replicas,
        })
    };
    let fields = rollout.spec.strategy.fields();
    let began = status.duration.as_ref().and_then(|duration| duration.rollout_started_at.as_ref()).map(|time| time.0);
    let since = status.kulta.as_ref().and_then(|kulta| kulta.serving_since.as_ref()).map(|time| time.0);
    let serving = match since {
        _ if !record_kept => Serving::Unknown,
        Some(since) => Serving::Since(since),
        None => Serving::NotYet,
    };
    let rollout = wit::Rollout {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        replicas: rollout.spec.replicas.map_or(1, |replicas| u32::try_from(replicas).unwrap_or(0)),
        max_weight: fields.map_or(kulta_api::strategy::DEFAULT_MAX_WEIGHT, kulta_api::CanaryFields::max_weight),
        stable: revision(&status.stable_rs),
        canary: revision(&status.current_pod_hash)?,
        others: Vec::new(),
        facts: Vec::new(),
    };
    Some((rollout, Update { began, serving }))
}
