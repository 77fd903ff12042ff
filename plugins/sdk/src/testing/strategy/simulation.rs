//! A small simulated rollout that applies decisions: pods become available, weights are confirmed, analyses end, users
//! promote, time passes.

use super::{decide, situation};
use crate::testing::checks;
use crate::{
    Decision, Error, Failure, Goal, Next, PauseCause, Run, RunPhase, Scale, Situation, Strategy, Waiting, WantedRun,
};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// Default time until pods are available, in milliseconds.
const PODS_TAKE: u64 = 10_000;
/// Limit of steps that may be passed at one instant, as in the host.
const STEPS_AT_ONCE: u32 = 32;
/// Limit of calls per simulation.
const MAX_LOOKS: usize = 10_000;

/// A rollout in progress. The clock jumps from one event to the next. A weight is confirmed once the pods of its
/// decision are available, or at once if it decreases. The stable side stays at full size.
///
/// ```
/// use kulta_plugin::testing::strategy::{End, Simulation};
/// use kulta_plugin::{About, Decision, Error, Next, Situation, Strategy};
///
/// /// Half of the traffic for a minute, then all of it.
/// struct Half;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Config {}
///
/// impl Strategy for Half {
///     const ABOUT: About = About { name: "half", version: "0.1.0", summary: "Half for a minute, then all" };
///     type Config = Config;
///
///     fn decide(_config: Config, situation: &Situation) -> Result<Decision, Error> {
///         let half = Decision { weight: situation.rollout.max_weight / 2, ..Decision::at(0, 1) };
///         let until = situation.step_started_at + 60_000;
///         Ok(match situation.reached {
///             false => half,
///             true if situation.now < until => Decision { next: Next::Until(until), ..half },
///             true => Decision { weight: situation.rollout.max_weight, next: Next::Promote, ..Decision::at(1, 1) },
///         })
///     }
/// }
///
/// let course = Simulation::<Half>::new("{}").pods_take(15_000).play();
///
/// assert_eq!(course.weights(), [(0, 0), (15_000, 50)]);
/// assert_eq!((course.end, course.took), (End::Promoted, 60_000));
/// ```
pub struct Simulation<T> {
    config: String,
    situation: Situation,
    pods_take: u64,
    promotions: Vec<u64>,
    runs: BTreeMap<String, Vec<(u64, RunPhase)>>,
    strategy: PhantomData<T>,
}

/// The result.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The applied decisions, without repetitions.
    pub moments: Vec<Moment>,
    pub end: End,
    /// Milliseconds from the beginning to the end.
    pub took: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Milliseconds since the beginning.
    pub at: u64,
    /// The weight that the data plane had confirmed when this was decided.
    pub confirmed: u32,
    pub decision: Decision,
}

#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Promoted,
    Aborted(Failure),
    /// Nobody promotes it.
    Paused(PauseCause),
    /// There is no future event that it could wait for.
    Stuck(Waiting),
    /// The strategy returned an error, or an answer that the host rejects.
    Failed(Error),
}

impl Course {
    /// The confirmed weights: time (milliseconds since the beginning) and weight.
    pub fn weights(&self) -> Vec<(u64, u32)> {
        let mut weights: Vec<(u64, u32)> = self.moments.iter().map(|moment| (moment.at, moment.confirmed)).collect();
        weights.dedup_by_key(|(_, weight)| *weight);
        weights
    }

    /// The reasons of its decisions, in order.
    pub fn reasons(&self) -> Vec<&str> {
        self.moments.iter().map(|moment| moment.decision.reason.as_str()).collect()
    }
}

impl<T: Strategy> Simulation<T> {
    /// The sample [`situation`]: pods take 10 s, runs never end, and no user promotes.
    pub fn new(config: impl Into<String>) -> Self {
        Self {
            config: config.into(),
            situation: situation(),
            pods_take: PODS_TAKE,
            promotions: Vec::new(),
            runs: BTreeMap::new(),
            strategy: PhantomData,
        }
    }

    /// Begins with this situation instead of the sample.
    pub fn on(mut self, situation: Situation) -> Self {
        self.situation = situation;
        self
    }

    /// Milliseconds until new pods are available.
    pub fn pods_take(mut self, millis: u64) -> Self {
        self.pods_take = millis;
        self
    }

    /// A user promotes this number of milliseconds after the beginning: ends a pause, or else skips a step.
    pub fn promote_at(mut self, millis: u64) -> Self {
        self.promotions.push(millis);
        self.promotions.sort_unstable();
        self
    }

    /// The run of this name ends this number of milliseconds after its beginning. A second call is about the next
    /// attempt.
    pub fn run(mut self, name: &str, millis: u64, phase: RunPhase) -> Self {
        self.runs.entry(name.into()).or_default().push((millis, phase));
        self
    }

