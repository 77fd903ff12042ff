use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: &str = "2026-01-01T00:00:00Z";

fn writer(manager: &str) -> Writer<'_> {
    Writer { manager, subresource: "", now: NOW }
}

fn keys(kind: &str) -> ListKeys {
    ListKeys::of_builtin(kind)
}

fn replica_set(spec: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "a", "namespace": "n" }, "spec": spec })
}

fn applied(live: Option<&Value>, config: &Value, manager: &str) -> Value {
    apply(live, config, &writer(manager), false, &keys("ReplicaSet")).unwrap()
}

fn containers(spec: Value) -> Value {
    replica_set(json!({ "template": { "spec": { "containers": spec } } }))
}

fn managers(object: &Value) -> Vec<(&str, &str)> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|entry| (entry["manager"].as_str().unwrap(), entry["operation"].as_str().unwrap())).collect()
}

#[test]
fn the_first_apply_creates_the_object_and_owns_its_fields() {
    let config = replica_set(json!({ "replicas": 2 }));

    let object = applied(None, &config, "me");

    let entry = json!({
        "manager": "me",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": NOW,
        "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": { "f:replicas": {} } },
    });
    assert_eq!(object["metadata"]["managedFields"], json!([entry]));
    assert_eq!(object["spec"], json!({ "replicas": 2 }));
}

#[test]
fn another_value_of_an_owned_field_is_a_conflict() {
    let live = applied(None, &replica_set(json!({ "replicas": 2 })), "one");
    let config = replica_set(json!({ "replicas": 3 }));

    let error = apply(Some(&live), &config, &writer("two"), false, &keys("ReplicaSet")).unwrap_err();

    let conflict = Conflict { message: r#"conflict with "one""#.into(), field: ".spec.replicas".into() };
    let message = r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#.to_owned();
    assert_eq!(error, ApplyError::Conflict { message, conflicts: vec![conflict] });
}

#[test]
fn a_conflict_with_a_plain_write_names_its_version() {
    let mut live = replica_set(json!({ "replicas": 2, "minReadySeconds": 1 }));
    note_update(None, &mut live, &writer("kubectl"), Claims::All, &keys("ReplicaSet"));
    let config = replica_set(json!({ "replicas": 3, "minReadySeconds": 2 }));

    let error = apply(Some(&live), &config, &writer("me"), false, &keys("ReplicaSet")).unwrap_err();

    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl\" using apps/v1:\n- .spec.minReadySeconds\n- .spec.replicas"
    );
}

#[test]
fn force_takes_the_field_over() {
    let live = applied(None, &replica_set(json!({ "replicas": 2 })), "one");
    let config = replica_set(json!({ "replicas": 3 }));

    let object = apply(Some(&live), &config, &writer("two"), true, &keys("ReplicaSet")).unwrap();

    assert_eq!(object["spec"]["replicas"], 3);
    assert_eq!(managers(&object), [("two", "Apply")]);
}

