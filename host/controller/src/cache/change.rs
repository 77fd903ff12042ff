//! What a change in the caches concerns, and where it is reported.

use std::collections::BTreeSet;

use super::Scope;
use crate::key::Key;
use crate::kinds::Kind;

/// What has to be reconciled after a change in the caches.
#[derive(Debug, Default, PartialEq)]
pub struct ChangeSet {
    pub rollouts: BTreeSet<Key>,
    /// A rollout is gone: its name and uid.
    pub removed_rollout: Option<(Key, String)>,
    pub runs: BTreeSet<Key>,
    /// Uid of an AnalysisRun that is gone.
    pub removed_run: Option<String>,
    pub plugins: BTreeSet<Key>,
    /// Names of plugins that more or fewer objects name, or keep components of, than before: the Plugins that serve one are reconciled.
    pub plugin_references: BTreeSet<String>,
    /// Services that still carry the annotation of a rollout that no longer refers to them: see [`Contents::orphan`](super::Contents::orphan).
    pub orphans: BTreeSet<Key>,
}

/// Where changes in the caches are reported.
pub trait ChangeSink: Send + Sync + 'static {
    fn changed(&self, changes: ChangeSet);

    /// The first list of a kind in this scope is complete, or it is known that the kind cannot be listed there.
    fn listed(&self, kind: Kind, scope: &Scope);
}
