//! The blue-green strategy of a scenario. The active Service is the one that the route sends all requests to. It uses random numbers of
//! its own, so that it does not change scenarios of canaries.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::analyses::Analyses;
use crate::cluster::{CANARY, STABLE};

/// The field of `spec.strategy`.
pub const KEY: &str = "blueGreen";
/// Chosen so that the seeds which found a defect in canaries stay as they were.
const STREAM: u64 = 0xb10e_96ee_0000_0072;
/// The share of scenarios.
const SHARE: f32 = 0.15;

#[derive(Clone, Copy, Debug)]
pub struct BlueGreen {
    /// The spec names a preview Service.
    pub preview: bool,
    /// Users change the running rollout to a canary and back.
    pub changes: bool,
}

impl BlueGreen {
    /// Most seeds have another strategy.
    #[must_use]
    pub fn from_seed(seed: u64) -> Option<Self> {
        let mut rng = random(seed);
        (rng.f32() < SHARE).then(|| Self { preview: rng.f32() < 0.7, changes: rng.f32() < 0.3 })
    }

    /// The fields that name the Services.
    #[must_use]
    pub fn services(self) -> Value {
        if self.preview {
            json!({ "activeService": STABLE, "previewService": CANARY })
        } else {
            json!({ "activeService": STABLE })
        }
    }

    /// The patch of `spec.strategy` that sets these fields, also if the strategy is a canary.
    #[must_use]
    pub fn patch(self, fields: Value) -> Value {
        let mut strategy = self.services();
        if let (Value::Object(strategy), Value::Object(fields)) = (&mut strategy, fields) {
            strategy.extend(fields);
        }
        json!({ "canary": null, KEY: strategy })
    }
}

/// The random numbers for everything that this file adds.
#[must_use]
pub fn random(seed: u64) -> Rng {
    Rng::with_seed(seed ^ STREAM)
}

/// What a user may change during an update. A field that is not set is null, so that a merge patch removes it.
#[must_use]
pub fn new_fields(rng: &mut Rng, analyses: Option<&Analyses>) -> Value {
    let mut seconds = |share: f32, most: u32| (rng.f32() < share).then(|| rng.u32(0..=most));
    let (promotion, delay, abort_delay) = (seconds(0.5, 90), seconds(0.5, 60), seconds(0.4, 60));
    let mut analysis = || analyses.filter(|_| rng.f32() < 0.6).map(|_| Analyses::reference());
    let (before, after) = (analysis(), analysis());
    json!({
        "autoPromotionEnabled": (rng.f32() < 0.3).then_some(false),
        "autoPromotionSeconds": promotion,
        "previewReplicaCount": (rng.f32() < 0.4).then(|| rng.u32(1..=3)),
        "scaleDownDelaySeconds": delay,
        "scaleDownDelayRevisionLimit": (rng.f32() < 0.3).then(|| rng.u32(0..=2)),
        "abortScaleDownDelaySeconds": abort_delay,
        "prePromotionAnalysis": before,
        "postPromotionAnalysis": after,
    })
}

/// The patch of `spec.strategy` to a canary with the same Services. The route stays as it is: `trafficRouting` names no router.
#[must_use]
pub fn canary(rng: &mut Rng) -> Value {
    let steps = json!([{ "setWeight": rng.u32(1..=9) * 10 }, { "pause": { "duration": rng.u32(1..=60) } }]);
    json!({
        KEY: null,
        "canary": { "stableService": STABLE, "canaryService": CANARY, "trafficRouting": {}, "steps": steps },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_seeds_have_every_kind_of_blue_green() {
        let all: Vec<BlueGreen> = (0..100).filter_map(BlueGreen::from_seed).collect();

        let counts = [
            all.len(),
            all.iter().filter(|blue_green| blue_green.preview).count(),
            all.iter().filter(|blue_green| !blue_green.preview).count(),
            all.iter().filter(|blue_green| blue_green.changes).count(),
        ];

        assert!(counts.iter().all(|count| *count > 1), "{counts:?}");
    }
}
