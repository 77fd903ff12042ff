//! The policy itself: pure functions from configuration and situation to a decision.

use crate::Config;
use kulta_plugin::{Decision, Error, Goal, Next, Scale, Situation};

/// Checks that do not depend on the rollout's maximum weight.
pub fn check(config: &Config) -> Result<(), Error> {
    let problem = match config.max_weight {
        _ if config.step_weight == 0 => "stepWeight: must be at least 1".to_owned(),
        Some(0) => "maxWeight: must be at least 1".to_owned(),
        Some(max) if config.step_weight > max => {
            format!("stepWeight: {} is above maxWeight {max}", config.step_weight)
        }
        _ => return Ok(()),
    };
    Err(Error::InvalidConfig(problem))
}

/// Where the revision should be now. An error if a weight is 0 or above the rollout's maximum.
pub fn decide(config: &Config, situation: &Situation) -> Result<Decision, Error> {
    check(config)?;
    let largest = situation.rollout.max_weight;
    let (field, highest) = match config.max_weight {
        Some(max) => ("maxWeight", max),
        None => ("stepWeight", config.step_weight),
    };
    if highest > largest {
        let message = format!("{field}: {highest} is above the largest weight {largest}");
        return Err(Error::InvalidConfig(message));
    }
    let ramp = Ramp { step_weight: config.step_weight, top: config.max_weight.unwrap_or(largest), largest };
    Ok(match situation.goal {
        Goal::Forward => ramp.forward(config.interval.as_millis(), situation),
        Goal::Restore => ramp.restore(situation),
    })
}

/// `1 <= step_weight <= top <= largest`.
struct Ramp {
    step_weight: u32,
    top: u32,
    largest: u32,
}

impl Ramp {
    fn steps(&self) -> u32 {
        self.top.div_ceil(self.step_weight)
    }

    fn weight(&self, step: u32) -> u32 {
        step.saturating_add(1).saturating_mul(self.step_weight).min(self.top)
    }

    fn forward(&self, interval: u64, situation: &Situation) -> Decision {
        let step = situation.step;
        let until = situation.step_started_at.saturating_add(interval);
        if step >= self.steps() || !situation.reached {
            self.begin(step)
        } else if situation.promoted || situation.now >= until {
            self.begin(step.saturating_add(1))
        } else {
            Decision {
                next: Next::Until(until),
                reason: format!("{}: keeping {}", self.place(step), self.share(self.weight(step))),
                ..self.begin(step)
            }
        }
    }

    fn begin(&self, step: u32) -> Decision {
        let steps = self.steps();
        if step >= steps {
            return Decision {
                weight: self.largest,
                canary: Scale::Weight(self.largest),
                next: Next::Promote,
                reason: format!("all {steps} steps done: promoting"),
                ..Decision::at(steps, steps)
            };
        }
        let weight = self.weight(step);
        Decision {
            weight,
            reason: format!("{}: moving the weight to {}", self.place(step), self.share(weight)),
            ..Decision::at(step, steps)
        }
    }

    /// The largest multiple of the step weight below the confirmed weight.
    fn restore(&self, situation: &Situation) -> Decision {
        let below = situation.weight.saturating_sub(1);
        let weight = (below - below % self.step_weight).min(self.top);
        Decision {
            weight,
            reason: format!("going back to stable: lowering the weight to {}", self.share(weight)),
            ..Decision::at(situation.step, self.steps())
        }
    }

    fn place(&self, step: u32) -> String {
        format!("step {}/{}", step.saturating_add(1), self.steps())
    }

    fn share(&self, weight: u32) -> String {
        match self.largest {
            100 => format!("{weight} %"),
            largest => format!("{weight}/{largest}"),
        }
    }
}
