//! GRPCRoutes, TCPRoutes and TLSRoutes carry weights as HTTPRoutes do, in whichever version the cluster serves.

use anyhow::{Context, Result, ensure};
use kulta_seeds::cluster::{Cluster, NAMESPACE, ObjectKind};
use kulta_seeds::harness::{Harness, run};
use kulta_seeds::objects::{rollout, route, services, template};
use kulta_seeds::plugins;
use serde_json::{Value, json};

const GROUP: &str = "gateway.networking.k8s.io";
/// The CRDs of the tests have no schema: weights and references are the same in all kinds.
const ANY: &str = "x-kubernetes-preserve-unknown-fields";

fn define(cluster: &Cluster, kind: &str, version: &str) -> Result<()> {
    let plural = format!("{}s", kind.to_lowercase());
    let any = json!({ "type": "object", ANY: true });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}") },
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List") },
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": any, "status": any } } },
            }],
        },
    });
    cluster.create_any("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", definition)
}

/// The route `web` of this kind with the backends of the Rollout `web`, in one rule.
fn route_of(kind: &str, version: &str) -> Value {
    let mut route = route("web", &["web"]);
    json_patch::merge(&mut route, &json!({ "apiVersion": format!("{GROUP}/{version}"), "kind": kind }));
    if let Some(rule) = route.pointer_mut("/spec/rules/0").and_then(Value::as_object_mut) {
        rule.remove("matches");
    }
    route
}

fn weights(cluster: &Cluster, kind: &str, version: &str) -> Result<Vec<i64>> {
    let served = cluster.store.kind(&format!("{GROUP}/{version}"), kind).context("the kind is served")?;
    let route = cluster.store.get(&served, NAMESPACE, "web").map_err(|error| anyhow::anyhow!("{}", error.status()))?;
    let references = route.pointer("/spec/rules/0/backendRefs").and_then(Value::as_array);
    Ok(references.into_iter().flatten().filter_map(|reference| reference.get("weight")?.as_i64()).collect())
}

/// The Rollout `web` with these routes.
fn routed(routes: &Value) -> Value {
    let mut rollout = rollout("web", "web", &json!([{ "setWeight": 30 }, { "pause": {} }]));
    let routing = json!({ "plugins": { "argoproj-labs/gatewayAPI": routes } });
    // The routes replace the one that every such Rollout has.
    let canary = rollout.pointer_mut("/spec/strategy/canary").and_then(Value::as_object_mut);
    if let Some(canary) = canary {
        canary.insert("trafficRouting".to_owned(), routing);
    }
    rollout
}

/// A Rollout with these routes, whose kinds are served in these versions, paused at 30 %.
async fn paused(routes: Value, kinds: &[(&str, &str)]) -> Result<Harness> {
    let harness = Harness::start_with(plugins::compiled()?, |cluster| {
        for service in services("web") {
            cluster.create(ObjectKind::Service, service)?;
        }
        for (kind, version) in kinds {
            define(cluster, kind, version)?;
            cluster.create_any(&format!("{GROUP}/{version}"), kind, NAMESPACE, route_of(kind, version))?;
        }
        cluster.create(ObjectKind::Rollout, routed(&routes))
    })?;
    harness.wait_for_phase("web", "Healthy").await?;
    harness.cluster.patch(
        ObjectKind::Rollout,
        "web",
        false,
        json!({ "spec": { "template": template("web", "v2") } }),
    )?;
    harness.wait_for_phase("web", "Paused").await?;
    Ok(harness)
}

/// The routes of these kinds all get the weight of the first step.
fn all_move(routes: Value, kinds: &[(&str, &str)]) -> Result<()> {
    run(async || {
        let harness = paused(routes, kinds).await?;

        for (kind, version) in kinds {
            let seen = weights(&harness.cluster, kind, version)?;
            ensure!(seen == [70, 30], "{kind}: {seen:?}");
        }
        Ok(())
    })
}

#[test]
fn routes_of_all_kinds_get_the_weight_of_a_step() -> Result<()> {
    let routes = json!({ "grpcRoute": "web", "tcpRoutes": [{ "name": "web" }], "tlsRouteSelector": {} });

    all_move(routes, &[("GRPCRoute", "v1"), ("TCPRoute", "v1"), ("TLSRoute", "v1")])
}

#[test]
fn older_versions_are_used_where_the_cluster_serves_only_those() -> Result<()> {
    let routes = json!({ "tcpRoute": "web", "tlsRoute": "web" });

    all_move(routes, &[("TCPRoute", "v1alpha2"), ("TLSRoute", "v1alpha3")])
}

#[test]
fn a_kind_that_is_installed_later_is_found_in_the_version_that_is_then_served() -> Result<()> {
    run(async || {
        let harness = Harness::start()?;
        for service in services("web") {
            harness.cluster.create(ObjectKind::Service, service)?;
        }
        harness.cluster.create(ObjectKind::Rollout, routed(&json!({ "tcpRoute": "web" })))?;
        let missing = "serves no gateway.networking.k8s.io/v1 or v1alpha2 TCPRoute";
        let is_reported = |harness: &Harness| {
            let rollout = harness.get(ObjectKind::Rollout, "web")?;
            Ok(condition(&rollout).is_some_and(|message| message.contains(missing)))
        };
        harness.wait_until("the condition names the missing kind", is_reported).await?;

        define(&harness.cluster, "TCPRoute", "v1alpha2")?;
        harness.cluster.create_any(
            &format!("{GROUP}/v1alpha2"),
            "TCPRoute",
            NAMESPACE,
            route_of("TCPRoute", "v1alpha2"),
        )?;

        harness.wait_for_phase("web", "Healthy").await
    })
}

/// The message of the condition that reports blocked traffic.
fn condition(rollout: &Value) -> Option<&str> {
    let all = rollout.pointer("/status/conditions")?.as_array()?;
    let has = |one: &Value, field: &str, value: &str| one.get(field).and_then(Value::as_str) == Some(value);
    let found = all.iter().find(|one| has(one, "type", "TrafficReady") && has(one, "status", "False"))?;
    found.get("message")?.as_str()
}
