//! Decoding and encoding an object loses and changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kulta_api::crd::Kind;
use kulta_api::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate, Rollout, decode, decode_as, validation};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Closed sets of texts, by kind.
const CLOSED: [(&str, &str); 12] = [
    ("Rollout.status.phase", "Healthy"),
    ("Rollout.status.pauseConditions[].reason", "BlueGreenPause"),
    ("Rollout.status.conditions[].status", "Unknown"),
    ("Rollout.status.duration.completionStatus", "FastRolledBack"),
    ("Rollout.status.kulta.phase", "Paused"),
    ("Rollout.status.kulta.failure", "gate"),
    ("Rollout.status.kulta.outbox[].kind", "serviceRolledBack"),
    ("Rollout.status.kulta.outbox[].outcome", "cancel"),
    ("Rollout.status.kulta.outbox[].failure", "analysis"),
    ("AnalysisRun.status.metricResults[].phase", "Inconclusive"),
    ("AnalysisRun.status.metricResults[].measurements[].phase", "Error"),
    ("AnalysisRun.status.phase", "Pending"),
];

/// A value with every field of the schema.
fn filled(schema: &JSONSchemaProps, path: &str) -> Value {
    if schema.x_kubernetes_int_or_string == Some(true) {
        return json!("5%");
    }
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return json!({ "any": ["thing", 1, null, { "at": "all" }] });
    }
    if let Some(properties) = &schema.properties {
        let fields = properties.iter().map(|(name, field)| (name.clone(), filled(field, &format!("{path}.{name}"))));
        return Value::Object(fields.collect());
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return json!({ "some/key": filled(values, &format!("{path}{{}}")) });
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        return json!([filled(items, &format!("{path}[]"))]);
    }
    match (schema.type_.as_deref(), schema.format.as_deref()) {
        (Some("integer"), _) => json!(7),
        (Some("boolean"), _) => json!(true),
        (Some("string"), Some("date-time")) => json!("2026-03-04T05:06:07Z"),
        (Some("string"), _) => {
            let closed = CLOSED.iter().find(|(closed, _)| *closed == path);
            json!(closed.map_or("text", |(_, text)| text))
        }
        (Some("object"), _) => json!({}),
        other => panic!("{path} is {other:?}"),
    }
}

fn assert_comes_back<T: DeserializeOwned + Serialize>(kind: Kind) {
    let schema = kind.definition().spec.versions.remove(0).schema.unwrap().open_api_v3_schema.unwrap();
    let mut object = filled(&schema, kind.as_str());
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!(kind.as_str());
    object["metadata"] = json!({ "name": "whole", "namespace": "shop" });

    let read: T = decode_as(&object).unwrap_or_else(|error| panic!("{error}"));

    assert_eq!(serde_json::to_value(read).unwrap(), object);
}

#[test]
fn an_object_with_every_field_survives_a_round_trip() {
    assert_comes_back::<Rollout>(Kind::Rollout);
    assert_comes_back::<AnalysisTemplate>(Kind::AnalysisTemplate);
    assert_comes_back::<ClusterAnalysisTemplate>(Kind::ClusterAnalysisTemplate);
    assert_comes_back::<AnalysisRun>(Kind::AnalysisRun);
}

fn share() -> impl Strategy<Value = Value> {
    prop_oneof![
        (1..20_i32).prop_map(|count| json!(count)),
        (1..=100_u32).prop_map(|percent| json!(format!("{percent}%")))
    ]
}

fn pause() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        (0..100_000_i32).prop_map(|seconds| json!({ "duration": seconds })),
        (1..600_u32, prop_oneof![Just("s"), Just("m"), Just("h")])
            .prop_map(|(number, unit)| json!({ "duration": format!("{number}{unit}") })),
    ]
}

fn step(max: i32) -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..=max).prop_map(|weight| json!({ "setWeight": weight })),
        pause().prop_map(|pause| json!({ "pause": pause })),
        (0..50_i32).prop_map(|replicas| json!({ "setCanaryScale": { "replicas": replicas } })),
        (0..=200_i32).prop_map(|weight| json!({ "setCanaryScale": { "weight": weight } })),
        Just(json!({ "setCanaryScale": { "matchTrafficWeight": true } })),
        analysis().prop_map(|analysis| json!({ "analysis": analysis })),
    ]
}

fn analysis() -> impl Strategy<Value = Value> {
    ("[a-z]{1,12}", any::<bool>(), "[a-z]{1,8}", "[ -~]{0,12}").prop_map(|(template, cluster, arg, value)| {
        json!({
            "templates": [{ "templateName": template, "clusterScope": cluster }],
            "args": [{ "name": arg, "value": value }],
        })
    })
}

fn routes() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-z]{1,12}".prop_map(|name| json!({ "httpRoute": name })),
        prop::collection::vec("[a-z]{1,12}", 1..4).prop_map(|names| {
            let routes: Vec<_> = names.into_iter().map(|name| json!({ "name": name })).collect();
            json!({ "httpRoutes": routes })
        }),
        "[a-z]{1,12}".prop_map(|label| json!({ "httpRouteSelector": { "matchLabels": { "route": label } } })),
    ]
}

