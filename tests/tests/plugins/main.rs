//! Plugins that admins bring, on a real control plane: from a ConfigMap, a file or a real registry, swapped while rollouts run, gone,
//! hostile, what they may reach, and the steps that they make.

mod enrichers;
mod grants;
mod hostile;
mod signatures;
mod sources;
mod steps;
mod swaps;

use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::{Api, api::DynamicObject};
use kulta_tests::{
    api,
    controller::Controller,
    kinds,
    kulta::{rights, start_as},
    manifests::Canary,
    sink::Sink,
    story::{SOON, Story},
    wait,
};
use serde_json::{Value, json};

/// The name of nearly every story's Rollout.
const WEB: &str = "web";
/// Where the controller's own Secrets and ConfigMaps are.
const OWN_NAMESPACE: &str = "kulta-system";
const INSTANCE: &str = "argo-rollouts.argoproj.io/controller-instance-id";

/// A story with Plugins of its own: they are in no namespace, so an instance id keeps them apart from those of other stories.
struct Place {
    story: Story,
    folder: PathBuf,
}

impl Place {
    async fn begin(name: &str) -> Result<Self> {
        let story = Story::begin(name).await?;
        let folder = story.environment.run.join("plugins").join(&story.namespace);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { story, folder })
    }

    /// Deletes the Plugins that were named, and the story.
    async fn end(self, plugins: &[&str]) -> Result<()> {
        for plugin in plugins {
            let patch = json!({"metadata": {"finalizers": null}});
            let merge = kube::api::Patch::Merge(&patch);
            let name = self.plugin(plugin);
            let _ = self.plugins().patch(&name, &kube::api::PatchParams::default(), &merge).await;
            let _ = self.plugins().delete(&name, &kube::api::DeleteParams::default()).await;
        }
        self.story.end().await
    }

    async fn controller(&self, sink: Option<&Sink>, more: &[(&str, &str)]) -> Result<Controller> {
        let kubeconfig = rights(&self.story).await?;
        let instance = self.story.namespace.clone();
        let mut variables = vec![("KULTA_INSTANCE_ID", instance.as_str()), ("KULTA_OWN_NAMESPACE", OWN_NAMESPACE)];
        variables.extend(more);
        start_as(&self.story, &kubeconfig, sink, &variables).await
    }

    /// Plugins are in no namespace: the story's keeps their names apart.
    fn plugin(&self, name: &str) -> String {
        format!("{name}-{}", self.story.namespace)
    }

    fn plugins(&self) -> Api<DynamicObject> {
        Api::all_with(self.story.client.clone(), &kinds::plugin())
    }

    /// Writes a component where the controller can read it, and gives the path.
    fn file(&self, name: &str, component: &[u8]) -> Result<String> {
        let path = self.folder.join(name);
        std::fs::write(&path, component).with_context(|| format!("write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Applies a Plugin that serves `name`.
    async fn apply(&self, name: &str, mut spec: Value) -> Result<()> {
        json_patch::merge(&mut spec, &json!({"serves": [name]}));
        let object = json!({
            "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin",
            "metadata": {"name": self.plugin(name), "labels": {INSTANCE: self.story.namespace}},
            "spec": spec,
        });
        api::apply(&self.story.client, "", object).await.map(drop)
    }

    /// Waits until a Plugin's condition Ready has that reason.
    async fn until(&self, name: &str, reason: &str) -> Result<DynamicObject> {
        wait::until(&self.plugins(), &self.plugin(name), &format!("the reason {reason}"), SOON, |plugin| {
            ready(plugin).0 == reason
                && plugin.data.pointer("/status/observedGeneration").and_then(Value::as_i64)
                    == plugin.metadata.generation
        })
        .await
    }

    /// Waits until a Plugin's condition Ready says that.
    async fn until_message(&self, name: &str, said: &str) -> Result<DynamicObject> {
        wait::until(&self.plugins(), &self.plugin(name), said, SOON, |plugin| ready(plugin).1.contains(said)).await
    }

    /// Waits until a Plugin that is being deleted says so.
    async fn until_deleting(&self, name: &str) -> Result<DynamicObject> {
        let api = self.plugins();
        wait::until(&api, &self.plugin(name), "its end to be told", SOON, |plugin| ready(plugin).0 == "Deleting").await
    }

    async fn until_gone(&self, name: &str) -> Result<()> {
        let (api, name) = (self.plugins(), self.plugin(name));
        wait::poll(&format!("{name} to be gone"), SOON, || async {
            Ok(api.get_opt(&name).await?.is_none().then_some(()))
        })
        .await
    }

    /// The Kubernetes events about a Plugin: reason and message. Objects in no namespace have theirs in the default one.
    async fn events(&self, name: &str) -> Result<Vec<(String, String)>> {
        let fields = format!("involvedObject.kind=Plugin,involvedObject.name={}", self.plugin(name));
        let api: Api<DynamicObject> = Api::namespaced_with(self.story.client.clone(), "default", &kinds::event());
        let events = api.list(&kube::api::ListParams::default().fields(&fields)).await?.items;
        Ok(events.iter().map(|event| (text(event, "/reason"), text(event, "/message"))).collect())
    }

    fn ours(&self, mut object: Value) -> Value {
        json_patch::merge(&mut object, &json!({"metadata": {"labels": {INSTANCE: self.story.namespace}}}));
        object
    }

    /// Deploys version v1, led by a plugin, and waits until it is healthy.
    async fn deploy(&self, canary: &Canary, plugin: &str, config: Value) -> Result<()> {
        let story = &self.story;
        story.apply_all(canary.services().into_iter().chain([canary.route(&story.namespace)])).await?;
        story.apply(self.ours(canary.led_by(plugin, config))).await?;
        story.until_phase(&canary.name, "Healthy").await.map(drop)
    }
}

/// Reason and message of a Plugin's condition.
fn ready(plugin: &DynamicObject) -> (String, String) {
    let condition = plugin.data.pointer("/status/conditions/0").cloned().unwrap_or_default();
    let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("reason"), text("message"))
}

fn text(object: &DynamicObject, pointer: &str) -> String {
    api::text(object, pointer).to_owned()
}

/// The component that a Rollout's revision keeps to.
fn pin(rollout: &DynamicObject, plugin: &str) -> String {
    let pins = rollout.data.pointer("/status/kulta/plugins").cloned().unwrap_or_default();
    pins.get(format!("strategy/{plugin}")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Reason and message of a Rollout's condition StrategyReady; empty while it holds.
fn strategy_ready(rollout: &DynamicObject) -> (String, String) {
    let conditions = rollout.data.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let mut conditions =
        conditions.filter(|condition| condition["type"] == "StrategyReady" && condition["status"] == "False");
    let found = conditions.next().cloned().unwrap_or_default();
    let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("reason"), text("message"))
}

/// Waits until the Rollout is under way at a weight.
async fn until_weight(story: &Story, rollout: &str, weight: i64) -> Result<DynamicObject> {
    story
        .until(&kinds::rollout(), rollout, &format!("the weight {weight}"), |object| {
            api::number(object, "/status/canary/weights/canary/weight") == weight
        })
        .await
}
