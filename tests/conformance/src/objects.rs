//! Creating, reading and replacing.

use anyhow::Result;
use serde_json::{Value, json};

use crate::place::{Place, config_map, expect, gadget, names, pod, replica_set};

pub async fn a_new_object_gets_uid_version_and_time(place: &Place) -> Result<()> {
    let made = place.post(&place.config_maps(""), &config_map("a", "1")).await?.is(201)?;
    let read = place.get(&place.config_maps("a")).await?.is(200)?;
    let metadata = &made["metadata"];
    let whole = ["uid", "resourceVersion", "creationTimestamp"].iter().all(|field| metadata[field].is_string());
    expect(whole && made == read, "not complete", &made)
}

pub async fn a_name_that_is_taken_is_refused(place: &Place) -> Result<()> {
    place.post(&place.config_maps(""), &config_map("a", "1")).await?.is(201)?;
    let status = place.post(&place.config_maps(""), &config_map("a", "2")).await?.refused(409, "AlreadyExists")?;
    expect(status["details"]["kind"] == "configmaps", "which kind", &status)
}

pub async fn an_object_that_is_not_there_is_not_found(place: &Place) -> Result<()> {
    place.get(&place.config_maps("a")).await?.refused(404, "NotFound")?;
    place.get(&place.replica_sets("a")).await?.refused(404, "NotFound")?;
    place.get(&place.gadgets("a")).await?.refused(404, "NotFound").map(drop)
}

pub async fn a_namespace_that_is_not_there_is_not_found(place: &Place) -> Result<()> {
    let path = "/api/v1/namespaces/conformance-nowhere/configmaps";
    place.post(path, &config_map("a", "1")).await?.refused(404, "NotFound")?;
    let list = place.get(path).await?.is(200)?;
    expect(names(&list).is_empty(), "a list of nothing", &list)
}

pub async fn an_object_of_another_namespace_is_refused(place: &Place) -> Result<()> {
    let mut body = config_map("a", "1");
    body["metadata"]["namespace"] = "other".into();
    place.post(&place.config_maps(""), &body).await?.refused(400, "BadRequest").map(drop)
}

pub async fn a_name_that_is_no_name_is_refused(place: &Place) -> Result<()> {
    place.post(&place.config_maps(""), &config_map("A_b", "1")).await?.is(422).map(drop)?;
    place.post(&place.gadgets(""), &gadget("A_b")).await?.refused(422, "Invalid").map(drop)
}

pub async fn an_object_without_a_name_is_refused(place: &Place) -> Result<()> {
    let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {} });
    place.post(&place.config_maps(""), &body).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_name_is_generated(place: &Place) -> Result<()> {
    let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": "a-" } });
    let path = place.config_maps("");
    let made = place.quietly("POST", &path, "application/json", body.to_string()).await?.is(201)?;
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    expect(name.starts_with("a-") && name.len() == 7, "no generated name", &made)
}

pub async fn a_generated_name_has_63_characters_at_most(place: &Place) -> Result<()> {
    let prefix = format!("{}-", "a".repeat(69));
    let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": prefix } });
    let path = place.config_maps("");
    let made = place.quietly("POST", &path, "application/json", body.to_string()).await?.is(201)?;
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    expect(name.starts_with(&"a".repeat(58)) && name.len() == 63, "not cut", &made)
}

pub async fn a_dry_run_stores_nothing(place: &Place) -> Result<()> {
    let path = place.config_maps("?dryRun=All");
    let made = place.post(&path, &config_map("a", "1")).await?.is(201)?;
    place.get(&place.config_maps("a")).await?.refused(404, "NotFound")?;
    expect(made["metadata"]["uid"].is_string(), "not completed", &made)
}

