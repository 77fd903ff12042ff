//! Pods and pod templates.

use serde_json::{Value, json};

use super::meta::label_faults;
use crate::json::{default, items, number, put, remove, set, text};
use crate::status::Cause;

/// Seconds that a pod stays on a node that is not ready or not reachable.
const TOLERATED: i64 = 300;
/// Default in seconds.
const GRACE: i64 = 30;

/// The lists of containers in a pod's spec.
const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

pub fn defaults(pod: &mut Value) {
    for list in CONTAINERS {
        for container in containers_mut(pod, list) {
            let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned();
            for (resource, limit) in limits.into_iter().flatten() {
                default(container, &["resources", "requests", &resource], limit);
            }
        }
    }
    default(pod, &["spec", "enableServiceLinks"], true);
    if let Some(spec) = pod.get_mut("spec") {
        spec_defaults(spec);
    }
}

fn containers_mut<'a>(pod: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    let spec = pod.get_mut("spec");
    spec.and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Defaults of a pod's spec, in a pod and in a template.
pub fn spec_defaults(spec: &mut Value) {
    default(spec, &["dnsPolicy"], "ClusterFirst");
    default(spec, &["restartPolicy"], "Always");
    default(spec, &["securityContext"], json!({}));
    default(spec, &["terminationGracePeriodSeconds"], GRACE);
    default(spec, &["schedulerName"], "default-scheduler");
    // Two names of one field.
    if let Some(account) = spec.get("serviceAccountName").or_else(|| spec.get("serviceAccount")).cloned() {
        default(spec, &["serviceAccountName"], account.clone());
        default(spec, &["serviceAccount"], account);
    }
    for list in CONTAINERS {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(container_defaults);
    }
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    volumes.into_iter().flatten().for_each(volume_defaults);
}

fn container_defaults(container: &mut Value) {
    let policy = if is_latest(text(container, "/image")) { "Always" } else { "IfNotPresent" };
    default(container, &["imagePullPolicy"], policy);
    default(container, &["resources"], json!({}));
    default(container, &["terminationMessagePath"], "/dev/termination-log");
    default(container, &["terminationMessagePolicy"], "File");
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default(port, &["protocol"], "TCP");
    }
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(field, &["apiVersion"], "v1");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe) else { continue };
        for (field, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            default(probe, &[field], value);
        }
        if let Some(get) = probe.get_mut("httpGet") {
            default(get, &["path"], "/");
            default(get, &["scheme"], "HTTP");
        }
    }
}

/// Whether an image has the tag `latest`, or none and no digest.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume_defaults(volume: &mut Value) {
    /// rw-r--r--
    const MODE: i64 = 0o644;
    if volume.as_object().is_some_and(|fields| fields.keys().all(|key| key == "name")) {
        set(volume, &["emptyDir"], json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source) {
            default(source, &["defaultMode"], MODE);
        }
    }
    if let Some(path) = volume.get_mut("hostPath") {
        default(path, &["type"], "");
    }
}

pub fn prepare_create(pod: &mut Value) {
    let class = quality_of_service(pod);
    set(pod, &["status"], json!({ "phase": "Pending", "qosClass": class }));
    default(pod, &["spec", "preemptionPolicy"], "PreemptLowerPriority");
    default(pod, &["spec", "priority"], 0);
    let mut tolerations: Vec<Value> = items(pod, "/spec/tolerations").cloned().collect();
    for taint in ["not-ready", "unreachable"] {
        let key = format!("node.kubernetes.io/{taint}");
        if !tolerations.iter().any(|toleration| text(toleration, "/key") == key) {
            tolerations.push(
                json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATED }),
            );
        }
    }
    set(pod, &["spec", "tolerations"], tolerations);
}

fn quality_of_service(pod: &Value) -> &'static str {
    let all: Vec<&Value> = CONTAINERS
        .iter()
        .flat_map(|list| items(pod, &format!("/spec/{list}")))
        .filter_map(|one| one.get("resources"))
        .collect();
    let named = |resources: &Value, side: &str, what: &str| {
        resources.get(side).and_then(|side| side.get(what)).filter(|amount| *amount != "0").cloned()
    };
    let pairs: Vec<(Option<Value>, Option<Value>)> = all
        .iter()
        .flat_map(|resources| {
            ["cpu", "memory"].map(|what| (named(resources, "requests", what), named(resources, "limits", what)))
        })
        .collect();
    if pairs.iter().all(|pair| *pair == (None, None)) {
        "BestEffort"
    } else if pairs.iter().all(|(request, limit)| limit.is_some() && request == limit) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// The mutable fields of an existing pod's spec.
fn without_mutable(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in CONTAINERS {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            remove(container, &["image"]);
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"] {
        put(&mut spec, &[field], None);
    }
    spec
}

pub fn check(pod: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = check_spec(pod.get("spec"), "spec");
    if let (Some(new), Some(before)) = (pod.get("spec"), old.and_then(|old| old.get("spec")))
        && without_mutable(new) != without_mutable(before)
    {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                   tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        causes.push(Cause::forbidden("spec", why));
    }
    causes
}

/// Faults of a pod's spec, in a pod and in a template.
pub fn check_spec(spec: Option<&Value>, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let containers: Vec<&Value> = spec.map(|spec| items(spec, "/containers").collect()).unwrap_or_default();
    if containers.is_empty() {
        causes.push(Cause::required(&format!("{field}.containers"), ""));
    }
    for (index, container) in containers.iter().enumerate() {
        for required in ["name", "image"] {
            if container.get(required).and_then(Value::as_str).unwrap_or_default().is_empty() {
                causes.push(Cause::required(&format!("{field}.containers[{index}].{required}"), ""));
            }
        }
    }
    causes
}

pub fn check_template(template: Option<&Value>, field: &str) -> Vec<Cause> {
    let labels = template.and_then(|template| template.pointer("/metadata/labels"));
    let mut causes = label_faults(labels, &format!("{field}.labels"));
    causes.extend(check_spec(template.and_then(|template| template.get("spec")), &format!("{field}.spec")));
    causes
}

/// Seconds from a deletion until the node may remove the pod. A pod without a node is removed at once.
pub fn grace_period(pod: &Value, asked: Option<i64>) -> i64 {
    let over = ["Failed", "Succeeded"].contains(&text(pod, "/status/phase"));
    if over || text(pod, "/spec/nodeName").is_empty() {
        return 0;
    }
    let period = asked.or_else(|| number(pod, "/spec/terminationGracePeriodSeconds")).unwrap_or(0);
    if period < 0 { 1 } else { period }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_always_pulled() {
        assert!(is_latest("nginx") && is_latest("a.example:5000/nginx") && is_latest("nginx:latest"));
        assert!(!is_latest("nginx:1.27") && !is_latest("nginx@sha256:00"));
    }

    #[test]
    fn a_pod_without_requests_is_best_effort() {
        let pod = json!({ "spec": { "containers": [{ "name": "a", "resources": {} }] } });

        assert_eq!(quality_of_service(&pod), "BestEffort");
    }

    #[test]
    fn limits_become_requests_and_make_a_pod_guaranteed() {
        let mut pod = json!({ "spec": { "containers": [{ "name": "a", "resources": { "limits": { "cpu": "1", "memory": "1Gi" } } }] } });

        defaults(&mut pod);

        assert_eq!(quality_of_service(&pod), "Guaranteed");
    }

    #[test]
    fn a_pod_without_a_node_has_no_grace_period() {
        let pod = json!({ "spec": { "terminationGracePeriodSeconds": 30 } });

        assert_eq!(grace_period(&pod, Some(10)), 0);
    }
}
