//! The served kinds: built-in ones, and those of CustomResourceDefinitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kind::{BuiltIn, Collection, Kind, Rules, ScalePaths};
use crate::patch::ListKeys;
use crate::selector::FieldNames;

/// A row of the table of built-in kinds.
struct Row {
    is: BuiltIn,
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    scope: Scope,
    parts: Parts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespace,
}

/// Which subresources a kind has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    None,
    Status,
    StatusAndScale,
}

const fn row(
    is: BuiltIn,
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    scope: Scope,
    parts: Parts,
) -> Row {
    Row { is, group, kind, plural, short, scope, parts }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const EXTENSIONS: &str = "apiextensions.k8s.io";
/// Every built-in kind is served in this version only.
const VERSION: &str = "v1";

const BUILT_IN: [Row; 16] = [
    row(BuiltIn::Namespace, "", "Namespace", "namespaces", &["ns"], Scope::Cluster, Parts::Status),
    row(BuiltIn::Node, "", "Node", "nodes", &["no"], Scope::Cluster, Parts::Status),
    row(BuiltIn::Pod, "", "Pod", "pods", &["po"], Scope::Namespace, Parts::Status),
    row(BuiltIn::Service, "", "Service", "services", &["svc"], Scope::Namespace, Parts::Status),
    row(BuiltIn::Event, "", "Event", "events", &["ev"], Scope::Namespace, Parts::None),
    row(BuiltIn::ConfigMap, "", "ConfigMap", "configmaps", &["cm"], Scope::Namespace, Parts::None),
    row(BuiltIn::Secret, "", "Secret", "secrets", &[], Scope::Namespace, Parts::None),
    row(BuiltIn::ServiceAccount, "", "ServiceAccount", "serviceaccounts", &["sa"], Scope::Namespace, Parts::None),
    row(BuiltIn::ReplicaSet, "apps", "ReplicaSet", "replicasets", &["rs"], Scope::Namespace, Parts::StatusAndScale),
    row(
        BuiltIn::EndpointSlice,
        "discovery.k8s.io",
        "EndpointSlice",
        "endpointslices",
        &[],
        Scope::Namespace,
        Parts::None,
    ),
    row(BuiltIn::Lease, "coordination.k8s.io", "Lease", "leases", &[], Scope::Namespace, Parts::None),
    row(
        BuiltIn::CustomResourceDefinition,
        EXTENSIONS,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd", "crds"],
        Scope::Cluster,
        Parts::Status,
    ),
    row(BuiltIn::Role, RBAC, "Role", "roles", &[], Scope::Namespace, Parts::None),
    row(BuiltIn::RoleBinding, RBAC, "RoleBinding", "rolebindings", &[], Scope::Namespace, Parts::None),
    row(BuiltIn::ClusterRole, RBAC, "ClusterRole", "clusterroles", &[], Scope::Cluster, Parts::None),
    row(
        BuiltIn::ClusterRoleBinding,
        RBAC,
        "ClusterRoleBinding",
        "clusterrolebindings",
        &[],
        Scope::Cluster,
        Parts::None,
    ),
];

/// Kinds that `kubectl get all` lists.
const IN_ALL: [BuiltIn; 3] = [BuiltIn::Pod, BuiltIn::Service, BuiltIn::ReplicaSet];

impl Row {
    fn kind(&self) -> Kind {
        let scale = ScalePaths {
            replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            selector: None,
        };
        Kind {
            collection: Arc::new(Collection { group: self.group.to_owned(), plural: self.plural.to_owned() }),
            version: VERSION.to_owned(),
            kind: self.kind.to_owned(),
            list_kind: format!("{}List", self.kind),
            singular: self.kind.to_ascii_lowercase(),
            short_names: self.short.iter().map(|&name| name.to_owned()).collect(),
            categories: if IN_ALL.contains(&self.is) { vec!["all".to_owned()] } else { Vec::new() },
            namespaced: self.scope == Scope::Namespace,
            status: self.parts != Parts::None,
            scale: (self.parts == Parts::StatusAndScale).then_some(scale),
            rules: Rules::BuiltIn(self.is),
            keys: ListKeys::of_builtin(self.kind),
            fields: FieldNames::of_builtin(self.group, self.kind),
        }
    }
}

/// Group, version and plural.
type Name = (String, String, String);

/// Copies share the kinds.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: BTreeMap<Name, Arc<Kind>>,
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self { kinds: BTreeMap::new() };
        BUILT_IN.iter().for_each(|row| registry.add(row.kind()));
        registry
    }
}

impl Registry {
    pub fn add(&mut self, kind: Kind) {
        let name = (kind.group().to_owned(), kind.version.clone(), kind.plural().to_owned());
        self.kinds.insert(name, Arc::new(kind));
    }

    /// Removes every version of a resource.
    pub fn remove(&mut self, collection: &Collection) {
        self.kinds.retain(|_, kind| *kind.collection != *collection);
    }

    /// By its path.
    #[must_use]
    pub fn by_plural(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.kinds.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// By its apiVersion and kind.
    #[must_use]
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        let found = self.kinds.values().find(|found| found.kind == kind && found.api_version() == api_version);
        found.cloned()
    }

    /// Any version of a resource.
    #[must_use]
    pub fn by_collection(&self, collection: &Collection) -> Option<Arc<Kind>> {
        self.kinds.values().find(|kind| *kind.collection == *collection).cloned()
    }

    /// All of them, in the order of group, version and plural.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_path_and_by_its_name() {
        let registry = Registry::default();

        let by_plural = registry.by_plural("apps", "v1", "replicasets").unwrap();
        let by_kind = registry.by_kind("apps/v1", "ReplicaSet").unwrap();

        assert!(Arc::ptr_eq(&by_plural, &by_kind));
    }

    #[test]
    fn an_unserved_kind_is_not_found() {
        assert!(Registry::default().by_plural("apps", "v1", "deployments").is_none());
    }
}
