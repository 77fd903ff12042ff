//! Components that a restart has dropped: what was served last, and what something in progress began with.

use std::sync::Arc;

use super::{Subject, limits, tell_users};
use crate::plugins::catalog::{Entry, Version};
use crate::plugins::source::SourceError;
use crate::plugins::terms::Terms;

impl Subject<'_> {
    /// After a restart: what was served last and is kept on disk is served, until the spec's component is had.
    pub(super) async fn resume(&self, terms: &Terms) {
        let (catalog, digest) = (&self.controller.catalog, self.before().digest);
        if digest.is_empty() || catalog.entry(&self.key.name).is_some() {
            return;
        }
        let Some(component) = self.controller.sources.stored(&digest) else { return };
        match catalog.loader().load(&self.key.name, component, limits(terms)).await {
            Ok(loaded) => {
                let current = Arc::new(Version::new(self.key.name.clone(), loaded));
                let (terms, serves) = (Arc::new(terms.clone()), self.plugin.serves());
                let entry = Entry { terms, serves, created: self.cached.created, current, source: None };
                catalog.serve(&self.key.name, entry);
                tell_users(self.controller, &self.names);
            }
            Err(error) => tracing::warn!(plugin = self.key.name, digest, "what was served last cannot be: {error}"),
        }
    }

    /// Components that something in progress began with, and that a restart has dropped.
    pub(super) async fn recall(&self, terms: &Terms) {
        let (catalog, last) = (&self.controller.catalog, self.before().digest);
        // What was served last comes with its signature in a moment: it is awaited, not lost.
        let awaited = |digest: &String| self.controller.sources.trusted.is_some() && *digest == last;
        // Only another spec can have what this one has not.
        let asked = self.fetched_before().is_some();
        let gone = |digest: &String| asked && catalog.is_lost_for_good(digest);
        let missing = |digest: &&String| !catalog.has(&self.key.name, digest) && !awaited(digest) && !gone(digest);
        for digest in self.references.pins.iter().filter(missing) {
            match self.controller.sources.earlier(&self.plugin.spec, digest).await {
                Ok(component) => match catalog.loader().load(&self.key.name, component, limits(terms)).await {
                    Ok(loaded) => catalog.keep(Arc::new(Version::new(self.key.name.clone(), loaded))),
                    Err(error) => catalog.lose(digest, error.to_string(), true),
                },
                Err(error) => {
                    catalog.lose(digest, error.to_string(), !matches!(error, SourceError::Unavailable { .. }));
                }
            }
        }
    }
}
