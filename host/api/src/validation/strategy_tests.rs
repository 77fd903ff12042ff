use serde_json::{Value, json};

use crate::rollout::Rollout;
use crate::validation::tests::{assert_faults, canary, paths, rollout, routed};
use crate::validation::{joined, validate};

#[test]
fn an_empty_strategy_is_reported_with_the_crd_to_install() {
    let rollout = rollout(json!({ "strategy": { "canary": null } }));

    let message = joined(&validate(&rollout).unwrap_err());

    assert!(
        message.starts_with("spec.strategy: ")
            && message.contains("spec.strategy.plugin")
            && message.contains("install KULTA's CRD"),
        "{message}"
    );
}

#[test]
fn two_strategies_are_rejected() {
    assert_faults(vec![
        (rollout(json!({ "strategy": { "plugin": { "name": "linear" } } })), &["spec.strategy"]),
        (rollout(json!({ "strategy": { "blueGreen": { "activeService": "a" } } })), &["spec.strategy"]),
    ]);
}

#[test]
fn a_plugin_strategy_needs_a_name_and_has_no_steps() {
    let plugin = |plugin| rollout(json!({ "strategy": { "canary": null, "plugin": plugin } }));
    assert_faults(vec![
        (plugin(json!({ "name": "linear", "config": { "step": 5 }, "maxSurge": 1 })), &[]),
        (plugin(json!({ "config": {} })), &["spec.strategy.plugin.name"]),
        (plugin(json!({ "name": "linear", "steps": [] })), &["spec.strategy.plugin.steps"]),
        (plugin(json!({ "name": "linear", "maxSurge": -1 })), &["spec.strategy.plugin.maxSurge"]),
    ]);
}

fn blue_green(strategy: Value) -> Rollout {
    rollout(json!({ "strategy": { "canary": null, "blueGreen": strategy } }))
}

#[test]
fn blue_green_needs_an_active_service_that_is_not_the_preview() {
    assert_faults(vec![
        (blue_green(json!({ "activeService": "live" })), &[]),
        (blue_green(json!({ "activeService": "live", "previewService": "next" })), &[]),
        (blue_green(json!({})), &["spec.strategy.blueGreen.activeService"]),
        (
            blue_green(json!({ "activeService": "live", "previewService": "live" })),
            &["spec.strategy.blueGreen.previewService"],
        ),
    ]);
}

#[test]
fn the_fields_of_blue_green_are_checked() {
    let with = |field: &str, value: Value| {
        let mut strategy = json!({ "activeService": "live" });
        strategy[field] = value;
        blue_green(strategy)
    };
    let at = |field: &str| format!("spec.strategy.blueGreen.{field}");
    for (field, value, fault) in [
        ("previewReplicaCount", json!(-1), "previewReplicaCount"),
        ("maxUnavailable", json!("much"), "maxUnavailable"),
        ("scaleDownDelayRevisionLimit", json!(11), "scaleDownDelayRevisionLimit"),
        ("antiAffinity", json!({}), "antiAffinity"),
        ("prePromotionAnalysis", json!({ "templates": [{}] }), "prePromotionAnalysis.templates[0].templateName"),
        ("postPromotionAnalysis", json!({ "templates": [{}] }), "postPromotionAnalysis.templates[0].templateName"),
    ] {
        assert_eq!(paths(&with(field, value)), [at(fault)], "{field}");
    }
    for (field, value) in [("scaleDownDelayRevisionLimit", json!(10)), ("previewReplicaCount", json!(9))] {
        assert_eq!(paths(&with(field, value)), [] as [String; 0], "{field}");
    }
}

#[test]
fn the_two_services_must_differ_and_are_required_with_routes() {
    assert_faults(vec![
        (canary(json!({ "canaryService": "a" })), &[]),
        (canary(json!({ "canaryService": "a", "stableService": "a" })), &["spec.strategy.canary.stableService"]),
        (
            routed(json!({ "canaryService": "", "stableService": null })),
            &["spec.strategy.canary.canaryService", "spec.strategy.canary.stableService"],
        ),
    ]);
}

#[test]
fn surge_and_unavailability_are_counts_or_percentages_and_not_both_zero() {
    let surge = "spec.strategy.canary.maxSurge";
    let unavailable = "spec.strategy.canary.maxUnavailable";
    assert_faults(vec![
        (canary(json!({ "maxSurge": "150%", "maxUnavailable": 0 })), &[]),
        (canary(json!({ "maxSurge": 0 })), &[]),
        (canary(json!({ "maxSurge": "25" })), &[]),
        (canary(json!({ "maxSurge": 0, "maxUnavailable": "0%" })), &[surge]),
        (canary(json!({ "maxSurge": "a lot", "maxUnavailable": -1 })), &[surge, unavailable]),
        (canary(json!({ "maxUnavailable": "100%" })), &[]),
        (canary(json!({ "maxUnavailable": "101%" })), &[]),
    ]);
}

#[test]
fn an_invalid_share_is_reported_with_its_value() {
    let message = joined(&validate(&canary(json!({ "maxSurge": "a lot" }))).unwrap_err());

    assert!(message.contains("\"a lot\""), "{message}");
}

