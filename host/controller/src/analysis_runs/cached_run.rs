//! AnalysisRuns as they were last decoded or stored. Most reconciliations find nothing but what this process wrote itself, and need not
//! decode it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kulta_api::FieldError;
use kulta_api::analysis::AnalysisRun;
use kulta_core::analysis::Checked;
use kulta_fetch::Secrets;

use super::credentials::CredentialFacts;
use super::owner::CachedOwner;
use crate::cache::CachedAnalysisRun;
use crate::cluster::StoredRun;
use crate::object::version;

/// What measuring needs of a run's spec.
#[derive(Clone, Debug)]
pub struct Ready {
    pub checked: Arc<Checked>,
    pub secrets: Arc<Secrets>,
    /// What the analyzers of the metrics get of their providers' Secrets.
    pub credentials: Arc<CredentialFacts>,
    /// The components that the run began with, by analyzer.
    pub pins: Arc<BTreeMap<String, String>>,
}

/// One run.
#[derive(Debug)]
pub struct CachedRun {
    pub uid: String,
    /// Of the object that `run` is.
    pub resource_version: String,
    pub version: u64,
    generation: i64,
    pub ended: bool,
    /// Uid of the rollout that owns it.
    pub owner: Option<String>,
    /// Without its metrics and most of its metadata once it is checked for good.
    pub run: Result<AnalysisRun, FieldError>,
    /// The spec, checked; only if the result cannot change as long as the spec does not.
    ready: Option<Ready>,
    /// The last view of the rollout for analyzers.
    pub rollout: Option<CachedOwner>,
}

impl CachedRun {
    /// The run that the cache holds; what was decoded before is used where it is the same.
    pub fn of(before: Option<Self>, cached: &CachedAnalysisRun) -> Self {
        let (ready, rollout) = match before.filter(|before| before.uid == cached.uid) {
            Some(before) if before.resource_version == cached.resource_version => return before,
            Some(before) if before.generation == cached.generation => (before.ready, before.rollout),
            _ => (None, None),
        };
        let mut run = Self {
            uid: cached.uid.clone(),
            resource_version: cached.resource_version.clone(),
            version: cached.version,
            generation: cached.generation,
            ended: cached.ended,
            owner: cached.owner.clone(),
            run: cached.open(),
            ready: None,
            rollout,
        };
        if let Some(ready) = ready {
            run.is_ready(ready);
        }
        run
    }

    pub fn ready(&self) -> Option<Ready> {
        self.ready.clone()
    }

    /// The spec has been checked. It is checked again at the next reconciliation unless all of its arguments are values
    /// and no provider has a Secret.
    pub fn is_ready(&mut self, ready: Ready) {
        let Ok(run) = &mut self.run else { return };
        if run.spec.args.iter().any(|arg| arg.value_from.is_some()) || !ready.secrets.is_empty() {
            return;
        }
        run.spec.metrics = Vec::new();
        let metadata = std::mem::take(&mut run.metadata);
        run.metadata =
            ObjectMeta { uid: metadata.uid, deletion_timestamp: metadata.deletion_timestamp, ..ObjectMeta::default() };
        self.ready = Some(ready);
    }

    /// Its status has been written.
    pub fn stored(&mut self, stored: StoredRun) {
        self.version = version(&stored.metadata.resource_version);
        self.resource_version = stored.metadata.resource_version;
        self.generation = stored.metadata.generation;
        if let Ok(run) = &mut self.run {
            self.ended = stored.status.is_completed();
            run.status = Some(stored.status);
        }
    }
}
