//! The blue-green strategy: the new version starts next to the old one, is verified, and gets all traffic at once.
//!
//! Configuration: the fields of `spec.strategy.blueGreen` that need a decision.
//!
//! | step | it waits for |
//! |---|---|
//! | 0 preview | the preview's pods, `previewReplicaCount` of them or all |
//! | 1 pause | `autoPromotionSeconds`, or a user; `prePromotionAnalysis` measures meanwhile |
//! | 2 analysis | `prePromotionAnalysis` |
//! | 3 growth | all of the pods |
//! | 4 switch | the data plane confirms all traffic to the new version; with `gradualSwitch` one weight after the other |
//! | 5 verdict | `postPromotionAnalysis`; then it promotes |
//!
//! A step with nothing to wait for is passed at once. The only state is the step, which the host stores during the
//! update.
//!
//! How each of Argo Rollouts' fields is mapped:
//!
//! | field | mapped to |
//! |---|---|
//! | activeService | the host switches its selector when the weight is `max-weight` or 0; there are no other weights |
//! | previewService | the host, as soon as the revision exists |
//! | previewReplicaCount | `canary: replicas(n)` until the pause and the analysis are over, then `weight(max-weight)` |
//! | autoPromotionEnabled, autoPromotionSeconds | `next: pause`, with cause `step` and an `until` or none; the host calls it `BlueGreenPause` |
//! | prePromotionAnalysis, postPromotionAnalysis | the runs `pre` and `post` |
//! | inconclusive analyses | `next: pause` with cause `analysis` |
//! | failed analyses | `next: abort`; the host restores the active service |
//! | scaleDownDelaySeconds, scaleDownDelayRevisionLimit, abortScaleDownDelaySeconds | the host, after the promotion or the abort |
//! | maxUnavailable, antiAffinity, previewMetadata, activeMetadata | the host; they concern pods, not steps |
//! | scaleUpPreviewCheckPoint (status) | `decision.step` ≥ 3 |
//! | rollback within the scale-down delay, promote --full, first deploy | the host, without a call |

mod policy;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod recorded;

use kulta_plugin::{About, Decision, Duration, Error, Situation, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Kubernetes stores replica counts and Argo Rollouts its seconds in signed 32-bit integers.
const MAX_COUNT: u32 = i32::MAX as u32;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// Pods of the new version until the switch; default: all.
    #[schemars(range(max = MAX_COUNT))]
    pub preview_replica_count: Option<u32>,
    /// Default: true. With false a user must promote.
    pub auto_promotion_enabled: Option<bool>,
    /// Duration of the pause before the promotion; absent or 0: no pause. Ignored if a user must promote.
    #[schemars(range(max = MAX_COUNT))]
    pub auto_promotion_seconds: Option<u32>,
    pub pre_promotion_analysis: Option<Analysis>,
    pub post_promotion_analysis: Option<Analysis>,
    /// Only behind a route: the share of the new version rises step by step instead of at once.
    pub gradual_switch: Option<GradualSwitch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GradualSwitch {
    /// Increment of the weight, in parts of the rollout's maximum weight.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub step_weight: u32,
    /// Duration of each weight below the maximum.
    pub interval: Duration,
}

/// Only its presence matters here: the host evaluates its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
pub struct Analysis {}

pub struct BlueGreen;

impl Strategy for BlueGreen {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Brings the new version up beside the old one, and switches all traffic at once",
    };

    type Config = Config;

    fn check_config(config: &Config) -> Result<(), Error> {
        policy::check(config)
    }

    fn decide(config: Config, situation: &Situation) -> Result<Decision, Error> {
        Ok(policy::decide(&config, situation))
    }
}

kulta_plugin::export!(strategy: BlueGreen);
