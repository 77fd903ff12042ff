use std::time::Duration;

use serde_json::{Value, json};

use super::fixtures::*;
use crate::world::Settings;

fn condition(entry: &Value, kind: &str) -> (String, String, i64) {
    let found = entry["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == kind).unwrap();
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("status"), text("reason"), found["observedGeneration"].as_i64().unwrap())
}

fn holds(reason: &str, generation: i64) -> (String, String, i64) {
    ("True".to_owned(), reason.to_owned(), generation)
}

async fn stage() -> Stage {
    let stage = Stage::new(Settings { route_delay: Duration::from_millis(500), ..Settings::default() });
    stage.create(class()).await;
    stage.create(gateway()).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_gateway_of_this_world_s_class_is_programmed() {
    let stage = stage().await;

    assert_eq!(condition(&stage.get("GatewayClass", "toy")["status"], "Accepted"), holds("Accepted", 1));
    let gateway = stage.get("Gateway", "gw");
    assert_eq!(condition(&gateway["status"], "Programmed"), holds("Programmed", 1));
    assert_eq!(condition(&gateway["status"]["listeners"][0], "ResolvedRefs"), holds("ResolvedRefs", 1));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_of_another_class_is_ignored() {
    let stage = stage().await;
    let mut other = gateway();
    other["metadata"]["name"] = json!("other");
    other["spec"]["gatewayClassName"] = json!("foreign");

    stage.create(other).await;

    assert_eq!(stage.get("Gateway", "other").get("status"), None);
}

#[tokio::test(start_paused = true)]
async fn a_route_is_accepted_after_the_delay_and_again_after_each_change() {
    let stage = stage().await;
    stage.create(service("app")).await;
    stage.create(route(&[("app", 100)])).await;

    pass(400).await;
    assert_eq!(stage.get("HTTPRoute", "app").get("status"), None);
    pass(200).await;
    let parent = stage.get("HTTPRoute", "app")["status"]["parents"][0].clone();
    assert_eq!(parent["parentRef"], json!({"name": "gw"}));
    assert_eq!(condition(&parent, "Accepted"), holds("Accepted", 1));
    assert_eq!(condition(&parent, "ResolvedRefs"), holds("ResolvedRefs", 1));
    assert_eq!(stage.get("Gateway", "gw")["status"]["listeners"][0]["attachedRoutes"], 1);

    stage
        .patch("HTTPRoute", "app", json!({"spec": {"rules": [{"backendRefs": [{"name": "app", "weight": 1}]}]}}))
        .await;
    assert_eq!(condition(&stage.get("HTTPRoute", "app")["status"]["parents"][0], "Accepted").2, 1);
    pass(600).await;
    assert_eq!(condition(&stage.get("HTTPRoute", "app")["status"]["parents"][0], "Accepted").2, 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_backend_is_reported_until_it_exists() {
    let stage = stage().await;
    stage.create(route(&[("app", 100)])).await;
    pass(600).await;

    let (status, reason, _) = condition(&stage.get("HTTPRoute", "app")["status"]["parents"][0], "ResolvedRefs");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "BackendNotFound"));

    stage.create(service("app")).await;
    let parent = stage.get("HTTPRoute", "app")["status"]["parents"][0].clone();
    assert_eq!(condition(&parent, "ResolvedRefs"), holds("ResolvedRefs", 1));
}

#[tokio::test(start_paused = true)]
async fn a_route_to_no_gateway_has_no_status_until_there_is_one() {
    let stage = Stage::new(Settings::default());
    stage.create(service("app")).await;
    stage.create(route(&[("app", 100)])).await;
    pass(600).await;
    assert_eq!(stage.get("HTTPRoute", "app").get("status"), None);

    stage.create(class()).await;
    stage.create(gateway()).await;
    pass(600).await;

    assert_eq!(condition(&stage.get("HTTPRoute", "app")["status"]["parents"][0], "Accepted"), holds("Accepted", 1));
}

#[tokio::test(start_paused = true)]
async fn routes_of_every_kind_are_accepted() {
    let stage = stage().await;
    stage.create(service("app")).await;

    for kind in ["GRPCRoute", "TCPRoute", "TLSRoute"] {
        let mut other = route(&[("app", 100)]);
        other["kind"] = json!(kind);
        stage.create(other).await;
        pass(600).await;
        assert_eq!(
            condition(&stage.get(kind, "app")["status"]["parents"][0], "Accepted"),
            holds("Accepted", 1),
            "{kind}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_without_its_gateway_is_removed() {
    let stage = stage().await;
    stage.create(service("app")).await;
    stage.create(route(&[("app", 100)])).await;
    pass(600).await;

    stage.delete("Gateway", "gw").await;

    assert_eq!(stage.get("HTTPRoute", "app")["status"]["parents"], json!([]));
}
