//! The script of the demo: decides the next action from the observed state.

use std::time::Duration;

use anyhow::{Result, bail};
use kulta_api::RolloutPhase;

use super::app::Version;
use super::observe::{Observation, ObservedRollout, Role};
use super::speed::Speed;

/// How long a version serves before the next one is deployed.
const SERVE: Duration = Duration::from_secs(4);
/// Time limit of the whole demo at any speed: the demo promises to end within a minute.
const LIMIT: Duration = Duration::from_secs(57);

/// An action of the user or of the controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The user deploys a version.
    Deploy(Version),
    /// The controller rolls a version back, for this reason.
    RolledBack { version: Version, why: String },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Empty,
    /// A version is being rolled out.
    Under(Version),
    /// A version serves, since this time.
    Serving(Version, Duration),
    /// The bad version is being rolled back.
    Back,
    /// Stable alone serves again, since this time.
    Safe(Duration),
    Over,
}

pub struct Script {
    speed: Speed,
    stage: Stage,
}

impl Script {
    #[must_use]
    pub const fn new(speed: Speed) -> Self {
        Self { speed, stage: Stage::Empty }
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// True once the first version is ready: from then on every request must be served.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Empty | Stage::Under(Version::First))
    }

    /// Describes the current stage in the picture's title.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self.stage {
            Stage::Empty => "starting an API server, a gateway and the controller",
            Stage::Under(Version::First) | Stage::Serving(Version::First, _) => "1/4  the first version, v1",
            Stage::Under(Version::Good) | Stage::Serving(Version::Good, _) => {
                "2/4  a good version, v2: 10 %, 50 %, then all requests"
            }
            Stage::Under(Version::Bad) | Stage::Serving(Version::Bad, _) => {
                "3/4  a bad version, v3: slow, and some answers are errors"
            }
            Stage::Back | Stage::Safe(_) | Stage::Over => "4/4  back to v2",
        }
    }

    /// Advances to the next stage by the state of the cluster at `now` (time since the demo's start), and returns the
    /// next action.
    ///
    /// # Errors
    /// If the demo does not run as planned.
    pub fn advance(&mut self, now: Duration, seen: &Observation) -> Result<Option<Action>> {
        let rollout = seen.rollout.clone().unwrap_or_default();
        if now > LIMIT {
            bail!(
                "it did not end within {} s: \"{}\" with the rollout {}",
                LIMIT.as_secs(),
                self.title(),
                phase(&rollout)
            );
        }
        match self.stage {
            Stage::Empty => return Ok(self.deploy(Version::First)),
            Stage::Under(version) => {
                if is_healthy(&rollout, version) {
                    if version == Version::Bad {
                        bail!("{} was promoted before its errors were seen", version.tag());
                    }
                    self.stage = Stage::Serving(version, now);
                } else if version == Version::Bad && rollout.version == version.tag() && rollout.aborted {
                    self.stage = Stage::Back;
                    // The picture already shows the begin of the message: that the update to this revision was aborted.
                    let why = rollout.message.rsplit_once(": Background").map(|(_, why)| format!("background{why}"));
                    return Ok(Some(Action::RolledBack { version, why: why.unwrap_or(rollout.message) }));
                } else if rollout.up_to_date && rollout.phase == Some(RolloutPhase::Degraded) {
                    bail!("{} failed: {}", version.tag(), rollout.message);
                }
            }
            Stage::Serving(version, since) if now.saturating_sub(since) >= self.speed.scaled(SERVE) => match version {
                Version::First => return Ok(self.deploy(Version::Good)),
                Version::Good | Version::Bad => return Ok(self.deploy(Version::Bad)),
            },
            Stage::Back => {
                let all_back = seen.weights.canary == 0 && seen.version(Role::Canary).is_none();
                if rollout.aborted && rollout.phase == Some(RolloutPhase::Degraded) && all_back {
                    self.stage = Stage::Safe(now);
                }
            }
            Stage::Safe(since) if now.saturating_sub(since) >= self.speed.scaled(SERVE) => self.stage = Stage::Over,
            Stage::Serving(..) | Stage::Safe(_) | Stage::Over => {}
        }
        Ok(None)
    }

    fn deploy(&mut self, version: Version) -> Option<Action> {
        self.stage = Stage::Under(version);
        Some(Action::Deploy(version))
    }
}

fn is_healthy(rollout: &ObservedRollout, version: Version) -> bool {
    rollout.up_to_date
        && rollout.stable
        && rollout.version == version.tag()
        && rollout.phase == Some(RolloutPhase::Healthy)
}

fn phase(rollout: &ObservedRollout) -> String {
    match rollout.phase {
        Some(phase) if rollout.message.is_empty() => phase.as_str().to_owned(),
        Some(phase) => format!("{} ({})", phase.as_str(), rollout.message),
        None => "without a phase".to_owned(),
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod script_tests;
