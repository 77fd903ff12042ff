//! Routes that others control too: permissions, other writers, admission policies.

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
    scenario::{SOON, Scenario, accepted, weights},
    wait,
};
use serde_json::{Value, json};

use crate::{
    blocked::{half, halfway},
    blocked_traffic, emitted_once, gateway, until_blocked, until_paused_at, until_share, until_unblocked,
};

/// The shipped permissions except for one resource, granted in the scenario's namespace only.
async fn rights_without(scenario: &Scenario, resource: &str) -> Result<std::path::PathBuf> {
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
    scenario.apply(account).await?;
    grant(scenario, &scenario.namespace, "limited", Value::Array(rules)).await?;
    scenario.kubeconfig_of(&scenario.namespace, "limited").await
}

/// Grants the scenario's account permissions in a namespace.
async fn grant(scenario: &Scenario, namespace: &str, name: &str, rules: Value) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Role",
        "metadata": { "name": name, "namespace": namespace }, "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
        "metadata": { "name": name, "namespace": namespace },
        "roleRef": { "apiGroup": group, "kind": "Role", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": "limited", "namespace": scenario.namespace }],
    });
    scenario.apply_all([role, binding]).await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_route_in_another_namespace_needs_permissions_that_are_named() -> Result<()> {
    let scenario = Scenario::begin("edge").await?;
    let edge = format!("{}-edge", scenario.namespace);
    api::apply(&scenario.client, "", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": edge } }))
        .await?;
    let kubeconfig = {
        api::apply_crds(&scenario.client, &run_folder::repository().join("crds")).await?;
        rights_without(&scenario, "httproutes").await?
    };
    let controller = start_as(&scenario, &kubeconfig, None, &[]).await?;
    let canary = half().canary(gateway(json!({ "namespace": edge })));
    let mut route = canary.route(&scenario.namespace);
    route["metadata"]["namespace"] = json!(edge);
    for backend in route["spec"]["rules"][0]["backendRefs"].as_array_mut().into_iter().flatten() {
        backend["namespace"] = json!(scenario.namespace);
    }
    let permission = json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": { "name": "edge" },
        "spec": {
            "from": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": edge }],
            "to": [{ "group": "", "kind": "Service" }],
        },
    });
    scenario.apply_all(canary.services()).await?;
    scenario.apply_all([permission, route, canary.rollout()]).await?;

    let unseen = until_blocked(&scenario, "RouteForbidden").await?;
    let rule = |verbs: Value| json!([{ "apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": verbs }]);
    grant(&scenario, &edge, "see", rule(json!(["list", "watch"]))).await?;
    until_unblocked(&scenario).await?;
    scenario.until_phase("web", "Healthy").await?;
    updated(&scenario, &canary).await?;
    let unwritten = until_blocked(&scenario, "RouteForbidden").await?;
    grant(&scenario, &edge, "write", rule(json!(["patch"]))).await?;
    let routes: Api<DynamicObject> = Api::namespaced_with(scenario.client.clone(), &edge, &kinds::http_route());
    let wanted = [("web-stable".to_owned(), 50), ("web-canary".to_owned(), 50)];
    wait::until(&routes, "web", "the weights", SOON, |route| weights(route) == wanted && accepted(route)).await?;
    until_paused_at(&scenario, 1).await?;
    until_unblocked(&scenario).await?;

    for (message, verb) in [(&unseen, "list"), (&unwritten, "patch")] {
        let named = format!("HTTPRoute \"{edge}/web\": ");
        ensure!(message.starts_with(&named) && message.contains(verb) && message.contains("httproutes"), "{message}");
    }
    controller.stop().await?;
    let namespaces: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &kinds::namespace());
    namespaces.delete(&edge, &kube::api::DeleteParams::background()).await?;
    scenario.end().await
}

