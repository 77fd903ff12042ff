//! The story as it has to go: what the demo does next follows from what is seen.

use std::time::Duration;

use anyhow::{Result, bail};
use kulta_api::RolloutPhase;

use super::app::Version;
use super::observe::{Role, Seeable, Seen};
use super::speed::Speed;

/// How long a version serves before the next one comes.
const SERVE: Duration = Duration::from_secs(4);
/// The whole story, at any speed; a minute is what the demo promises.
const LIMIT: Duration = Duration::from_secs(57);

/// What happens now.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// To be done, in a person's place.
    Deploy(Version),
    /// The controller takes a version back, and says why.
    TakenBack { version: Version, why: String },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    Empty,
    /// A version is on its way.
    Under(Version),
    /// A version serves, since then.
    Serving(Version, Duration),
    /// The bad version is being taken back.
    Back,
    /// Stable serves alone again, since then.
    Safe(Duration),
    Over,
}

pub struct Script {
    speed: Speed,
    scene: Scene,
}

impl Script {
    #[must_use]
    pub const fn new(speed: Speed) -> Self {
        Self { speed, scene: Scene::Empty }
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.scene == Scene::Over
    }

    /// The first version has become ready: from now on every request has to be served.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.scene, Scene::Empty | Scene::Under(Version::First))
    }

    /// What goes on, for the picture's title.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match self.scene {
            Scene::Empty => "starting an API server, a gateway and the controller",
            Scene::Under(Version::First) | Scene::Serving(Version::First, _) => "1/4  the first version, v1",
            Scene::Under(Version::Good) | Scene::Serving(Version::Good, _) => {
                "2/4  a good version, v2: 10 %, 50 %, then all requests"
            }
            Scene::Under(Version::Bad) | Scene::Serving(Version::Bad, _) => {
                "3/4  a bad version, v3: slow, and some answers are errors"
            }
            Scene::Back | Scene::Safe(_) | Scene::Over => "4/4  back to v2",
        }
    }

    /// Looks at the cluster at `now`, counted from the demo's start, and tells what to do.
    ///
    /// # Errors
    /// When the story does not go as it has to.
    pub fn look(&mut self, now: Duration, seen: &Seen) -> Result<Option<Act>> {
        let rollout = seen.rollout.clone().unwrap_or_default();
        if now > LIMIT {
            bail!(
                "it did not end within {} s: \"{}\" with the rollout {}",
                LIMIT.as_secs(),
                self.title(),
                phase(&rollout)
            );
        }
        match self.scene {
            Scene::Empty => return Ok(self.deploy(Version::First)),
            Scene::Under(version) => {
                if is_healthy(&rollout, version) {
                    if version == Version::Bad {
                        bail!("{} was promoted before its errors were seen", version.tag());
                    }
                    self.scene = Scene::Serving(version, now);
                } else if version == Version::Bad && rollout.version == version.tag() && rollout.aborted {
                    self.scene = Scene::Back;
                    // The message begins with what the picture shows anyway: that the update to this revision was aborted.
                    let why = rollout.message.rsplit_once(": Background").map(|(_, why)| format!("background{why}"));
                    return Ok(Some(Act::TakenBack { version, why: why.unwrap_or(rollout.message) }));
                } else if rollout.up_to_date && rollout.phase == Some(RolloutPhase::Degraded) {
                    bail!("{} failed: {}", version.tag(), rollout.message);
                }
            }
            Scene::Serving(version, since) if now.saturating_sub(since) >= self.speed.scaled(SERVE) => match version {
                Version::First => return Ok(self.deploy(Version::Good)),
                Version::Good | Version::Bad => return Ok(self.deploy(Version::Bad)),
            },
            Scene::Back => {
                let all_back = seen.weights.canary == 0 && seen.version(Role::Canary).is_none();
                if rollout.aborted && rollout.phase == Some(RolloutPhase::Degraded) && all_back {
                    self.scene = Scene::Safe(now);
                }
            }
            Scene::Safe(since) if now.saturating_sub(since) >= self.speed.scaled(SERVE) => self.scene = Scene::Over,
            Scene::Serving(..) | Scene::Safe(_) | Scene::Over => {}
        }
        Ok(None)
    }

    fn deploy(&mut self, version: Version) -> Option<Act> {
        self.scene = Scene::Under(version);
        Some(Act::Deploy(version))
    }
}

fn is_healthy(rollout: &Seeable, version: Version) -> bool {
    rollout.up_to_date
        && rollout.stable
        && rollout.version == version.tag()
        && rollout.phase == Some(RolloutPhase::Healthy)
}

fn phase(rollout: &Seeable) -> String {
    match rollout.phase {
        Some(phase) if rollout.message.is_empty() => phase.as_str().to_owned(),
        Some(phase) => format!("{} ({})", phase.as_str(), rollout.message),
        None => "without a phase".to_owned(),
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod script_tests;
