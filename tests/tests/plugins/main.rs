//! Plugin objects on a real control plane: from a ConfigMap, a file or a real registry, replaced while rollouts run,
//! deleted, hostile; grants and steps.

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
    scenario::{SOON, Scenario},
    sink::Sink,
    wait,
};
use serde_json::{Value, json};

/// The name of nearly every scenario's Rollout.
const WEB: &str = "web";
/// Namespace of the controller's own Secrets and ConfigMaps.
const OWN_NAMESPACE: &str = "kulta-system";
const INSTANCE: &str = "argo-rollouts.argoproj.io/controller-instance-id";

/// A scenario with its own Plugins: they are cluster-scoped, so an instance id separates them from those of other
/// scenarios.
struct Place {
    scenario: Scenario,
    folder: PathBuf,
}

impl Place {
    async fn begin(name: &str) -> Result<Self> {
        let scenario = Scenario::begin(name).await?;
        let folder = scenario.environment.run.join("plugins").join(&scenario.namespace);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { scenario, folder })
    }

    /// Deletes the Plugins and the scenario.
    async fn end(self, plugins: &[&str]) -> Result<()> {
        for plugin in plugins {
            let patch = json!({"metadata": {"finalizers": null}});
            let merge = kube::api::Patch::Merge(&patch);
            let name = self.plugin(plugin);
            let _ = self.plugins().patch(&name, &kube::api::PatchParams::default(), &merge).await;
            let _ = self.plugins().delete(&name, &kube::api::DeleteParams::default()).await;
        }
        self.scenario.end().await
    }

    async fn controller(&self, sink: Option<&Sink>, more: &[(&str, &str)]) -> Result<Controller> {
        let kubeconfig = rights(&self.scenario).await?;
        let instance = self.scenario.namespace.clone();
        let mut variables = vec![("KULTA_INSTANCE_ID", instance.as_str()), ("KULTA_OWN_NAMESPACE", OWN_NAMESPACE)];
        variables.extend(more);
        start_as(&self.scenario, &kubeconfig, sink, &variables).await
    }

    /// Plugins are cluster-scoped: the scenario's namespace makes their names unique.
    fn plugin(&self, name: &str) -> String {
        format!("{name}-{}", self.scenario.namespace)
    }

    fn plugins(&self) -> Api<DynamicObject> {
        Api::all_with(self.scenario.client.clone(), &kinds::plugin())
    }

    /// Writes a component to a file for the controller, and returns the path.
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
            "metadata": {"name": self.plugin(name), "labels": {INSTANCE: self.scenario.namespace}},
            "spec": spec,
        });
        api::apply(&self.scenario.client, "", object).await.map(drop)
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

    /// Waits until the message of a Plugin's condition Ready contains this text.
    async fn until_message(&self, name: &str, said: &str) -> Result<DynamicObject> {
        wait::until(&self.plugins(), &self.plugin(name), said, SOON, |plugin| ready(plugin).1.contains(said)).await
    }

    /// Waits until a Plugin's condition Ready reports its deletion.
    async fn until_deleting(&self, name: &str) -> Result<DynamicObject> {
        let api = self.plugins();
        wait::until(&api, &self.plugin(name), "its deletion to be reported", SOON, |plugin| {
            ready(plugin).0 == "Deleting"
        })
        .await
    }

    async fn until_gone(&self, name: &str) -> Result<()> {
        let (api, name) = (self.plugins(), self.plugin(name));
        wait::poll(&format!("{name} to be gone"), SOON, || async {
            Ok(api.get_opt(&name).await?.is_none().then_some(()))
        })
        .await
    }

    /// The Kubernetes events about a Plugin: reason and message. Events of cluster-scoped objects are in the default
    /// namespace.
    async fn events(&self, name: &str) -> Result<Vec<(String, String)>> {
        let fields = format!("involvedObject.kind=Plugin,involvedObject.name={}", self.plugin(name));
        let api: Api<DynamicObject> = Api::namespaced_with(self.scenario.client.clone(), "default", &kinds::event());
        let events = api.list(&kube::api::ListParams::default().fields(&fields)).await?.items;
        Ok(events.iter().map(|event| (text(event, "/reason"), text(event, "/message"))).collect())
    }

    fn ours(&self, mut object: Value) -> Value {
        json_patch::merge(&mut object, &json!({"metadata": {"labels": {INSTANCE: self.scenario.namespace}}}));
        object
    }

    /// Deploys version v1 with a plugin strategy, and waits until it is healthy.
    async fn deploy(&self, canary: &Canary, plugin: &str, config: Value) -> Result<()> {
        let scenario = &self.scenario;
        scenario.apply_all(canary.services().into_iter().chain([canary.route(&scenario.namespace)])).await?;
        scenario.apply(self.ours(canary.led_by(plugin, config))).await?;
        scenario.until_phase(&canary.name, "Healthy").await.map(drop)
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

/// The component that a Rollout's revision is pinned to.
fn pin(rollout: &DynamicObject, plugin: &str) -> String {
    let pins = rollout.data.pointer("/status/kulta/plugins").cloned().unwrap_or_default();
    pins.get(format!("strategy/{plugin}")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Reason and message of a Rollout's condition StrategyReady; empty while it is true.
fn strategy_ready(rollout: &DynamicObject) -> (String, String) {
    let conditions = rollout.data.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let mut conditions =
        conditions.filter(|condition| condition["type"] == "StrategyReady" && condition["status"] == "False");
    let found = conditions.next().cloned().unwrap_or_default();
    let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("reason"), text("message"))
}

/// Waits until the Rollout has an update in progress at a weight.
async fn until_weight(scenario: &Scenario, rollout: &str, weight: i64) -> Result<DynamicObject> {
    scenario
        .until(&kinds::rollout(), rollout, &format!("the weight {weight}"), |object| {
            api::number(object, "/status/canary/weights/canary/weight") == weight
        })
        .await
}
