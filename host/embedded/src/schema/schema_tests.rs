use proptest::prelude::*;
use serde_json::json;

use super::*;

pub(super) fn schema_of(spec: Value) -> Schema {
    let schema = json!({ "type": "object", "properties": { "spec": spec } });
    let crd = json!({ "spec": { "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": schema } }] } });
    Schema::of_crd(&crd, "v1").unwrap()
}

pub(super) fn object(spec: Value) -> Value {
    json!({ "apiVersion": "x.io/v1", "kind": "X", "metadata": { "name": "a" }, "spec": spec })
}

pub(super) fn admitted(schema: &Schema, spec: Value) -> Value {
    let mut object = object(spec);
    schema.admit(&mut object, None).unwrap();
    object["spec"].take()
}

pub(super) fn refused(schema: &Schema, spec: Value) -> String {
    Cause::joined(&schema.admit(&mut object(spec), None).unwrap_err())
}

pub(super) fn properties(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

#[test]
fn an_unknown_field_is_pruned() {
    let schema = schema_of(properties(json!({ "a": { "type": "string" } })));

    assert_eq!(admitted(&schema, json!({ "a": "x", "b": 1 })), json!({ "a": "x" }));
}

#[test]
fn unknown_fields_are_named() {
    let schema = schema_of(properties(json!({ "a": { "type": "array", "items": { "type": "object" } } })));

    let unknown = schema.unknown_fields(&object(json!({ "a": [{ "c": 1 }], "b": 1 })));

    assert_eq!(unknown, ["spec.a[0].c", "spec.b"]);
}

#[test]
fn unknown_fields_stay_where_they_are_preserved() {
    let inner = json!({ "type": "object", "properties": { "known": { "type": "object" } }, "x-kubernetes-preserve-unknown-fields": true });
    let schema = schema_of(properties(json!({ "a": inner })));

    let spec = admitted(&schema, json!({ "a": { "b": { "c": 1 }, "known": { "d": 1 } } }));

    assert_eq!(spec, json!({ "a": { "b": { "c": 1 }, "known": {} } }));
}

#[test]
fn an_embedded_object_keeps_its_type_and_metadata() {
    let schema = schema_of(properties(json!({ "a": { "type": "object", "x-kubernetes-embedded-resource": true } })));
    let embedded = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x" } });
    let mut sent = embedded.clone();
    sent["spec"] = json!({});

    assert_eq!(admitted(&schema, json!({ "a": sent })), json!({ "a": embedded }));
}

#[test]
fn defaults_are_filled_in_from_the_outside_in() {
    let inner = json!({ "type": "object", "default": {}, "properties": { "b": { "type": "integer", "default": 3 } } });
    let schema = schema_of(properties(json!({ "a": inner })));

    assert_eq!(admitted(&schema, json!({})), json!({ "a": { "b": 3 } }));
}

#[test]
fn a_null_is_dropped_unless_it_is_allowed() {
    let schema =
        schema_of(properties(json!({ "a": { "type": "string" }, "b": { "type": "string", "nullable": true } })));

    assert_eq!(admitted(&schema, json!({ "a": null, "b": null })), json!({ "b": null }));
}

#[test]
fn a_wrong_type_is_rejected() {
    let schema = schema_of(properties(json!({ "replicas": { "type": "integer" } })));

    assert_eq!(
        refused(&schema, json!({ "replicas": "two" })),
        r#"spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string""#
    );
}

#[test]
fn an_integer_or_a_string_is_both() {
    let schema = schema_of(properties(json!({ "a": { "x-kubernetes-int-or-string": true } })));

    assert_eq!(admitted(&schema, json!({ "a": "10%" })), json!({ "a": "10%" }));
    assert_eq!(admitted(&schema, json!({ "a": 1 })), json!({ "a": 1 }));
    assert_eq!(
        refused(&schema, json!({ "a": true })),
        r#"spec.a: Invalid value: "boolean": spec.a in body must be of type integer,string: "boolean""#
    );
}

#[test]
fn a_missing_field_is_rejected() {
    let schema = schema_of(json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "string" } } }));

    assert_eq!(refused(&schema, json!({})), "spec.a: Required value");
}

