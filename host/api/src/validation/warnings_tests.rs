use serde_json::{Value, json};

use super::warnings;
use crate::rollout::Rollout;
use crate::validation::tests::{assert_faults, canary, rollout, routed};

/// Each is valid, and has warnings at these paths.
fn assert_doubts(cases: Vec<(Rollout, &[&str])>) {
    for (rollout, expected) in cases {
        let told: Vec<String> = warnings(&rollout).into_iter().map(|doubt| doubt.path).collect();

        assert_eq!(told, expected, "{:?}", rollout.spec.strategy);
        assert_faults(vec![(rollout, &[])]);
    }
}

#[test]
fn a_plain_rollout_has_no_warning() {
    assert_doubts(vec![
        (rollout(json!({ "rollbackWindow": { "revisions": 3 } })), &[]),
        (
            routed(json!({
                "scaleDownDelaySeconds": 0, "scaleDownDelayRevisionLimit": 0, "abortScaleDownDelaySeconds": 0,
                "minPodsPerReplicaSet": 2, "maxUnavailable": "100%",
                "replicaProgressThreshold": { "type": "Percent", "value": 100 },
                "analysis": { "templates": [{ "templateName": "a" }], "startingStep": 2, "args": [{ "name": "a" }] },
                "steps": [{ "setWeight": 5 }, { "setCanaryScale": { "weight": 5, "matchTrafficWeight": false } }],
            })),
            &[],
        ),
    ]);
}

#[test]
fn a_negative_number_counts_as_zero() {
    assert_doubts(vec![
        (rollout(json!({ "rollbackWindow": { "revisions": -1 } })), &["spec.rollbackWindow.revisions"]),
        (routed(json!({ "scaleDownDelaySeconds": -1 })), &["spec.strategy.canary.scaleDownDelaySeconds"]),
        (canary(json!({ "scaleDownDelayRevisionLimit": -1 })), &["spec.strategy.canary.scaleDownDelayRevisionLimit"]),
        (canary(json!({ "abortScaleDownDelaySeconds": -1 })), &["spec.strategy.canary.abortScaleDownDelaySeconds"]),
        (routed(json!({ "minPodsPerReplicaSet": -1 })), &["spec.strategy.canary.minPodsPerReplicaSet"]),
    ]);
}

#[test]
fn a_number_above_the_total_counts_as_the_total() {
    let threshold = |kind: &str| canary(json!({ "replicaProgressThreshold": { "type": kind, "value": 101 } }));
    assert_doubts(vec![
        (canary(json!({ "maxUnavailable": "101%" })), &["spec.strategy.canary.maxUnavailable"]),
        (threshold("Percent"), &["spec.strategy.canary.replicaProgressThreshold.value"]),
        (threshold("Nodes"), &["spec.strategy.canary.replicaProgressThreshold.type"]),
        (threshold("Pods"), &[]),
    ]);
}

#[test]
fn a_minimum_of_pods_has_no_effect_without_routes() {
    assert_doubts(vec![(canary(json!({ "minPodsPerReplicaSet": 2 })), &["spec.strategy.canary.minPodsPerReplicaSet"])]);
}

#[test]
fn a_field_that_the_gateway_plugin_does_not_know_is_reported() {
    let at = "spec.strategy.canary.trafficRouting.plugins[\"argoproj-labs/gatewayAPI\"]";
    let config =
        |config: Value| routed(json!({ "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": config } } }));
    let (own, of_route) = (format!("{at}.httproute"), format!("{at}.httpRoutes[0].weight"));
    assert_doubts(vec![
        (config(json!({ "httproute": "b" })), &[own.as_str()]),
        (
            config(json!({ "httpRoutes": [{ "name": "a", "weight": 5, "useHeaderRoutes": true }] })),
            &[of_route.as_str()],
        ),
    ]);
}

#[test]
fn a_background_analysis_that_begins_at_no_step_is_reported() {
    let starting = |step: i32| {
        let analysis = json!({ "templates": [{ "templateName": "a" }], "startingStep": step });
        canary(json!({ "steps": [{ "setWeight": 5 }], "analysis": analysis }))
    };
    let at: &[&str] = &["spec.strategy.canary.analysis.startingStep"];
    assert_doubts(vec![(starting(1), &[]), (starting(2), at), (starting(-1), at)]);
}

#[test]
fn a_step_with_two_actions_or_several_measures_is_reported() {
    let step = |step: Value| routed(json!({ "steps": [step] }));
    let at = "spec.strategy.canary.steps[0]";
    let scale = format!("{at}.setCanaryScale");
    assert_doubts(vec![
        (step(json!({ "setWeight": 5, "setCanaryScale": { "replicas": 1 } })), &[at]),
        (step(json!({ "pause": {}, "setCanaryScale": { "replicas": 1 } })), &[at]),
        (step(json!({ "setCanaryScale": {} })), &[scale.as_str()]),
        (step(json!({ "setCanaryScale": { "replicas": 1, "weight": 5 } })), &[scale.as_str()]),
    ]);
}

