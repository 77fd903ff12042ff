//! Selects the strategy plugin and its configuration.

use kulta_api::analysis::RolloutAnalysis;
use kulta_api::blue_green::BlueGreenStrategy;
use kulta_api::{CanaryStrategy, PluginStrategy, RolloutStrategy};
use serde_json::{Value, json};

use crate::{argo_steps, hash};

/// The strategy plugin of a rollout.
#[derive(Clone, Debug)]
pub(crate) struct StrategyChoice {
    pub plugin: String,
    pub config: Value,
    /// The number of steps, if the strategy has a list of them.
    pub steps: Option<u32>,
    /// The hash changes with the steps or the configuration.
    pub hash: String,
}

/// The plugin that serves `strategy.canary`.
pub const CANARY_PLUGIN: &str = "canary";

/// The configuration of that plugin.
#[must_use]
pub fn canary_config(canary: &CanaryStrategy) -> Value {
    let mut config = json!({ "steps": canary.steps });
    // An analysis without templates measures nothing.
    if let Some(analysis) = canary.fields.analysis.as_ref().filter(|analysis| !analysis.templates.is_empty())
        && let Some(config) = config.as_object_mut()
    {
        // A negative index means "from the start". The strategy accepts only indexes of steps.
        let starting_step = analysis.starting_step.filter(|step| *step >= 0);
        config.insert("analysis".to_owned(), json!(RolloutAnalysis { starting_step, ..analysis.clone() }));
    }
    config
}

/// The plugin that serves `strategy.blueGreen`.
pub const BLUE_GREEN_PLUGIN: &str = "blue-green";

/// The configuration of that plugin. A negative number of seconds counts as 0.
#[must_use]
pub fn blue_green_config(strategy: &BlueGreenStrategy) -> Value {
    let has_templates = |analysis: &Option<RolloutAnalysis>| {
        analysis.as_ref().is_some_and(|analysis| !analysis.templates.is_empty()).then(|| json!({}))
    };
    let fields = [
        ("previewReplicaCount", strategy.preview_replica_count.map(|pods| json!(pods))),
        ("autoPromotionEnabled", strategy.auto_promotion_enabled.map(|enabled| json!(enabled))),
        ("autoPromotionSeconds", strategy.auto_promotion_seconds.map(|seconds| json!(seconds.max(0)))),
        ("prePromotionAnalysis", has_templates(&strategy.pre_promotion_analysis)),
        ("postPromotionAnalysis", has_templates(&strategy.post_promotion_analysis)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl StrategyChoice {
    /// `None` if the spec names no strategy.
    pub fn of(strategy: &RolloutStrategy) -> Option<Self> {
        match (&strategy.canary, &strategy.plugin, &strategy.blue_green) {
            (Some(canary), ..) => Some(Self::of_canary(canary)),
            (None, Some(plugin), _) => Some(Self::of_plugin(plugin)),
            (None, None, Some(blue_green)) => Some(Self::of_blue_green(blue_green)),
            (None, None, None) => None,
        }
    }

    /// The choice for a spec that names no strategy. No plugin is called then.
    pub fn none() -> Self {
        Self { plugin: String::new(), config: Value::Null, steps: None, hash: String::new() }
    }

    pub fn of_canary(canary: &CanaryStrategy) -> Self {
        Self {
            plugin: CANARY_PLUGIN.to_owned(),
            hash: argo_steps::steps_hash(&canary.steps),
            config: canary_config(canary),
            steps: Some(u32::try_from(canary.steps.len()).unwrap_or(u32::MAX)),
        }
    }

    /// As in Argo, blue-green has no hash of steps: a change of its fields does not begin the update again.
    pub fn of_blue_green(strategy: &BlueGreenStrategy) -> Self {
        let config = blue_green_config(strategy);
        Self { plugin: BLUE_GREEN_PLUGIN.to_owned(), config, steps: None, hash: String::new() }
    }

    /// Whether this hash was recorded for the same steps or configuration. KULTA 0.1.0 recorded another hash for steps; an upgrade from it
    /// must not return an update to its first step.
    pub fn is_recorded_as(&self, recorded: &str) -> bool {
        let earlier = || self.config.get("steps").map(hash::steps_hash);
        recorded == self.hash || (self.steps.is_some() && earlier().as_deref() == Some(recorded))
    }

    pub fn of_plugin(plugin: &PluginStrategy) -> Self {
        let config = plugin.config.as_ref().map_or_else(|| json!({}), |config| config.0.clone());
        Self {
            hash: hash::steps_hash(&json!({ "name": plugin.name, "config": config })),
            plugin: plugin.name.clone(),
            config,
            steps: None,
        }
    }
}
