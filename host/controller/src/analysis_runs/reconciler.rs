//! Reconciles AnalysisRuns: caches → core → measurements, and their results → core → cluster.

use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::analysis::{AnalysisPhase, AnalysisRun};
use kulta_api::validation::analysis::ServedAnalyzer;
use kulta_api::{FieldError, annotations};
use kulta_core::analysis::{self, Assessed, Due, Taken};
use kulta_core::observed::Analyzer;
use serde_json::json;

use super::analyzers::Analyzers;
use super::cached_run::{CachedRun, Ready};
use super::credentials::CredentialReader;
use super::local_runs::{LocalRuns, RunState};
use super::measure::Measurement;
use super::metric_context::MetricContext;
use super::{job, owner};
use crate::api_error::{ApiErrorClass, error_message};
use crate::cache::{Caches, run_pins};
use crate::clock::Clock;
use crate::cluster::{self, Cluster};
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{Message, Regarding};
use crate::metrics::Metrics;
use crate::plugins::{HttpClient, PluginRegistry};
use crate::queue::{Outcome, Queue};
use crate::record_support::RecordSupport;
use crate::recorder::Recorder;
use crate::secrets::SecretReader;
use crate::worker::Reconciler;

/// Measures what is due in AnalysisRuns and stores the results.
pub struct AnalysisRunReconciler {
    pub caches: Arc<Caches>,
    pub local: Arc<LocalRuns>,
    pub cluster: Cluster,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub recorder: Arc<Recorder>,
    pub analyzers: Arc<Analyzers>,
    pub registry: Arc<PluginRegistry>,
    pub http: Arc<HttpClient>,
    pub secrets: Arc<SecretReader>,
    pub credentials: CredentialReader,
    pub record_support: Arc<RecordSupport>,
    /// Where a run is added once a measurement of it has completed.
    pub queue: Arc<Queue>,
    /// Where metrics ask that name no address.
    pub prometheus_address: Option<String>,
}

impl Reconciler for AnalysisRunReconciler {
    const KIND: Kind = Kind::AnalysisRun;

    async fn reconcile(&self, key: &Key) -> Outcome {
        let now = self.clock.now();
        let (mut run, completed) = {
            let caches = self.caches.read();
            let Some(cached) = caches.runs.get(key) else { return Outcome::DONE };
            self.local.remember(&cached.uid);
            // Before anything is decoded: most reconciliations are for the echo of an own write.
            let completed = match self.local.state(&cached.uid, cached.version, now) {
                RunState::Lagging(until) => return Outcome::Done { wake_up: Some(until) },
                RunState::Idle(due) => return Outcome::Done { wake_up: due },
                RunState::Completed(completed) => completed,
            };
            (CachedRun::of(self.local.take(&cached.uid), cached), completed)
        };
        let outcome = self.advance(key, &mut run, completed, now).await;
        // An ended run is only waited for.
        if !run.ended {
            let uid = run.uid.clone();
            self.local.put(&uid, run);
        }
        outcome
    }
}

impl AnalysisRunReconciler {
    async fn advance(&self, key: &Key, cached: &mut CachedRun, completed: Vec<Taken>, now: Timestamp) -> Outcome {
        let run = match &cached.run {
            Ok(run) => run,
            Err(_) if cached.ended => return Outcome::DONE,
            Err(error) => {
                // The fields of its spec stay as they are.
                let assessed = analysis::invalid(&AnalysisRun::default(), std::slice::from_ref(error), now);
                return self.store(key, cached, assessed, &[], now).await;
            }
        };
        if run.metadata.deletion_timestamp.is_some() {
            return Outcome::DONE;
        }
        if run.status.as_ref().is_some_and(|status| status.is_completed()) {
            self.local.forget(&cached.uid);
            return self.expire(key, &cached.uid, run, now).await;
        }
        let ready = match cached.ready() {
            Some(ready) => ready,
            None => match self.check(key, run, now).await {
                Ok(Ok(ready)) => {
                    if let Some(pins) = self.unpinned(run)
                        && let Some(outcome) = self.pin(key, &cached.resource_version, &pins).await
                    {
                        return outcome;
                    }
                    cached.is_ready(ready.clone());
                    ready
                }
                Ok(Err(errors)) => {
                    let assessed = analysis::invalid(run, &errors, now);
                    return self.store(key, cached, assessed, &completed, now).await;
                }
                Err(error) => {
                    tracing::warn!(run = %key, "read Secrets: {}", error_message(&error));
                    return Outcome::RETRY;
                }
            },
        };
        let Ok(run) = &cached.run else { return Outcome::DONE };
        let assessed = analysis::assess(run, &ready.checked, completed.clone(), now);
        if assessed.patch.is_some() {
            let owner = job::Owner { run: key.clone(), uid: cached.uid.clone() };
            let dropped = analysis::dropped(run.status.as_ref(), &assessed.status);
            job::collect(&self.cluster, &owner, &ready.checked, &dropped).await;
            return self.store(key, cached, assessed, &completed, now).await;
        }
        // Results of calls that are not due any more.
        self.local.stored(&cached.uid, &completed, None);
        let due = analysis::due(run, &ready.checked, now);
        let wake_up = due.wake_up;
        self.measure(key, cached, &ready, due);
        self.local.reconciled(&cached.uid, cached.version, wake_up);
        Outcome::Done { wake_up }
    }