#[test]
fn the_same_value_is_shared() {
    let config = replica_set(json!({ "replicas": 2 }));
    let live = applied(None, &config, "one");

    let object = applied(Some(&live), &config, "two");

    let mut names: Vec<&str> = managers(&object).into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_field_that_is_no_longer_applied_is_removed() {
    let live = applied(None, &replica_set(json!({ "replicas": 2, "minReadySeconds": 5 })), "me");

    let object = applied(Some(&live), &replica_set(json!({ "replicas": 2 })), "me");

    assert_eq!(object["spec"], json!({ "replicas": 2 }));
}

#[test]
fn a_shared_field_is_kept_when_one_owner_gives_it_up() {
    let both = replica_set(json!({ "replicas": 2, "minReadySeconds": 5 }));
    let live = applied(None, &both, "one");
    let live = applied(Some(&live), &both, "two");

    let object = applied(Some(&live), &replica_set(json!({ "replicas": 2 })), "one");

    assert_eq!(object["spec"], json!({ "replicas": 2, "minReadySeconds": 5 }));
}

#[test]
fn fields_of_other_managers_are_kept() {
    let mut live = applied(None, &replica_set(json!({ "replicas": 2 })), "me");
    let before = live.clone();
    live["spec"]["minReadySeconds"] = json!(7);
    note_update(Some(&before), &mut live, &writer("other"), Claims::All, &keys("ReplicaSet"));

    let object = applied(Some(&live), &replica_set(json!({ "replicas": 4 })), "me");

    assert_eq!(object["spec"], json!({ "replicas": 4, "minReadySeconds": 7 }));
}

#[test]
fn items_are_merged_by_key_and_owned_one_by_one() {
    let live = applied(None, &containers(json!([{ "name": "a", "image": "a:1" }])), "one");

    let object = applied(Some(&live), &containers(json!([{ "name": "b", "image": "b:1" }])), "two");

    let items = json!([{ "name": "a", "image": "a:1" }, { "name": "b", "image": "b:1" }]);
    assert_eq!(object["spec"]["template"]["spec"]["containers"], items);
}

#[test]
fn an_item_that_is_no_longer_applied_is_removed() {
    let live =
        applied(None, &containers(json!([{ "name": "a", "image": "a:1" }, { "name": "b", "image": "b:1" }])), "me");

    let object = applied(Some(&live), &containers(json!([{ "name": "b", "image": "b:1" }])), "me");

    assert_eq!(object["spec"]["template"]["spec"]["containers"], json!([{ "name": "b", "image": "b:1" }]));
}

#[test]
fn fields_from_before_the_first_apply_have_a_separate_manager() {
    let live = replica_set(json!({ "replicas": 2 }));

    let object = applied(Some(&live), &replica_set(json!({ "replicas": 2 })), "me");

    assert_eq!(managers(&object), [("me", "Apply"), ("before-first-apply", "Update")]);
}

#[test]
fn an_apply_that_changes_nothing_keeps_the_time() {
    let config = replica_set(json!({ "replicas": 2 }));
    let live = applied(None, &config, "me");
    let later = Writer { now: "2026-01-02T00:00:00Z", ..writer("me") };

    let object = apply(Some(&live), &config, &later, false, &keys("ReplicaSet")).unwrap();

    assert_eq!(object, live);
}

#[test]
fn a_configuration_with_managers_is_rejected() {
    let mut config = replica_set(json!({}));
    config["metadata"]["managedFields"] = json!([{}]);

    let error = apply(None, &config, &writer("me"), false, &keys("ReplicaSet")).unwrap_err();

    assert_eq!(error, ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
}

#[test]
fn two_items_with_one_key_are_rejected() {
    let config = containers(json!([{ "name": "a" }, { "name": "a" }]));

    let error = apply(None, &config, &writer("me"), false, &keys("ReplicaSet")).unwrap_err();

    let words = r#"failed to create typed patch object (n/a; apps/v1, Kind=ReplicaSet): .spec.template.spec.containers: duplicate entries for key [name="a"]"#;
    assert_eq!(error.to_string(), words);
}

#[test]
fn lists_of_a_custom_resource_follow_its_schema() {
    let schema = json!({ "properties": { "spec": { "properties": {
        "ports": {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port"],
            "items": { "properties": { "port": {}, "name": {} } },
        },
        "plain": {},
    } } } });
    let keys = ListKeys::of_schema(&schema);
    let object =
        |spec: Value| json!({ "apiVersion": "x.io/v1", "kind": "X", "metadata": { "name": "a" }, "spec": spec });
    let live = object(json!({ "ports": [{ "port": 1, "name": "one" }], "plain": [1] }));
    let config = object(json!({ "ports": [{ "port": 2, "name": "two" }], "plain": [2] }));

    let result = apply(Some(&live), &config, &writer("me"), true, &keys).unwrap();

    let ports = json!([{ "port": 1, "name": "one" }, { "port": 2, "name": "two" }]);
    assert_eq!(result["spec"], json!({ "ports": ports, "plain": [2] }));
}

#[test]
fn a_create_is_an_update_of_the_fields_it_sets() {
    let mut object = containers(json!([{ "name": "a", "image": "a:1" }]));
    object["metadata"]["labels"] = json!({ "app": "x" });

    note_update(None, &mut object, &writer("kubectl"), Claims::All, &keys("ReplicaSet"));

    let container = json!({ "k:{\"name\":\"a\"}": { ".": {}, "f:image": {}, "f:name": {} } });
    let fields = json!({
        "f:metadata": { "f:labels": { ".": {}, "f:app": {} } },
        "f:spec": { "f:template": { "f:spec": { "f:containers": container } } },
    });
    assert_eq!(object["metadata"]["managedFields"][0]["fieldsV1"], fields);
}

#[test]
fn a_write_takes_only_its_changes() {
    let mut before = replica_set(json!({ "replicas": 1, "minReadySeconds": 1 }));
    note_update(None, &mut before, &writer("one"), Claims::All, &keys("ReplicaSet"));
    let mut after = before.clone();
    after["spec"]["replicas"] = json!(2);

    note_update(Some(&before), &mut after, &writer("two"), Claims::All, &keys("ReplicaSet"));

    let fields: Vec<&Value> = after["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["fieldsV1"]["f:spec"])
        .collect();
    assert_eq!(fields, [&json!({ "f:minReadySeconds": {} }), &json!({ "f:replicas": {} })]);
}

#[test]
fn a_manager_without_fields_is_removed() {
    let mut before = replica_set(json!({ "replicas": 1 }));
    note_update(None, &mut before, &writer("one"), Claims::All, &keys("ReplicaSet"));
    let mut after = before.clone();
    after["spec"] = json!({});

    note_update(Some(&before), &mut after, &writer("two"), Claims::All, &keys("ReplicaSet"));

    assert_eq!(managers(&after), [] as [(&str, &str); 0]);
}

#[test]
fn a_write_without_a_change_keeps_all_entries() {
    let mut before = replica_set(json!({ "replicas": 1 }));
    note_update(None, &mut before, &writer("one"), Claims::All, &keys("ReplicaSet"));
    let mut after = before.clone();
    after["metadata"].as_object_mut().unwrap().remove("managedFields");

    note_update(Some(&before), &mut after, &writer("two"), Claims::All, &keys("ReplicaSet"));

    assert_eq!(after, before);
}

#[test]
fn a_status_write_has_a_separate_entry() {
    let mut before = replica_set(json!({ "replicas": 1 }));
    note_update(None, &mut before, &writer("one"), Claims::All, &keys("ReplicaSet"));
    let mut after = before.clone();
    after["status"] = json!({ "replicas": 1 });

    note_update(
        Some(&before),
        &mut after,
        &Writer { subresource: "status", ..writer("one") },
        Claims::All,
        &keys("ReplicaSet"),
    );

    let entries = after["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries[1]["subresource"], "status");
    assert_eq!(entries[1]["fieldsV1"], json!({ "f:status": { "f:replicas": {} } }));
}

#[test]
fn managers_can_be_reset() {
    let mut before = replica_set(json!({ "replicas": 1 }));
    note_update(None, &mut before, &writer("one"), Claims::All, &keys("ReplicaSet"));
    let mut after = before.clone();
    after["metadata"]["managedFields"] = json!([{}]);

    note_update(Some(&before), &mut after, &writer("two"), Claims::All, &keys("ReplicaSet"));

    assert_eq!(after["metadata"].get("managedFields"), None);
}

/// Without empty lists and maps: an empty list holds no field, and an emptied map is gone until it is applied anew.
fn spec() -> impl Strategy<Value = Value> {
    let container = |name: String, image: u8, ports: Vec<u16>| {
        let ports: Value = ports.into_iter().map(|port| json!({ "containerPort": port })).collect();
        json!({ "name": name, "image": image.to_string(), "ports": ports })
    };
    let ports = prop::collection::btree_set(1u16..5, 1..3).prop_map(|ports| ports.into_iter().collect());
    let containers = prop::collection::btree_map("[a-d]", (any::<u8>(), ports), 1..4).prop_map(move |containers| {
        containers.into_iter().map(|(name, (image, ports))| container(name, image, ports)).collect::<Value>()
    });
    (prop::option::of(0u8..5), prop::collection::btree_map("[a-d]", "[x-z]", 1..3), containers).prop_map(
        |(replicas, labels, containers)| {
            let mut object = super::tests::containers(containers);
            object["metadata"]["labels"] = labels.into_iter().collect();
            if let Some(replicas) = replicas {
                object["spec"]["replicas"] = json!(replicas);
            }
            object
        },
    )
}

proptest! {
    // Each case applies four times: a quarter of the usual number takes a second.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn applying_the_same_configuration_twice_changes_nothing(first in spec(), other in spec(), config in spec()) {
        let force = |live: Option<&Value>, config: &Value, manager: &str| {
            apply(live, config, &writer(manager), true, &keys("ReplicaSet")).unwrap()
        };
        let live = force(None, &first, "me");
        let live = force(Some(&live), &other, "other");
        let once = force(Some(&live), &config, "me");

        let twice = force(Some(&once), &config, "me");

        prop_assert_eq!(twice, once);
    }

    #[test]
    fn alone_an_applier_gets_exactly_what_it_applies(first in spec(), config in spec()) {
        let live = applied(None, &first, "me");

        let result = applied(Some(&live), &config, "me");

        let names = |object: &Value| -> Vec<Value> {
            let items = object["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
            items.into_iter().map(|item| item["name"].clone()).collect()
        };
        prop_assert_eq!(names(&result), names(&config));
        prop_assert_eq!(&result["spec"]["replicas"], &config["spec"]["replicas"]);
    }
}