#[test]
fn a_value_outside_the_enumeration_is_rejected() {
    let schema = schema_of(properties(json!({ "a": { "type": "string", "enum": ["x", "y"] } })));

    assert_eq!(refused(&schema, json!({ "a": "z" })), r#"spec.a: Unsupported value: "z": supported values: "x", "y""#);
}

#[test]
fn bounds_are_kept() {
    let schema = schema_of(properties(json!({
        "number": { "type": "integer", "minimum": 1, "maximum": 5, "exclusiveMaximum": true },
        "text": { "type": "string", "minLength": 2, "maxLength": 3, "pattern": "^a" },
        "list": { "type": "array", "minItems": 1, "maxItems": 2, "items": { "type": "string" } },
    })));
    let cases = [
        (
            json!({ "number": 0 }),
            "spec.number: Invalid value: 0: spec.number in body should be greater than or equal to 1",
        ),
        (json!({ "number": 5 }), "spec.number: Invalid value: 5: spec.number in body should be less than 5"),
        (json!({ "text": "a" }), r#"spec.text: Invalid value: "a": spec.text in body should be at least 2 chars long"#),
        (json!({ "text": "abcd" }), "spec.text: Too long: may not be more than 3 bytes"),
        (json!({ "text": "bb" }), r#"spec.text: Invalid value: "bb": spec.text in body should match '^a'"#),
        (json!({ "list": [] }), "spec.list: Invalid value: 0: spec.list in body should have at least 1 items"),
        (json!({ "list": ["a", "b", "c"] }), "spec.list: Too many: 3: must have at most 2 items"),
    ];

    for (spec, words) in cases {
        assert_eq!(refused(&schema, spec), words);
    }
}

#[test]
fn a_time_must_be_valid() {
    let schema = schema_of(properties(json!({ "at": { "type": "string", "format": "date-time" } })));

    assert_eq!(
        refused(&schema, json!({ "at": "noon" })),
        r#"spec.at: Invalid value: "noon": spec.at in body must be of type date-time: "noon""#
    );
    assert_eq!(admitted(&schema, json!({ "at": "2026-01-01T00:00:00Z" })), json!({ "at": "2026-01-01T00:00:00Z" }));
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let accepted = ["1h30m", "1.5s", "0", "22 ns", "-1ms"].map(|text| formats::Format::Duration.accepts(text));
    let refused = ["", "1", "h", "1x", "1hour"].map(|text| formats::Format::Duration.accepts(text));

    assert_eq!((accepted, refused), ([true; 5], [false; 5]));
}

#[test]
fn a_list_map_has_no_duplicate_keys() {
    let items = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let list = json!({ "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": items });
    let schema = schema_of(properties(json!({ "list": list })));

    let words = refused(&schema, json!({ "list": [{ "name": "a" }, { "name": "a" }] }));

    assert_eq!(words, r#"spec.list[1]: Duplicate value: {"name":"a"}"#);
}

#[test]
fn exactly_one_of_the_alternatives_must_match() {
    let schema = schema_of(json!({
        "type": "object",
        "properties": { "a": { "type": "string" }, "b": { "type": "string" } },
        "oneOf": [{ "required": ["a"] }, { "required": ["b"] }],
    }));

    assert_eq!(
        refused(&schema, json!({ "a": "", "b": "" })),
        r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#
    );
}

fn with_rule(rule: Value) -> Schema {
    let mut spec = properties(json!({ "a": { "type": "integer" }, "b": { "type": "string" } }));
    spec["x-kubernetes-validations"] = json!([rule]);
    schema_of(spec)
}

#[test]
fn a_violated_rule_is_reported_with_its_message() {
    let schema = with_rule(json!({ "rule": "self.a > 1", "message": "a is too small" }));

    assert_eq!(refused(&schema, json!({ "a": 1 })), r#"spec: Invalid value: "object": a is too small"#);
}

#[test]
fn a_rule_without_a_message_is_its_own() {
    let schema = with_rule(json!({ "rule": "self.a > 1" }));

    assert_eq!(refused(&schema, json!({ "a": 1 })), r#"spec: Invalid value: "object": failed rule: self.a > 1"#);
}

#[test]
fn a_transition_rule_compares_with_the_old_object() {
    let schema = with_rule(json!({ "rule": "self == oldSelf", "message": "is immutable" }));
    let old = object(json!({ "a": 1 }));

    let created = schema.admit(&mut object(json!({ "a": 2 })), None);
    let changed = schema.admit(&mut object(json!({ "a": 2 })), Some(&old)).unwrap_err();

    assert_eq!(created, Ok(()));
    assert_eq!(Cause::joined(&changed), r#"spec: Invalid value: "object": is immutable"#);
}

#[test]
fn counts_and_the_selector_of_scale_must_be_what_they_are() {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let schema = json!({ "type": "object", "properties": { "spec": open } });
    let scale =
        json!({ "specReplicasPath": ".spec.n", "statusReplicasPath": ".spec.a.m", "labelSelectorPath": ".spec.s" });
    let version = json!({ "name": "v1", "schema": { "openAPIV3Schema": schema }, "subresources": { "scale": scale } });
    let schema = Schema::of_crd(&json!({ "spec": { "versions": [version] } }), "v1").unwrap();

    assert_eq!(admitted(&schema, json!({ "n": 1, "s": "a=b" })), json!({ "n": 1, "s": "a=b" }));
    assert_eq!(refused(&schema, json!({ "n": -1 })), ".spec.n: Invalid value: -1: should be a non-negative integer");
    assert_eq!(
        refused(&schema, json!({ "a": 1, "s": 2 })),
        "[.spec.a.m: Invalid value: 0: .spec.a.m accessor error: 1 is of the type int64, expected map[string]interface{}, \
         .spec.s: Invalid value: \"\": .spec.s accessor error: 2 is of the type int64, expected string]"
    );
}

#[test]
fn rules_are_evaluated_only_for_a_structurally_valid_object() {
    let schema = with_rule(json!({ "rule": "self.a > 1" }));

    let causes = schema.admit(&mut object(json!({ "a": "x" })), None).unwrap_err();

    assert_eq!(causes.len(), 2);
    assert!(Cause::joined(&causes).contains("<nil>: Invalid value: null: some validation rules were not checked"));
}

#[test]
fn unchanged_errors_are_ignored() {
    let schema = schema_of(properties(json!({ "a": { "type": "integer", "maximum": 5 }, "b": { "type": "string" } })));
    let old = object(json!({ "a": 9, "b": "x" }));

    assert_eq!(schema.admit(&mut object(json!({ "a": 9, "b": "y" })), Some(&old)), Ok(()));
    assert!(schema.admit(&mut object(json!({ "a": 8, "b": "y" })), Some(&old)).is_err());
}

#[test]
fn an_invalid_rule_makes_the_schema_unusable() {
    let schema = json!({ "type": "object", "x-kubernetes-validations": [{ "rule": "self.(" }] });
    let crd = json!({ "spec": { "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": schema } }] } });

    assert!(matches!(Schema::of_crd(&crd, "v1"), Err(SchemaError::Rule(_))));
}

#[test]
fn a_schema_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}

    shared::<Schema>();
}

fn crds(folder: &std::path::Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "yaml"))
        .map(|file| std::fs::read_to_string(file).unwrap());
    let documents = texts.flat_map(|text| {
        serde_yaml::Deserializer::from_str(&text)
            .map(|document| serde::Deserialize::deserialize(document).unwrap())
            .collect::<Vec<Value>>()
    });
    documents.filter(|document| document["kind"] == "CustomResourceDefinition").collect()
}

