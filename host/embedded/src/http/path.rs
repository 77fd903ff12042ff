//! Parses paths.

use crate::kind::{BuiltIn, Kind};
use crate::status::ApiError;
use crate::store::Store;
use std::sync::Arc;

#[derive(Debug)]
pub enum Place {
    Health,
    Version,
    CoreVersions,
    Groups,
    Group(String),
    Resources { group: String, version: String },
    OpenApiIndex,
    OpenApi { group: String, version: String },
    Resource(Target),
}

#[derive(Clone, Debug)]
pub struct Target {
    pub kind: Arc<Kind>,
    /// Empty for all, and for what has none.
    pub namespace: String,
    /// Empty for the collection.
    pub name: String,
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Object,
    Status,
    Scale,
    Eviction,
}

impl Part {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "",
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Eviction => "eviction",
        }
    }

    fn of(kind: &Kind, name: &str) -> Option<Self> {
        match name {
            "status" if kind.status => Some(Self::Status),
            "scale" if kind.scale.is_some() => Some(Self::Scale),
            "eviction" if kind.is(BuiltIn::Pod) => Some(Self::Eviction),
            _ => None,
        }
    }
}

/// # Errors
/// 404 that names what is not served.
pub fn parse(path: &str, store: &Store) -> Result<Place, ApiError> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    Ok(match steps.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Place::Health,
        ["version"] => Place::Version,
        ["api"] => Place::CoreVersions,
        ["apis"] => Place::Groups,
        ["apis", group] => Place::Group((*group).to_owned()),
        ["api", version] => Place::Resources { group: String::new(), version: (*version).to_owned() },
        ["apis", group, version] => Place::Resources { group: (*group).to_owned(), version: (*version).to_owned() },
        ["openapi", "v3"] => Place::OpenApiIndex,
        ["openapi", "v3", "api", version] => Place::OpenApi { group: String::new(), version: (*version).to_owned() },
        ["openapi", "v3", "apis", group, version] => {
            Place::OpenApi { group: (*group).to_owned(), version: (*version).to_owned() }
        }
        ["api", version, rest @ ..] => Place::Resource(target(store, "", version, rest)?),
        ["apis", group, version, rest @ ..] => Place::Resource(target(store, group, version, rest)?),
        _ => return Err(ApiError::not_served(path)),
    })
}

fn target(store: &Store, group: &str, version: &str, rest: &[&str]) -> Result<Target, ApiError> {
    let (namespace, rest) = match rest {
        // Subresources of a namespace itself.
        ["namespaces", _, "status" | "finalize"] => ("", rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        _ => ("", rest),
    };
    let what = |plural: &str| {
        if group.is_empty() { format!("{version}/{plural}") } else { format!("{group}/{version}/{plural}") }
    };
    let (plural, name, part) = match rest {
        [plural] => (plural, "", None),
        [plural, name] => (plural, *name, None),
        [plural, name, part] => (plural, *name, Some(*part)),
        _ => return Err(ApiError::not_served(&what(&rest.join("/")))),
    };
    let kind = store.kind_at(group, version, plural).ok_or_else(|| ApiError::not_served(&what(plural)))?;
    let in_namespace = !namespace.is_empty();
    if in_namespace != kind.namespaced && (in_namespace || !name.is_empty()) {
        return Err(ApiError::not_served(&what(&format!("{plural} with that scope"))));
    }
    let part = match part {
        None => Part::Object,
        Some(part) => Part::of(&kind, part).ok_or_else(|| ApiError::not_served(&what(&format!("{plural}/{part}"))))?,
    };
    Ok(Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), part })
}
