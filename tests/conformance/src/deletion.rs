//! Deletion, finalizers, and what goes with an object.

use anyhow::Result;
use serde_json::{Value, json};

use crate::place::{Place, config_map, expect, gadget, names, pod};

async fn made(place: &Place, name: &str) -> Result<Value> {
    place.post(&place.config_maps(""), &config_map(name, "1")).await?.is(201)
}

/// A ConfigMap that names owners.
fn owned(name: &str, owners: &[&Value]) -> Value {
    let mut body = config_map(name, "1");
    let references = owners.iter().map(|owner| {
        json!({
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "blockOwnerDeletion": true,
            "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        })
    });
    body["metadata"]["ownerReferences"] = references.collect();
    body
}

pub async fn a_deletion_tells_what_is_gone(place: &Place) -> Result<()> {
    let object = made(place, "a").await?;
    let status = place.delete(&place.config_maps("a"), &json!({})).await?.is(200)?;
    place.get(&place.config_maps("a")).await?.refused(404, "NotFound")?;
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    place.delete(&place.gadgets("a"), &json!({})).await?.is(200)?;
    let right = status["status"] == "Success" && status["details"]["uid"] == object["metadata"]["uid"];
    expect(right, "no success", &status)
}

pub async fn a_deletion_of_what_is_not_there_is_not_found(place: &Place) -> Result<()> {
    place.delete(&place.config_maps("a"), &json!({})).await?.refused(404, "NotFound").map(drop)
}

pub async fn a_finalizer_holds_an_object(place: &Place) -> Result<()> {
    let mut body = gadget("a");
    body["metadata"]["finalizers"] = json!(["kulta.io/hold"]);
    place.post(&place.gadgets(""), &body).await?.is(201)?;
    let path = place.gadgets("a");
    let held = place.delete(&path, &json!({})).await?.is(200)?;
    let again = place.delete(&path, &json!({})).await?.is(200)?;
    expect(
        held["metadata"]["deletionTimestamp"].is_string() && held["metadata"]["generation"] == 2,
        "not held",
        &held,
    )?;
    expect(held == again, "changed", &again)?;
    let last = place.merge(&path, &json!({ "metadata": { "finalizers": null } })).await?.is(200)?;
    place.get(&path).await?.refused(404, "NotFound")?;
    expect(last["metadata"]["finalizers"].is_null(), "not released", &last)
}

pub async fn no_finalizer_is_added_to_what_is_being_deleted(place: &Place) -> Result<()> {
    let mut body = config_map("a", "1");
    body["metadata"]["finalizers"] = json!(["kulta.io/hold"]);
    place.post(&place.config_maps(""), &body).await?.is(201)?;
    let path = place.config_maps("a");
    place.delete(&path, &json!({})).await?.is(200)?;
    let more = json!({ "metadata": { "finalizers": ["kulta.io/hold", "kulta.io/more"] } });
    place.merge(&path, &more).await?.refused(422, "Invalid")?;
    place.merge(&path, &json!({ "metadata": { "finalizers": [] } })).await?.is(200).map(drop)
}

pub async fn a_uid_guards_a_deletion(place: &Place) -> Result<()> {
    let object = made(place, "a").await?;
    let path = place.config_maps("a");
    let other = json!({ "preconditions": { "uid": "00000000-0000-4000-8000-000000000000" } });
    place.delete(&path, &other).await?.refused(409, "Conflict")?;
    place.delete(&path, &json!({ "preconditions": { "uid": object["metadata"]["uid"] } })).await?.is(200).map(drop)
}

pub async fn a_version_guards_a_deletion(place: &Place) -> Result<()> {
    let object = made(place, "a").await?;
    let path = place.config_maps("a");
    place.merge(&path, &json!({ "data": { "a": "2" } })).await?.is(200)?;
    let guard = json!({ "preconditions": { "resourceVersion": object["metadata"]["resourceVersion"] } });
    place.delete(&path, &guard).await?.refused(409, "Conflict").map(drop)
}

pub async fn a_dry_run_deletes_nothing(place: &Place) -> Result<()> {
    made(place, "a").await?;
    let path = place.config_maps("a?dryRun=All");
    place.send("DELETE", &path, "application/json", String::new()).await?.is(200)?;
    place.delete(&place.config_maps("a"), &json!({ "dryRun": ["All"] })).await?.is(200)?;
    place.get(&place.config_maps("a")).await?.is(200).map(drop)
}

pub async fn a_collection_is_deleted_by_label(place: &Place) -> Result<()> {
    made(place, "a").await?;
    made(place, "b").await?;
    place.delete(&place.config_maps("?labelSelector=app%3Da"), &json!({})).await?.is(200)?;
    place.get(&place.config_maps("a")).await?.refused(404, "NotFound")?;
    place.get(&place.config_maps("b")).await?.is(200).map(drop)
}

pub async fn dependents_go_with_their_owner(place: &Place) -> Result<()> {
    let (one, two) = (made(place, "one").await?, made(place, "two").await?);
    place.post(&place.config_maps(""), &owned("child", &[&one])).await?.is(201)?;
    let shared = place.post(&place.config_maps(""), &owned("shared", &[&one, &two])).await?.is(201)?;
    let grandchild = place.get(&place.config_maps("child")).await?.is(200)?;
    place.post(&place.config_maps(""), &owned("grandchild", &[&grandchild])).await?.is(201)?;
    place.delete(&place.config_maps("one"), &json!({ "propagationPolicy": "Background" })).await?.is(200)?;
    place.until(&place.config_maps("child"), 404, |_| true).await?;
    place.until(&place.config_maps("grandchild"), 404, |_| true).await?;
    let left = place
        .until(&place.config_maps("shared"), 200, |object| {
            object["metadata"]["ownerReferences"].as_array().is_none_or(|owners| owners.len() == 1)
        })
        .await;
    expect(left.is_ok(), "the owner that is gone is still named", &shared)
}

pub async fn foreground_deletion_waits_for_dependents(place: &Place) -> Result<()> {
    let owner = made(place, "owner").await?;
    let mut child = owned("child", &[&owner]);
    child["metadata"]["finalizers"] = json!(["kulta.io/hold"]);
    place.post(&place.config_maps(""), &child).await?.is(201)?;
    let waits =
        place.delete(&place.config_maps("owner"), &json!({ "propagationPolicy": "Foreground" })).await?.is(200)?;
    expect(waits["metadata"]["finalizers"] == json!(["foregroundDeletion"]), "does not wait", &waits)?;
    place.until(&place.config_maps("child"), 200, |child| child["metadata"]["deletionTimestamp"].is_string()).await?;
    place.get(&place.config_maps("owner")).await?.is(200)?;
    place.merge(&place.config_maps("child"), &json!({ "metadata": { "finalizers": null } })).await?.is(200)?;
    place.until(&place.config_maps("owner"), 404, |_| true).await.map(drop)
}

pub async fn orphans_stay(place: &Place) -> Result<()> {
    let owner = made(place, "owner").await?;
    place.post(&place.config_maps(""), &owned("child", &[&owner])).await?.is(201)?;
    place.delete(&place.config_maps("owner"), &json!({ "propagationPolicy": "Orphan" })).await?.is(200)?;
    place.until(&place.config_maps("owner"), 404, |_| true).await?;
    place
        .until(&place.config_maps("child"), 200, |child| child["metadata"]["ownerReferences"].is_null())
        .await
        .map(drop)
}

pub async fn a_dependent_of_nobody_goes(place: &Place) -> Result<()> {
    let owner = made(place, "owner").await?;
    place.delete(&place.config_maps("owner"), &json!({})).await?.is(200)?;
    place.post(&place.config_maps(""), &owned("child", &[&owner])).await?.is(201)?;
    place.until(&place.config_maps("child"), 404, |_| true).await.map(drop)
}

pub async fn a_pod_that_no_node_runs_goes_at_once(place: &Place) -> Result<()> {
    place.post(&place.pods(""), &pod("a")).await?.is(201)?;
    let deleted = place.delete(&place.pods("a"), &json!({})).await?.is(200)?;
    place.get(&place.pods("a")).await?.refused(404, "NotFound")?;
    expect(deleted["kind"] == "Pod", "not the pod", &deleted)
}

pub async fn an_eviction_deletes_a_pod(place: &Place) -> Result<()> {
    place.post(&place.pods(""), &pod("a")).await?.is(201)?;
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "a", "namespace": place.namespace } });
    let answer = place.post(&place.pods("a/eviction"), &body).await?.is(201)?;
    place.get(&place.pods("a")).await?.refused(404, "NotFound")?;
    place.post(&place.pods("a/eviction"), &body).await?.refused(404, "NotFound")?;
    expect(answer["status"] == "Success", "no success", &answer)
}

