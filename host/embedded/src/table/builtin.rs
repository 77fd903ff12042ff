//! Columns of the built-in kinds.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::age::since;
use super::{count, list, pod, text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ConfigMap,
    Deployment,
    EndpointSlice,
    Event,
    Lease,
    Namespace,
    Pod,
    ReplicaSet,
    Secret,
    Service,
    Other,
}

pub(super) const NONE: &str = "<none>";
/// Number of a list's entries in a cell.
const SHOWN: usize = 3;

/// A column; those with a priority above 0 are shown by `-o wide` only.
pub(super) fn definition(name: &str, kind: &str, format: &str, priority: u8) -> Value {
    json!({ "name": name, "type": kind, "format": format, "description": "", "priority": priority })
}

const TEXT: &str = "string";
const INTEGER: &str = "integer";

type Columns = &'static [(&'static str, &'static str, u8)];

impl Kind {
    pub fn of(kind: &str) -> Self {
        match kind {
            "ConfigMap" => Self::ConfigMap,
            "Deployment" => Self::Deployment,
            "EndpointSlice" => Self::EndpointSlice,
            "Event" => Self::Event,
            "Lease" => Self::Lease,
            "Namespace" => Self::Namespace,
            "Pod" => Self::Pod,
            "ReplicaSet" => Self::ReplicaSet,
            "Secret" => Self::Secret,
            "Service" => Self::Service,
            _ => Self::Other,
        }
    }

    pub fn columns(self) -> Vec<Value> {
        let columns: Columns = match self {
            Self::ConfigMap => &[("Name", TEXT, 0), ("Data", TEXT, 0), ("Age", TEXT, 0)],
            Self::Deployment => &[
                ("Name", TEXT, 0),
                ("Ready", TEXT, 0),
                ("Up-to-date", TEXT, 0),
                ("Available", TEXT, 0),
                ("Age", TEXT, 0),
                ("Containers", TEXT, 1),
                ("Images", TEXT, 1),
                ("Selector", TEXT, 1),
            ],
            Self::EndpointSlice => &[
                ("Name", TEXT, 0),
                ("AddressType", TEXT, 0),
                ("Ports", TEXT, 0),
                ("Endpoints", TEXT, 0),
                ("Age", TEXT, 0),
            ],
            Self::Event => &[
                ("Last Seen", TEXT, 0),
                ("Type", TEXT, 0),
                ("Reason", TEXT, 0),
                ("Object", TEXT, 0),
                ("Subobject", TEXT, 1),
                ("Source", TEXT, 1),
                ("Message", TEXT, 0),
                ("First Seen", TEXT, 1),
                ("Count", TEXT, 1),
                ("Name", TEXT, 1),
            ],
            Self::Lease => &[("Name", TEXT, 0), ("Holder", TEXT, 0), ("Age", TEXT, 0)],
            Self::Namespace => &[("Name", TEXT, 0), ("Status", TEXT, 0), ("Age", TEXT, 0)],
            Self::Pod => &[
                ("Name", TEXT, 0),
                ("Ready", TEXT, 0),
                ("Status", TEXT, 0),
                ("Restarts", TEXT, 0),
                ("Age", TEXT, 0),
                ("IP", TEXT, 1),
                ("Node", TEXT, 1),
                ("Nominated Node", TEXT, 1),
                ("Readiness Gates", TEXT, 1),
            ],
            Self::ReplicaSet => &[
                ("Name", TEXT, 0),
                ("Desired", INTEGER, 0),
                ("Current", INTEGER, 0),
                ("Ready", INTEGER, 0),
                ("Age", TEXT, 0),
                ("Containers", TEXT, 1),
                ("Images", TEXT, 1),
                ("Selector", TEXT, 1),
            ],
            Self::Secret => &[("Name", TEXT, 0), ("Type", TEXT, 0), ("Data", TEXT, 0), ("Age", TEXT, 0)],
            Self::Service => &[
                ("Name", TEXT, 0),
                ("Type", TEXT, 0),
                ("Cluster-IP", TEXT, 0),
                ("External-IP", TEXT, 0),
                ("Port(s)", TEXT, 0),
                ("Age", TEXT, 0),
                ("Selector", TEXT, 1),
            ],
            Self::Other => &[("Name", TEXT, 0), ("Created At", "date", 0)],
        };
        let format = |name: &str| if name == "Name" { "name" } else { "" };
        columns.iter().map(|(name, kind, priority)| definition(name, kind, format(name), *priority)).collect()
    }