fn schemas(crds: &[Value]) -> Vec<(String, Schema)> {
    let versions = crds.iter().flat_map(|crd| {
        let versions = crd["spec"]["versions"].as_array().unwrap();
        versions.iter().map(move |version| {
            let (kind, version) = (crd["spec"]["names"]["kind"].as_str().unwrap(), version["name"].as_str().unwrap());
            (format!("{kind}/{version}"), Schema::of_crd(crd, version).unwrap())
        })
    });
    versions.collect()
}

fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn own(kind: &str) -> Schema {
    schemas(&crds(&root().join("crds"))).into_iter().find(|(name, _)| name == kind).unwrap().1
}

#[test]
fn our_own_definitions_are_valid() {
    let names: Vec<String> = schemas(&crds(&root().join("crds"))).into_iter().map(|(name, _)| name).collect();

    assert!(names.contains(&"Rollout/v1alpha1".to_owned()), "{names:?}");
}

#[test]
fn the_selector_of_a_rollout_is_immutable() {
    let schema = own("Rollout/v1alpha1");
    let rollout = |app: &str| object(json!({ "selector": { "matchLabels": { "app": app } }, "template": { "a": 1 } }));

    let causes = schema.admit(&mut rollout("b"), Some(&rollout("a"))).unwrap_err();

    assert_eq!(Cause::joined(&causes), r#"spec.selector: Invalid value: "object": .spec.selector is immutable"#);
}

/// The definitions exist once `tests/tools/build.sh` has run.
#[test]
fn the_gateway_definitions_are_valid_and_validate_a_route() {
    let folder = root().join("tests/tools/bin/crds/gateway-api");
    let Some(crds) = folder.is_dir().then(|| crds(&folder)) else { return };
    let schemas = schemas(&crds);
    let route = &schemas.iter().find(|(name, _)| name == "HTTPRoute/v1").unwrap().1;
    let spec = |weight: i64| json!({ "rules": [{ "backendRefs": [{ "name": "a", "port": 80, "weight": weight }] }] });

    let rule = &admitted(route, spec(10))["rules"][0];

    assert_eq!(
        rule["backendRefs"][0],
        json!({ "group": "", "kind": "Service", "name": "a", "port": 80, "weight": 10 })
    );
    assert_eq!(rule["matches"], json!([{ "path": { "type": "PathPrefix", "value": "/" } }]));
    assert!(refused(route, spec(-1)).starts_with("spec.rules[0].backendRefs[0].weight: Invalid value: -1"));
}

#[derive(serde::Deserialize)]
struct Recorded {
    kind: String,
    spec: Value,
    after: Option<Value>,
    causes: Option<Vec<[String; 3]>>,
}

/// What kube-apiserver 1.34.4 made of objects of real definitions.
#[test]
fn real_definitions_judge_objects_as_on_the_real_server() {
    let mut known = schemas(&crds(&root().join("crds")));
    let gateway = root().join("tests/tools/bin/crds/gateway-api");
    known.extend(gateway.is_dir().then(|| schemas(&crds(&gateway))).into_iter().flatten());
    let recorded: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    for Recorded { kind, spec, after, causes } in recorded {
        let Some((_, schema)) = known.iter().find(|(name, _)| *name == kind) else { continue };
        let mut sent = object(spec.clone());

        let refusal = schema.admit(&mut sent, None).err().map(|causes| {
            let texts = causes.into_iter().map(|cause| [cause.field, cause.reason.as_str().to_owned(), cause.message]);
            let mut texts: Vec<[String; 3]> = texts.collect();
            texts.sort();
            texts
        });

        assert_eq!(refusal, causes, "{kind} {spec}");
        if let Some(after) = after {
            assert_eq!(sent["spec"], after, "{kind} {spec}");
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i8>().prop_map(Value::from)];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]|spec|metadata", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn pruning_is_idempotent(value in any_value()) {
        let inner = properties(json!({ "b": { "type": "object", "additionalProperties": properties(json!({ "c": {} })) } }));
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "a": inner } });
        let list = json!({ "type": "array", "items": inner });
        let schema = schema_of(properties(json!({ "a": inner, "b": open, "c": list })));
        let mut once = json!({ "spec": value });
        schema.prune(&mut once);
        let mut twice = once.clone();

        schema.prune(&mut twice);

        prop_assert_eq!(&twice, &once);
        prop_assert!(schema.unknown_fields(&once).is_empty());
    }
}