    /// Runs it to its end.
    pub fn play(&self) -> Course {
        let mut world = World {
            began: self.situation.now,
            situation: self.situation.clone(),
            pods_at: None,
            promotions: self.promotions.clone(),
            moments: Vec::new(),
        };
        for _ in 0..MAX_LOOKS {
            let decision = match self.look(&mut world) {
                Ok(decision) => decision,
                Err(error) => return world.over(End::Failed(error)),
            };
            world.note(&decision);
            match &decision.next {
                Next::Promote => return world.over(End::Promoted),
                Next::Abort(failure) => return world.over(End::Aborted(failure.clone())),
                Next::Hold(_) | Next::Until(_) | Next::Pause(_) => {}
            }
            if world.follow(&decision, self.pods_take) {
                continue;
            }
            let Some(next) = self.next(&world, &decision) else {
                return world.over(match decision.next {
                    Next::Pause(pause) => End::Paused(pause.cause),
                    Next::Hold(waiting) => End::Stuck(waiting),
                    _ => End::Stuck(Waiting::Other),
                });
            };
            self.pass_time(&mut world, next);
        }
        world.over(End::Failed(Error::Internal(format!("no end after {MAX_LOOKS} looks"))))
    }

    /// Calls until a step is not passed at once.
    fn look(&self, world: &mut World) -> Result<Decision, Error> {
        for _ in 0..STEPS_AT_ONCE {
            world.situation.reached = false;
            let mut decision = self.ask(&world.situation)?;
            if decision.step == world.situation.step && world.in_place(&decision) {
                world.situation.reached = true;
                decision = self.ask(&world.situation)?;
            }
            world.situation.memory.clone_from(&decision.memory);
            let ends = matches!(decision.next, Next::Promote | Next::Abort(_));
            if decision.step == world.situation.step || ends {
                return Ok(decision);
            }
            world.enter(decision.step);
        }
        Err(Error::Internal(format!("passed {STEPS_AT_ONCE} steps at once without settling")))
    }

    fn ask(&self, situation: &Situation) -> Result<Decision, Error> {
        checks::decision(decide::<T>(&self.config, situation)?, situation)
    }

    /// The time of the next event.
    fn next(&self, world: &World, decision: &Decision) -> Option<u64> {
        let now = world.situation.now;
        let asked = match &decision.next {
            Next::Until(until) => Some(*until),
            Next::Pause(pause) => pause.until,
            Next::Hold(_) | Next::Promote | Next::Abort(_) => None,
        };
        let runs = world.situation.runs.iter().filter_map(|run| Some(self.end_of(run)?.0));
        let person = world.promotions.first().map(|millis| world.began.saturating_add(*millis));
        runs.chain(asked).chain(world.pods_at).chain(person).filter(|at| *at > now).min()
    }

    /// The end of a run in progress, and its result.
    fn end_of(&self, run: &Run) -> Option<(u64, &RunPhase)> {
        let attempt = usize::try_from(run.attempt.checked_sub(1)?).ok()?;
        let (takes, phase) = self.runs.get(&run.name)?.get(attempt)?;
        (run.phase == RunPhase::Running).then(|| (run.started_at.saturating_add(*takes), phase))
    }

    fn pass_time(&self, world: &mut World, now: u64) {
        world.situation.now = now;
        world.pods_arrive();
        let ends: Vec<Option<RunPhase>> = world
            .situation
            .runs
            .iter()
            .map(|run| self.end_of(run).filter(|(at, _)| *at <= now).map(|(_, phase)| phase.clone()))
            .collect();
        for (run, end) in world.situation.runs.iter_mut().zip(ends) {
            run.phase = end.unwrap_or_else(|| run.phase.clone());
        }
        let due = |millis: &u64| world.began.saturating_add(*millis) <= now;
        let lifts = world.promotions.iter().filter(|millis| due(millis)).count();
        world.promotions.drain(..lifts);
        (0..lifts).for_each(|_| world.promote());
    }
}

/// The weights by which a strategy restores stable from this one, until none is left.
///
/// # Errors
/// The strategy's answer, or an error if it does not lower the weight.
pub fn restore<T: Strategy>(config: &str, from: u32) -> Result<Vec<u32>, Error> {
    let mut asked = Situation { goal: Goal::Restore, weight: from, ..situation() };
    let mut weights = Vec::new();
    while asked.weight > 0 {
        let decision = checks::decision(decide::<T>(config, &asked)?, &asked)?;
        if decision.weight >= asked.weight {
            return Err(Error::Internal(format!("going back, {} is not below {}", decision.weight, asked.weight)));
        }
        asked.weight = decision.weight;
        asked.memory = decision.memory;
        weights.push(asked.weight);
    }
    Ok(weights)
}