fn inner_namespace(place: &Place) -> (String, Value) {
    let name = format!("{}-in", place.namespace);
    let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    (format!("/api/v1/namespaces/{name}"), body)
}

pub async fn a_namespace_takes_all_with_it(place: &Place) -> Result<()> {
    let (path, body) = inner_namespace(place);
    let new = place.post("/api/v1/namespaces", &body).await?.is(201)?;
    place.post(&format!("{path}/configmaps"), &config_map("a", "1")).await?.is(201)?;
    let deleted = place.quietly("DELETE", &path, "application/json", String::new()).await?.is(200)?;
    place.until(&path, 404, |_| true).await?;
    place.get(&format!("{path}/configmaps/a")).await?.refused(404, "NotFound")?;
    expect(new["status"]["phase"] == "Active" && deleted["status"]["phase"] == "Terminating", "phases", &deleted)
}

pub async fn nothing_is_created_in_a_namespace_that_ends(place: &Place) -> Result<()> {
    let (path, body) = inner_namespace(place);
    place.post("/api/v1/namespaces", &body).await?.is(201)?;
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["kulta.io/hold"]);
    place.post(&format!("{path}/configmaps"), &held).await?.is(201)?;
    place.quietly("DELETE", &path, "application/json", String::new()).await?.is(200)?;
    place.post(&format!("{path}/configmaps"), &config_map("b", "1")).await?.refused(403, "Forbidden")?;
    place
        .until(&format!("{path}/configmaps/held"), 200, |held| held["metadata"]["deletionTimestamp"].is_string())
        .await?;
    let release = json!({ "metadata": { "finalizers": null } });
    place.merge(&format!("{path}/configmaps/held"), &release).await?.is(200)?;
    place.until(&path, 404, |_| true).await?;
    let left = place.get(&format!("{path}/configmaps")).await?.is(200)?;
    expect(names(&left).is_empty(), "something is left", &left)
}
