//! Generations, the status and the scale.

use anyhow::Result;
use serde_json::json;

use crate::place::{Place, expect, gadget, replica_set};

pub async fn the_generation_counts_changes_of_the_spec(place: &Place) -> Result<()> {
    let made = place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let path = place.gadgets("a");
    let labelled = place.merge(&path, &json!({ "metadata": { "labels": { "a": "b" } } })).await?.is(200)?;
    let changed = place.merge(&path, &json!({ "spec": { "colour": "blue" } })).await?.is(200)?;
    let status = place.merge(&place.gadgets("a/status"), &json!({ "status": { "replicas": 1 } })).await?.is(200)?;
    let found: Vec<_> =
        [made, labelled, changed, status].iter().map(|object| object["metadata"]["generation"].clone()).collect();
    expect(found == [json!(1), json!(1), json!(2), json!(2)], "generations", &json!(found))
}

pub async fn a_status_write_leaves_the_rest(place: &Place) -> Result<()> {
    let mut made = place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    made["spec"]["colour"] = "blue".into();
    made["metadata"]["labels"] = json!({ "a": "b" });
    made["status"] = json!({ "replicas": 2 });
    let put = place.put(&place.gadgets("a/status"), &made).await?.is(200)?;
    let apart = put["spec"]["colour"] == "red" && put["metadata"]["labels"].is_null();
    expect(apart && put["status"]["replicas"] == 2, "not apart", &put)
}

pub async fn another_write_leaves_the_status(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    place.merge(&place.gadgets("a/status"), &json!({ "status": { "replicas": 2 } })).await?.is(200)?;
    let patch = json!({ "spec": { "colour": "blue" }, "status": { "replicas": 9 } });
    let patched = place.merge(&place.gadgets("a"), &patch).await?.is(200)?;
    expect(patched["status"]["replicas"] == 2 && patched["spec"]["colour"] == "blue", "not apart", &patched)
}

pub async fn a_new_object_has_no_status(place: &Place) -> Result<()> {
    let mut body = gadget("a");
    body["status"] = json!({ "replicas": 2 });
    let made = place.post(&place.gadgets(""), &body).await?.is(201)?;
    expect(made["status"].is_null(), "a status", &made)
}

pub async fn a_replica_sets_status_is_written_apart(place: &Place) -> Result<()> {
    let mut body = replica_set("a");
    // Nobody else minds a ReplicaSet that is somebody's.
    body["status"] = json!({ "replicas": 7 });
    let made = place.post(&place.replica_sets(""), &body).await?.is(201)?;
    expect(made["status"]["replicas"] == 0, "a status", &made)?;
    let got =
        place.quietly("GET", &place.replica_sets("a/status"), "application/json", String::new()).await?.is(200)?;
    expect(got["spec"]["replicas"] == 0, "not the object", &got)
}

pub async fn a_scale_shows_and_changes_replicas(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let path = place.gadgets("a/scale");
    let mut scale = place.get(&path).await?.is(200)?;
    expect(scale["kind"] == "Scale" && scale["spec"]["replicas"] == 1, "no scale", &scale)?;
    scale["spec"]["replicas"] = 4.into();
    place.put(&path, &scale).await?.is(200)?;
    place.merge(&path, &json!({ "spec": { "replicas": 5 } })).await?.is(200)?;
    let read = place.get(&place.gadgets("a")).await?.is(200)?;
    expect(read["spec"]["replicas"] == 5 && read["metadata"]["generation"] == 3, "not scaled", &read)
}

pub async fn a_replica_set_is_scaled(place: &Place) -> Result<()> {
    place.post(&place.replica_sets(""), &replica_set("a")).await?.is(201)?;
    let path = place.replica_sets("a/scale");
    let scale = place.get(&path).await?.is(200)?;
    expect(scale["status"]["selector"] == "app=a", "no selector", &scale)?;
    let patched = place.merge(&path, &json!({ "spec": { "replicas": 0 } })).await?.is(200)?;
    expect(patched["spec"]["replicas"] == 0, "not scaled", &patched)
}

pub async fn a_negative_scale_is_refused(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let path = place.gadgets("a/scale");
    place.merge(&path, &json!({ "spec": { "replicas": -1 } })).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_stale_status_is_a_conflict(place: &Place) -> Result<()> {
    let made = place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    place.merge(&place.gadgets("a"), &json!({ "spec": { "colour": "blue" } })).await?.is(200)?;
    let version = &made["metadata"]["resourceVersion"];
    let patch = json!({ "metadata": { "resourceVersion": version }, "status": { "replicas": 1 } });
    place.merge(&place.gadgets("a/status"), &patch).await?.refused(409, "Conflict").map(drop)
}
