//! Routes that others have a say in: rights, other writers, admission policies.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start, start_as, updated},
    run_folder,
    story::{SOON, Story, accepted, weights},
    wait,
};
use serde_json::{Value, json};

use crate::{
    gateway, obstacle, told_once,
    trouble::{half, halfway},
    until_no_obstacle, until_obstacle, until_paused_at, until_share,
};

/// The shipped rights but for one resource, given in the story's namespace alone.
async fn rights_without(story: &Story, resource: &str) -> Result<std::path::PathBuf> {
    let yaml = std::fs::read_to_string(run_folder::repository().join("deploy/rbac.yaml"))?;
    let shipped = api::documents(&yaml)?;
    let role = shipped.iter().find(|document| document["kind"] == "ClusterRole").context("the shipped ClusterRole")?;
    let rules: Vec<Value> = role["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|rule| !rule["resources"].as_array().is_some_and(|all| all.contains(&json!(resource))))
        .cloned()
        .collect();
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "limited" } });
    story.apply(account).await?;
    grant(story, &story.namespace, "limited", Value::Array(rules)).await?;
    story.kubeconfig_of(&story.namespace, "limited").await
}

/// Gives the story's account rights in a namespace.
async fn grant(story: &Story, namespace: &str, name: &str, rules: Value) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Role",
        "metadata": { "name": name, "namespace": namespace }, "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
        "metadata": { "name": name, "namespace": namespace },
        "roleRef": { "apiGroup": group, "kind": "Role", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": "limited", "namespace": story.namespace }],
    });
    story.apply_all([role, binding]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_in_another_namespace_needs_rights_and_says_which() -> Result<()> {
    let story = Story::begin("edge").await?;
    let edge = format!("{}-edge", story.namespace);
    api::apply(&story.client, "", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": edge } }))
        .await?;
    let kubeconfig = {
        api::apply_crds(&story.client, &run_folder::repository().join("crds")).await?;
        rights_without(&story, "httproutes").await?
    };
    let controller = start_as(&story, &kubeconfig, None, &[]).await?;
    let canary = half().canary(gateway(json!({ "namespace": edge })));
    let mut route = canary.route(&story.namespace);
    route["metadata"]["namespace"] = json!(edge);
    for backend in route["spec"]["rules"][0]["backendRefs"].as_array_mut().into_iter().flatten() {
        backend["namespace"] = json!(story.namespace);
    }
    let permission = json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": { "name": "edge" },
        "spec": {
            "from": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": edge }],
            "to": [{ "group": "", "kind": "Service" }],
        },
    });
    story.apply_all(canary.services()).await?;
    story.apply_all([permission, route, canary.rollout()]).await?;

    let unseen = until_obstacle(&story, "RouteForbidden").await?;
    let rule = |verbs: Value| json!([{ "apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": verbs }]);
    grant(&story, &edge, "see", rule(json!(["list", "watch"]))).await?;
    until_no_obstacle(&story).await?;
    story.until_phase("web", "Healthy").await?;
    updated(&story, &canary).await?;
    let unwritten = until_obstacle(&story, "RouteForbidden").await?;
    grant(&story, &edge, "write", rule(json!(["patch"]))).await?;
    let routes: Api<DynamicObject> = Api::namespaced_with(story.client.clone(), &edge, &kinds::http_route());
    let wanted = [("web-stable".to_owned(), 50), ("web-canary".to_owned(), 50)];
    wait::until(&routes, "web", "the weights", SOON, |route| weights(route) == wanted && accepted(route)).await?;
    until_paused_at(&story, 1).await?;
    until_no_obstacle(&story).await?;

    for (message, verb) in [(&unseen, "list"), (&unwritten, "patch")] {
        let named = format!("HTTPRoute \"{edge}/web\": ");
        ensure!(message.starts_with(&named) && message.contains(verb) && message.contains("httproutes"), "{message}");
    }
    controller.stop().await?;
    let namespaces: Api<DynamicObject> = Api::all_with(story.client.clone(), &kinds::namespace());
    namespaces.delete(&edge, &kube::api::DeleteParams::background()).await?;
    story.end().await
}