#[test]
fn an_analysis_step_has_no_starting_step() {
    let analysis = json!({ "templates": [{ "templateName": "a" }], "startingStep": 1 });
    let at: &[&str] = &["spec.strategy.canary.steps[0].analysis.startingStep"];

    assert_doubts(vec![(canary(json!({ "steps": [{ "analysis": analysis }] })), at)]);
}

#[test]
fn an_argument_with_more_or_less_than_one_source_is_reported() {
    let at = "spec.strategy.canary.steps[0].analysis.args";
    let args = |args: Value| {
        let analysis = json!({ "templates": [{ "templateName": "a" }], "args": args });
        canary(json!({ "steps": [{ "analysis": analysis }] }))
    };
    let paths = ["[1].name", "[0].name", "[0].value", "[0].valueFrom.fieldRef", "[0].valueFrom"]
        .map(|path| format!("{at}{path}"));
    let field = json!({ "fieldPath": "metadata.name" });
    let cases = [
        args(json!([{ "name": "a", "value": "1" }, { "name": "a", "value": "2" }])),
        args(json!([{ "name": "", "value": "1" }])),
        args(json!([{ "name": "a", "value": "1", "valueFrom": { "fieldRef": field } }])),
        args(json!([{ "name": "a", "valueFrom": { "podTemplateHashValue": "Latest", "fieldRef": field } }])),
        args(json!([{ "name": "a", "valueFrom": {} }])),
    ];
    for (case, path) in cases.into_iter().zip(&paths) {
        assert_doubts(vec![(case, &[path.as_str()])]);
    }
}

#[test]
fn a_plugin_beside_another_kind_is_told() {
    let step = |kind: Value| {
        let mut step = json!({ "plugin": { "name": "team/gate" } });
        step.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        routed(json!({ "steps": [step] }))
    };
    assert_doubts(vec![
        (step(json!({ "setWeight": 5 })), &["spec.strategy.canary.steps[0]"]),
        (step(json!({ "analysis": { "templates": [{ "templateName": "a" }] } })), &["spec.strategy.canary.steps[0]"]),
        (step(json!({ "pause": {} })), &["spec.strategy.canary.steps[0].plugin"]),
        (step(json!({})), &[]),
    ]);
}

#[test]
fn traffic_routing_without_a_router_and_what_has_no_effect_there_are_reported() {
    let only = |routing: Value| canary(json!({ "trafficRouting": routing }));
    let routing = "spec.strategy.canary.trafficRouting";
    assert_doubts(vec![
        (only(json!({})), &[routing]),
        (only(json!({ "plugins": {} })), &[routing]),
        (only(json!({ "managedRoutes": [{ "name": "header" }] })), &[routing, &format!("{routing}.managedRoutes")]),
        (canary(json!({ "trafficRouting": {}, "dynamicStableScale": true })), &[routing]),
        (
            canary(json!({ "trafficRouting": {}, "dynamicStableScale": true, "stableService": "web" })),
            &["spec.strategy.canary.dynamicStableScale", routing],
        ),
    ]);
}

#[test]
fn a_blue_green_field_without_the_effect_that_it_suggests_is_doubted() {
    let with = |field: &str, value: Value, promotes: Value| {
        let mut strategy = json!({ "activeService": "live", "autoPromotionEnabled": promotes });
        strategy[field] = value;
        rollout(json!({ "replicas": 3, "strategy": { "canary": null, "blueGreen": strategy } }))
    };
    let at = |field: &str| format!("spec.strategy.blueGreen.{field}");
    for (rollout, doubt) in [
        (with("previewReplicaCount", json!(4), json!(true)), "previewReplicaCount"),
        (with("autoPromotionSeconds", json!(-1), json!(true)), "autoPromotionSeconds"),
        (with("autoPromotionSeconds", json!(9), json!(false)), "autoPromotionSeconds"),
        (with("scaleDownDelaySeconds", json!(-1), json!(true)), "scaleDownDelaySeconds"),
        (with("prePromotionAnalysis", json!({}), json!(true)), "prePromotionAnalysis.templates"),
        (
            with(
                "postPromotionAnalysis",
                json!({ "templates": [{ "templateName": "a" }], "startingStep": 1 }),
                json!(true),
            ),
            "postPromotionAnalysis.startingStep",
        ),
    ] {
        let paths: Vec<_> = warnings(&rollout).into_iter().map(|doubt| doubt.path).collect();
        assert_eq!(paths, [at(doubt)], "{doubt}");
    }
    assert_eq!(warnings(&with("previewReplicaCount", json!(3), json!(true))), []);
}
