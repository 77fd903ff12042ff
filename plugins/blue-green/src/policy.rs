//! The policy itself: pure functions from configuration and situation to a decision.

use crate::{Config, GradualSwitch};
use kulta_plugin::{
    Decision, Error, Failure, FailureKind, Goal, Next, Pause, PauseCause, Run, RunPhase, Scale, Situation, Verdict,
    Waiting, WantedRun,
};

const PRE: &str = "pre";
const POST: &str = "post";
const STEPS: u32 = 6;
const MILLIS_PER_SECOND: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Preview,
    Pause,
    Analysis,
    Growth,
    Switch,
    Verdict,
}

impl Step {
    fn of(index: u32) -> Self {
        match index {
            0 => Self::Preview,
            1 => Self::Pause,
            2 => Self::Analysis,
            3 => Self::Growth,
            4 => Self::Switch,
            _ => Self::Verdict,
        }
    }

    fn index(self) -> u32 {
        match self {
            Self::Preview => 0,
            Self::Pause => 1,
            Self::Analysis => 2,
            Self::Growth => 3,
            Self::Switch => 4,
            Self::Verdict => 5,
        }
    }
}

/// Checks that the schema cannot express: a duration has a unit.
pub fn check(config: &Config) -> Result<(), Error> {
    let Some(switch) = &config.gradual_switch else { return Ok(()) };
    let problem = match switch {
        GradualSwitch { step_weight: 0, .. } => "gradualSwitch.stepWeight: must be at least 1",
        GradualSwitch { interval, .. } if interval.as_millis() == 0 => "gradualSwitch.interval: must be more than 0",
        GradualSwitch { .. } => return Ok(()),
    };
    Err(Error::InvalidConfig(problem.into()))
}

pub fn decide(config: &Config, situation: &Situation) -> Decision {
    let way = Way { config, situation };
    match situation.goal {
        Goal::Forward => way.forward(),
        Goal::Restore => Decision {
            reason: "going back to the active version".into(),
            ..Decision::at(situation.step.min(STEPS), STEPS)
        },
    }
}

struct Way<'a> {
    config: &'a Config,
    situation: &'a Situation,
}