prop_compose! {
    fn canary()(max in 1..=1000_i32)(
        max in Just(max),
        steps in prop::collection::vec(step(max), 0..8),
        surge in share(),
        unavailable in share(),
        routes in routes(),
        floor in prop::option::of(0..5_i32),
        delay in prop::option::of(0..900_i32),
        analysis in prop::option::of(analysis()),
    ) -> Value {
        let mut canary = json!({
            "canaryService": "next", "stableService": "now",
            "maxSurge": surge, "maxUnavailable": unavailable,
            "trafficRouting": { "maxTrafficWeight": max, "plugins": { "argoproj-labs/gatewayAPI": routes } },
        });
        if !steps.is_empty() {
            canary["steps"] = json!(steps);
        }
        if let Some(analysis) = analysis {
            canary["analysis"] = analysis;
        }
        if let Some(floor) = floor {
            canary["minPodsPerReplicaSet"] = json!(floor);
        }
        if let Some(delay) = delay {
            canary["scaleDownDelaySeconds"] = json!(delay);
        }
        canary
    }
}

prop_compose! {
    fn valid_rollout()(
        replicas in 0..100_i32,
        ready in 0..600_i32,
        more in 1..600_i32,
        labels in prop::collection::btree_map("[a-z]{1,8}", "[a-z0-9]{1,8}", 1..4),
        image in "[a-z]{1,10}:[0-9]{1,3}",
        canary in canary(),
    ) -> Value {
        let labels: BTreeMap<String, String> = labels;
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": { "name": "any" },
            "spec": {
                "replicas": replicas,
                "minReadySeconds": ready,
                "progressDeadlineSeconds": ready + more,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "main", "image": image }], "fieldOfTheFuture": [null] },
                },
                "strategy": { "canary": canary },
            },
        })
    }
}

const CANARY: &str = "/spec/strategy/canary";
const ROUTING: &str = "/spec/strategy/canary/trafficRouting";

/// Where an unsupported field can be set, and its path.
fn unsupported() -> Vec<(&'static str, &'static str, String)> {
    let mut fields = vec![
        ("/spec", "workloadRef", "spec.workloadRef".to_owned()),
        (CANARY, "pingPong", "spec.strategy.canary.pingPong".to_owned()),
    ];
    for router in ["alb", "ambassador", "apisix", "appMesh", "istio", "nginx", "smi", "traefik"] {
        fields.push((ROUTING, router, format!("spec.strategy.canary.trafficRouting.{router}")));
    }
    fields
}

fn paths(object: &Value) -> Vec<String> {
    let errors = validation::validate(&decode(object).unwrap()).err().unwrap_or_default();
    errors.into_iter().map(|error| error.path).collect()
}

fn fields<'a>(object: &'a mut Value, pointer: &str) -> &'a mut Map<String, Value> {
    object.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap()
}

proptest! {
    #[test]
    fn any_valid_rollout_is_accepted_and_comes_back_as_it_was(object in valid_rollout()) {
        let read = decode(&object).unwrap();

        prop_assert_eq!(validation::validate(&read), Ok(()));
        prop_assert_eq!(serde_json::to_value(read).unwrap(), object);
    }

    #[test]
    fn an_unsupported_field_in_a_valid_rollout_is_the_only_fault(
        mut object in valid_rollout(),
        (pointer, field, path) in prop::sample::select(unsupported()),
    ) {
        fields(&mut object, pointer).insert(field.to_owned(), json!({}));

        prop_assert_eq!(paths(&object), [path]);
    }

    #[test]
    fn an_unsupported_step_in_a_valid_rollout_is_the_only_fault(
        mut object in valid_rollout(),
    ) {
        let steps = fields(&mut object, CANARY).entry("steps").or_insert(json!([])).as_array_mut().unwrap();
        let index = steps.len();
        steps.push(json!({ "experiment": {} }));

        prop_assert_eq!(paths(&object), [format!("spec.strategy.canary.steps[{index}].experiment")]);
    }

    #[test]
    fn a_weight_beyond_the_maximum_in_a_valid_rollout_is_the_only_fault(
        mut object in valid_rollout(),
        beyond in prop_oneof![1001..i32::MAX, i32::MIN..0],
    ) {
        let steps = fields(&mut object, CANARY).entry("steps").or_insert(json!([])).as_array_mut().unwrap();
        steps.insert(0, json!({ "setWeight": beyond }));

        prop_assert_eq!(paths(&object), ["spec.strategy.canary.steps[0].setWeight"]);
    }

    #[test]
    fn a_duration_is_the_sum_of_its_parts(hours in 0..100_u64, minutes in 0..1000_u64, seconds in 0..10_000_u64) {
        let written = kulta_api::IntOrString::String(format!("{hours}h{minutes}m{seconds}s"));

        let millis = kulta_api::duration::parse(&written);

        prop_assert_eq!(millis, Ok((hours * 3600 + minutes * 60 + seconds) * 1000));
    }

    #[test]
    fn only_a_whole_number_with_or_without_a_percent_sign_is_a_percentage(text in "[-+%.0-9a-zµ ]{0,12}") {
        let written = kulta_api::IntOrString::String(text.clone());

        let share = kulta_api::Share::parse(&written);

        let number = text.strip_suffix('%').unwrap_or(&text).parse::<u32>().ok().filter(|_| !text.starts_with('+'));
        prop_assert_eq!(share.ok(), number.map(kulta_api::Share::Percent));
    }
}