    pub fn cells(self, object: &Value, now: Timestamp) -> Vec<Value> {
        let name = Value::from(text(object, "/metadata/name"));
        let age = Value::from(since(object.pointer("/metadata/creationTimestamp"), now));
        let of = |pointer: &str| Value::from(text(object, pointer));
        match self {
            Self::ConfigMap => vec![name, entries(object, &["/data", "/binaryData"]), age],
            Self::Deployment => {
                let (wanted, ready) = (count(object, "/spec/replicas"), count(object, "/status/readyReplicas"));
                let mut cells = vec![name, format!("{ready}/{wanted}").into()];
                cells.push(count(object, "/status/updatedReplicas").to_string().into());
                cells.push(count(object, "/status/availableReplicas").to_string().into());
                cells.push(age);
                cells.extend(template(object));
                cells
            }
            Self::EndpointSlice => {
                let addresses = list(object, "/endpoints").iter().flat_map(|endpoint| list(endpoint, "/addresses"));
                let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
                let ports: Vec<String> = list(object, "/ports").iter().map(port).collect();
                vec![name, of("/addressType"), shortened(&ports).into(), shortened(&addresses).into(), age]
            }
            Self::Event => event(object, now),
            Self::Lease => vec![name, of("/spec/holderIdentity"), age],
            Self::Namespace => vec![name, of("/status/phase"), age],
            Self::Pod => pod::cells(object, now),
            Self::ReplicaSet => {
                let mut cells = vec![name];
                let counts = ["/spec/replicas", "/status/replicas", "/status/readyReplicas"];
                cells.extend(counts.map(|pointer| Value::from(count(object, pointer))));
                cells.push(age);
                cells.extend(template(object));
                cells
            }
            Self::Secret => vec![name, of("/type"), entries(object, &["/data"]), age],
            Self::Service => service(object, name, age),
            Self::Other => vec![name, of("/metadata/creationTimestamp")],
        }
    }
}

fn entries(object: &Value, pointers: &[&str]) -> Value {
    let sizes = pointers.iter().filter_map(|pointer| object.pointer(pointer)?.as_object().map(Map::len));
    sizes.sum::<usize>().into()
}

/// Names and images of the template's containers, and the selector.
fn template(object: &Value) -> [Value; 3] {
    let containers = list(object, "/spec/template/spec/containers");
    let joined = |field: &str| containers.iter().map(|container| text(container, field)).collect::<Vec<_>>().join(",");
    [joined("/name").into(), joined("/image").into(), selector(object.pointer("/spec/selector")).into()]
}

fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return NONE.to_owned() };
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut parts: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    for expression in list(selector, "/matchExpressions") {
        let key = text(expression, "/key");
        let mut values: Vec<&str> = list(expression, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        parts.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort_unstable();
    if parts.is_empty() { NONE.to_owned() } else { parts.join(",") }
}

fn port(port: &Value) -> String {
    match port.get("port").and_then(Value::as_i64) {
        Some(number) => number.to_string(),
        None => port.get("name").and_then(Value::as_str).unwrap_or("*").to_owned(),
    }
}

fn shortened(items: &[String]) -> String {
    let shown = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(",");
    match items.len() {
        0 => "<unset>".to_owned(),
        many if many > SHOWN => format!("{shown} + {} more...", many - SHOWN),
        _ => shown,
    }
}

fn or_none(text: String) -> Value {
    if text.is_empty() { NONE.into() } else { text.into() }
}

fn service(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let texts = |pointer: &str| list(object, pointer).iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let outer = texts("/spec/externalIPs").join(",");
    let ports = list(object, "/spec/ports").iter().map(|port| {
        let (number, node) = (count(port, "/port"), count(port, "/nodePort"));
        let protocol = text(port, "/protocol");
        if node > 0 { format!("{number}:{node}/{protocol}") } else { format!("{number}/{protocol}") }
    });
    let balanced = list(object, "/status/loadBalancer/ingress").iter().map(|ingress| match text(ingress, "/ip") {
        "" => text(ingress, "/hostname"),
        ip => ip,
    });
    let external = match text(object, "/spec/type") {
        "ClusterIP" | "NodePort" => or_none(outer),
        "LoadBalancer" => {
            let all: Vec<&str> = balanced.chain(texts("/spec/externalIPs")).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",").into() }
        }
        "ExternalName" => text(object, "/spec/externalName").into(),
        _ => "<unknown>".into(),
    };
    let labels = object.pointer("/spec/selector").and_then(Value::as_object).into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    vec![
        name,
        text(object, "/spec/type").into(),
        or_none(texts("/spec/clusterIPs").first().map(|&ip| ip.to_owned()).unwrap_or_default()),
        external,
        or_none(ports.collect::<Vec<_>>().join(",")),
        age,
        or_none(labels.join(",")),
    ]
}

fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let at = |pointer: &str| object.pointer(pointer).filter(|time| !time.is_null());
    let first = since(at("/firstTimestamp").or(at("/eventTime")), now);
    let series = object.get("series").filter(|series| series.is_object());
    let last = match (series, at("/lastTimestamp")) {
        (Some(series), _) => since(series.get("lastObservedTime"), now),
        (None, Some(time)) => since(Some(time), now),
        (None, None) => first.clone(),
    };
    let times = series.map_or_else(|| count(object, "/count").max(1), |series| count(series, "/count"));
    let kind = text(object, "/involvedObject/kind").to_lowercase();
    let target = match text(object, "/involvedObject/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let either = |one: &str, other: &str| match text(object, one) {
        "" => text(object, other).to_owned(),
        text => text.to_owned(),
    };
    let component = either("/source/component", "/reportingComponent");
    let source = match either("/source/host", "/reportingInstance").as_str() {
        "" => component,
        instance => format!("{component}, {instance}"),
    };
    vec![
        last.into(),
        text(object, "/type").into(),
        text(object, "/reason").into(),
        target.into(),
        text(object, "/involvedObject/fieldPath").into(),
        source.into(),
        text(object, "/message").trim().into(),
        first.into(),
        times.into(),
        text(object, "/metadata/name").into(),
    ]
}
