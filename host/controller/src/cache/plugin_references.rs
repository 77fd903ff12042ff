//! Which plugins objects name, and which components they keep to.

use std::collections::BTreeSet;

use kulta_api::Rollout;
use kulta_api::analysis::AnalysisTemplateSpec;
use kulta_core::decision::{BLUE_GREEN_PLUGIN, CANARY_PLUGIN};
use kulta_wasm::Kind;

/// A plugin as users name it.
pub type PluginName = (Kind, String);

/// A plugin, and the digest of the component that something in progress keeps to.
pub type PluginPin = (PluginName, String);

/// What a pin to a digest begins with.
const DIGEST: &str = "sha256:";

/// The plugins that lead a rollout's revisions.
#[must_use]
pub fn plugins_of_rollout(rollout: &Rollout) -> BTreeSet<PluginName> {
    let strategy = &rollout.spec.strategy;
    let mut names = BTreeSet::new();
    if let Some(canary) = &strategy.canary {
        names.insert((Kind::Strategy, CANARY_PLUGIN.to_owned()));
        let steps = canary.steps.iter().filter_map(|step| step.plugin.as_ref());
        names.extend(steps.map(|plugin| (Kind::Step, plugin.name.clone())));
    } else if let Some(plugin) = &strategy.plugin {
        names.insert((Kind::Strategy, plugin.name.clone()));
    } else if strategy.blue_green.is_some() {
        names.insert((Kind::Strategy, BLUE_GREEN_PLUGIN.to_owned()));
    }
    names
}

/// The analyzers that a template's metrics name.
#[must_use]
pub fn plugins_of_template(spec: &AnalysisTemplateSpec) -> BTreeSet<PluginName> {
    let analyzers = spec.metrics.iter().filter_map(|metric| metric.provider.analyzer());
    analyzers.map(|(name, _)| (Kind::Analyzer, name.to_owned())).collect()
}

/// The components that a rollout's revision in progress keeps to, those that came with the controller apart.
#[must_use]
pub fn pins_of_rollout(rollout: &Rollout) -> BTreeSet<PluginPin> {
    let record = rollout.status.as_ref().and_then(|status| status.kulta.as_ref());
    let pins = record.into_iter().flat_map(|record| &record.plugins);
    pins.filter_map(|(plugin, pin)| {
        let (kind, name) = plugin.split_once('/')?;
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        pinned(kind, name, pin)
    })
    .collect()
}

/// None for what came with the controller.
#[must_use]
pub fn pinned(kind: Kind, name: &str, pin: &str) -> Option<PluginPin> {
    pin.starts_with(DIGEST).then(|| ((kind, name.to_owned()), pin.to_owned()))
}

/// What an object names, and the components that it keeps to.
type PluginReferences<'a> = (&'a BTreeSet<PluginName>, &'a BTreeSet<PluginPin>);

/// Names of the plugins that only one of these refers to.
#[must_use]
pub fn changed_references(before: Option<PluginReferences<'_>>, after: PluginReferences<'_>) -> BTreeSet<String> {
    let none = (&BTreeSet::new(), &BTreeSet::new());
    let (names_before, pins_before) = before.unwrap_or(none);
    let (names, pins) = after;
    let names = names_before.symmetric_difference(names).map(|(_, name)| name.clone());
    let pinned = pins_before.symmetric_difference(pins).map(|((_, name), _)| name.clone());
    names.chain(pinned).collect()
}
