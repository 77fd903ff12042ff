//! Sends half of the traffic to the new version for the configured time, then all of it.

use kulta_plugin::{About, Decision, Duration, Error, Goal, Next, Situation, Strategy};

pub struct Plugin;

/// A Rollout's configuration, below `strategy.plugin.config`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long half of the traffic goes to the new version, such as `10m`.
    keep: Duration,
}

/// Half, then all.
const STEPS: u32 = 1;

impl Strategy for Plugin {
    const ABOUT: About = About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        summary: "Half of the traffic for a while, then all",
    };

    type Config = Config;

    /// A pure function: the host asks with `reached: false`, puts the answer into place, and asks again with `true`.
    fn decide(config: Config, situation: &Situation) -> Result<Decision, Error> {
        let largest = situation.rollout.max_weight;
        let until = situation.step_started_at.saturating_add(config.keep.as_millis());
        let over = situation.promoted || situation.now >= until;
        let half = Decision { weight: largest / 2, reason: "half of the traffic".into(), ..Decision::at(0, STEPS) };
        Ok(match situation.goal {
            Goal::Restore => Decision { reason: "going back to stable".into(), ..Decision::at(0, STEPS) },
            Goal::Forward if situation.step >= STEPS || (situation.reached && over) => Decision {
                weight: largest,
                next: Next::Promote,
                reason: "all of the traffic".into(),
                ..Decision::at(STEPS, STEPS)
            },
            Goal::Forward if situation.reached => Decision { next: Next::Until(until), ..half },
            Goal::Forward => half,
        })
    }
}

kulta_plugin::export!(strategy: Plugin);

#[cfg(test)]
mod tests {
    use kulta_plugin::testing::strategy::{End, Simulation, decide, situation};

    use super::*;

    const CONFIG: &str = r#"{"keep":"10m"}"#;
    const MINUTE: u64 = 60_000;

    #[test]
    fn half_of_the_traffic_is_kept_for_the_configured_time() {
        let course = Simulation::<Plugin>::new(CONFIG).pods_take(15_000).play();

        assert_eq!(course.weights(), [(0, 0), (15_000, 50)]);
        assert_eq!((course.end, course.took), (End::Promoted, 10 * MINUTE));
    }

    #[test]
    fn a_user_may_promote_earlier() {
        let course = Simulation::<Plugin>::new(CONFIG).promote_at(MINUTE).play();

        assert_eq!((course.end, course.took), (End::Promoted, MINUTE));
    }

    #[test]
    fn on_the_way_back_all_traffic_goes_to_stable() {
        let back = Situation { goal: Goal::Restore, weight: 50, ..situation() };

        let decision = decide::<Plugin>(CONFIG, &back).unwrap();

        assert_eq!(decision.weight, 0);
    }
}