impl Way<'_> {
    fn forward(&self) -> Decision {
        if self.situation.step >= STEPS {
            return self.promote();
        }
        let step = Step::of(self.situation.step);
        if let Some(why) = self.failure(step) {
            let reason = format!("{}: {why}", self.name(step));
            let failure = Failure { kind: FailureKind::Analysis, reason: why };
            return Decision { next: Next::Abort(failure), reason, ..self.at(step) };
        }
        match step {
            Step::Preview if self.situation.reached => self.enter(Step::Pause),
            Step::Preview => self.wait(step, Waiting::Pods, "bringing the preview up"),
            Step::Pause => self.pause(),
            Step::Analysis => self.analyse(step, PRE, Step::Growth),
            Step::Growth if self.situation.reached => self.enter(Step::Switch),
            Step::Growth => self.wait(step, Waiting::Pods, "growing to full size"),
            Step::Switch => self.switch(),
            Step::Verdict => self.analyse(step, POST, Step::Verdict),
        }
    }

    /// The first step from this one on that has something to wait for.
    fn enter(&self, step: Step) -> Decision {
        match step {
            Step::Pause if !self.pauses() => self.enter(Step::Analysis),
            Step::Analysis if self.config.pre_promotion_analysis.is_none() => self.enter(Step::Growth),
            Step::Growth if self.config.preview_replica_count.is_none() => self.enter(Step::Switch),
            Step::Verdict if self.config.post_promotion_analysis.is_none() => self.promote(),
            Step::Pause => self.wait(step, Waiting::Other, "the preview is up"),
            Step::Analysis | Step::Verdict => self.wait(step, Waiting::Runs, "waiting for the analysis"),
            Step::Growth => self.wait(step, Waiting::Pods, "growing to full size"),
            Step::Preview => self.wait(step, Waiting::Pods, "bringing the preview up"),
            Step::Switch => self.wait(step, Waiting::Routes, "switching all traffic to the new version"),
        }
    }

    fn switch(&self) -> Decision {
        let (weight, until) = self.share();
        match until {
            _ if !self.situation.reached => self.enter(Step::Switch),
            None => self.enter(Step::Verdict),
            Some(until) => {
                let reason = format!("{}: keeping the weight {weight}", self.name(Step::Switch));
                Decision { next: Next::Until(until), reason, ..self.at(Step::Switch) }
            }
        }
    }

    /// The weight of the new version during the switch, and when it rises further.
    fn share(&self) -> (u32, Option<u64>) {
        let situation = self.situation;
        let max = situation.rollout.max_weight;
        let Some(GradualSwitch { step_weight, interval }) = &self.config.gradual_switch else { return (max, None) };
        // A switch that begins now starts with the first weight.
        let began = if situation.step == Step::Switch.index() { situation.step_started_at } else { situation.now };
        let interval = interval.as_millis().max(1);
        let passed = situation.now.saturating_sub(began) / interval;
        let steps = u32::try_from(passed.saturating_add(1)).unwrap_or(u32::MAX);
        let weight = step_weight.saturating_mul(steps).min(max);
        let rises = began.saturating_add(interval.saturating_mul(passed.saturating_add(1)));
        (weight, (weight < max).then_some(rises))
    }

    fn promote(&self) -> Decision {
        let reason = "all steps done: promoting".into();
        Decision { step: STEPS, next: Next::Promote, reason, runs: Vec::new(), ..self.at(Step::Verdict) }
    }

    /// A pause that has begun continues or ends, whatever happens to pods.
    fn pause(&self) -> Decision {
        let situation = self.situation;
        let unsure = self.inconclusive(PRE);
        if situation.promoted {
            // A user who ends a pause for an inconclusive analysis promotes past both.
            return self.enter(if unsure.is_some() { Step::Growth } else { Step::Analysis });
        }
        if let Some(why) = unsure {
            return self.pause_for(Step::Pause, PauseCause::Analysis, None, why);
        }
        let since = match situation.paused {
            Some((PauseCause::Step, since)) => since,
            _ => situation.now,
        };
        let until = self.promotes_itself_after().map(|millis| since.saturating_add(millis));
        if until.is_some_and(|until| situation.now >= until) {
            return self.enter(Step::Analysis);
        }
        let why = match until {
            Some(_) => "paused before the switch",
            None => "paused until promoted",
        };
        self.pause_for(Step::Pause, PauseCause::Step, until, why.into())
    }

    fn analyse(&self, step: Step, name: &str, next: Step) -> Decision {
        let passed = self.run(name).is_some_and(|run| run.phase == RunPhase::Judged(Verdict::Pass));
        let leave = || if step == next { self.promote() } else { self.enter(next) };
        match self.inconclusive(name) {
            _ if passed || !self.measures(name) => leave(),
            Some(_) if self.situation.promoted => leave(),
            Some(why) => self.pause_for(step, PauseCause::Analysis, None, why),
            None => self.wait(step, Waiting::Runs, "waiting for the analysis"),
        }
    }

    fn pauses(&self) -> bool {
        self.promotes_itself_after().is_none_or(|millis| millis > 0)
    }

    /// Milliseconds; `None` if a user must promote.
    fn promotes_itself_after(&self) -> Option<u64> {
        let seconds = u64::from(self.config.auto_promotion_seconds.unwrap_or(0));
        self.config.auto_promotion_enabled.unwrap_or(true).then_some(seconds * MILLIS_PER_SECOND)
    }

    fn measures(&self, name: &str) -> bool {
        let analysis =
            if name == PRE { self.config.pre_promotion_analysis } else { self.config.post_promotion_analysis };
        analysis.is_some()
    }

    fn wait(&self, step: Step, waiting: Waiting, what: &str) -> Decision {
        Decision { next: Next::Hold(waiting), reason: format!("{}: {what}", self.name(step)), ..self.at(step) }
    }

    fn pause_for(&self, step: Step, cause: PauseCause, until: Option<u64>, why: String) -> Decision {
        let reason = format!("{}: {why}", self.name(step));
        Decision { next: Next::Pause(Pause { cause, until }), reason, ..self.at(step) }
    }

    /// The target of a step.
    fn at(&self, step: Step) -> Decision {
        let max = self.situation.rollout.max_weight;
        let preview = self.config.preview_replica_count.filter(|_| step < Step::Growth);
        Decision {
            weight: match step {
                Step::Preview | Step::Pause | Step::Analysis | Step::Growth => 0,
                Step::Switch => self.share().0,
                Step::Verdict => max,
            },
            canary: preview.map_or(Scale::Weight(max), Scale::Replicas),
            runs: self.wanted(step),
            ..Decision::at(step.index(), STEPS)
        }
    }

    fn wanted(&self, step: Step) -> Vec<WantedRun> {
        let name = match step {
            Step::Pause | Step::Analysis => PRE,
            Step::Verdict => POST,
            Step::Preview | Step::Growth | Step::Switch => return Vec::new(),
        };
        let attempt = self.run(name).map_or(1, |run| run.attempt);
        if self.measures(name) { vec![WantedRun { name: name.into(), attempt }] } else { Vec::new() }
    }

    fn run(&self, name: &str) -> Option<&Run> {
        self.situation.runs.iter().find(|run| run.name == name)
    }

    fn failure(&self, step: Step) -> Option<String> {
        let wanted = self.wanted(step);
        let run = self.run(&wanted.first()?.name)?;
        let (RunPhase::Judged(Verdict::Fail(why)) | RunPhase::FailedToRun(why)) = &run.phase else { return None };
        let kind = if run.name == PRE { "Pre-promotion" } else { "Post-promotion" };
        let what = format!("{kind} analysis phase error/failed");
        Some(if why.is_empty() { what } else { format!("{what}: {why}") })
    }

    fn inconclusive(&self, name: &str) -> Option<String> {
        match &self.run(name)?.phase {
            RunPhase::Judged(Verdict::Inconclusive(why)) if why.is_empty() => {
                Some("the analysis is inconclusive".into())
            }
            RunPhase::Judged(Verdict::Inconclusive(why)) => Some(format!("the analysis is inconclusive: {why}")),
            _ => None,
        }
    }

    fn name(&self, step: Step) -> &'static str {
        match step {
            Step::Preview => "preview",
            Step::Pause => "pause",
            Step::Analysis => "pre-promotion analysis",
            Step::Growth => "growth",
            Step::Switch => "switch",
            Step::Verdict => "post-promotion analysis",
        }
    }
}
