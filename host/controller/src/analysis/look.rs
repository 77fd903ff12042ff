//! One look at one AnalysisRun: caches → core → measurements, and their results → core → cluster.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::analysis::{AnalysisPhase, AnalysisRun};
use kulta_api::validation::analysis::ServedAnalyzer;
use kulta_api::{FieldError, annotations};
use kulta_core::analysis::{self, Assessed, Due, Taken};
use kulta_core::observed::Analyzer;
use serde_json::json;

use super::convert::Surroundings;
use super::kept::{Kept, Ready};
use super::measure::Measurement;
use super::notes::Stand;
use super::{job, surroundings};
use crate::cluster::{self, Refusal, refusal, words};
use crate::controller::Controller;
use crate::decode::run_pins;
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{Message, Regarding};
use crate::queue::Outcome;

const DONE: Outcome = Outcome::Done { wake_up: None };
const AGAIN: Outcome = Outcome::Failed { not_before: None };

pub async fn look(controller: &Controller, key: &Key) -> Outcome {
    let now = controller.clock.now();
    let (mut kept, landed) = {
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
        (Kept::of(controller.run_notes.take(key), cached), landed)
    };
    let outcome = look_at(controller, key, &mut kept, landed, now).await;
    // An ended run is only waited for.
    if !kept.ended {
        controller.run_notes.keep(key, kept);
    }
    outcome
}

async fn look_at(controller: &Controller, key: &Key, kept: &mut Kept, landed: Vec<Taken>, now: Timestamp) -> Outcome {
    let run = match &kept.run {
        Ok(run) => run,
        Err(_) if kept.ended => return DONE,
        Err(error) => {
            // The fields of its spec stay as they are.
            let assessed = analysis::invalid(&AnalysisRun::default(), std::slice::from_ref(error), now);
            return store(controller, key, kept, assessed, &[], now).await;
        }
    };
    if run.metadata.deletion_timestamp.is_some() {
        return DONE;
    }
    if run.status.as_ref().is_some_and(|status| status.is_completed()) {
        controller.run_notes.forget(key);
        return expire(controller, key, &kept.uid, run, now).await;
    }
    let ready = match kept.ready() {
        Some(ready) => ready,
        None => match check(controller, key, run, now).await {
            Ok(Ok(ready)) => {
                if let Some(pins) = unpinned(controller, run)
                    && let Some(outcome) = pin(controller, key, &kept.resource_version, &pins).await
                {
                    return outcome;
                }
                kept.is_ready(ready.clone());
                ready
            }
            Ok(Err(errors)) => {
                let assessed = analysis::invalid(run, &errors, now);
                return store(controller, key, kept, assessed, &landed, now).await;
            }
            Err(error) => {
                tracing::warn!(run = %key, "read Secrets: {}", words(&error));
                return AGAIN;
            }
        },
    };
    let Ok(run) = &kept.run else { return DONE };
    let assessed = analysis::assess(run, &ready.checked, landed.clone(), now);
    if assessed.patch.is_some() {
        let owner = job::Owner { run: key.clone(), uid: kept.uid.clone() };
        let dropped = analysis::dropped(run.status.as_ref(), &assessed.status);
        job::collect(&controller.cluster, &owner, &ready.checked, &dropped).await;
        return store(controller, key, kept, assessed, &landed, now).await;
    }
    // Results of calls that are not due any more.
    controller.run_notes.stored(key, &landed, None);
    let due = analysis::due(run, &ready.checked, now);
    let wake_up = due.wake_up;
    measure(controller, key, kept, &ready, due);
    controller.run_notes.rest(key, kept.version, wake_up);
    Outcome::Done { wake_up }
}

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
    let analyzers = controller.served_analyzers();
    let served: Vec<ServedAnalyzer<'_>> = analyzers.iter().map(Analyzer::served).collect();
    let checked = analysis::check(run, &resolved.placeholders, &served);
    let pins = Arc::new(run_pins(noted(run)));
    // Whatever else is wrong, so that all of it is told at once.
    let metrics = analysis::filled(run, &resolved.placeholders).unwrap_or_default();
    let found = controller.analyzers.check(&metrics, &resolved.secrets, &pins).await;
    let (checked, errors) = match checked {
        Ok(checked) => (checked, found),
        Err(errors) => return Ok(Err(errors.into_iter().chain(found).collect())),
    };
    let ready = Ready { checked: Arc::new(checked), secrets: Arc::new(resolved.secrets), pins };
    Ok(if errors.is_empty() { Ok(ready) } else { Err(errors) })
}