    /// # Errors
    /// When the Secrets cannot be read. Faults of the run are the inner error.
    async fn check(
        &self,
        key: &Key,
        run: &AnalysisRun,
        now: Timestamp,
    ) -> Result<Result<Ready, Vec<FieldError>>, kube::Error> {
        let wanted = analysis::secrets(&run.spec.args);
        let mut resolved = self.secrets.resolve(&key.namespace, wanted, now).await?;
        let analyzers = self.analyzers.served();
        let served: Vec<ServedAnalyzer<'_>> = analyzers.iter().map(Analyzer::served).collect();
        let checked = analysis::check(run, &resolved.placeholders, &served);
        let pins = Arc::new(run_pins(pins_annotation(run)));
        // Whatever else is wrong, so that all of it is reported at once.
        let metrics = analysis::filled(run, &resolved.placeholders).unwrap_or_default();
        let found = self.analyzers.check(&metrics, &resolved.secrets, &pins).await;
        let (checked, errors) = match checked {
            Ok(checked) => (checked, found),
            Err(errors) => return Ok(Err(errors.into_iter().chain(found).collect())),
        };
        if !errors.is_empty() {
            return Ok(Err(errors));
        }
        let read = self.credentials.read(&key.namespace, &metrics, &pins, &mut resolved.secrets, now).await?;
        Ok(read.map(|credentials| Ready {
            checked: Arc::new(checked),
            secrets: Arc::new(resolved.secrets),
            credentials: Arc::new(credentials),
            pins,
        }))
    }

    /// The missing annotation of a run that a user made: which components it begins with.
    fn unpinned(&self, run: &AnalysisRun) -> Option<String> {
        if pins_annotation(run).is_some() {
            return None;
        }
        let pins = analysis::pins(&run.spec, &self.analyzers.served());
        pins.as_object().is_some_and(|pins| !pins.is_empty()).then(|| pins.to_string())
    }

    /// Before its first measurement, as runs of rollouts are when they are made; the run is reconciled again with what is stored. None if
    /// that is not allowed: the run is measured all the same, by whatever is served then.
    async fn pin(&self, key: &Key, resource_version: &str, pins: &str) -> Option<Outcome> {
        let annotations = json!({ annotations::PLUGINS: pins });
        let patch = json!({ "metadata": { "resourceVersion": resource_version, "annotations": annotations } });
        let error = match self.cluster.merge(Kind::AnalysisRun, key, &patch).await {
            Ok(_) => return Some(Outcome::DONE),
            Err(error) => error,
        };
        match ApiErrorClass::of(&error) {
            ApiErrorClass::Gone => Some(Outcome::DONE),
            ApiErrorClass::Forbidden | ApiErrorClass::Invalid => {
                tracing::warn!(run = %key, "the annotation with its plugins is not written: {}", error_message(&error));
                None
            }
            ApiErrorClass::Conflict | ApiErrorClass::TooMany | ApiErrorClass::Transient => {
                tracing::debug!(run = %key, "write the annotation with its plugins: {}", error_message(&error));
                Some(Outcome::RETRY)
            }
        }
    }

