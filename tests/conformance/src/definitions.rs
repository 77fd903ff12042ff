//! CustomResourceDefinitions.

use anyhow::Result;
use kube::Client;
use serde_json::{Value, json};

use crate::place::{Format, Place, expect, gadget};

const GROUP: &str = "conformance.kulta.io";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn definition(plural: &str, kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}") },
        "spec": {
            "group": GROUP, "scope": "Namespaced", "names": { "plural": plural, "kind": kind },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": spec,
                    "status": { "type": "object", "properties": { "replicas": { "type": "integer" } } },
                } } },
                "subresources": {
                    "status": {},
                    "scale": { "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" },
                },
                "selectableFields": [{ "jsonPath": ".spec.colour" }],
                "additionalPrinterColumns": [{ "name": "Colour", "type": "string", "jsonPath": ".spec.colour" }],
            }],
        },
    })
}

fn gadgets() -> Value {
    definition(
        "gadgets",
        "Gadget",
        &json!({
            "type": "object",
            "properties": {
                "replicas": { "type": "integer", "minimum": 0, "default": 1 },
                "colour": { "type": "string", "enum": ["red", "blue"] },
                "owner": {
                    "type": "string", "maxLength": 20,
                    "x-kubernetes-validations": [{ "rule": "self == oldSelf", "message": "an owner stays" }],
                },
                "parts": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object", "required": ["name"],
                        "properties": { "name": { "type": "string" }, "size": { "type": "integer" } },
                    },
                },
                "note": { "type": "string", "nullable": true },
                "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            },
        }),
    )
}

/// Installs the kind that all cases use; once for a server.
///
/// # Errors
/// When the server does not serve it in time.
pub async fn prepare(client: &Client) -> Result<()> {
    let place = Place::begin(client, "prepare").await?;
    let crd = gadgets();
    let name = crd["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("{DEFINITIONS}/{name}");
    let body = crd.to_string();
    place.quietly("PATCH", &format!("{path}?force=true"), Format::Apply.media_type(), body).await?;
    place.until(&path, 200, |crd| crd["status"]["conditions"].as_array().is_some_and(|all| all.len() == 2)).await?;
    place.until(&place.gadgets(""), 200, |_| true).await?;
    place.end().await
}

pub async fn unknown_fields_are_pruned(place: &Place) -> Result<()> {
    let mut body = gadget("a");
    body["spec"]["nonsense"] = 1.into();
    body["spec"]["free"] = json!({ "anything": { "goes": true } });
    body["spec"]["parts"] = json!([{ "name": "x", "nonsense": 1 }]);
    let made = place.post(&place.gadgets(""), &body).await?.is(201)?;
    let right = made["spec"]["nonsense"].is_null() && made["spec"]["free"]["anything"]["goes"] == true;
    expect(right && made["spec"]["parts"] == json!([{ "name": "x" }]), "not pruned", &made)
}

pub async fn defaults_are_filled_in(place: &Place) -> Result<()> {
    let made = place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let patched = place.merge(&place.gadgets("a"), &json!({ "spec": { "replicas": null } })).await?.is(200)?;
    expect(made["spec"]["replicas"] == 1 && patched["spec"]["replicas"] == 1, "no default", &made)
}

pub async fn a_null_is_dropped_unless_the_schema_allows_it(place: &Place) -> Result<()> {
    let mut body = gadget("a");
    body["spec"]["owner"] = Value::Null;
    body["spec"]["note"] = Value::Null;
    body["spec"]["parts"] = json!([{ "name": "x", "size": null }]);
    body["spec"]["free"] = json!({ "anything": null });
    let made = place.post(&place.gadgets(""), &body).await?.is(201)?;
    let stored = json!({ "colour": "red", "free": { "anything": null }, "note": null, "parts": [{ "name": "x" }], "replicas": 1 });
    expect(made["spec"] == stored, "not dropped", &made)?;
    let patch = json!([{ "op": "add", "path": "/spec/owner", "value": null }]);
    let patched = place.patch(Format::Json, &place.gadgets("a"), &patch).await?.is(200)?;
    expect(patched["spec"] == stored, "not dropped by a patch", &patched)
}

pub async fn what_the_schema_forbids_is_refused(place: &Place) -> Result<()> {
    for (field, value) in
        [("colour", json!("green")), ("replicas", json!(-1)), ("replicas", json!("two")), ("parts", json!([{}]))]
    {
        let mut body = gadget("a");
        body["spec"][field] = value;
        place.post(&place.gadgets(""), &body).await?.refused(422, "Invalid")?;
    }
    let mut doubled = gadget("a");
    doubled["spec"]["parts"] = json!([{ "name": "x" }, { "name": "x" }]);
    place.post(&place.gadgets(""), &doubled).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_rule_sees_the_old_value(place: &Place) -> Result<()> {
    let mut body = gadget("a");
    body["spec"]["owner"] = "me".into();
    place.post(&place.gadgets(""), &body).await?.is(201)?;
    let patch = json!({ "spec": { "owner": "you" } });
    let status = place.merge(&place.gadgets("a"), &patch).await?.refused(422, "Invalid")?;
    expect(status["details"]["causes"][0]["field"] == "spec.owner", "which field", &status)
}

pub async fn a_definition_is_served_and_goes_with_its_objects(place: &Place) -> Result<()> {
    let crd =
        definition("gizmos", "Gizmo", &json!({ "type": "object", "properties": { "colour": { "type": "string" } } }));
    let path = format!("{DEFINITIONS}/gizmos.{GROUP}");
    let gizmos = place.path(&format!("{GROUP}/v1"), "gizmos");
    place.quietly("POST", DEFINITIONS, "application/json", crd.to_string()).await?.is(201)?;
    place.until(&gizmos, 200, |_| true).await?;
    let body = json!({ "apiVersion": format!("{GROUP}/v1"), "kind": "Gizmo", "metadata": { "name": "a" } });
    place.post(&gizmos, &body).await?.is(201)?;
    place.quietly("DELETE", &path, "application/json", String::new()).await?.is(200)?;
    place.until(&path, 404, |_| true).await?;
    place.until(&gizmos, 404, |_| true).await.map(drop)
}

pub async fn a_definition_under_another_name_is_refused(place: &Place) -> Result<()> {
    let mut crd =
        definition("gizmos", "Gizmo", &json!({ "type": "object", "properties": { "colour": { "type": "string" } } }));
    crd["metadata"]["name"] = "other".into();
    place.post(DEFINITIONS, &crd).await?.refused(422, "Invalid").map(drop)
}

pub async fn a_defined_kind_is_discovered(place: &Place) -> Result<()> {
    let path = format!("/apis/{GROUP}/v1");
    let list = place
        .until(&path, 200, |list| {
            list["resources"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "gadgets"))
        })
        .await?;
    let found: Vec<&str> =
        list["resources"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    let parts = ["gadgets", "gadgets/status", "gadgets/scale"];
    expect(parts.iter().all(|name| found.contains(name)), "not discovered", &list)
}
