//! Who names a plugin, with which configuration, and what is still under way by an earlier component of it.

use std::collections::{BTreeMap, BTreeSet};

use kulta_core::decision::{CANARY_PLUGIN, blue_green_config, canary_config};
use kulta_wasm::Kind;
use serde_json::{Value, json};

use crate::cache::{Contents, Decoded, PluginName, PluginPin};
use crate::key::Key;

/// One configuration that is in use; those that are alike are one.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    pub kind: Kind,
    pub config: Value,
    /// The first who uses it, and where: `Rollout shop/web spec.strategy.plugin.config`.
    pub place: String,
}

/// All that concerns one Plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// Rollouts and templates that name it.
    pub users: usize,
    /// Digests that rollouts and runs in progress keep to.
    pub pins: BTreeSet<String>,
}

impl References {
    /// Of the names that a Plugin has.
    #[must_use]
    pub fn of(contents: &Contents, names: &BTreeSet<PluginName>) -> Self {
        let mut found = Self::default();
        for (_, rollout) in contents.rollouts.iter() {
            found.users += usize::from(!rollout.references.plugins.is_disjoint(names));
            found.add_pins(&rollout.pins, names);
        }
        for (_, template) in contents.templates.iter().chain(contents.cluster_templates.iter()) {
            found.users += usize::from(!template.plugins.is_disjoint(names));
        }
        for (_, run) in contents.runs.iter().filter(|(_, run)| !run.ended) {
            found.add_pins(&run.pins, names);
        }
        found
    }

    fn add_pins(&mut self, pins: &BTreeSet<PluginPin>, names: &BTreeSet<PluginName>) {
        let ours = pins.iter().filter(|(plugin, _)| names.contains(plugin));
        self.pins.extend(ours.map(|(_, digest)| digest.clone()));
    }
}

/// The rollouts that name one of these.
#[must_use]
pub fn rollouts(contents: &Contents, names: &BTreeSet<PluginName>) -> BTreeSet<Key> {
    let naming = contents.rollouts.iter().filter(|(_, rollout)| !rollout.references.plugins.is_disjoint(names));
    naming.map(|(key, _)| key.clone()).collect()
}

/// Every configuration that is in use under these names. What still holds arguments to fill in is not known yet, and left out.
#[must_use]
pub fn configurations(contents: &Contents, names: &BTreeSet<PluginName>) -> Vec<Use> {
    let mut found: BTreeMap<(Kind, String), Use> = BTreeMap::new();
    let mut add = |kind: Kind, config: Value, place: String| {
        found.entry((kind, config.to_string())).or_insert(Use { kind, config, place });
    };
    for key in rollouts(contents, names) {
        let Some(Decoded::Rollout { rollout, .. }) = contents.rollouts.get(&key).map(|rollout| rollout.open()) else {
            continue;
        };
        let strategy = &rollout.spec.strategy;
        if let Some(canary) = &strategy.canary {
            if names.iter().any(|(kind, name)| *kind == Kind::Strategy && name == CANARY_PLUGIN) {
                add(Kind::Strategy, canary_config(canary), format!("Rollout {key} spec.strategy.canary"));
            }
            for (index, step) in canary.steps.iter().enumerate() {
                let Some(plugin) = step.plugin.as_ref().filter(|plugin| !plugin.disabled) else { continue };
                if names.contains(&(Kind::Step, plugin.name.clone())) {
                    add(
                        Kind::Step,
                        plugin.configured(),
                        format!("Rollout {key} spec.strategy.canary.steps[{index}].plugin.config"),
                    );
                }
            }
        } else if let Some(plugin) = &strategy.plugin {
            let config = plugin.config.as_ref().map_or_else(|| json!({}), |config| config.0.clone());
            add(Kind::Strategy, config, format!("Rollout {key} spec.strategy.plugin.config"));
        } else if let Some(blue_green) = &strategy.blue_green {
            let place = format!("Rollout {key} spec.strategy.blueGreen");
            add(Kind::Strategy, blue_green_config(blue_green), place);
        }
    }
    let templates = contents.templates.iter().map(|(key, template)| ("AnalysisTemplate", key, template));
    let cluster = contents.cluster_templates.iter().map(|(key, template)| ("ClusterAnalysisTemplate", key, template));
    for (kind, key, template) in templates.chain(cluster) {
        let Ok(spec) = &template.spec else { continue };
        for (index, metric) in spec.metrics.iter().enumerate() {
            let Some((name, config)) = metric.provider.analyzer() else { continue };
            if names.contains(&(Kind::Analyzer, name.to_owned())) && !config.to_string().contains("{{") {
                add(Kind::Analyzer, config.clone(), format!("{kind} {key} spec.metrics[{index}].provider.{name}"));
            }
        }
    }
    found.into_values().collect()
}