/// What the annotation of a run that somebody made by hand has to say: which components it begins with.
fn unpinned(controller: &Controller, run: &AnalysisRun) -> Option<String> {
    if noted(run).is_some() {
        return None;
    }
    let pins = analysis::pins(&run.spec, &controller.served_analyzers());
    pins.as_object().is_some_and(|pins| !pins.is_empty()).then(|| pins.to_string())
}

/// Before its first measurement, as runs of rollouts are when they are made; the run that is stored so wakes the key. Nothing where
/// that is not allowed: it is measured all the same, by whatever is served then.
async fn pin(controller: &Controller, key: &Key, resource_version: &str, pins: &str) -> Option<Outcome> {
    let notes = json!({ annotations::PLUGINS: pins });
    let patch = json!({ "metadata": { "resourceVersion": resource_version, "annotations": notes } });
    let error = match controller.cluster.merge(Kind::AnalysisRun, key, &patch).await {
        Ok(_) => return Some(DONE),
        Err(error) => error,
    };
    match refusal(&error) {
        Refusal::Gone => Some(DONE),
        Refusal::Forbidden | Refusal::Invalid => {
            tracing::warn!(run = %key, "its plugins are not noted: {}", words(&error));
            None
        }
        Refusal::Conflict | Refusal::TooMany | Refusal::Trouble => {
            tracing::debug!(run = %key, "note its plugins: {}", words(&error));
            Some(AGAIN)
        }
    }
}

fn noted(run: &AnalysisRun) -> Option<&str> {
    run.metadata.annotations.as_ref()?.get(annotations::PLUGINS).map(String::as_str)
}

/// Starts what is due and not under way.
fn measure(controller: &Controller, key: &Key, kept: &mut Kept, ready: &Ready, due: Due) {
    if due.calls.is_empty() {
        return;
    }
    let owner = kept.owner.as_ref();
    let told = owner.and_then(|owner| {
        surroundings::of(&controller.caches.read(), owner, controller.record_kept.get(), &mut kept.rollout)
    });
    let (rollout, update) = told.map_or_else(Default::default, |(rollout, update)| (Some(rollout), update));
    let surroundings = Surroundings {
        run: key.to_string(),
        run_started_at: due.run_started_at,
        rollout,
        update,
        prometheus: controller.settings.prometheus_address.clone(),
    };
    for call in due.calls {
        if !controller.run_notes.begin(key, &call) {
            continue;
        }
        let measurement = Measurement {
            catalog: Arc::clone(&controller.catalog),
            errands: Arc::clone(&controller.errands),
            pins: Arc::clone(&ready.pins),
            clock: Arc::clone(&controller.clock),
            metrics: Arc::clone(&controller.metrics),
            surroundings: surroundings.clone(),
            cluster: controller.cluster.clone(),
            owner: job::Owner { run: key.clone(), uid: kept.uid.clone() },
            secrets: Arc::clone(&ready.secrets),
            checked: Arc::clone(&ready.checked),
            call: call.clone(),
        };
        let (queue, landed) = (Arc::clone(&controller.run_queue), key.clone());
        let take = async move { measurement.take().await };
        controller.run_notes.measure(key.clone(), call, take, move || queue.add(landed));
    }
}

async fn store(
    controller: &Controller,
    key: &Key,
    kept: &mut Kept,
    assessed: Assessed,
    landed: &[Taken],
    now: Timestamp,
) -> Outcome {
    let Some(patch) = assessed.patch else { return Outcome::Done { wake_up: assessed.wake_up } };
    let patch = cluster::guarded_status(&kept.resource_version, patch);
    match controller.cluster.patch_run_status(key, &patch).await {
        Ok(stored) => {
            kept.stored(stored);
            controller.run_notes.stored(key, landed, Some((kept.version, now)));
            if !assessed.status.is_completed() {
                controller.run_notes.rest(key, kept.version, assessed.wake_up);
            } else if kept.owner.is_none() {
                // A rollout's run is told with the rollout's transitions.
                let Key { namespace, name } = key;
                let phase = assessed.status.phase.map(AnalysisPhase::as_str);
                tracing::info!(namespace, analysis_run = name, phase, "AnalysisRun ended: {}", assessed.status.message);
            }
            let regarding = Regarding { kind: Kind::AnalysisRun, key: key.clone(), uid: kept.uid.clone() };
            for event in &assessed.events {
                let message = Message {
                    name: event.name.clone(),
                    kind: event.kind,
                    reason: event.reason.as_str(),
                    message: event.message.clone(),
                };
                controller.recorder.record(&regarding, message);
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
