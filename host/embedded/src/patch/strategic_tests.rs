use serde_json::json;

use super::*;

fn patched(kind: &str, mut target: Value, patch: &Value) -> Value {
    strategic(&mut target, patch, &ListKeys::of_builtin(kind)).unwrap();
    target
}

fn containers(items: Value) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": items } } } })
}

#[test]
fn a_container_is_merged_by_its_name() {
    let target = containers(json!([{ "name": "a", "image": "x:1" }, { "name": "b", "image": "y:1" }]));
    let patch = containers(json!([{ "name": "b", "image": "y:2" }]));

    let result = patched("ReplicaSet", target, &patch);

    assert_eq!(result, containers(json!([{ "name": "a", "image": "x:1" }, { "name": "b", "image": "y:2" }])));
}

#[test]
fn a_new_item_comes_before_those_that_the_patch_leaves_out() {
    let target = containers(json!([{ "name": "a" }]));

    let result = patched("ReplicaSet", target, &containers(json!([{ "name": "b" }])));

    assert_eq!(result, containers(json!([{ "name": "b" }, { "name": "a" }])));
}

#[test]
fn an_item_is_deleted_by_directive() {
    let target = containers(json!([{ "name": "a" }, { "name": "b" }]));

    let result = patched("ReplicaSet", target, &containers(json!([{ "$patch": "delete", "name": "a" }])));

    assert_eq!(result, containers(json!([{ "name": "b" }])));
}

#[test]
fn a_list_is_replaced_by_directive() {
    let target = containers(json!([{ "name": "a" }, { "name": "b" }]));

    let result = patched("ReplicaSet", target, &containers(json!([{ "$patch": "replace" }, { "name": "c" }])));

    assert_eq!(result, containers(json!([{ "name": "c" }])));
}

#[test]
fn an_object_is_replaced_by_directive() {
    let target = json!({ "metadata": { "labels": { "a": "1" } } });

    let result = patched("Pod", target, &json!({ "metadata": { "labels": { "$patch": "replace", "b": "2" } } }));

    assert_eq!(result, json!({ "metadata": { "labels": { "b": "2" } } }));
}

#[test]
fn a_list_without_a_key_is_replaced() {
    let target = json!({ "spec": { "tolerations": [{ "key": "a" }] } });

    let result = patched("Pod", target, &json!({ "spec": { "tolerations": [{ "key": "b" }] } }));

    assert_eq!(result, json!({ "spec": { "tolerations": [{ "key": "b" }] } }));
}

#[test]
fn plain_values_are_added_and_deleted() {
    let target = json!({ "metadata": { "finalizers": ["a", "b"] } });
    let patch = json!({ "metadata": { "finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"] } });

    let result = patched("Pod", target, &patch);

    assert_eq!(result, json!({ "metadata": { "finalizers": ["c", "b"] } }));
}

#[test]
fn an_order_directive_orders_the_merged_list() {
    let target = containers(json!([{ "name": "a" }, { "name": "b" }]));
    let patch = json!({ "spec": { "template": { "spec": {
        "$setElementOrder/containers": [{ "name": "c" }, { "name": "b" }, { "name": "a" }],
        "containers": [{ "name": "c" }],
    } } } });

    let result = patched("ReplicaSet", target, &patch);

    assert_eq!(result, containers(json!([{ "name": "c" }, { "name": "b" }, { "name": "a" }])));
}

#[test]
fn an_order_that_contradicts_the_patch_is_rejected() {
    let patch = json!({ "metadata": { "$setElementOrder/finalizers": ["a", "b"], "finalizers": ["b", "a"] } });

    let error = strategic(&mut json!({ "metadata": {} }), &patch, &ListKeys::of_builtin("Pod")).unwrap_err();

    assert_eq!(error.code(), 500);
}

#[test]
fn retained_keys_drop_all_others() {
    let target = json!({ "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } } } });
    let patch = json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } });

    let result = patched("Deployment", target, &patch);

    assert_eq!(result, json!({ "spec": { "strategy": { "type": "Recreate" } } }));
}

#[test]
fn a_key_outside_the_retained_ones_is_rejected() {
    let patch = json!({ "spec": { "strategy": { "$retainKeys": ["type"], "rollingUpdate": {} } } });

    let error = strategic(&mut json!({ "spec": { "strategy": {} } }), &patch, &ListKeys::of_builtin("Deployment"));

    assert_eq!(error, Err(PatchError::BadRequest("invalid patch format of retainKeys".to_owned())));
}

#[test]
fn ports_of_a_service_are_merged_by_number() {
    let target = json!({ "spec": { "ports": [{ "port": 80, "protocol": "TCP", "nodePort": 30000 }] } });

    let result = patched("Service", target, &json!({ "spec": { "ports": [{ "port": 80, "targetPort": 8080 }] } }));

    let port = json!({ "port": 80, "protocol": "TCP", "nodePort": 30000, "targetPort": 8080 });
    assert_eq!(result, json!({ "spec": { "ports": [port] } }));
}

#[test]
fn an_item_without_its_key_is_rejected() {
    let mut target = containers(json!([{ "name": "a" }]));

    let error = strategic(&mut target, &containers(json!([{ "image": "x" }])), &ListKeys::of_builtin("ReplicaSet"));

    let words = r#"map: {"image":"x"} does not contain declared merge key: name"#;
    assert_eq!(error, Err(PatchError::Internal(words.to_owned())));
}

#[test]
fn nulls_in_a_new_object_are_dropped() {
    let result = patched("Pod", json!({}), &json!({ "metadata": { "labels": { "a": null, "b": "1" } } }));

    assert_eq!(result, json!({ "metadata": { "labels": { "b": "1" } } }));
}

#[test]
fn a_custom_resource_rejects_it() {
    let keys = ListKeys::of_schema(&json!({ "type": "object" }));

    let error = strategic(&mut json!({}), &json!({}), &keys).unwrap_err();

    assert_eq!((error.code(), error.reason()), (415, "UnsupportedMediaType"));
}