pub async fn another_dry_run_is_refused(place: &Place) -> Result<()> {
    let path = place.config_maps("?dryRun=Some");
    place.post(&path, &config_map("a", "1")).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_new_object_with_a_version_is_refused(place: &Place) -> Result<()> {
    let mut body = config_map("a", "1");
    body["metadata"]["resourceVersion"] = "5".into();
    place.post(&place.config_maps(""), &body).await?.is(500).map(drop)
}

pub async fn an_object_of_another_kind_is_refused(place: &Place) -> Result<()> {
    place.post(&place.config_maps(""), &pod("a")).await?.refused(400, "BadRequest")?;
    let mut body = gadget("a");
    body["apiVersion"] = "conformance.kulta.io/v9".into();
    place.post(&place.gadgets(""), &body).await?.refused(400, "BadRequest").map(drop)
}

pub async fn broken_json_is_refused(place: &Place) -> Result<()> {
    let path = place.config_maps("");
    let answer = place.quietly("POST", &path, "application/json", "{".to_owned()).await?;
    answer.refused(400, "BadRequest").map(drop)
}

async fn two_versions(place: &Place) -> Result<(Value, Value)> {
    let first = place.post(&place.config_maps(""), &config_map("a", "1")).await?.is(201)?;
    let second = place.merge(&place.config_maps("a"), &json!({ "data": { "a": "2" } })).await?.is(200)?;
    Ok((first, second))
}

pub async fn a_stale_put_is_a_conflict(place: &Place) -> Result<()> {
    let (first, second) = two_versions(place).await?;
    place.put(&place.config_maps("a"), &first).await?.refused(409, "Conflict")?;
    let read = place.get(&place.config_maps("a")).await?.is(200)?;
    expect(read == second, "changed all the same", &read)
}

pub async fn a_put_of_the_newest_version_is_taken(place: &Place) -> Result<()> {
    let (_, mut second) = two_versions(place).await?;
    second["data"]["a"] = "3".into();
    let put = place.put(&place.config_maps("a"), &second).await?.is(200)?;
    let risen = put["metadata"]["resourceVersion"] != second["metadata"]["resourceVersion"];
    expect(risen && put["data"]["a"] == "3", "not replaced", &put)
}

pub async fn a_put_without_a_version_is_taken(place: &Place) -> Result<()> {
    two_versions(place).await?;
    let put = place.put(&place.config_maps("a"), &config_map("a", "3")).await?.is(200)?;
    expect(put["data"]["a"] == "3", "not replaced", &put)
}

pub async fn a_custom_resource_needs_a_version_to_be_put(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    place.put(&place.gadgets("a"), &gadget("a")).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_put_under_another_name_is_refused(place: &Place) -> Result<()> {
    two_versions(place).await?;
    place.put(&place.config_maps("a"), &config_map("b", "1")).await?.refused(400, "BadRequest").map(drop)
}

pub async fn a_put_of_what_is_not_there_is_not_found(place: &Place) -> Result<()> {
    place.put(&place.config_maps("a"), &config_map("a", "1")).await?.refused(404, "NotFound").map(drop)
}

pub async fn a_lease_is_created_by_put(place: &Place) -> Result<()> {
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "a" },
        "spec": { "holderIdentity": "one", "leaseDurationSeconds": 15 },
    });
    let path = place.path("coordination.k8s.io/v1", "leases/a");
    place.put(&path, &body).await?.is(201)?;
    place.put(&path, &body).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_put_that_changes_nothing_keeps_the_version(place: &Place) -> Result<()> {
    let (_, second) = two_versions(place).await?;
    let put = place.put(&place.config_maps("a"), &second).await?.is(200)?;
    expect(put["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"], "a new version", &put)
}

pub async fn a_put_for_another_uid_is_a_conflict(place: &Place) -> Result<()> {
    let (_, mut second) = two_versions(place).await?;
    second["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000".into();
    place.put(&place.config_maps("a"), &second).await?.refused(409, "Conflict").map(drop)
}

pub async fn a_label_that_is_none_is_refused(place: &Place) -> Result<()> {
    let mut body = config_map("a", "1");
    body["metadata"]["labels"]["app"] = "not a label".into();
    place.post(&place.config_maps(""), &body).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_method_that_makes_no_sense_is_refused(place: &Place) -> Result<()> {
    place.put(&place.config_maps(""), &config_map("a", "1")).await?.refused(405, "MethodNotAllowed")?;
    place.post(&place.config_maps("a"), &config_map("a", "1")).await?.refused(405, "MethodNotAllowed").map(drop)
}

pub async fn a_body_of_another_media_type_is_refused(place: &Place) -> Result<()> {
    let body = config_map("a", "1").to_string();
    let path = place.config_maps("");
    place.send("POST", &path, "text/plain", body.clone()).await?.refused(415, "UnsupportedMediaType")?;
    place.post(&path, &config_map("a", "1")).await?.is(201)?;
    let answer = place.send("PATCH", &place.config_maps("a"), "application/json", body).await?;
    answer.refused(415, "UnsupportedMediaType").map(drop)
}

pub async fn an_unknown_field_is_refused_when_asked_strictly(place: &Place) -> Result<()> {
    let mut body = gadget("a");
    body["spec"]["nonsense"] = 1.into();
    place.post(&place.gadgets("?fieldValidation=Strict"), &body).await?.refused(400, "BadRequest").map(drop)
}

pub async fn a_replica_set_is_completed(place: &Place) -> Result<()> {
    let made = place.post(&place.replica_sets(""), &replica_set("a")).await?.is(201)?;
    let spec = &made["spec"]["template"]["spec"];
    let right = spec["restartPolicy"] == "Always" && spec["containers"][0]["imagePullPolicy"] == "IfNotPresent";
    expect(right && made["metadata"]["generation"] == 1, "not completed", &made)
}

pub async fn a_pod_is_completed(place: &Place) -> Result<()> {
    let made = place.post(&place.pods(""), &pod("a")).await?.is(201)?;
    let right = made["status"]["phase"] == "Pending" && made["spec"]["terminationGracePeriodSeconds"] == 30;
    expect(right && made["spec"]["containers"][0]["imagePullPolicy"] == "Always", "not completed", &made)
}

pub async fn a_service_gets_an_address_and_keeps_it(place: &Place) -> Result<()> {
    let body = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a" },
        "spec": { "selector": { "app": "a" }, "ports": [{ "port": 80 }] },
    });
    let made = place.post(&place.path("v1", "services"), &body).await?.is(201)?;
    let put = place.put(&place.path("v1", "services/a"), &body).await?.is(200)?;
    let kept = made["spec"]["clusterIP"].is_string() && put["spec"]["clusterIP"] == made["spec"]["clusterIP"];
    expect(kept && made["spec"]["ports"][0]["targetPort"] == 80, "not completed", &made)
}

