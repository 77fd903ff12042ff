//! Components that a restart has dropped: what was served last, and what something in progress began with.

use std::sync::Arc;

use super::{Subject, limits};
use crate::plugins::policy::PluginPolicy;
use crate::plugins::registry::{Entry, Version};
use crate::plugins::source::SourceError;

impl Subject<'_> {
    /// After a restart: what was served last and is kept on disk is served, until the spec's component is loaded.
    pub(super) async fn resume(&self, policy: &PluginPolicy) {
        let (registry, digest) = (&self.reconciler.registry, self.before().digest);
        if digest.is_empty() || registry.entry(&self.key.name).is_some() {
            return;
        }
        let Some(component) = self.reconciler.sources.stored(&digest) else { return };
        match registry.loader().load(&self.key.name, component, limits(policy)).await {
            Ok(loaded) => {
                let current = Arc::new(Version::new(self.key.name.clone(), loaded));
                let (policy, serves) = (Arc::new(policy.clone()), self.plugin.serves());
                let entry = Entry { policy, serves, created: self.cached.created, current, source: None };
                registry.serve(&self.key.name, entry);
                self.reconciler.report_to_users(&self.names);
            }
            Err(error) => tracing::warn!(plugin = self.key.name, digest, "what was served last cannot be: {error}"),
        }
    }

    /// Components that something in progress began with, and that a restart has dropped.
    pub(super) async fn recall(&self, policy: &PluginPolicy) {
        let (registry, last) = (&self.reconciler.registry, self.before().digest);
        // What was served last comes with its signature in a moment: it is awaited, not lost.
        let awaited = |digest: &String| self.reconciler.sources.trusted.is_some() && *digest == last;
        // Only another spec can have what this one has not.
        let asked = self.fetched_before().is_some();
        let gone = |digest: &String| asked && registry.is_missing_for_good(digest);
        let missing = |digest: &&String| !registry.has(&self.key.name, digest) && !awaited(digest) && !gone(digest);
        for digest in self.references.pins.iter().filter(missing) {
            match self.reconciler.sources.earlier(&self.plugin.spec, digest).await {
                Ok(component) => match registry.loader().load(&self.key.name, component, limits(policy)).await {
                    Ok(loaded) => registry.retain(Arc::new(Version::new(self.key.name.clone(), loaded))),
                    Err(error) => registry.mark_missing(digest, error.to_string(), true),
                },
                Err(error) => {
                    registry.mark_missing(digest, error.to_string(), !matches!(error, SourceError::Unavailable { .. }));
                }
            }
        }
    }
}