/// Writes the route's weights as another field manager.
async fn meddle(story: &Story, canary: i64) -> Result<()> {
    let weight = |place: usize, weight: i64| json!({ "op": "replace", "path": format!("/spec/rules/0/backendRefs/{place}/weight"), "value": weight });
    let patch: json_patch::Patch = serde_json::from_value(json!([weight(0, 100 - canary), weight(1, canary)]))?;
    let params = PatchParams { field_manager: Some("meddler".to_owned()), ..PatchParams::default() };
    story.api(&kinds::http_route()).patch("web", &params, &Patch::Json::<()>(patch)).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_foreign_writer_is_put_right_at_once_then_seldom_and_is_named_until_it_stops() -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(10);
    /// The condition stays for a minute after the last correction.
    const SHOWN: Duration = Duration::from_secs(75);
    let story = Story::begin("foreign").await?;
    let controller = start(&story, None).await?;
    halfway(&story).await?;
    let audit = story.audit()?;
    let patches = || -> Result<usize> {
        let ours = audit.of_agent("kulta")?.in_namespace(&story.namespace);
        Ok(ours.writes().0.iter().filter(|write| write.resource == "httproutes").count())
    };

    let began = tokio::time::Instant::now();
    meddle(&story, 90).await?;
    until_share(&story, 50).await?;
    let at_once = began.elapsed();
    let message = until_obstacle(&story, "ForeignWeight").await?;
    while began.elapsed() < Duration::from_secs(15) {
        meddle(&story, 90).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let corrections = patches()?;
    until_share(&story, 50).await?;
    let still = until_paused_at(&story, 1).await?;
    wait::until(&story.api(&kinds::rollout()), "web", "no obstacle in the condition TrafficReady", SHOWN, |rollout| {
        obstacle(rollout).is_none()
    })
    .await?;

    ensure!(at_once < PAUSE / 2, "put right after {at_once:?}");
    ensure!((1..=2).contains(&corrections), "{corrections} corrections in 15 s");
    ensure!(
        message == "HTTPRoute \"web\": field manager \"meddler\" writes weights that this rollout owns",
        "{message}"
    );
    ensure!(obstacle(&still).is_some(), "forgotten while it goes on");
    told_once(&story, "TrafficRoutingError", "meddler").await?;
    controller.stop().await?;
    story.end().await
}

fn cluster_wide(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "admissionregistration.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "admissionregistration.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// An admission policy that lets nobody change the weights of routes in the story's namespace.
async fn forbid_weights(story: &Story) -> Result<()> {
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": story.namespace },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": story.namespace } },
                "resourceRules": [{
                    "apiGroups": ["gateway.networking.k8s.io"], "apiVersions": ["v1"],
                    "operations": ["UPDATE"], "resources": ["httproutes"],
                }],
            },
            "validations": [{ "expression": "object.spec == oldObject.spec", "message": "routes are frozen" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": story.namespace },
        "spec": { "policyName": story.namespace, "validationActions": ["Deny"] },
    });
    for object in [policy, binding] {
        api::apply(&story.client, "", object).await?;
    }
    // A policy counts some moments after it was stored: until then a trial goes through.
    wait::poll("the policy to count", SOON, || async {
        let mut trial = story.get(&kinds::http_route(), "web").await?;
        trial.metadata.managed_fields = None;
        json_patch::merge(&mut trial.data, &json!({ "spec": { "hostnames": ["trial.test"] } }));
        let refused = api::dry_run(&story.client, &story.namespace, serde_json::to_value(&trial)?).await.is_err();
        Ok(refused.then_some(()))
    })
    .await
}

async fn allow_weights(story: &Story) -> Result<()> {
    for (kind, plural) in [
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ] {
        let api: Api<DynamicObject> = Api::all_with(story.client.clone(), &cluster_wide(kind, plural));
        api.delete(&story.namespace, &kube::api::DeleteParams::background()).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn weights_that_are_refused_again_and_again_are_told_in_the_api_servers_words() -> Result<()> {
    let story = Story::begin("refused").await?;
    let controller = start(&story, None).await?;
    let canary = half();
    deployed(&story, &canary).await?;
    until_share(&story, 0).await?;
    forbid_weights(&story).await?;
    updated(&story, &canary).await?;

    let message = until_obstacle(&story, "RouteConflict").await?;
    story.verbs("web").patch_spec(json!({ "spec": { "replicas": 4 } })).await?;
    wait::poll("pods of both sides", SOON, || async {
        Ok(pods(&story, "web").await.is_ok_and(|pods| pods == [4, 2]).then_some(()))
    })
    .await?;
    allow_weights(&story).await?;
    until_share(&story, 50).await?;
    until_paused_at(&story, 1).await?;
    until_no_obstacle(&story).await?;

    ensure!(message.starts_with("HTTPRoute \"web\": the API server refuses its weights: "), "{message}");
    ensure!(message.contains("routes are frozen"), "{message}");
    controller.stop().await?;
    story.end().await
}