pub async fn a_selector_must_match_and_never_changes(place: &Place) -> Result<()> {
    let mut body = replica_set("a");
    body["spec"]["selector"]["matchLabels"]["app"] = "b".into();
    place.post(&place.replica_sets(""), &body).await?.refused(422, "Invalid")?;
    place.post(&place.replica_sets(""), &replica_set("a")).await?.is(201)?;
    let labels = json!({ "app": "a", "more": "x" });
    let patch =
        json!({ "spec": { "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } } });
    place.merge(&place.replica_sets("a"), &patch).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_pods_spec_does_not_change(place: &Place) -> Result<()> {
    place.post(&place.pods(""), &pod("a")).await?.is(201)?;
    let path = place.pods("a");
    let patch = json!({ "spec": { "restartPolicy": "Never" } });
    // The message shows the whole difference, as Go prints it.
    let answer = place.quietly("PATCH", &path, "application/merge-patch+json", patch.to_string()).await?;
    answer.refused(422, "Invalid")?;
    let image = json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": "example.com/app:2" }]);
    let patched = place.patch(crate::place::Format::Json, &path, &image).await?.is(200)?;
    expect(patched["metadata"]["generation"] == 2, "not counted", &patched)
}

/// An event of the newer form, which has an `eventTime`.
fn event(place: &Place, name: &str, change: Value) -> Value {
    let mut event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": name, "namespace": place.namespace },
        "involvedObject": { "kind": "Thing", "name": "thing", "namespace": place.namespace },
        "type": "Normal", "reason": "Tested", "message": "m", "action": "Tested",
        "reportingComponent": "kulta", "reportingInstance": "kulta", "eventTime": "2026-01-01T00:00:00.000000Z",
    });
    if let (Some(event), Value::Object(change)) = (event.as_object_mut(), change) {
        event.extend(change);
    }
    event
}

pub async fn an_event_with_a_time_is_whole_and_short(place: &Place) -> Result<()> {
    let path = place.path("v1", "events");
    place.post(&path, &event(place, "long", json!({ "message": "m".repeat(1_024) }))).await?.is(201)?;
    for change in [
        json!({ "message": "m".repeat(1_025) }),
        json!({ "message": "\u{e4}".repeat(513) }),
        json!({ "action": "a".repeat(129), "reason": "r".repeat(129), "reportingInstance": "i".repeat(129) }),
        json!({ "action": "", "reason": "", "reportingInstance": "", "reportingComponent": "" }),
        json!({ "reportingComponent": "a/b/c" }),
    ] {
        place.post(&path, &event(place, "bad", change)).await?.refused(422, "Invalid")?;
    }
    let old = json!({ "message": "m".repeat(5_000), "action": null, "eventTime": null });
    place.post(&path, &event(place, "old", old)).await?.is(201).map(drop)
}

pub async fn an_event_is_in_the_namespace_of_what_it_is_about(place: &Place) -> Result<()> {
    let path = place.path("v1", "events");
    let elsewhere =
        json!({ "eventTime": null, "involvedObject": { "kind": "Thing", "name": "thing", "namespace": "other" } });
    place.post(&path, &event(place, "elsewhere", elsewhere)).await?.refused(422, "Invalid")?;
    let of_none = json!({ "involvedObject": { "kind": "Thing", "name": "thing" } });
    place.post(&path, &event(place, "of-none", of_none)).await?.refused(422, "Invalid").map(drop)
}
