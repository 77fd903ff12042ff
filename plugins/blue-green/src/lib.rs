//! The blue-green strategy: the new version comes up beside the old one, is looked at, and takes over at once.
//!
//! Configuration: what of `spec.strategy.blueGreen` is a decision. The plugin is not embedded yet, because the host does not serve
//! blue-green; its tables show that the interface `strategy` of `wit/0.1.0` carries all of it.
//!
//! | step | it waits for |
//! |---|---|
//! | 0 preview | the preview's pods, `previewReplicaCount` of them or all |
//! | 1 pause | `autoPromotionSeconds`, or a person; `prePromotionAnalysis` measures meanwhile |
//! | 2 analysis | `prePromotionAnalysis` |
//! | 3 growth | all of the pods |
//! | 4 switch | the data plane's word that all traffic goes to the new version |
//! | 5 verdict | `postPromotionAnalysis`; then it promotes |
//!
//! Steps without anything to wait for are passed over. Where it is in the steps is all that has to be remembered, and the host does
//! that: `decision.step`, which for blue-green stays in `status.kulta`, for Argo Rollouts' `currentStepIndex` is about canaries.
//!
//! How each of Argo Rollouts' fields is carried:
//!
//! | field | carried by |
//! |---|---|
//! | activeService | the host switches its selector when the weight is `max-weight` or 0; nothing in between is decided |
//! | previewService | the host, as soon as the revision exists |
//! | previewReplicaCount | `canary: replicas(n)` until the pause and the analysis are over, then `weight(max-weight)` |
//! | autoPromotionEnabled, autoPromotionSeconds | `next: pause`, with cause `step` and an `until` or none; the host calls it `BlueGreenPause` |
//! | prePromotionAnalysis, postPromotionAnalysis | the runs `pre` and `post` |
//! | inconclusive analyses | `next: pause` with cause `analysis` |
//! | failed analyses | `next: abort`; the host restores the active service |
//! | scaleDownDelaySeconds, scaleDownDelayRevisionLimit, abortScaleDownDelaySeconds | the host, after the promotion or the abort |
//! | maxUnavailable, antiAffinity, previewMetadata, activeMetadata | the host; they are about pods, not about the way |
//! | scaleUpPreviewCheckPoint (status) | `decision.step` ≥ 3 |
//! | rollback within the scale-down delay, promote --full, first deploy | the host; it doesn't ask then |

mod policy;
#[cfg(test)]
mod policy_tests;

use kulta_plugin::{About, Decision, Error, Situation, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;

/// Kubernetes keeps replica counts and Argo Rollouts its seconds in 32-bit signed integers.
const MAX_COUNT: u32 = i32::MAX as u32;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// Pods of the new version until it takes over; absent: all.
    #[schemars(range(max = MAX_COUNT))]
    pub preview_replica_count: Option<u32>,
    /// Absent: it is. Otherwise a person has to promote.
    pub auto_promotion_enabled: Option<bool>,
    /// How long to pause before the promotion; absent or 0: not at all. Nothing if a person has to promote.
    #[schemars(range(max = MAX_COUNT))]
    pub auto_promotion_seconds: Option<u32>,
    pub pre_promotion_analysis: Option<Analysis>,
    pub post_promotion_analysis: Option<Analysis>,
}

/// That there is one is all that counts here: what it measures is the host's affair.
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

    fn decide(config: Config, situation: &Situation) -> Result<Decision, Error> {
        Ok(policy::decide(&config, situation))
    }
}

kulta_plugin::export!(strategy: BlueGreen);
