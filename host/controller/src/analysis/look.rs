//! One look at one AnalysisRun: caches → core → measurements, and their results → core → cluster.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::FieldError;
use kulta_api::analysis::AnalysisRun;
use kulta_api::validation::analysis::ServedAnalyzer;
use kulta_core::analysis::{self, Assessed, Checked, Due};
use kulta_core::observed::Analyzer;
use kulta_fetch::Secrets;
use kulta_wasm::analyzer as wit;

use super::convert::Surroundings;
use super::job;
use super::measure::Measurement;
use super::notes::Stand;
use crate::caches::Contents;
use crate::cluster::{self, Refusal, refusal, words};
use crate::controller::Controller;
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{Message, Regarding};
use crate::queue::Outcome;

const DONE: Outcome = Outcome::Done { wake_up: None };
const AGAIN: Outcome = Outcome::Failed { not_before: None };

/// What the caches say of a run.
struct Seen {
    uid: String,
    version: u64,
    resource_version: String,
    ended: bool,
    run: Result<AnalysisRun, FieldError>,
    /// Uid of the rollout that owns it.
    owner: Option<String>,
}

pub async fn look(controller: &Controller, key: &Key) -> Outcome {
    let now = controller.clock.now();
    let (seen, landed) = {
        let caches = controller.caches.read();
        let Some(cached) = caches.runs.get(key) else {
            controller.run_notes.forget(key);
            return DONE;
        };
        // Before anything is parsed: most looks are for the echo of an own write.
        let landed = match controller.run_notes.stand(key, cached.version, now) {
            Stand::Lagging(until) => return Outcome::Done { wake_up: Some(until) },
            Stand::Resting(due) => return Outcome::Done { wake_up: due },
            Stand::Landed(landed) => landed,
        };
        let seen = Seen {
            uid: cached.uid.clone(),
            version: cached.version,
            resource_version: cached.resource_version.clone(),
            ended: cached.ended,
            run: cached.open(),
            owner: cached.owner.clone(),
        };
        (seen, landed)
    };
    let run = match &seen.run {
        Ok(run) => run,
        Err(_) if seen.ended => return DONE,
        Err(error) => return undecodable(controller, key, &seen, error, now).await,
    };
    if run.metadata.deletion_timestamp.is_some() {
        return DONE;
    }
    if run.status.as_ref().is_some_and(|status| status.is_completed()) {
        controller.run_notes.forget(key);
        return expire(controller, key, &seen.uid, run, now).await;
    }
    let (checked, secrets) = match check(controller, key, run, now).await {
        Ok(Ok(checked)) => checked,
        Ok(Err(errors)) => {
            let assessed = analysis::invalid(run, &errors, now);
            return store(controller, key, &seen, &assessed, &landed, now).await;
        }
        Err(error) => {
            tracing::warn!(run = %key, "read Secrets: {}", words(&error));
            return AGAIN;
        }
    };
    let assessed = analysis::assess(run, &checked, landed.clone(), now);
    if assessed.patch.is_some() {
        return store(controller, key, &seen, &assessed, &landed, now).await;
    }
    // Results of calls that are not due any more.
    controller.run_notes.stored(key, &landed, None);
    let due = analysis::due(run, &checked, now);
    let wake_up = due.wake_up;
    measure(controller, key, &seen, &checked, &secrets, due);
    controller.run_notes.rest(key, seen.version, wake_up);
    Outcome::Done { wake_up }
}

type Ready = (Checked, Arc<Secrets>);

/// # Errors
/// When the API server does not tell the secrets. Faults of the run are the inner error.
async fn check(
    controller: &Controller,
    key: &Key,
    run: &AnalysisRun,
    now: Timestamp,
) -> Result<Result<Ready, Vec<FieldError>>, kube::Error> {
    let wanted = analysis::secrets(&run.spec.args);
    let resolved = controller.secrets.resolve(&key.namespace, wanted, now).await?;
    let served: Vec<ServedAnalyzer<'_>> = controller.served_analyzers().iter().map(Analyzer::served).collect();
    let checked = match analysis::check(run, &resolved.placeholders, &served) {
        Ok(checked) => checked,
        Err(errors) => return Ok(Err(errors)),
    };
    let errors = controller.analyzers.check(&checked, &resolved.secrets).await;
    Ok(if errors.is_empty() { Ok((checked, Arc::new(resolved.secrets))) } else { Err(errors) })
}

