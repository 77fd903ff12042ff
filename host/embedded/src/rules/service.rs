//! Services, EndpointSlices and Secrets.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::Surroundings;
use crate::json::{copy, default, items, number, remove, set, text};
use crate::status::Cause;

/// A Service that shares no address.
const HEADLESS: &str = "None";
const EXTERNAL_NAME: &str = "ExternalName";
const CLUSTER_IP: &str = "ClusterIP";

pub fn defaults(service: &mut Value) {
    default(service, &["spec", "sessionAffinity"], "None");
    default(service, &["spec", "type"], CLUSTER_IP);
    let ports = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        default(port, &["protocol"], "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        default(port, &["targetPort"], number);
    }
    let kind = text(service, "/spec/type").to_owned();
    if kind != EXTERNAL_NAME {
        default(service, &["spec", "internalTrafficPolicy"], "Cluster");
    }
    if ["NodePort", "LoadBalancer"].contains(&kind.as_str()) {
        default(service, &["spec", "externalTrafficPolicy"], "Cluster");
    }
}

pub fn prepare_create(service: &mut Value, surroundings: &Surroundings) {
    set(service, &["status"], json!({ "loadBalancer": {} }));
    if text(service, "/spec/type") == EXTERNAL_NAME {
        return;
    }
    if text(service, "/spec/clusterIP").is_empty() {
        set(service, &["spec", "clusterIP"], surroundings.free_address.clone());
    }
    let address = service.pointer("/spec/clusterIP").cloned().unwrap_or_default();
    default(service, &["spec", "clusterIPs"], json!([address]));
    default(service, &["spec", "ipFamilies"], json!(["IPv4"]));
    default(service, &["spec", "ipFamilyPolicy"], "SingleStack");
}

/// A Service keeps its address when a writer leaves it out.
pub fn prepare_update(new: &mut Value, old: &Value) {
    if text(new, "/spec/type") == EXTERNAL_NAME || text(old, "/spec/type") == EXTERNAL_NAME {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if new.pointer(&format!("/spec/{field}")).is_none() {
            copy(old, new, &["spec", field]);
        }
    }
}

pub fn check(service: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = text(service, "/spec/type");
    let headless = text(service, "/spec/clusterIP") == HEADLESS;
    let ports: Vec<&Value> = items(service, "/spec/ports").collect();
    if ports.is_empty() && kind != EXTERNAL_NAME && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let found = number(port, "/port").unwrap_or(0);
        if !(1..=65535).contains(&found) {
            let field = format!("spec.ports[{index}].port");
            causes.push(Cause::invalid(&field, &found.into(), "must be between 1 and 65535, inclusive"));
        }
        if ports.len() > 1 && text(port, "/name").is_empty() {
            causes.push(Cause::required(&format!("spec.ports[{index}].name"), ""));
        }
    }
    if let Some(old) = old {
        let (new, before) = (text(service, "/spec/clusterIP"), text(old, "/spec/clusterIP"));
        if kind != EXTERNAL_NAME && !before.is_empty() && new != before {
            let why = "may not change once set";
            causes.push(Cause::invalid("spec.clusterIPs[0]", &json!([new]), why));
        }
    }
    causes
}

pub fn slice_defaults(slice: &mut Value) {
    for port in slice.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, &["name"], "");
        default(port, &["protocol"], "TCP");
    }
}

/// `stringData` is only ever written.
pub fn fold_string_data(secret: &mut Value) {
    let Some(Value::Object(texts)) = remove(secret, &["stringData"]) else { return };
    for (key, value) in texts {
        set(secret, &["data", &key], BASE64_STANDARD.encode(value.as_str().unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_secret_become_data() {
        let mut secret = json!({ "stringData": { "a": "foob" } });

        fold_string_data(&mut secret);

        assert_eq!(secret, json!({ "data": { "a": "Zm9vYg==" } }));
    }

    #[test]
    fn a_service_keeps_its_address() {
        let mut new = json!({ "spec": { "type": "ClusterIP" } });

        prepare_update(&mut new, &json!({ "spec": { "type": "ClusterIP", "clusterIP": "10.96.0.5" } }));

        assert_eq!(text(&new, "/spec/clusterIP"), "10.96.0.5");
    }
}
