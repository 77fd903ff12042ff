//! The verbs of users, as the `kubectl argo rollouts` plugin writes them: merge patches on `/status` and on the spec.

use anyhow::{Context, Result};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::api::{FIELD_MANAGER, number, text};

/// The hash label that `undo` removes from the template.
const HASH_LABEL: &str = "rollouts-pod-template-hash";

/// Verbs of one Rollout.
#[derive(Clone)]
pub struct Verbs {
    rollouts: Api<DynamicObject>,
    name: String,
}

impl Verbs {
    pub fn of(rollouts: Api<DynamicObject>, name: &str) -> Self {
        Self { rollouts, name: name.to_owned() }
    }

    /// Ends a pause, or skips the step if there is none.
    pub async fn promote(&self) -> Result<()> {
        let rollout = self.get().await?;
        if paused(&rollout) {
            self.patch_spec(json!({"spec": {"paused": false}})).await?;
        }
        let waits = rollout
            .data
            .pointer("/status/pauseConditions")
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty());
        if waits {
            return self.patch_status(json!({"status": {"pauseConditions": null}})).await;
        }
        let steps = rollout.data.pointer("/spec/strategy/canary/steps").and_then(Value::as_array).map_or(0, Vec::len);
        let next = number(&rollout, "/status/currentStepIndex") + 1;
        if usize::try_from(next).is_ok_and(|next| next <= steps) {
            self.patch_status(json!({"status": {"pauseConditions": null, "currentStepIndex": next}})).await?;
        }
        Ok(())
    }

    /// Skips all remaining steps.
    pub async fn promote_full(&self) -> Result<()> {
        let rollout = self.get().await?;
        if paused(&rollout) {
            self.patch_spec(json!({"spec": {"paused": false}})).await?;
        }
        if text(&rollout, "/status/currentPodHash") != text(&rollout, "/status/stableRS") {
            self.patch_status(json!({"status": {"promoteFull": true}})).await?;
        }
        Ok(())
    }

    pub async fn abort(&self) -> Result<()> {
        self.patch_status(json!({"status": {"abort": true}})).await
    }

    pub async fn retry(&self) -> Result<()> {
        self.patch_status(json!({"status": {"abort": false}})).await
    }

    pub async fn pause(&self) -> Result<()> {
        self.patch_spec(json!({"spec": {"paused": true}})).await
    }

    /// Restarts the pods that are older than now.
    pub async fn restart(&self) -> Result<()> {
        let now = jiff::Timestamp::now().round(jiff::Unit::Second).context("round the time")?;
        self.patch_spec(json!({"spec": {"restartAt": now.to_string()}})).await
    }

    /// Restores the template of a ReplicaSet.
    pub async fn undo(&self, replica_set: &DynamicObject) -> Result<()> {
        let mut template =
            replica_set.data.pointer("/spec/template").cloned().context("the ReplicaSet has no template")?;
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove(HASH_LABEL);
        }
        let patch: json_patch::Patch =
            serde_json::from_value(json!([{"op": "replace", "path": "/spec/template", "value": template}]))
                .context("make a patch")?;
        let patched = self.rollouts.patch(&self.name, &PatchParams::default(), &Patch::Json::<()>(patch)).await;
        patched.map(drop).with_context(|| format!("undo {}", self.name))
    }

    /// Sets an image for the container `app`, as `set image` does: read, change, write back.
    pub async fn set_image(&self, image: &str) -> Result<()> {
        let patch: json_patch::Patch = serde_json::from_value(
            json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]),
        )
        .context("make a patch")?;
        let patched = self.rollouts.patch(&self.name, &PatchParams::default(), &Patch::Json::<()>(patch)).await;
        patched.map(drop).with_context(|| format!("set the image of {}", self.name))
    }

    /// A merge patch on the spec.
    pub async fn patch_spec(&self, patch: Value) -> Result<()> {
        let patched = self.rollouts.patch(&self.name, &params(), &Patch::Merge(&patch)).await;
        patched.map(drop).with_context(|| format!("patch {} with {patch}", self.name))
    }

    /// A merge patch on the status subresource.
    pub async fn patch_status(&self, patch: Value) -> Result<()> {
        let patched = self.rollouts.patch_status(&self.name, &params(), &Patch::Merge(&patch)).await;
        patched.map(drop).with_context(|| format!("patch the status of {} with {patch}", self.name))
    }

    async fn get(&self) -> Result<DynamicObject> {
        self.rollouts.get(&self.name).await.with_context(|| format!("get the rollout {}", self.name))
    }
}

fn paused(rollout: &DynamicObject) -> bool {
    rollout.data.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or_default()
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
