//! Merge, JSON and strategic merge patches.

use anyhow::Result;
use serde_json::{Value, json};

use crate::place::{Format, Place, config_map, expect, gadget, replica_set};

async fn made(place: &Place) -> Result<Value> {
    place.post(&place.config_maps(""), &config_map("a", "1")).await?.is(201)
}

pub async fn a_null_in_a_merge_patch_removes(place: &Place) -> Result<()> {
    made(place).await?;
    let patched = place.merge(&place.config_maps("a"), &json!({ "data": { "a": null, "b": "2" } })).await?.is(200)?;
    expect(patched["data"] == json!({ "b": "2" }), "not merged", &patched)
}

pub async fn a_stale_merge_patch_is_a_conflict(place: &Place) -> Result<()> {
    let first = made(place).await?;
    place.merge(&place.config_maps("a"), &json!({ "data": { "a": "2" } })).await?.is(200)?;
    let version = &first["metadata"]["resourceVersion"];
    let patch = json!({ "metadata": { "resourceVersion": version }, "data": { "a": "3" } });
    place.merge(&place.config_maps("a"), &patch).await?.refused(409, "Conflict").map(drop)
}

pub async fn a_failed_test_is_unprocessable(place: &Place) -> Result<()> {
    made(place).await?;
    let patch = json!([
        { "op": "replace", "path": "/data/a", "value": "2" },
        { "op": "test", "path": "/metadata/name", "value": "b" },
    ]);
    place.patch(Format::Json, &place.config_maps("a"), &patch).await?.refused(422, "Invalid")?;
    let read = place.get(&place.config_maps("a")).await?.is(200)?;
    expect(read["data"]["a"] == "1", "changed in part", &read)
}

pub async fn a_json_patch_applies_in_order(place: &Place) -> Result<()> {
    made(place).await?;
    let patch = json!([
        { "op": "add", "path": "/data/b", "value": "2" },
        { "op": "test", "path": "/data/b", "value": "2" },
        { "op": "move", "from": "/data/b", "path": "/data/c" },
        { "op": "remove", "path": "/data/a" },
    ]);
    let patched = place.patch(Format::Json, &place.config_maps("a"), &patch).await?.is(200)?;
    expect(patched["data"] == json!({ "c": "2" }), "not patched", &patched)
}

pub async fn a_test_for_null_passes_where_nothing_is(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let patch = json!([
        { "op": "test", "path": "/metadata/labels", "value": null },
        { "op": "add", "path": "/metadata/labels", "value": { "team": "x" } },
    ]);
    place.patch(Format::Json, &place.gadgets("a"), &patch).await?.is(200)?;
    place.patch(Format::Json, &place.gadgets("a"), &patch).await?.refused(422, "Invalid")?;
    let member = json!([
        { "op": "test", "path": "/metadata/labels/role", "value": null },
        { "op": "add", "path": "/metadata/labels/role", "value": "y" },
    ]);
    let patched = place.patch(Format::Json, &place.gadgets("a"), &member).await?.is(200)?;
    expect(patched["metadata"]["labels"] == json!({ "team": "x", "role": "y" }), "not patched", &patched)
}

pub async fn a_json_patch_that_is_none_is_refused(place: &Place) -> Result<()> {
    made(place).await?;
    let path = place.config_maps("a");
    let answer = place.quietly("PATCH", &path, "application/json-patch+json", "{}".to_owned()).await?;
    answer.refused(400, "BadRequest").map(drop)
}

pub async fn a_strategic_patch_merges_containers_by_name(place: &Place) -> Result<()> {
    place.post(&place.replica_sets(""), &replica_set("a")).await?.is(201)?;
    let containers =
        json!([{ "name": "main", "image": "example.com/app:2" }, { "name": "side", "image": "example.com/side:1" }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    let patched = place.patch(Format::Strategic, &place.replica_sets("a"), &patch).await?.is(200)?;
    let found = &patched["spec"]["template"]["spec"]["containers"];
    let kept = found
        .as_array()
        .into_iter()
        .flatten()
        .any(|one| one["ports"][0]["containerPort"] == 80 && one["image"] == "example.com/app:2");
    expect(kept && found.as_array().map(Vec::len) == Some(2), "not merged", &patched)
}

pub async fn a_custom_resource_takes_no_strategic_patch(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let answer = place.patch(Format::Strategic, &place.gadgets("a"), &json!({ "spec": { "colour": "blue" } })).await?;
    answer.refused(415, "UnsupportedMediaType").map(drop)
}

pub async fn a_patch_does_not_rename(place: &Place) -> Result<()> {
    made(place).await?;
    let patch = json!({ "metadata": { "name": "b" } });
    place.merge(&place.config_maps("a"), &patch).await?.refused(400, "BadRequest").map(drop)
}

pub async fn a_patch_of_what_is_not_there_is_not_found(place: &Place) -> Result<()> {
    place.merge(&place.config_maps("a"), &json!({ "data": {} })).await?.refused(404, "NotFound").map(drop)
}

pub async fn a_patch_that_changes_nothing_keeps_the_version(place: &Place) -> Result<()> {
    let first = made(place).await?;
    let patched = place.merge(&place.config_maps("a"), &json!({ "data": { "a": "1" } })).await?.is(200)?;
    expect(patched == first, "changed", &patched)
}

pub async fn a_dry_run_patch_changes_nothing(place: &Place) -> Result<()> {
    let first = made(place).await?;
    let path = place.config_maps("a?dryRun=All");
    let patched = place.merge(&path, &json!({ "data": { "a": "2" } })).await?.is(200)?;
    expect(patched["data"]["a"] == "2", "not shown", &patched)?;
    let read = place.get(&place.config_maps("a")).await?.is(200)?;
    expect(read == first, "stored", &read)
}