/// Writes the route's weights as another field manager.
async fn meddle(scenario: &Scenario, canary: i64) -> Result<()> {
    let weight = |place: usize, weight: i64| json!({ "op": "replace", "path": format!("/spec/rules/0/backendRefs/{place}/weight"), "value": weight });
    let patch: json_patch::Patch = serde_json::from_value(json!([weight(0, 100 - canary), weight(1, canary)]))?;
    let params = PatchParams { field_manager: Some("meddler".to_owned()), ..PatchParams::default() };
    scenario.api(&kinds::http_route()).patch("web", &params, &Patch::Json::<()>(patch)).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_foreign_writer_is_corrected_at_once_then_rarely_and_is_named_until_it_stops() -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(10);
    /// The condition stays for a minute after the last correction.
    const SHOWN: Duration = Duration::from_secs(75);
    let scenario = Scenario::begin("foreign").await?;
    let controller = start(&scenario, None).await?;
    halfway(&scenario).await?;
    let audit = scenario.audit()?;
    let patches = || -> Result<usize> {
        let ours = audit.of_agent("kulta")?.in_namespace(&scenario.namespace);
        Ok(ours.writes().0.iter().filter(|write| write.resource == "httproutes").count())
    };

    let began = tokio::time::Instant::now();
    meddle(&scenario, 90).await?;
    until_share(&scenario, 50).await?;
    let at_once = began.elapsed();
    let message = until_blocked(&scenario, "ForeignWeight").await?;
    while began.elapsed() < Duration::from_secs(15) {
        meddle(&scenario, 90).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let corrections = patches()?;
    until_share(&scenario, 50).await?;
    let still = until_paused_at(&scenario, 1).await?;
    wait::until(&scenario.api(&kinds::rollout()), "web", "no False condition TrafficReady", SHOWN, |rollout| {
        blocked_traffic(rollout).is_none()
    })
    .await?;

    ensure!(at_once < PAUSE / 2, "put right after {at_once:?}");
    ensure!((1..=2).contains(&corrections), "{corrections} corrections in 15 s");
    ensure!(
        message == "HTTPRoute \"web\": field manager \"meddler\" writes weights that this rollout owns",
        "{message}"
    );
    ensure!(blocked_traffic(&still).is_some(), "no longer reported although it continues");
    emitted_once(&scenario, "TrafficRoutingError", "meddler").await?;
    controller.stop().await?;
    scenario.end().await
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

/// An admission policy that denies changes of the weights of routes in the scenario's namespace.
async fn forbid_weights(scenario: &Scenario) -> Result<()> {
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": scenario.namespace },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": scenario.namespace } },
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
        "metadata": { "name": scenario.namespace },
        "spec": { "policyName": scenario.namespace, "validationActions": ["Deny"] },
    });
    for object in [policy, binding] {
        api::apply(&scenario.client, "", object).await?;
    }
    // A policy takes effect some time after it was stored: until then a write succeeds.
    wait::poll("the policy to count", SOON, || async {
        let mut trial = scenario.get(&kinds::http_route(), "web").await?;
        trial.metadata.managed_fields = None;
        json_patch::merge(&mut trial.data, &json!({ "spec": { "hostnames": ["trial.test"] } }));
        let refused = api::dry_run(&scenario.client, &scenario.namespace, serde_json::to_value(&trial)?).await.is_err();
        Ok(refused.then_some(()))
    })
    .await
}

async fn allow_weights(scenario: &Scenario) -> Result<()> {
    for (kind, plural) in [
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ] {
        let api: Api<DynamicObject> = Api::all_with(scenario.client.clone(), &cluster_wide(kind, plural));
        api.delete(&scenario.namespace, &kube::api::DeleteParams::background()).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn repeatedly_rejected_weights_are_reported_with_the_api_servers_message() -> Result<()> {
    let scenario = Scenario::begin("refused").await?;
    let controller = start(&scenario, None).await?;
    let canary = half();
    deployed(&scenario, &canary).await?;
    until_share(&scenario, 0).await?;
    forbid_weights(&scenario).await?;
    updated(&scenario, &canary).await?;

    let message = until_blocked(&scenario, "RouteConflict").await?;
    scenario.verbs("web").patch_spec(json!({ "spec": { "replicas": 4 } })).await?;
    wait::poll("pods of both sides", SOON, || async {
        Ok(pods(&scenario, "web").await.is_ok_and(|pods| pods == [4, 2]).then_some(()))
    })
    .await?;
    allow_weights(&scenario).await?;
    until_share(&scenario, 50).await?;
    until_paused_at(&scenario, 1).await?;
    until_unblocked(&scenario).await?;

    ensure!(message.starts_with("HTTPRoute \"web\": the API server refuses its weights: "), "{message}");
    ensure!(message.contains("routes are frozen"), "{message}");
    controller.stop().await?;
    scenario.end().await
}
