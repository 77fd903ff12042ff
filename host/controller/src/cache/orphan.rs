//! Services that a rollout no longer refers to and that still carry its annotation and selector.

use std::collections::BTreeSet;

use super::Contents;
use crate::key::Key;

/// A Service with the annotation of a rollout that does not refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The rollout that the annotation names.
    pub manager: String,
    /// That rollout is in the caches and does not refer to the Service. Otherwise it is deleted, or another instance serves it.
    pub known: bool,
    pub resource_version: String,
}

impl Contents {
    /// What a rollout that does not refer to the Service has left on it, if anything.
    #[must_use]
    pub fn orphan(&self, service: &Key) -> Option<Orphan> {
        let cached = &self.services.get(service)?.service;
        let manager = cached.managed_by.clone().filter(|manager| !manager.is_empty())?;
        if self.index.rollouts_of_service(service).next().is_some() {
            return None;
        }
        let known = match self.rollouts.get(&service.sibling(&manager)).map(|rollout| rollout.decodable) {
            // Nobody knows what it refers to.
            Some(false) => return None,
            Some(true) => true,
            None => false,
        };
        Some(Orphan { manager, known, resource_version: cached.resource_version.clone() })
    }

    pub(super) fn orphans_among(&self, rollout: &Key, services: &BTreeSet<String>) -> BTreeSet<Key> {
        services.iter().map(|name| rollout.sibling(name)).filter(|service| self.orphan(service).is_some()).collect()
    }

    /// All orphans, for the start of the controller.
    #[must_use]
    pub fn orphans(&self) -> Vec<Key> {
        self.services.iter().map(|(key, _)| key).filter(|key| self.orphan(key).is_some()).cloned().collect()
    }
}
