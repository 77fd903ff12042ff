//! A user who may edit a namespace and nothing else.

use anyhow::{Result, ensure};
use kube::{Api, Client};
use kulta_tests::{
    api, kinds, kubeconfig, manifests::Canary, node::app::Behaviour, scenario::SOON, verbs::Verbs, wait,
};
use serde_json::json;

use crate::{WEB, begin, until_ready_pods, with_pods};

const EDITOR: &str = "editor";

#[tokio::test]
#[ignore = "needs a node: make node-test runs it"]
async fn an_editor_of_a_namespace_deploys_updates_and_promotes_a_rollout_there_and_cannot_write_plugins() -> Result<()>
{
    let scenario = begin("editor").await?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": EDITOR}});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": EDITOR},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": EDITOR, "namespace": scenario.namespace}],
    });
    scenario.apply_all([account, binding]).await?;
    let editor: Client = kubeconfig::client(&scenario.kubeconfig_of(&scenario.namespace, EDITOR).await?).await?;
    let canary = Canary::new(WEB).replicas(2).without_routing();
    let rollout = |version| with_pods(&canary, version, Behaviour::Serves).rollout();

    // The API server adds the shipped roles to the role edit some moments after their creation.
    wait::poll("the editor's permission to create a Rollout", SOON, || async {
        api::apply(&editor, &scenario.namespace, rollout("v1")).await.map(Some)
    })
    .await?;
    scenario.until_phase(WEB, "Healthy").await?;
    api::apply(&editor, &scenario.namespace, rollout("v2")).await?;
    scenario.until_phase(WEB, "Paused").await?;
    let rollouts = Api::namespaced_with(editor.clone(), &scenario.namespace, &kinds::rollout());
    Verbs::of(rollouts, WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;
    until_ready_pods(&scenario, WEB, &[("v2", 2)]).await?;

    let plugin = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin", "metadata": {"name": "of-an-editor"},
        "spec": {"serves": ["of-an-editor"], "source": {"file": "/var/cache/kulta/plugin.wasm"}},
    });
    let refused = api::apply(&editor, &scenario.namespace, plugin).await.err();
    let error = refused.map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(error.contains("forbidden"), "{error}");
    scenario.end().await
}
