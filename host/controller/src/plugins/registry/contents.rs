//! What the registry holds, and which component answers to a name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kulta_api::plugin::PluginReason;
use kulta_wasm::Kind;

use super::{Entry, Version};
use crate::plugins::handle::HandleError;
use crate::plugins::policy::SharedPolicy;

#[derive(Default)]
pub(super) struct Contents {
    /// By the Plugin object's name.
    pub(super) entries: BTreeMap<String, Entry>,
    /// By Plugin object and digest: what is served now, and what was and is still in use.
    pub(super) versions: BTreeMap<(String, String), Arc<Version>>,
    /// Who has a name of a kind.
    pub(super) names: BTreeMap<(Kind, String), String>,
    /// Plugin objects of which nothing is served, or not yet.
    pub(super) absent: BTreeMap<String, Absent>,
    /// Plugin objects whose steps are skipped, and the names that they answer to.
    pub(super) disabled: BTreeMap<String, Vec<String>>,
    /// Digests that are in use and whose components are not available.
    pub(super) missing: HashMap<String, Missing>,
    /// The reason and the digest that were last logged of a Plugin object.
    pub(super) logged: HashMap<String, (PluginReason, String)>,
}

/// A Plugin object of which nothing is served.
pub(super) struct Absent {
    pub(super) serves: Vec<String>,
    /// Why; none while it is being loaded.
    pub(super) why: Option<String>,
}

pub(super) struct Missing {
    pub(super) why: String,
    /// Waiting cannot help.
    pub(super) for_good: bool,
}

impl Contents {
    pub(super) fn current(&self, kind: Kind, name: &str) -> Option<(&Arc<Version>, &SharedPolicy)> {
        let entry = self.entries.get(self.names.get(&(kind, name.to_owned()))?)?;
        Some((&entry.current, &entry.policy))
    }

    /// Of the Plugin object that has the name; if another one had it then, of that one.
    pub(super) fn pinned(&self, kind: Kind, name: &str, digest: &str) -> Option<(&Arc<Version>, &SharedPolicy)> {
        let holder = self.names.get(&(kind, name.to_owned()));
        let own = holder.and_then(|holder| self.versions.get(&(holder.clone(), digest.to_owned())));
        let version = own.or_else(|| self.versions.values().find(|version| version.loaded.digest() == digest))?;
        Some((version, &self.entries.get(&version.plugin)?.policy))
    }

    /// The Plugin object that would serve a name, were it served.
    pub(super) fn absent(&self, name: &str) -> Option<(&String, &Absent)> {
        self.absent.iter().find(|(_, absent)| absent.serves.iter().any(|served| served == name))
    }

    pub(super) fn missing_error(&self, name: &str, digest: &str) -> HandleError {
        let gone =
            |why: &str| HandleError::Gone { plugin: name.to_owned(), digest: digest.to_owned(), why: why.to_owned() };
        match (self.missing.get(digest), self.absent(name)) {
            (Some(missing), _) if missing.for_good => gone(&missing.why),
            (Some(missing), _) => HandleError::NotReady { plugin: name.to_owned(), why: missing.why.clone() },
            (None, Some((_, Absent { why: None, .. }))) => HandleError::Loading,
            (None, Some((plugin, Absent { why: Some(why), .. }))) => {
                HandleError::NotReady { plugin: plugin.clone(), why: why.clone() }
            }
            (None, _) => gone("no Plugin has it"),
        }
    }

    /// The oldest Plugin that serves a name of a kind has it.
    pub(super) fn reassign_names(&mut self) {
        let mut by_age: Vec<(&String, &Entry)> = self.entries.iter().collect();
        by_age.sort_by_key(|(name, entry)| (entry.created, *name));
        let mut names = BTreeMap::new();
        for (plugin, entry) in by_age {
            for kind in entry.current.loaded.kinds() {
                for name in &entry.serves {
                    names.entry((*kind, name.clone())).or_insert_with(|| plugin.clone());
                }
            }
        }
        self.names = names;
    }
}
