//! The policy itself: pure functions from configuration and situation to a decision.

use crate::analysis::{Analyses, Say};
use crate::config::{Config, Pause, Step};
use crate::routes;
use crate::step_plugin::{self, StepPlugin};
use kulta_plugin::{
    Decision, Error, Failure, FailureKind, Goal, Next, Pause as PauseAnswer, PauseCause, Scale, Situation, Waiting,
    WantedRun,
};

/// Pauses are stored in the API in whole seconds.
const SECOND: u64 = 1_000;

/// Where the revision should be now. An error if a weight is above the rollout's maximum.
pub fn decide(config: &Config, situation: &Situation) -> Result<Decision, Error> {
    let course = Course {
        config,
        situation,
        steps: &config.steps,
        max_weight: situation.rollout.max_weight,
        analyses: Analyses::new(config, situation),
    };
    course.check_weights()?;
    Ok(match situation.goal {
        Goal::Forward => course.forward(),
        Goal::Restore => course.restore(),
    })
}

struct Course<'a> {
    config: &'a Config,
    situation: &'a Situation,
    steps: &'a [Step],
    max_weight: u32,
    analyses: Analyses<'a>,
}

impl Course<'_> {
    fn check_weights(&self) -> Result<(), Error> {
        let too_high = self.steps.iter().enumerate().find_map(|(index, step)| {
            let weight = step.set_weight.filter(|weight| *weight > self.max_weight)?;
            Some(format!("steps[{index}].setWeight: {weight} is above the largest weight {}", self.max_weight))
        });
        too_high.map_or(Ok(()), |message| Err(Error::InvalidConfig(message)))
    }

    fn forward(&self) -> Decision {
        let situation = self.situation;
        let index = index(situation.step).min(self.steps.len());
        match self.analyses.say(index) {
            Say::Failed(why) => return self.abort(index, FailureKind::Analysis, why),
            Say::Inconclusive(why) => return self.unsure(index, &why),
            Say::Nothing => {}
        }
        match StepPlugin::at(self.config, situation, index).map(|plugin| plugin.say()) {
            Some(step_plugin::Say::Failed(why)) => {
                return self.abort(index, FailureKind::Gate, why);
            }
            Some(step_plugin::Say::Inconclusive(why)) => return self.unsure(index, &why),
            Some(step_plugin::Say::Working | step_plugin::Say::Done) | None => {}
        }
        match self.steps.get(index) {
            None => self.promote(),
            Some(Step { pause: Some(_), .. }) if situation.promoted => self.begin(index + 1),
            Some(Step { pause: Some(pause), .. }) => self.pause(index, *pause),
            Some(Step { analysis: Some(_), .. }) if self.analyses.step_done(index) => self.begin(index + 1),
            Some(Step { analysis: Some(_), .. }) => self.wait(index, "the analysis"),
            Some(Step { plugin: Some(_), .. }) => self.delegate(index),
            Some(_) if situation.reached => self.begin(index + 1),
            Some(_) => self.begin(index),
        }
    }

    /// The decision on entering a step: its weight and scale; the host applies it.
    fn begin(&self, index: usize) -> Decision {
        let Some(step) = self.steps.get(index) else {
            return self.promote();
        };
        let mut decision = self.at(index);
        let doing = match step {
            Step { set_weight: Some(_), .. } => {
                format!("moving the weight to {}", self.share(decision.weight))
            }
            Step { pause: Some(_), .. } => "getting ready to pause".to_owned(),
            Step { analysis: Some(_), .. } => "beginning the analysis".to_owned(),
            Step { plugin: Some(plugin), .. } => format!("beginning step plugin {}", plugin.name),
            Step { set_header_route: Some(route), .. } => managing("header", &route.name, route.matches.is_empty()),
            Step { set_mirror_route: Some(route), .. } => managing("mirror", &route.name, route.matches.is_empty()),
            _ => format!("scaling the canary to {}", self.scale_text(&decision.canary)),
        };
        decision.reason = format!("{}: {doing}", self.place(index));
        decision
    }

    /// A pause that has begun continues or ends, whatever happens to pods; a new one waits for pods.
    fn pause(&self, index: usize, pause: Pause) -> Decision {
        let situation = self.situation;
        let since = match situation.paused {
            Some((PauseCause::Step, since)) => since,
            _ if situation.reached => situation.now,
            _ => return self.begin(index),
        };
        let until = pause
            .duration
            .map(|duration| since.saturating_add(duration.as_millis()).div_ceil(SECOND).saturating_mul(SECOND));
        if until.is_some_and(|until| situation.now >= until) {
            return self.begin(index + 1);
        }
        let mut decision = self.at(index);
        decision.next = Next::Pause(PauseAnswer { cause: PauseCause::Step, until });
        let share = self.share(decision.weight);
        decision.reason = match pause.duration {
            Some(duration) => format!("{}: paused for {duration} at {share}", self.place(index)),
            None => format!("{}: paused at {share} until promoted", self.place(index)),
        };
        decision
    }

    /// The run continues, whatever happens to pods.
    fn wait(&self, index: usize, what: &str) -> Decision {
        let mut decision = self.at(index);
        decision.next = Next::Hold(Waiting::Runs);
        decision.reason = format!("{}: waiting for {what} at {}", self.place(index), self.share(decision.weight));
        decision
    }

    /// Another plugin does the step's work, which has not failed. A weight beside it is in place before the next step.
    fn delegate(&self, index: usize) -> Decision {
        let Some(plugin) = StepPlugin::at(self.config, self.situation, index) else {
            return self.begin(index);
        };
        let moves = self.steps.get(index).is_some_and(Step::moves);
        match plugin.say() {
            step_plugin::Say::Done if moves && !self.situation.reached => self.begin(index),
            step_plugin::Say::Done => self.begin(index + 1),
            _ => self.wait(index, &format!("step plugin {}", plugin.name)),
        }
    }

    fn abort(&self, index: usize, kind: FailureKind, why: String) -> Decision {
        let mut decision = self.at(index);
        decision.reason = format!("{}: {why}", self.place(index));
        decision.next = Next::Abort(Failure { kind, reason: why });
        decision
    }

    /// An analysis is inconclusive: a user decides, and until then the canary keeps its pods and its current traffic.
    fn unsure(&self, index: usize, why: &str) -> Decision {
        let confirmed = self.situation.weight;
        let mut decision = self.at(index);
        let before = index.checked_sub(1).map_or(0, |before| self.at(before).weight);
        decision.weight = decision.weight.min(confirmed.max(before));
        decision.canary = Scale::Replicas(self.situation.rollout.canary.desired);
        decision.next = Next::Pause(PauseAnswer { cause: PauseCause::Analysis, until: None });
        decision.reason = format!("{}: paused at {}, {why}", self.place(index), self.share(decision.weight));
        decision
    }

    fn promote(&self) -> Decision {
        let count = count(self.steps.len());
        Decision {
            weight: self.max_weight,
            canary: Scale::Weight(self.max_weight),
            runs: self.wanted(self.steps.len()),
            next: Next::Promote,
            reason: match count {
                0 => "no steps: promoting".to_owned(),
                count => format!("all {count} steps done: promoting"),
            },
            ..Decision::at(count, count)
        }
    }

    /// Restores stable by the weights of the steps, highest first. Only the confirmed weight counts, so the answer is
    /// the same until the data plane has followed.
    fn restore(&self) -> Decision {
        let situation = self.situation;
        let weight = self
            .steps
            .iter()
            .filter_map(|step| step.set_weight)
            .filter(|level| *level < situation.weight)
            .max()
            .unwrap_or(0);
        Decision {
            weight,
            next: Next::Hold(Waiting::Pods),
            reason: format!("going back to stable: lowering the weight to {}", self.share(weight)),
            ..Decision::at(situation.step, count(self.steps.len()))
        }
    }

    /// The target of a step: the last weight and the last scale set at or before it.
    fn at(&self, index: usize) -> Decision {
        let so_far = || self.steps.iter().take(index + 1).rev();
        let weight = so_far().find_map(|step| step.set_weight).unwrap_or(0);
        let canary = match so_far().find_map(|step| step.set_canary_scale) {
            Some(set) if set.match_traffic_weight => Scale::FollowWeight,
            Some(set) => {
                set.replicas.map(Scale::Replicas).or(set.weight.map(Scale::Weight)).unwrap_or(Scale::FollowWeight)
            }
            None => Scale::FollowWeight,
        };
        Decision {
            weight,
            canary,
            routes: routes::at(self.steps, index),
            runs: self.wanted(index),
            next: Next::Hold(Waiting::Pods),
            ..Decision::at(count(index), count(self.steps.len()))
        }
    }

    /// All runs that should be running or done at this step.
    fn wanted(&self, index: usize) -> Vec<WantedRun> {
        let mut runs = self.analyses.wanted(index);
        runs.extend(step_plugin::wanted(self.config, self.situation, index));
        runs
    }

    /// Counted from 1 for users; after the last step it is still the last one.
    fn place(&self, index: usize) -> String {
        format!("step {}/{}", (index + 1).min(self.steps.len()), self.steps.len())
    }

    fn share(&self, weight: u32) -> String {
        match self.max_weight {
            100 => format!("{weight} %"),
            max => format!("{weight}/{max}"),
        }
    }

    fn scale_text(&self, scale: &Scale) -> String {
        match scale {
            Scale::FollowWeight => "its weight".to_owned(),
            Scale::Weight(weight) => self.share(*weight),
            Scale::Replicas(1) => "1 pod".to_owned(),
            Scale::Replicas(replicas) => format!("{replicas} pods"),
        }
    }
}

/// What a step does with its managed route.
fn managing(kind: &str, name: &str, ends: bool) -> String {
    format!("{} {kind} route {name}", if ends { "removing" } else { "setting" })
}

fn index(step: u32) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

fn count(steps: usize) -> u32 {
    u32::try_from(steps).unwrap_or(u32::MAX)
}