/// Starts what is due and not under way.
fn measure(controller: &Controller, key: &Key, seen: &Seen, checked: &Checked, secrets: &Arc<Secrets>, due: Due) {
    if due.calls.is_empty() {
        return;
    }
    let owner = seen.owner.as_ref().and_then(|owner| rollout(&controller.caches.read(), owner));
    let (rollout, update_began) = match owner {
        Some((rollout, began)) => (Some(rollout), began),
        None => (None, None),
    };
    let surroundings = Surroundings {
        run: key.to_string(),
        run_started_at: due.run_started_at,
        rollout,
        update_began,
        prometheus: controller.settings.prometheus_address.clone(),
    };
    for call in due.calls {
        let Some(metric) = checked.metric(&call.metric) else { continue };
        if !controller.run_notes.begin(key, &call) {
            continue;
        }
        let measurement = Measurement {
            plugins: Arc::clone(&controller.plugins),
            requests: Arc::clone(&controller.requests),
            clock: Arc::clone(&controller.clock),
            metrics: Arc::clone(&controller.metrics),
            surroundings: surroundings.clone(),
            cluster: controller.cluster.clone(),
            owner: job::Owner { run: key.clone(), uid: seen.uid.clone() },
            secrets: Arc::clone(secrets),
            metric: metric.metric.clone(),
            call,
        };
        let (notes, queue, key) = (Arc::clone(&controller.run_notes), Arc::clone(&controller.run_queue), key.clone());
        controller.run_notes.spawn(async move {
            let outcome = measurement.take().await;
            notes.land(&key, measurement.call.taken(outcome));
            queue.add(key);
        });
    }
}

async fn store(
    controller: &Controller,
    key: &Key,
    seen: &Seen,
    assessed: &Assessed,
    landed: &[analysis::Taken],
    now: Timestamp,
) -> Outcome {
    let Some(patch) = &assessed.patch else { return Outcome::Done { wake_up: assessed.wake_up } };
    let patch = cluster::guarded_status(&seen.resource_version, patch);
    match controller.cluster.patch_run_status(key, &patch).await {
        Ok(stored) => {
            let version = cluster::version_of(&stored);
            controller.run_notes.stored(key, landed, Some((version, now)));
            if !assessed.status.is_completed() {
                controller.run_notes.rest(key, version, assessed.wake_up);
            }
            let regarding = Regarding { kind: Kind::AnalysisRun, key: key.clone(), uid: seen.uid.clone() };
            for event in &assessed.events {
                let message = Message {
                    name: event.name.clone(),
                    kind: event.kind,
                    reason: event.reason.as_str(),
                    message: event.message.clone(),
                };
                controller.recorder.record(&regarding, message).await;
            }
            Outcome::Done { wake_up: assessed.wake_up }
        }
        Err(error) => match refusal(&error) {
            Refusal::Gone => DONE,
            Refusal::Conflict => {
                // The cache is behind: a newer object will wake the key.
                tracing::debug!(run = %key, "store the status: {}", words(&error));
                AGAIN
            }
            _ => {
                tracing::warn!(run = %key, "store the status: {}", words(&error));
                AGAIN
            }
        },
    }
}

/// A run that cannot even be read ends with the field's path; the fields of its spec stay as they are.
async fn undecodable(controller: &Controller, key: &Key, seen: &Seen, error: &FieldError, now: Timestamp) -> Outcome {
    let assessed = analysis::invalid(&AnalysisRun::default(), std::slice::from_ref(error), now);
    store(controller, key, seen, &assessed, &[], now).await
}

/// Deletes a finished run when its time to live is over.
async fn expire(controller: &Controller, key: &Key, uid: &str, run: &AnalysisRun, now: Timestamp) -> Outcome {
    match analysis::expires(run) {
        None => DONE,
        Some(at) if at > now => Outcome::Done { wake_up: Some(at) },
        Some(_) => match controller.cluster.delete(Kind::AnalysisRun, key, uid).await {
            Err(error) if refusal(&error) != Refusal::Gone => {
                tracing::warn!(run = %key, "delete the expired run: {}", words(&error));
                AGAIN
            }
            _ => DONE,
        },
    }
}

/// What analyzers are told of the rollout that owns the run, and since when it is on its way.
fn rollout(caches: &Contents, owner: &str) -> Option<(wit::Rollout, Option<Timestamp>)> {
    let key = caches.index.rollout(owner)?;
    let crate::decode::Decoded::Rollout { rollout, .. } = caches.rollouts.get(key)?.open() else { return None };
    let status = rollout.status.unwrap_or_default();
    let sets: Vec<_> = caches
        .index
        .replica_sets(owner)
        .filter_map(|name| caches.replica_sets.get(name))
        .map(|cached| cached.open())
        .collect();
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
    Some((rollout, began))
}