    /// Starts what is due and not under way.
    fn measure(&self, key: &Key, cached: &mut CachedRun, ready: &Ready, due: Due) {
        if due.calls.is_empty() {
            return;
        }
        let owner = cached.owner.as_ref();
        let view = owner
            .and_then(|owner| owner::of(&self.caches.read(), owner, self.record_support.get(), &mut cached.rollout));
        let (rollout, update) = view.map_or_else(Default::default, |(rollout, update)| (Some(rollout), update));
        let context = MetricContext {
            run: key.to_string(),
            run_started_at: due.run_started_at,
            rollout,
            update,
            prometheus: self.prometheus_address.clone(),
        };
        for call in due.calls {
            if !self.local.begin(&cached.uid, &call) {
                continue;
            }
            let measurement = Measurement {
                registry: Arc::clone(&self.registry),
                http: Arc::clone(&self.http),
                pins: Arc::clone(&ready.pins),
                clock: Arc::clone(&self.clock),
                metrics: Arc::clone(&self.metrics),
                context: context.clone(),
                cluster: self.cluster.clone(),
                owner: job::Owner { run: key.clone(), uid: cached.uid.clone() },
                secrets: Arc::clone(&ready.secrets),
                credentials: Arc::clone(&ready.credentials),
                checked: Arc::clone(&ready.checked),
                call: call.clone(),
            };
            let (queue, again) = (Arc::clone(&self.queue), key.clone());
            let take = async move { measurement.take().await };
            self.local.measure((key.clone(), cached.uid.clone()), call, take, move || queue.add(again));
        }
    }

    async fn store(
        &self,
        key: &Key,
        cached: &mut CachedRun,
        assessed: Assessed,
        completed: &[Taken],
        now: Timestamp,
    ) -> Outcome {
        let Some(patch) = assessed.patch else { return Outcome::Done { wake_up: assessed.wake_up } };
        let patch = cluster::guarded_status(&cached.resource_version, patch);
        match self.cluster.patch_run_status(key, &patch).await {
            Ok(stored) => {
                cached.stored(stored);
                self.local.stored(&cached.uid, completed, Some((cached.version, now)));
                if !assessed.status.is_completed() {
                    self.local.reconciled(&cached.uid, cached.version, assessed.wake_up);
                } else if cached.owner.is_none() {
                    // The run of a rollout is logged with the rollout's transitions.
                    let Key { namespace, name } = key;
                    let phase = assessed.status.phase.map(AnalysisPhase::as_str);
                    tracing::info!(
                        namespace,
                        analysis_run = name,
                        phase,
                        "AnalysisRun ended: {}",
                        assessed.status.message
                    );
                }
                let regarding = Regarding { kind: Kind::AnalysisRun, key: key.clone(), uid: cached.uid.clone() };
                for event in &assessed.events {
                    let message = Message {
                        name: event.name.clone(),
                        kind: event.kind,
                        reason: event.reason.as_str(),
                        message: event.message.clone(),
                    };
                    self.recorder.record(&regarding, message);
                }
                Outcome::Done { wake_up: assessed.wake_up }
            }
            Err(error) => match ApiErrorClass::of(&error) {
                ApiErrorClass::Gone => Outcome::DONE,
                ApiErrorClass::Conflict => {
                    // The cache is behind: a newer object will wake the key.
                    tracing::debug!(run = %key, "store the status: {}", error_message(&error));
                    Outcome::RETRY
                }
                _ => {
                    tracing::warn!(run = %key, "store the status: {}", error_message(&error));
                    Outcome::RETRY
                }
            },
        }
    }

    /// Deletes a finished run when its time to live is over.
    async fn expire(&self, key: &Key, uid: &str, run: &AnalysisRun, now: Timestamp) -> Outcome {
        match analysis::expires(run) {
            None => Outcome::DONE,
            Some(at) if at > now => Outcome::Done { wake_up: Some(at) },
            Some(_) => match self.cluster.delete(Kind::AnalysisRun, key, uid).await {
                Err(error) if ApiErrorClass::of(&error) != ApiErrorClass::Gone => {
                    tracing::warn!(run = %key, "delete the expired run: {}", error_message(&error));
                    Outcome::RETRY
                }
                _ => Outcome::DONE,
            },
        }
    }
}

fn pins_annotation(run: &AnalysisRun) -> Option<&str> {
    run.metadata.annotations.as_ref()?.get(annotations::PLUGINS).map(String::as_str)
}
