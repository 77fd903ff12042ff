//! EndpointSlices: one for each Service with a selector, with all of its pods.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    client::{Client, Watched},
    pods::is_ready,
};
use crate::{
    json::{items, meta, number, set, text},
    kind::Key,
    selector::Labels,
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// The pods that a Service selects; none without a selector.
pub fn selector(service: &Value) -> Option<Labels> {
    let labels =
        service.pointer("/spec/selector").filter(|selector| selector.as_object().is_some_and(|map| !map.is_empty()))?;
    Labels::of_object(&json!({"matchLabels": labels})).ok()
}

/// Reconciles a Service's slice.
pub fn publish(client: &Client, key: &Key) -> Option<Timestamp> {
    let service = client.get(Watched::Service, key)?;
    let selector = selector(&service)?;
    if meta::deleting(&service) {
        return None;
    }
    let mut pods = client.list_in(Watched::Pod, key.namespace());
    pods.retain(|pod| {
        let over = ["Failed", "Succeeded"].contains(&text(pod, "/status/phase"));
        selector.matches(pod) && !over && !text(pod, "/status/podIP").is_empty()
    });
    let endpoints: Value = pods.iter().map(|pod| endpoint(&service, pod)).collect();
    let found = slices(client, key).into_iter().find(|slice| label(slice, MANAGED_BY) == MANAGER);
    match found {
        Some(slice) => {
            let mut new = Value::clone(&slice);
            set(&mut new, &["endpoints"], endpoints);
            set(&mut new, &["ports"], ports(&service, pods.first().map(AsRef::as_ref)));
            client.update(Watched::Slice, &slice, new);
        }
        None => {
            let owner = json!({
                "apiVersion": "v1", "kind": "Service", "name": meta::name(&service), "uid": meta::uid(&service),
                "controller": true, "blockOwnerDeletion": true,
            });
            let slice = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "generateName": format!("{}-", key.name()),
                    "labels": {SERVICE_NAME: key.name(), MANAGED_BY: MANAGER},
                    "ownerReferences": [owner],
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": ports(&service, pods.first().map(AsRef::as_ref)),
            });
            client.create(Watched::Slice, key.namespace(), slice);
        }
    }
    None
}

/// The Service of a slice.
pub fn service_of(slice: &Value) -> Option<Key> {
    let name = label(slice, SERVICE_NAME);
    (!name.is_empty()).then(|| Key::new(meta::namespace(slice), name))
}

/// All slices of a Service.
pub fn slices(client: &Client, service: &Key) -> Vec<Arc<Value>> {
    let mut slices = client.list_in(Watched::Slice, service.namespace());
    slices.retain(|slice| label(slice, SERVICE_NAME) == service.name());
    slices
}

fn label<'a>(object: &'a Value, name: &str) -> &'a str {
    object.pointer("/metadata/labels").and_then(|labels| labels.get(name)).and_then(Value::as_str).unwrap_or_default()
}

fn endpoint(service: &Value, pod: &Value) -> Value {
    let (serving, terminating) = (is_ready(pod), meta::deleting(pod));
    let always = service.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    json!({
        "addresses": [text(pod, "/status/podIP")],
        "conditions": {"ready": always || (serving && !terminating), "serving": serving, "terminating": terminating},
        "nodeName": text(pod, "/spec/nodeName"),
        "targetRef": {
            "kind": "Pod", "namespace": meta::namespace(pod), "name": meta::name(pod), "uid": meta::uid(pod),
        },
    })
}

/// A named target port is resolved with the first pod.
fn ports(service: &Value, pod: Option<&Value>) -> Value {
    let port = |port: &Value| {
        let target = match port.get("targetPort") {
            Some(Value::String(name)) => named_port(pod?, name)?,
            Some(Value::Number(_)) => number(port, "/targetPort")?,
            _ => number(port, "/port")?,
        };
        let protocol = Some(text(port, "/protocol")).filter(|protocol| !protocol.is_empty()).unwrap_or("TCP");
        Some(json!({"name": text(port, "/name"), "port": target, "protocol": protocol}))
    };
    items(service, "/spec/ports").filter_map(port).collect()
}

fn named_port(pod: &Value, name: &str) -> Option<i64> {
    let mut ports = items(pod, "/spec/containers").flat_map(|container| items(container, "/ports"));
    number(ports.find(|port| text(port, "/name") == name)?, "/containerPort")
}
