//! A served kind.

use std::sync::Arc;

use crate::patch::ListKeys;
use crate::schema::Schema;
use crate::selector::FieldNames;
use crate::status::About;
use crate::table::Printer;

/// Storage key of a resource: all its versions share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collection {
    pub group: String,
    pub plural: String,
}

/// Namespace and name, in list order: `namespace/name`, or `name` alone without a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        if namespace.is_empty() { Self(name.to_owned()) } else { Self(format!("{namespace}/{name}")) }
    }

    /// Empty without a namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// As text, for continue tokens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A kind in one version.
#[derive(Debug)]
pub struct Kind {
    pub collection: Arc<Collection>,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// True if the status is a subresource.
    pub status: bool,
    pub scale: Option<ScalePaths>,
    pub rules: Rules,
    pub keys: ListKeys,
    pub fields: FieldNames,
}

/// The fields of the scale subresource, as JSON paths such as `.spec.replicas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    pub replicas: String,
    pub status_replicas: String,
    pub selector: Option<String>,
}

/// The defaulting and validation of the kind.
#[derive(Debug)]
pub enum Rules {
    BuiltIn(BuiltIn),
    Custom(Box<Custom>),
}

/// A version of a CustomResourceDefinition.
#[derive(Debug)]
pub struct Custom {
    pub schema: Schema,
    pub printer: Printer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    Namespace,
    Node,
    Pod,
    Service,
    Event,
    ConfigMap,
    Secret,
    ServiceAccount,
    ReplicaSet,
    EndpointSlice,
    Lease,
    CustomResourceDefinition,
    Role,
    RoleBinding,
    ClusterRole,
    ClusterRoleBinding,
}

impl Kind {
    #[must_use]
    pub fn group(&self) -> &str {
        &self.collection.group
    }

    #[must_use]
    pub fn plural(&self) -> &str {
        &self.collection.plural
    }

    /// `apiVersion` of its objects.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group().is_empty() { self.version.clone() } else { format!("{}/{}", self.group(), self.version) }
    }

    /// For errors that name the resource.
    #[must_use]
    pub fn resource(&self) -> About<'_> {
        About { group: self.group(), what: self.plural() }
    }

    /// For errors that name the kind.
    #[must_use]
    pub fn about(&self) -> About<'_> {
        About { group: self.group(), what: &self.kind }
    }

    #[must_use]
    pub fn built_in(&self) -> Option<BuiltIn> {
        match &self.rules {
            Rules::BuiltIn(built_in) => Some(*built_in),
            Rules::Custom(_) => None,
        }
    }

    #[must_use]
    pub fn is(&self, built_in: BuiltIn) -> bool {
        self.built_in() == Some(built_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_their_text() {
        let mut keys = [Key::new("a", "x"), Key::new("a-b", "x"), Key::new("", "a")];

        keys.sort();

        assert_eq!(keys.iter().map(Key::as_str).collect::<Vec<_>>(), ["a", "a-b/x", "a/x"]);
    }

    #[test]
    fn the_key_of_a_cluster_scoped_object_is_its_name() {
        let key = Key::new("", "node-0");

        assert_eq!((key.namespace(), key.name()), ("", "node-0"));
    }
}
