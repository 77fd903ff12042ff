//! Rules are found at every position, and see values as the schema types them.

use serde_json::json;

use super::tests::{admitted, object, properties, refused, schema_of};
use super::*;

#[test]
fn a_rule_deep_in_lists_and_maps_names_the_place() {
    let rule = json!({ "rule": "self.b < 5", "message": "b is too large", "fieldPath": ".b" });
    let mut inner = properties(json!({ "b": { "type": "integer" }, "c": { "type": "string" } }));
    inner["x-kubernetes-validations"] = json!([rule]);
    let lists = json!({ "type": "array", "items": { "type": "object", "additionalProperties": inner } });
    let schema = schema_of(properties(json!({ "a": lists, "d": { "type": "string" } })));

    let words = refused(&schema, json!({ "a": [{ "x": { "b": 1 } }, { "y": { "b": 9, "c": "z" } }], "d": "e" }));

    assert_eq!(words, r#"spec.a[1].y.b: Invalid value: "integer": b is too large"#);
}

#[test]
fn a_rule_sees_times_and_odd_keys_below_it_as_their_schema_says() {
    let times = properties(json!({ "at": { "type": "string", "format": "date-time" } }));
    let labels = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let mut spec = properties(json!({ "times": times, "labels": labels, "plain": properties(json!({ "x": {} })) }));
    spec["x-kubernetes-validations"] =
        json!([{ "rule": "self.times.at.getFullYear() == 2026 && self.labels['a.b/c'] == 'd' && has(self.plain.x)" }]);
    let schema = schema_of(spec);
    let spec = |year: u32| json!({ "times": { "at": format!("{year}-01-01T00:00:00Z") }, "labels": { "a.b/c": "d" }, "plain": { "x": 1 } });

    assert_eq!(admitted(&schema, spec(2026)), spec(2026));
    assert!(refused(&schema, spec(2027)).contains("failed rule"));
}

#[test]
fn a_transition_rule_in_a_list_compares_items_by_their_place() {
    let mut item = properties(json!({ "b": { "type": "integer" } }));
    item["x-kubernetes-validations"] = json!([{ "rule": "self.b >= oldSelf.b", "message": "b must not fall" }]);
    let schema = schema_of(properties(json!({ "a": { "type": "array", "items": item } })));
    let old = object(json!({ "a": [{ "b": 1 }, { "b": 5 }] }));

    let grown = schema.admit(&mut object(json!({ "a": [{ "b": 1 }, { "b": 6 }, { "b": 0 }] })), Some(&old));
    let fallen = schema.admit(&mut object(json!({ "a": [{ "b": 1 }, { "b": 4 }] })), Some(&old)).unwrap_err();

    assert_eq!(grown, Ok(()));
    assert_eq!(Cause::joined(&fallen), r#"spec.a[1]: Invalid value: "object": b must not fall"#);
}
