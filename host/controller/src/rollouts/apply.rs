//! Applies a plan: the status first, then the writes in order, each followed by its events. The first write that is refused ends it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::Error;
use kulta_api::{RouteKey, RouteKind};
use kulta_core::observed::{Correction, RouteWrite};
use kulta_core::plan::{Action, KubeEvent, Plan, StatusPatch, Write};
use serde_json::{Value, json};

use super::transitions;
use crate::api_error::{ApiErrorClass, error_message};
use crate::cache::{AnalysisRuns, CachedKind, GrpcRoutes, HttpRoutes, Rollouts, Services, TcpRoutes, TlsRoutes};
use crate::clock::Clock;
use crate::cluster::{self, Cluster, Stored};
use crate::key::Key;
use crate::kinds::Kind;
use crate::kube_events::{Message, Regarding};
use crate::local_state::{LocalState, LocalStates};
use crate::record_support::{self, RecordSupport};
use crate::recorder::Recorder;

/// How long a 403 on a route counts: rights may be granted at any time, and the retries must not become a storm.
const FORBIDDEN_FOR: SignedDuration = SignedDuration::from_secs(15);

/// The Rollout that a plan is for.
#[derive(Clone, Debug)]
pub struct Target {
    pub key: Key,
    pub uid: String,
    pub generation: i64,
    pub resource_version: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("patch the status of Rollout {key}: {}", error_message(source))]
    PatchStatus { key: Key, source: Error },
    #[error("{what}: {}", error_message(source))]
    Write { what: String, source: Error },
}

impl ApplyError {
    #[must_use]
    pub fn class(&self) -> ApiErrorClass {
        match self {
            Self::PatchStatus { source, .. } | Self::Write { source, .. } => ApiErrorClass::of(source),
        }
    }
}

pub struct Applier {
    pub cluster: Cluster,
    pub local: Arc<LocalStates>,
    pub clock: Arc<dyn Clock>,
    pub recorder: Arc<Recorder>,
    pub record_support: Arc<RecordSupport>,
}

impl Applier {
    /// # Errors
    /// The first write that was refused; what came before it is done.
    pub async fn apply(&self, target: &Target, plan: Plan) -> Result<(), ApplyError> {
        if let Some(status) = plan.status {
            self.patch_status(target, status).await?;
        }
        transitions::log(&target.key, &plan.transitions);
        for event in &plan.events {
            self.emit(target, event);
        }
        for write in plan.writes {
            self.write(target, &write).await?;
            for event in &write.events {
                self.emit(target, event);
            }
        }
        self.local.change(&target.uid, LocalState::all_applied);
        Ok(())
    }

    async fn patch_status(&self, target: &Target, status: StatusPatch) -> Result<(), ApplyError> {
        let mut patch = status.patch;
        let key = &target.key;
        let change = patch.get_mut("kulta").filter(|change| change.is_object());
        let pruned = change.is_some().then(|| self.local.of(&target.uid).record.clone()).flatten();
        let malformed = |source| ApplyError::PatchStatus { key: key.clone(), source: Error::SerdeError(source) };
        if let (Some(change), Some(record)) = (change, pruned) {
            // The API server has none of it: if it keeps records by now, it needs the whole.
            *change = json!(record_support::changed(Some(record), change).map_err(malformed)?);
        }
        let record = patch.get("kulta").filter(|record| record.is_object()).cloned();
        let patch = cluster::guarded_status(&target.resource_version, patch);
        let stored = self
            .cluster
            .patch_status(Kind::Rollout, key, &patch)
            .await
            .map_err(|source| ApplyError::PatchStatus { key: key.clone(), source })?;
        self.wrote::<Rollouts>(target, key.clone(), stored.version());
        if let Some(record) = record {
            let kept = self.record_support.learn(&stored);
            let held = || self.local.of(&target.uid).record.clone();
            let record = if kept { None } else { Some(record_support::changed(held(), &record).map_err(malformed)?) };
            self.local.change(&target.uid, |state| state.record = record);
        }
        Ok(())
    }

    fn emit(&self, target: &Target, event: &KubeEvent) {
        let regarding = Regarding { kind: Kind::Rollout, key: target.key.clone(), uid: target.uid.clone() };
        let message = Message {
            name: event.name.clone(),
            kind: event.kind,
            reason: event.reason.as_str(),
            message: event.message.clone(),
        };
        self.recorder.record_at(&regarding, message, event.at);
    }

