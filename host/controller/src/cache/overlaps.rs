//! Rollouts whose selectors match each other's pods.

use std::collections::BTreeSet;

use kube::core::SelectorExt;

use super::references::References;
use super::{CachedRollout, Contents};
use crate::key::Key;

impl Contents {
    /// Stores which rollouts overlap with this one: once for each change of a selector or of pod labels, so that a reconciliation need
    /// not go through its whole namespace.
    pub(super) fn add_overlaps(&mut self, key: &Key, rollout: &CachedRollout) -> BTreeSet<Key> {
        let references = &rollout.references;
        let overlapping: BTreeSet<Key> = self
            .rollouts
            .in_namespace(&key.namespace)
            .filter(|(other, _)| *other != key)
            .filter(|(_, other)| selects(&other.references, references) || selects(references, &other.references))
            .map(|(other, _)| other.clone())
            .collect();
        for other in &overlapping {
            self.overlaps.entry(other.clone()).or_default().insert(key.clone());
        }
        if !overlapping.is_empty() {
            self.overlaps.insert(key.clone(), overlapping.clone());
        }
        overlapping
    }

    /// Removes the overlaps of this rollout; answers the rollouts that it overlapped with.
    pub(super) fn remove_overlaps(&mut self, key: &Key) -> BTreeSet<Key> {
        let overlapping = self.overlaps.remove(key).unwrap_or_default();
        for other in &overlapping {
            if let Some(others) = self.overlaps.get_mut(other) {
                others.remove(key);
                if others.is_empty() {
                    self.overlaps.remove(other);
                }
            }
        }
        overlapping
    }

    /// The oldest rollout that is older than this one and overlaps with it. A newer rollout never stops an older one.
    #[must_use]
    pub fn older_conflicting(&self, key: &Key) -> Option<&Key> {
        let age = |key: &Key| self.rollouts.get(key).map(|rollout| (rollout.created, key.clone()));
        let own = age(key)?;
        self.overlaps
            .get(key)?
            .iter()
            .filter(|other| age(other).is_some_and(|other| other < own))
            .min_by_key(|other| age(other))
    }
}

/// One's selector matches the other's pods.
fn selects(one: &References, other: &References) -> bool {
    one.selector.as_ref().is_some_and(|selector| selector.matches(&other.template_labels))
}