struct World {
    began: u64,
    situation: Situation,
    /// When the desired pods are available.
    pods_at: Option<u64>,
    promotions: Vec<u64>,
    moments: Vec<Moment>,
}

impl World {
    fn in_place(&self, decision: &Decision) -> bool {
        self.pods_in_place() && self.situation.rollout.canary.desired == self.pods(decision) && {
            self.situation.weight == decision.weight
        }
    }

    fn pods_in_place(&self) -> bool {
        self.situation.rollout.canary.available == self.situation.rollout.canary.desired
    }

    /// Desired pods of the new revision.
    fn pods(&self, decision: &Decision) -> u32 {
        let rollout = &self.situation.rollout;
        let share = |weight: u32| {
            let pods = (u64::from(weight) * u64::from(rollout.replicas)).div_ceil(u64::from(rollout.max_weight.max(1)));
            u32::try_from(pods).unwrap_or(u32::MAX)
        };
        match decision.canary {
            Scale::FollowWeight => share(decision.weight),
            Scale::Weight(weight) => share(weight),
            Scale::Replicas(replicas) => replicas,
        }
    }

    fn note(&mut self, decision: &Decision) {
        let at = self.situation.now.saturating_sub(self.began);
        let moment = Moment { at, confirmed: self.situation.weight, decision: decision.clone() };
        let news = |last: &Moment| last.confirmed != moment.confirmed || last.decision != moment.decision;
        if self.moments.last().is_none_or(news) {
            self.moments.push(moment);
        }
    }

    /// Applies a decision; returns true if it is reached at once.
    fn follow(&mut self, decision: &Decision, pods_take: u64) -> bool {
        self.want_runs(&decision.runs);
        self.pause(&decision.next);
        let wanted = self.pods(decision);
        let now = self.situation.now;
        let canary = &mut self.situation.rollout.canary;
        let before = (canary.available, self.situation.weight);
        if canary.desired != wanted {
            (canary.desired, canary.created) = (wanted, wanted);
            self.pods_at = (canary.available < wanted).then(|| now.saturating_add(pods_take));
        }
        self.pods_arrive();
        if self.pods_in_place() || decision.weight < self.situation.weight {
            self.situation.weight = decision.weight;
        }
        before != (self.situation.rollout.canary.available, self.situation.weight)
    }

    fn pods_arrive(&mut self) {
        if self.pods_at.is_none_or(|at| at <= self.situation.now) {
            self.pods_at = None;
            let canary = &mut self.situation.rollout.canary;
            (canary.ready, canary.available) = (canary.desired, canary.desired);
        }
    }

    /// A run that is no longer named ends without a verdict; a higher attempt is a new run.
    fn want_runs(&mut self, wanted: &[WantedRun]) {
        let (now, before) = (self.situation.now, std::mem::take(&mut self.situation.runs));
        for WantedRun { name, attempt } in wanted {
            let known = before.iter().find(|run| run.name == *name);
            if known.is_some_and(|run| run.attempt < *attempt) {
                // An inconclusive run is repeated: the user's promotion is used up.
                self.situation.promoted = false;
            }
            let fresh = || Run { name: name.clone(), attempt: *attempt, phase: RunPhase::Running, started_at: now };
            self.situation.runs.push(known.filter(|run| run.attempt >= *attempt).cloned().unwrap_or_else(fresh));
        }
    }

    fn pause(&mut self, next: &Next) {
        let now = self.situation.now;
        match (next, self.situation.paused) {
            (Next::Pause(pause), Some((cause, _))) if cause == pause.cause => {}
            (Next::Pause(pause), _) => {
                self.situation.paused = Some((pause.cause, now));
                self.situation.promoted = false;
            }
            // A step's pause ends with its step.
            (_, Some((PauseCause::Step, _))) => {}
            _ => self.situation.paused = None,
        }
    }

    fn enter(&mut self, step: u32) {
        self.situation.step = step;
        self.situation.step_started_at = self.situation.now;
        self.situation.paused = None;
        self.situation.promoted = false;
    }

    fn promote(&mut self) {
        if self.situation.paused.take().is_some() {
            self.situation.promoted = true;
        } else {
            self.enter(self.situation.step.saturating_add(1));
        }
    }

    fn over(self, end: End) -> Course {
        Course { took: self.situation.now.saturating_sub(self.began), moments: self.moments, end }
    }
}

#[cfg(test)]
#[path = "simulation_tests.rs"]
mod tests;