    async fn write(&self, target: &Target, write: &Write) -> Result<(), ApplyError> {
        let key = &target.key;
        let failed = |what: String| move |source| ApplyError::Write { what, source };
        match &write.action {
            Action::PatchRollout { patch } => {
                let stored = self.cluster.merge(Kind::Rollout, key, patch).await;
                self.wrote::<Rollouts>(
                    target,
                    key.clone(),
                    stored.map_err(failed(format!("patch Rollout {key}")))?.version(),
                );
            }
            Action::Workload(write) => self.write_workload(target, write).await?,
            Action::PatchService { name, patch } => {
                let object = key.sibling(name);
                let stored = self.cluster.merge(Kind::Service, &object, patch).await;
                let stored = stored.map_err(failed(format!("patch Service {object}")))?;
                self.wrote::<Services>(target, object, stored.version());
            }
            Action::PatchRoute { route, patch, weight, label, managed, corrects, corrects_label } => {
                // A rule that is stored without its name would not be recognised.
                let stored = self.patch_route(target, route, patch, !managed.is_empty()).await?;
                let (corrects, now) = (corrects.as_deref(), self.clock.now());
                let write = RouteWrite {
                    weight: *weight,
                    label: label.clone(),
                    managed: managed.clone(),
                    at: now,
                    generation: stored.metadata.generation,
                    version: stored.version(),
                    corrected: corrects.map(|manager| Correction { at: now, manager: manager.to_owned() }),
                    label_corrected: corrects_label.then_some(now),
                };
                self.local.change(&target.uid, |state| state.routes.entry(route.clone()).or_default().wrote(write));
                self.wrote_route(target, route, stored.version());
            }
            Action::CreateAnalysisRun { name, body } => self.create_run(target, name, body).await?,
            Action::PatchAnalysisRun { name, patch } => {
                let run = key.sibling(name);
                match self.cluster.merge(Kind::AnalysisRun, &run, patch).await {
                    Ok(stored) => self.wrote::<AnalysisRuns>(target, run, stored.version()),
                    Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Gone => {}
                    Err(error) => return Err(failed(format!("patch AnalysisRun {run}"))(error)),
                }
            }
            Action::DeleteAnalysisRun { name, uid } => {
                let run = key.sibling(name);
                match self.cluster.delete(Kind::AnalysisRun, &run, uid).await {
                    Err(error) if ApiErrorClass::of(&error) != ApiErrorClass::Gone => {
                        return Err(failed(format!("delete AnalysisRun {run}"))(error));
                    }
                    _ => {}
                }
            }
            Action::EvictPod { name } => {
                let pod = key.sibling(name);
                match self.cluster.evict(&pod).await {
                    // A disruption budget: the next reconciliation tries again.
                    Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::TooMany => {
                        tracing::info!(rollout = %key, pod = name, "a disruption budget does not allow the eviction yet: {}", error_message(&error));
                    }
                    Err(error) if ApiErrorClass::of(&error) != ApiErrorClass::Gone => {
                        return Err(failed(format!("evict Pod {pod}"))(error));
                    }
                    _ => {}
                }
            }
            Action::PatchPod { name, patch } => {
                let pod = key.sibling(name);
                match self.cluster.merge(Kind::Pod, &pod, patch).await {
                    Err(error) if ApiErrorClass::of(&error) != ApiErrorClass::Gone => {
                        return Err(failed(format!("patch Pod {pod}"))(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A 409 means that the run was created before, and the cache does not have it yet, or that the name is taken by somebody else's.
    async fn create_run(&self, target: &Target, name: &str, body: &Value) -> Result<(), ApplyError> {
        let run = target.key.sibling(name);
        let failed = |source| ApplyError::Write { what: format!("create AnalysisRun {run}"), source };
        let error = match self.cluster.create::<Stored>(Kind::AnalysisRun, &target.key.namespace, body, false).await {
            Ok(stored) => {
                self.wrote::<AnalysisRuns>(target, run, stored.version());
                return Ok(());
            }
            Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Conflict => error,
            Err(error) => return Err(failed(error)),
        };
        match self.cluster.find(Kind::AnalysisRun, &run).await.map_err(failed)? {
            Some(holder) if holder.controlled_by(&target.uid) => {
                self.wrote::<AnalysisRuns>(target, run, cluster::version_of(&holder));
                Ok(())
            }
            Some(_) => {
                tracing::warn!(rollout = %target.key, "AnalysisRun {run} is not this rollout's: taking another name");
                self.local.change(&target.uid, |state| state.taken_run_names.insert(run.name.clone()));
                Err(failed(error))
            }
            // Gone again: the next reconciliation creates it.
            None => Err(failed(error)),
        }
    }

    async fn patch_route(
        &self,
        target: &Target,
        route: &RouteKey,
        patch: &Value,
        strict: bool,
    ) -> Result<Stored, ApplyError> {
        let now = self.clock.now();
        let key = Key::from(route);
        self.cluster.json_patch(Kind::Route(route.kind), &key, patch, strict).await.map_err(|error| {
            self.local.change(&target.uid, |state| {
                let local = state.routes.entry(route.clone()).or_default();
                match ApiErrorClass::of(&error) {
                    ApiErrorClass::Forbidden => local.forbidden = Some((error_message(&error), until(now))),
                    ApiErrorClass::Invalid => local.was_refused(error_message(&error)),
                    _ => {}
                }
            });
            ApplyError::Write { what: format!("patch {} {key}", route.kind.as_str()), source: error }
        })
    }

    fn wrote_route(&self, target: &Target, route: &RouteKey, version: u64) {
        let key = Key::from(route);
        match route.kind {
            RouteKind::Http => self.wrote::<HttpRoutes>(target, key, version),
            RouteKind::Grpc => self.wrote::<GrpcRoutes>(target, key, version),
            RouteKind::Tcp => self.wrote::<TcpRoutes>(target, key, version),
            RouteKind::Tls => self.wrote::<TlsRoutes>(target, key, version),
        }
    }

    /// The key is not reconciled again until the cache has this write.
    pub(super) fn wrote<K: CachedKind>(&self, target: &Target, object: Key, version: u64) {
        self.local.change(&target.uid, |state| state.wrote::<K>(object, version, self.clock.now()));
    }
}

fn until(now: Timestamp) -> Timestamp {
    now.checked_add(FORBIDDEN_FOR).unwrap_or(now)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "record_tests.rs"]
mod record_tests;