#[test]
fn delays_require_traffic_routing() {
    let delay = "spec.strategy.canary.scaleDownDelaySeconds";
    let dynamic = "spec.strategy.canary.dynamicStableScale";
    assert_faults(vec![
        (routed(json!({ "scaleDownDelaySeconds": 0, "minPodsPerReplicaSet": 2 })), &[]),
        (routed(json!({ "scaleDownDelaySeconds": -1 })), &[]),
        (canary(json!({ "scaleDownDelaySeconds": 5 })), &[delay]),
        (routed(json!({ "scaleDownDelaySeconds": 5, "dynamicStableScale": true })), &[delay]),
        (routed(json!({ "scaleDownDelaySeconds": 5, "dynamicStableScale": false })), &[]),
        (routed(json!({ "dynamicStableScale": true })), &[]),
        (canary(json!({ "dynamicStableScale": true })), &[dynamic]),
        (canary(json!({ "dynamicStableScale": false })), &[]),
        (canary(json!({ "minPodsPerReplicaSet": 2 })), &[]),
        (routed(json!({ "minPodsPerReplicaSet": -2 })), &[]),
        (routed(json!({ "abortScaleDownDelaySeconds": 0 })), &[]),
        (canary(json!({ "abortScaleDownDelaySeconds": 30 })), &[]),
        (routed(json!({ "abortScaleDownDelaySeconds": -1 })), &[]),
        (canary(json!({ "scaleDownDelayRevisionLimit": 0 })), &[]),
        (canary(json!({ "scaleDownDelayRevisionLimit": -1 })), &[]),
    ]);
}

#[test]
fn anti_affinity_has_one_kind_and_a_weight_of_1_to_100() {
    let preferred = |weight: i32| json!({ "antiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": { "weight": weight } } });
    let required = json!({ "antiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {} } });
    let mut both = preferred(1);
    both["antiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({});
    let at = "spec.strategy.canary.antiAffinity";
    let weight = "spec.strategy.canary.antiAffinity.preferredDuringSchedulingIgnoredDuringExecution.weight";
    assert_faults(vec![
        (canary(required), &[]),
        (canary(preferred(1)), &[]),
        (canary(preferred(100)), &[]),
        (canary(preferred(0)), &[weight]),
        (canary(preferred(101)), &[weight]),
        (canary(both), &[at]),
        (canary(json!({ "antiAffinity": {} })), &[at]),
    ]);
}

#[test]
fn a_threshold_is_not_validated() {
    let with = |kind: &str, value: i32| canary(json!({ "replicaProgressThreshold": { "type": kind, "value": value } }));
    assert_faults(vec![
        (with("Percent", 100), &[]),
        (with("Percent", -5), &[]),
        (with("Pods", 500), &[]),
        (with("Percent", 101), &[]),
        (with("Nodes", 1), &[]),
    ]);
}

#[test]
fn the_maximum_weight_is_greater_than_zero() {
    let weight = "spec.strategy.canary.trafficRouting.maxTrafficWeight";
    assert_faults(vec![
        (routed(json!({ "trafficRouting": { "maxTrafficWeight": 1000 } })), &[]),
        (routed(json!({ "trafficRouting": { "maxTrafficWeight": 0 } })), &[weight]),
        (routed(json!({ "trafficRouting": { "maxTrafficWeight": -5 } })), &[weight]),
    ]);
}

#[test]
fn every_other_router_is_rejected_by_its_name() {
    for router in ["alb", "ambassador", "apisix", "appMesh", "istio", "nginx", "smi", "traefik"] {
        let rollout = canary(json!({ "trafficRouting": { router: { "some": "config" } } }));

        assert_eq!(paths(&rollout), [format!("spec.strategy.canary.trafficRouting.{router}")]);
    }
}

#[test]
fn every_other_traffic_plugin_is_rejected_by_its_name() {
    let rollout = routed(json!({ "trafficRouting": { "plugins": { "acme/router": {} } } }));

    assert_eq!(paths(&rollout), ["spec.strategy.canary.trafficRouting.plugins[\"acme/router\"]"]);
}

#[test]
fn traffic_routing_without_a_router_needs_no_services_as_in_argo() {
    let only = |routing: Value| canary(json!({ "trafficRouting": routing }));
    assert_faults(vec![
        (only(json!({})), &[]),
        (only(json!({ "plugins": {} })), &[]),
        (only(json!({ "managedRoutes": [{ "name": "header" }] })), &[]),
        (canary(json!({ "trafficRouting": {}, "dynamicStableScale": true })), &[]),
        (canary(json!({ "trafficRouting": {}, "scaleDownDelaySeconds": 5 })), &[]),
        (canary(json!({ "trafficRouting": {}, "steps": [{ "setCanaryScale": { "replicas": 1 } }] })), &[]),
    ]);
}

#[test]
fn a_maximum_weight_without_a_router_is_rejected_as_in_argo() {
    for routing in [json!({ "maxTrafficWeight": 50 }), json!({ "maxTrafficWeight": 50, "plugins": {} })] {
        let rollout = canary(json!({ "trafficRouting": routing }));

        assert_faults(vec![(rollout, &["spec.strategy.canary.trafficRouting.maxTrafficWeight"])]);
    }
}

#[test]
fn unsupported_fields_are_rejected_by_their_path() {
    assert_faults(vec![(canary(json!({ "pingPong": {} })), &["spec.strategy.canary.pingPong"])]);
}
