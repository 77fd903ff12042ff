//! Reads an HTTPRoute: its parents, its backends and their weights.

use serde_json::Value;

use super::client::{Client, Watched};
use crate::{
    json::{items, meta, number, text},
    kind::Key,
};

/// Default weight of a backend.
const WEIGHT: i64 = 1;

/// The Gateways that a route names.
pub fn parents(route: &Value) -> Vec<Key> {
    items(route, "/spec/parentRefs").filter_map(|parent| gateway_of(route, parent)).collect()
}

/// The Gateway that a parent reference names, if it is one.
pub fn gateway_of(route: &Value, parent: &Value) -> Option<Key> {
    let kind = text(parent, "/kind");
    (kind.is_empty() || kind == "Gateway").then(|| Key::new(namespace_of(route, parent), text(parent, "/name")))
}

fn namespace_of<'a>(route: &'a Value, reference: &'a Value) -> &'a str {
    Some(text(reference, "/namespace"))
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| meta::namespace(route))
}

/// Why a route's references are unresolved, in the Gateway API's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolved {
    InvalidKind,
    RefNotPermitted,
    BackendNotFound,
}

impl Unresolved {
    pub const fn reason(self) -> &'static str {
        match self {
            Self::InvalidKind => "InvalidKind",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::BackendNotFound => "BackendNotFound",
        }
    }
}

/// The first unresolved reference, and the reason. References to other namespaces are always denied: ReferenceGrants
/// are ignored.
pub fn unresolved(client: &Client, route: &Value) -> Option<(Unresolved, String)> {
    let mut references = items(route, "/spec/rules").flat_map(|rule| items(rule, "/backendRefs"));
    references.find_map(|reference| {
        let (namespace, name) = (namespace_of(route, reference), text(reference, "/name"));
        let kind = text(reference, "/kind");
        if !(kind.is_empty() || kind == "Service") || !text(reference, "/group").is_empty() {
            return Some((Unresolved::InvalidKind, format!("{kind} {name} is no Service")));
        }
        if namespace != meta::namespace(route) {
            return Some((Unresolved::RefNotPermitted, format!("Service {namespace}/{name} is in another namespace")));
        }
        let missing = client.get(Watched::Service, &Key::new(namespace, name)).is_none();
        missing.then(|| (Unresolved::BackendNotFound, format!("Service {namespace}/{name} is not there")))
    })
}

/// A backend of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub service: Key,
    pub port: i64,
    pub weight: u32,
}

/// The backends of the rule for a plain request: the first rule that matches by path alone.
pub fn shares(route: &Value) -> Vec<Share> {
    let plain = |rule: &&Value| {
        let mut matches = items(rule, "/matches").peekable();
        let by_path =
            |found: &Value| ["headers", "queryParams", "method"].iter().all(|field| found.get(field).is_none());
        matches.peek().is_none() || matches.any(by_path)
    };
    let Some(rule) = items(route, "/spec/rules").find(plain) else { return Vec::new() };
    let share = |reference: &Value| Share {
        service: Key::new(namespace_of(route, reference), text(reference, "/name")),
        port: number(reference, "/port").unwrap_or(0),
        weight: u32::try_from(number(reference, "/weight").unwrap_or(WEIGHT)).unwrap_or(0),
    };
    items(rule, "/backendRefs").map(share).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_request_matches_the_rule_without_header_matches() {
        let route = json!({"metadata": {"namespace": "a"}, "spec": {"rules": [
            {"matches": [{"headers": [{"name": "x", "value": "y"}]}], "backendRefs": [{"name": "canary"}]},
            {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [
                {"name": "stable", "port": 80, "weight": 90}, {"name": "canary", "port": 80, "weight": 0}, {"name": "plain", "port": 80},
            ]},
        ]}});

        let share = |name, weight| Share { service: Key::new("a", name), port: 80, weight };
        assert_eq!(shares(&route), [share("stable", 90), share("canary", 0), share("plain", 1)]);
    }

    #[test]
    fn a_parent_is_a_gateway_in_the_routes_namespace_by_default() {
        let parents_of =
            |parent: Value| parents(&json!({"metadata": {"namespace": "a"}, "spec": {"parentRefs": [parent]}}));

        assert_eq!(parents_of(json!({"name": "gw"})), [Key::new("a", "gw")]);
        assert_eq!(parents_of(json!({"name": "gw", "namespace": "b"})), [Key::new("b", "gw")]);
        assert_eq!(parents_of(json!({"name": "web", "kind": "Service"})), []);
    }
}
