//! Whether a component may take the place of the one that is served.

use std::collections::BTreeSet;
use std::sync::Arc;

use kulta_wasm::{CheckError, Loaded};

use super::Subject;
use crate::cache::PluginName;
use crate::plugins::policy::PluginPolicy;
use crate::plugins::references::{self, Use};

impl Subject<'_> {
    /// Who has one of its names already, as a message.
    pub(super) fn conflicting(&self, loaded: &Loaded) -> Option<String> {
        let registry = &self.reconciler.registry;
        let created = self.cached.created;
        let older = |holder: &String| {
            let older = registry.entry(holder).is_some_and(|entry| (entry.created, holder) < (created, &self.key.name));
            *holder != self.key.name && older
        };
        self.plugin.serves().into_iter().enumerate().find_map(|(index, name)| {
            let holders = loaded.kinds().iter().filter_map(|kind| Some((*kind, registry.holder(*kind, &name)?)));
            let (kind, holder) = holders.into_iter().find(|(_, holder)| older(holder))?;
            let kind = kind.as_str();
            Some(format!("spec.serves[{index}]: the {kind} plugin {name:?} is Plugin {holder}'s, which is older"))
        })
    }

    /// The new component has to take the configuration of each user of the one that is served now.
    ///
    /// # Errors
    /// Whose configuration it does not take, and why.
    pub(super) async fn try_out(&self, loaded: &Arc<Loaded>, policy: &PluginPolicy) -> Result<(), String> {
        let registry = &self.reconciler.registry;
        let unchanged = registry.entry(&self.key.name).is_some_and(|entry| {
            entry.current.loaded.digest() == loaded.digest() && entry.policy.config == policy.config
        });
        if unchanged {
            return Ok(());
        }
        let served: BTreeSet<PluginName> =
            self.names.iter().filter(|(kind, name)| registry.serves(*kind, name)).cloned().collect();
        let configurations = references::configurations(&self.reconciler.caches.read(), &served);
        for Use { kind, config, place } in configurations.into_iter().filter(|used| loaded.kinds().contains(&used.kind))
        {
            match loaded.check_config(&policy.configured(&config)).await {
                Ok(()) => {}
                Err(CheckError::Invalid(errors)) => {
                    let why = errors.first().map(ToString::to_string).unwrap_or_default();
                    return Err(format!(
                        "{place}: the new component does not take this {} configuration: {why}",
                        kind.as_str()
                    ));
                }
                Err(CheckError::Call(error)) => {
                    return Err(format!("{place}: the new component failed to check this configuration: {error}"));
                }
            }
        }
        Ok(())
    }
}
