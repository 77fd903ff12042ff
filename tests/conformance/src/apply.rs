//! Server-side apply.

use anyhow::Result;
use serde_json::{Value, json};

use crate::place::{Answer, Format, Place, config_map, expect, gadget, replica_set};

async fn apply(place: &Place, path: &str, manager: &str, body: &Value) -> Result<Answer> {
    place.patch(Format::Apply, &format!("{path}?fieldManager={manager}"), body).await
}

fn data(value: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": value })
}

pub async fn an_apply_creates(place: &Place) -> Result<()> {
    let made = apply(place, &place.config_maps("a"), "one", &config_map("a", "1")).await?.is(201)?;
    let manager = &made["metadata"]["managedFields"][0];
    expect(manager["manager"] == "one" && manager["operation"] == "Apply", "not managed", &made)
}

pub async fn an_apply_of_anothers_field_is_a_conflict(place: &Place) -> Result<()> {
    apply(place, &place.config_maps("a"), "one", &data(json!({ "a": "1" }))).await?.is(201)?;
    let refused = apply(place, &place.config_maps("a"), "two", &data(json!({ "a": "2" }))).await?;
    let status = refused.refused(409, "Conflict")?;
    let cause = &status["details"]["causes"][0];
    expect(cause["reason"] == "FieldManagerConflict" && cause["field"] == ".data.a", "which field", &status)
}

pub async fn a_forced_apply_takes_the_field(place: &Place) -> Result<()> {
    apply(place, &place.config_maps("a"), "one", &data(json!({ "a": "1" }))).await?.is(201)?;
    let path = place.config_maps("a");
    let taken = place
        .patch(Format::Apply, &format!("{path}?fieldManager=two&force=true"), &data(json!({ "a": "2" })))
        .await?
        .is(200)?;
    expect(taken["data"]["a"] == "2", "not taken", &taken)?;
    apply(place, &path, "one", &data(json!({ "a": "1" }))).await?.refused(409, "Conflict").map(drop)
}

pub async fn what_is_not_applied_any_more_goes(place: &Place) -> Result<()> {
    apply(place, &place.config_maps("a"), "one", &data(json!({ "a": "1", "b": "1" }))).await?.is(201)?;
    apply(place, &place.config_maps("a"), "two", &data(json!({ "b": "1" }))).await?.is(200)?;
    let left = apply(place, &place.config_maps("a"), "one", &data(json!({ "c": "1" }))).await?.is(200)?;
    expect(left["data"] == json!({ "b": "1", "c": "1" }), "wrong fields", &left)
}

pub async fn an_apply_needs_a_manager(place: &Place) -> Result<()> {
    let path = place.config_maps("a?fieldManager=");
    place.patch(Format::Apply, &path, &data(json!({}))).await?.refused(422, "Invalid").map(drop)
}

pub async fn an_apply_without_change_keeps_the_version(place: &Place) -> Result<()> {
    let first = apply(place, &place.gadgets("a"), "one", &gadget("a")).await?.is(201)?;
    let second = apply(place, &place.gadgets("a"), "one", &gadget("a")).await?.is(200)?;
    expect(first == second, "changed", &second)
}

pub async fn lists_with_keys_are_merged(place: &Place) -> Result<()> {
    place.post(&place.replica_sets(""), &replica_set("a")).await?.is(201)?;
    let body = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "a" },
        "spec": { "template": { "spec": { "containers": [{ "name": "side", "image": "example.com/side:1" }] } } },
    });
    let applied = apply(place, &place.replica_sets("a"), "two", &body).await?.is(200)?;
    let containers = applied["spec"]["template"]["spec"]["containers"].as_array().map(Vec::len);
    expect(containers == Some(2), "not merged", &applied)?;

    let parts = |name: &str| {
        let mut body = gadget("g");
        body["spec"] = json!({ "parts": [{ "name": name, "size": 1 }] });
        body
    };
    apply(place, &place.gadgets("g"), "one", &parts("x")).await?.is(201)?;
    let applied = apply(place, &place.gadgets("g"), "two", &parts("y")).await?.is(200)?;
    expect(applied["spec"]["parts"].as_array().map(Vec::len) == Some(2), "not merged", &applied)
}

pub async fn yaml_is_applied(place: &Place) -> Result<()> {
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: \"1\"\n";
    let path = place.config_maps("a?fieldManager=one");
    let made = place.send("PATCH", &path, "application/apply-patch+yaml", body.to_owned()).await?.is(201)?;
    expect(made["data"]["a"] == "1", "not applied", &made)
}

pub async fn a_status_is_applied_apart(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let mut body = gadget("a");
    body["status"] = json!({ "replicas": 3 });
    body["spec"] = json!({ "colour": "blue" });
    let applied = apply(place, &place.gadgets("a/status"), "two", &body).await?.is(200)?;
    expect(applied["status"]["replicas"] == 3 && applied["spec"]["colour"] == "red", "not apart", &applied)
}

pub async fn force_is_for_applies_only(place: &Place) -> Result<()> {
    place.post(&place.config_maps(""), &config_map("a", "1")).await?.is(201)?;
    place.merge(&place.config_maps("a?force=true"), &json!({ "data": {} })).await?.refused(422, "Invalid").map(drop)
}
