//! Discovery: `/version`, `/api`, `/apis` and below, and the part of `/openapi/v3` that clients need to apply objects.
//!
//! The OpenAPI documents list the parameters of a PATCH and have no schemas: then `kubectl` leaves validation to the
//! server, and computes its patches from its own knowledge of built-in kinds.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

/// The emulated release.
const MAJOR: &str = "1";
const MINOR: &str = "34";
const GIT_VERSION: &str = "v1.34.0+kulta";

/// Content type of aggregated discovery, also in a client's `Accept`.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A served resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    /// Such as `replicasets`.
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
}

/// A subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subresource {
    /// Such as `status`.
    pub name: String,
    /// Group, version and kind of its bodies, such as `autoscaling`, `v1`, `Scale`.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<String>,
}

/// Discovery of the served resources. Groups and versions are in the order of the list, preferred first.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    resources: Vec<Resource>,
}

/// `/version`.
#[must_use]
pub fn version() -> Value {
    json!({
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// True if an `Accept` header prefers aggregated discovery to the plain lists.
#[must_use]
pub fn wants_aggregated(accept: &str) -> bool {
    let first = accept.split(',').map(|offer| offer.split(';').map(str::trim).collect::<BTreeSet<_>>()).find(|offer| {
        // Other versions of it are not served, so the next media type counts.
        !offer.contains("as=APIGroupDiscoveryList") || offer.contains("v=v2")
    });
    let wanted: BTreeSet<&str> = AGGREGATED.split(';').collect();
    first.is_some_and(|offer| wanted.is_subset(&offer))
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

impl Discovery {
    #[must_use]
    pub fn new(resources: Vec<Resource>) -> Self {
        Self { resources }
    }

    fn versions<'a>(&'a self, group: &'a str) -> Vec<&'a str> {
        unique(
            self.resources.iter().filter(|resource| resource.group == group).map(|resource| resource.version.as_str()),
        )
    }

    fn group_names(&self) -> Vec<&str> {
        unique(self.resources.iter().map(|resource| resource.group.as_str()).filter(|group| !group.is_empty()))
    }

    fn of<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.group == group && resource.version == version)
    }

    /// `/api`.
    #[must_use]
    pub fn core_versions(&self) -> Value {
        json!({ "kind": "APIVersions", "versions": self.versions(""), "serverAddressByClientCIDRs": [] })
    }

    /// `/apis`.
    #[must_use]
    pub fn groups(&self) -> Value {
        let groups: Vec<Value> = self.group_names().into_iter().map(|group| self.group_entry(group)).collect();
        json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
    }

    /// `/apis/<group>`; `None` for a group that is not served.
    #[must_use]
    pub fn group(&self, group: &str) -> Option<Value> {
        if group.is_empty() || self.versions(group).is_empty() {
            return None;
        }
        let mut entry = self.group_entry(group);
        entry.as_object_mut()?.extend([("kind".to_owned(), "APIGroup".into()), ("apiVersion".to_owned(), "v1".into())]);
        Some(entry)
    }

    fn group_entry(&self, group: &str) -> Value {
        let entry = |version: &&str| json!({ "groupVersion": group_version(group, version), "version": version });
        let versions: Vec<Value> = self.versions(group).iter().map(entry).collect();
        json!({ "name": group, "versions": versions, "preferredVersion": versions.first() })
    }

    /// `/api/v1` and `/apis/<group>/<version>`; `None` for a version that is not served.
    #[must_use]
    pub fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let entries: Vec<Value> = self.of(group, version).flat_map(list_entries).collect();
        let group_version = group_version(group, version);
        (!entries.is_empty()).then(|| {
            json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries })
        })
    }

    /// `/api` with aggregated discovery.
    #[must_use]
    pub fn aggregated_core(&self) -> Value {
        let core: &[&str] = if self.versions("").is_empty() { &[] } else { &[""] };
        self.aggregated(core)
    }

    /// `/apis` with aggregated discovery.
    #[must_use]
    pub fn aggregated_groups(&self) -> Value {
        self.aggregated(&self.group_names())
    }

    fn aggregated(&self, groups: &[&str]) -> Value {
        let version = |group: &str, version: &str| {
            let resources: Vec<Value> = self.of(group, version).map(aggregated_entry).collect();
            json!({ "version": version, "resources": resources, "freshness": "Current" })
        };
        let group = |group: &&str| {
            let versions: Vec<Value> = self.versions(group).into_iter().map(|name| version(group, name)).collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({ "name": group }) };
            json!({ "metadata": metadata, "versions": versions })
        };
        let items: Vec<Value> = groups.iter().map(group).collect();
        json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        })
    }

    /// `/openapi/v3`: the paths of all documents.
    #[must_use]
    pub fn openapi_index(&self) -> Value {
        let served = unique(self.resources.iter().map(|resource| (resource.group.as_str(), resource.version.as_str())));
        let paths = served.into_iter().filter_map(|(group, version)| {
            let path = root(group, version);
            let mut hasher = DefaultHasher::new();
            self.openapi(group, version)?.to_string().hash(&mut hasher);
            let url = format!("/openapi/v3/{path}?hash={:016X}", hasher.finish());
            Some((path, json!({ "serverRelativeURL": url })))
        });
        json!({ "paths": paths.collect::<Map<_, _>>() })
    }

    /// `/openapi/v3/api/v1` and `/openapi/v3/apis/<group>/<version>`; `None` for a version that is not served.
    #[must_use]
    pub fn openapi(&self, group: &str, version: &str) -> Option<Value> {
        let paths: Map<String, Value> = self.of(group, version).map(openapi_path).collect();
        (!paths.is_empty()).then(
            || json!({ "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": GIT_VERSION }, "paths": paths }),
        )
    }
}

fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut unique, item| {
        if !unique.contains(&item) {
            unique.push(item);
        }
        unique
    })
}

/// An object without its empty lists and texts.
fn without_empty(value: Value) -> Value {
    let Value::Object(object) = value else { return value };
    let empty =
        |value: &Value| value.as_array().is_some_and(Vec::is_empty) || value.as_str().is_some_and(str::is_empty);
    object.into_iter().filter(|(_, value)| !empty(value)).collect()
}

fn list_entries(resource: &Resource) -> Vec<Value> {
    let mut own = without_empty(json!({
        "name": resource.plural,
        "kind": resource.kind,
        "verbs": resource.verbs,
        "shortNames": resource.short_names,
        "categories": resource.categories,
    }));
    if let Some(own) = own.as_object_mut() {
        own.extend([
            ("singularName".to_owned(), resource.singular.as_str().into()),
            ("namespaced".to_owned(), resource.namespaced.into()),
        ]);
    }
    let part = |part: &Subresource| {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, part.name),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": part.kind,
            "verbs": part.verbs,
        });
        let foreign = (part.group.as_str(), part.version.as_str()) != (&resource.group, &resource.version);
        if let (true, Some(entry)) = (foreign, entry.as_object_mut()) {
            entry.insert("group".to_owned(), part.group.as_str().into());
            entry.insert("version".to_owned(), part.version.as_str().into());
        }
        entry
    };
    std::iter::once(own).chain(resource.subresources.iter().map(part)).collect()
}

fn aggregated_entry(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
    let part = |part: &Subresource| {
        json!({
            "subresource": part.name,
            "responseKind": kind(&part.group, &part.version, &part.kind),
            "verbs": part.verbs,
        })
    };
    without_empty(json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
        "shortNames": resource.short_names,
        "categories": resource.categories,
        "subresources": resource.subresources.iter().map(part).collect::<Vec<_>>(),
    }))
}

fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn openapi_path(resource: &Resource) -> (String, Value) {
    let parameter = |place: &str, name: &str| {
        let kind = if name == "force" { "boolean" } else { "string" };
        json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": kind } })
    };
    let queries = ["dryRun", "fieldManager", "fieldValidation", "force"].map(|name| parameter("query", name));
    let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
    let mut of_path = vec![parameter("path", "name")];
    of_path.extend(resource.namespaced.then(|| parameter("path", "namespace")));
    let path = format!("/{}/{scope}{}/{{name}}", root(&resource.group, &resource.version), resource.plural);
    let patch = json!({
        "operationId": format!("patch{}", resource.kind),
        "parameters": queries,
        "responses": { "200": { "description": "OK" } },
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    });
    (path, json!({ "parameters": of_path, "patch": patch }))
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
