//! The requests for the objects that run the pods of revisions: ReplicaSets. The caches decode them in `cache/replica_set.rs`.

use kube::Error;
use kulta_api::PodTemplate;
use kulta_core::workload::WorkloadWrite;
use serde_json::Value;

use super::apply::{Applier, ApplyError, Target};
use crate::api_error::{ApiErrorClass, error_message};
use crate::cache::{CachedKind, ReplicaSets};
use crate::cluster::{self, Cluster, Stored};
use crate::key::Key;
use crate::kinds::Kind;
use crate::object::Object;

const KIND: Kind = ReplicaSets::KIND;

/// The pod template of this object with the API server's defaults, or the message with which the server refuses the object.
///
/// # Errors
/// The API server does not answer.
pub async fn defaulted_template(
    cluster: &Cluster,
    namespace: &str,
    body: &Value,
) -> Result<Result<PodTemplate, String>, Error> {
    match cluster.create::<Object>(KIND, namespace, body, true).await {
        Ok(stored) => Ok(Ok(PodTemplate(stored.json.pointer("/spec/template").cloned().unwrap_or_default()))),
        Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Transient => Err(error),
        Err(error) => Ok(Err(error_message(&error))),
    }
}

impl Applier {
    pub(super) async fn write_workload(&self, target: &Target, write: &WorkloadWrite) -> Result<(), ApplyError> {
        let failed = |verb: &str, object: &Key| {
            let what = format!("{verb} {} {object}", KIND.as_str());
            move |source| ApplyError::Write { what, source }
        };
        match write {
            WorkloadWrite::Create { name, body } => self.create(target, name, body).await,
            WorkloadWrite::Patch { name, patch } => {
                let object = target.key.sibling(name);
                let stored = self.cluster.merge(KIND, &object, patch).await.map_err(failed("patch", &object))?;
                self.wrote::<ReplicaSets>(target, object, stored.version());
                Ok(())
            }
            WorkloadWrite::Delete { name, uid } => {
                let object = target.key.sibling(name);
                match self.cluster.delete(KIND, &object, uid).await {
                    Err(error) if ApiErrorClass::of(&error) != ApiErrorClass::Gone => {
                        Err(failed("delete", &object)(error))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    async fn create(&self, target: &Target, name: &str, body: &Value) -> Result<(), ApplyError> {
        let object = target.key.sibling(name);
        match self.cluster.create::<Stored>(KIND, &target.key.namespace, body, false).await {
            Ok(stored) => {
                self.local.change(&target.uid, |state| state.create_error = None);
                self.wrote::<ReplicaSets>(target, object, stored.version());
                Ok(())
            }
            Err(error) if ApiErrorClass::of(&error) == ApiErrorClass::Conflict => {
                self.name_is_taken(target, object, error).await
            }
            Err(error) => {
                if ApiErrorClass::of(&error) != ApiErrorClass::Transient {
                    let why = error_message(&error);
                    self.local.change(&target.uid, |state| state.create_error = Some((target.generation, why)));
                }
                Err(ApplyError::Write { what: format!("create {} {object}", KIND.as_str()), source: error })
            }
        }
    }

    /// An object of this name exists. Either it is this rollout's and the cache does not have it yet, or another owner has it.
    async fn name_is_taken(&self, target: &Target, object: Key, error: Error) -> Result<(), ApplyError> {
        let failed = |source| ApplyError::Write { what: format!("create {} {object}", KIND.as_str()), source };
        let Some(holder) = self.cluster.find(KIND, &object).await.map_err(failed)? else {
            // It is gone again: the next reconciliation creates it.
            return Err(failed(error));
        };
        if holder.controlled_by(&target.uid) {
            self.wrote::<ReplicaSets>(target, object, cluster::version_of(&holder));
            return Ok(());
        }
        tracing::warn!(
            rollout = %target.key,
            "{} {object} belongs to another owner: the revision gets another hash",
            KIND.as_str()
        );
        self.local.change(&target.uid, |state| state.taken_names.insert(object.name.clone()));
        Err(failed(error))
    }
}
