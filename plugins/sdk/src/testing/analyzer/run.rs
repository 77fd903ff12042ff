//! A whole run of one metric.

use super::{input, measure};
use crate::analyzer::{Action, Analyzer, Call, Judged, Measured, Occasion};
use crate::fetch::{Answer, Request};
use crate::{Error, Verdict};
use std::marker::PhantomData;

const DEFAULT_INTERVAL: u64 = 60_000;
/// The host's delay after an error, in milliseconds.
const ERROR_RETRY: u64 = 10_000;
/// The default of `consecutiveErrorLimit`: consecutive errors before the host ends the metric.
const ERRORS_IN_A_ROW: usize = 4;
/// Limit of waits per measurement.
const MAX_WAITS: usize = 1_000;

/// A run of one metric: measures, answers the requests, waits, and measures again with the state of the previous
/// measurement. The clock stops while a plugin is called; waits and intervals advance it.
///
/// ```
/// use kulta_plugin::analyzer::{Action, Occasion};
/// use kulta_plugin::fetch::Request;
/// use kulta_plugin::testing::analyzer::Run;
/// use kulta_plugin::testing::{canned, respond};
/// use kulta_plugin::{About, Analyzer, Error};
///
/// /// Measures what a URL answers.
/// struct Body;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Config {
///     url: String,
/// }
///
/// impl Analyzer for Body {
///     const ABOUT: About = About { name: "body", version: "0.1.0", summary: "Measures a number that a URL answers" };
///     type Config = Config;
///
///     fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
///         match input.answers.first() {
///             None => Ok(Action::fetch(vec![Request::get(config.url)])),
///             Some(Ok(response)) => Ok(Action::measured(response.json::<f64>()?.to_string())),
///             Some(Err(failure)) => Err(failure.clone().into()),
///         }
///     }
/// }
///
/// let server = canned([respond(200, "0.5"), respond(200, "busy"), respond(200, "0.7")]);
///
/// let course = Run::<Body>::new(r#"{"url":"http://shop"}"#).count(2).every(30_000).play(server);
///
/// assert_eq!(course.values(), ["0.5", "0.7"]);
/// let began: Vec<u64> = course.measurements.iter().map(|measurement| measurement.began).collect();
/// assert_eq!(began, [0, 30_000, 40_000], "what was an error is measured again after 10 s");
/// ```
pub struct Run<T> {
    config: String,
    input: Occasion,
    count: u32,
    interval: u64,
    delay: u64,
    terminate: Option<u64>,
    analyzer: PhantomData<T>,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// In order, including errors.
    pub measurements: Vec<Measurement>,
    /// The requests that cancelled external work, if [`Run::terminate_at`] ended a waiting measurement.
    pub cancelled: Option<(Result<(), Error>, Vec<Request>)>,
}

/// Times are milliseconds since the run began.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// 1 for the first; the repetition after an error has the same number.
    pub number: u32,
    pub began: u64,
    pub ended: u64,
    pub requests: Vec<Request>,
    pub outcome: Result<Outcome, Error>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Measured(Measured),
    Judged(Judged),
}

impl Course {
    /// The values of the measurements without errors, as JSON.
    pub fn values(&self) -> Vec<&str> {
        let outcomes = self.measurements.iter().filter_map(|measurement| measurement.outcome.as_ref().ok());
        outcomes
            .map(|outcome| match outcome {
                Outcome::Measured(measured) => measured.value.as_str(),
                Outcome::Judged(judged) => judged.value.as_str(),
            })
            .collect()
    }

    /// The verdicts, without measurements that are left to the metric's conditions.
    pub fn judgements(&self) -> Vec<&Judged> {
        let outcomes = self.measurements.iter().filter_map(|measurement| measurement.outcome.as_ref().ok());
        outcomes
            .filter_map(|outcome| match outcome {
                Outcome::Judged(judged) => Some(judged),
                Outcome::Measured(_) => None,
            })
            .collect()
    }

    pub fn verdicts(&self) -> Vec<&Verdict> {
        self.judgements().into_iter().map(|judged| &judged.verdict).collect()
    }

    pub fn errors(&self) -> Vec<&Error> {
        self.measurements.iter().filter_map(|measurement| measurement.outcome.as_ref().err()).collect()
    }
}

/// A measurement in progress.
enum Turn {
    Ended(Measurement, Vec<u8>),
    /// The run ended before it.
    Cancelled(Result<(), Error>, Vec<Request>),
}

impl<T: Analyzer> Run<T> {
    /// A run of one measurement, with the sample input.
    pub fn new(config: impl Into<String>) -> Self {
        Self {
            config: config.into(),
            input: input(),
            count: 1,
            interval: DEFAULT_INTERVAL,
            delay: 0,
            terminate: None,
            analyzer: PhantomData,
        }
    }

    /// Number of measurements without errors.
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Milliseconds from the end of a measurement to the next; default: one minute.
    pub fn every(mut self, millis: u64) -> Self {
        self.interval = millis;
        self
    }

    /// Milliseconds from the beginning of the run to the first measurement (`initialDelay`).
    pub fn after(mut self, millis: u64) -> Self {
        self.delay = millis;
        self
    }

    /// Begins with this input instead of the sample: its facts, names and state. The run begins at its `now`.
    pub fn on(mut self, input: Occasion) -> Self {
        self.input = input;
        self
    }

    /// Ends the run this number of milliseconds after its beginning. A waiting measurement is terminated.
    pub fn terminate_at(mut self, millis: u64) -> Self {
        self.terminate = Some(millis);
        self
    }

    /// Measures until the count is reached, a verdict decides the metric, there are too many consecutive errors, or the
    /// run is terminated.
    pub fn play(&self, mut server: impl FnMut(&Request) -> Answer) -> Course {
        let mut course = Course { measurements: Vec::new(), cancelled: None };
        let mut memory = self.input.memory.clone();
        let (mut number, mut at, mut errors) = (1, self.delay, 0);
        while number <= self.count && errors <= ERRORS_IN_A_ROW && !self.is_over(at) {
            let measurement = match self.take(number, at, &memory, &mut server) {
                Turn::Ended(measurement, remembered) => {
                    memory = remembered;
                    measurement
                }
                Turn::Cancelled(result, requests) => {
                    course.cancelled = Some((result, requests));
                    break;
                }
            };
            let settled = matches!(&measurement.outcome, Ok(Outcome::Judged(judged)) if judged.settles);
            let failed = measurement.outcome.is_err();
            at = measurement.ended.saturating_add(if failed { ERROR_RETRY } else { self.interval });
            course.measurements.push(measurement);
            if settled {
                break;
            }
            if failed {
                errors += 1;
            } else {
                errors = 0;
                number += 1;
            }
        }
        course
    }

    fn is_over(&self, at: u64) -> bool {
        self.terminate.is_some_and(|over| at >= over)
    }

    fn take(&self, number: u32, began: u64, memory: &[u8], server: &mut dyn FnMut(&Request) -> Answer) -> Turn {
        let start = self.input.now;
        let mut asked = Occasion {
            call: Call::Measure,
            now: start.saturating_add(began),
            run_started_at: start,
            number,
            last: number == self.count,
            memory: memory.to_vec(),
            answers: Vec::new(),
            ..self.input.clone()
        };
        let mut made = Vec::new();
        for _ in 0..MAX_WAITS {
            let (ended, requests) = measure::<T>(&self.config, &asked, &mut *server);
            made.extend(requests);
            let (outcome, memory) = match ended {
                Ok(Action::Wait(waiting)) => {
                    asked.call = Call::Resume;
                    asked.now = asked.now.max(waiting.until);
                    asked.memory = waiting.memory;
                    if self.is_over(asked.now.saturating_sub(start)) {
                        return self.cancel(asked, server);
                    }
                    continue;
                }
                Ok(Action::Measured(measured)) => (Ok(Outcome::Measured(measured.clone())), measured.memory),
                Ok(Action::Judged(judged)) => (Ok(Outcome::Judged(judged.clone())), judged.memory),
                Ok(Action::Fetch(_)) => (Err(Error::Internal("asks for requests to no end".into())), asked.memory),
                Err(error) => (Err(error), asked.memory),
            };
            let ended = asked.now.saturating_sub(start);
            return Turn::Ended(Measurement { number, began, ended, requests: made, outcome }, memory);
        }
        let outcome = Err(Error::Internal(format!("waits more than {MAX_WAITS} times")));
        let ended = asked.now.saturating_sub(start);
        Turn::Ended(Measurement { number, began, ended, requests: made, outcome }, asked.memory)
    }

    fn cancel(&self, mut asked: Occasion, server: &mut dyn FnMut(&Request) -> Answer) -> Turn {
        asked.call = Call::Terminate;
        asked.now = self.input.now.saturating_add(self.terminate.unwrap_or_default());
        let (ended, requests) = measure::<T>(&self.config, &asked, server);
        Turn::Cancelled(ended.map(|_| ()), requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::About;
    use crate::analyzer::remember;
    use crate::testing::{NOW, canned, respond};
    use schemars::JsonSchema;

    /// Begins a job, waits for it 20 s at a time, and counts in its memory how often it measured.
    struct Jobs;

    #[derive(serde::Deserialize, JsonSchema)]
    struct NoConfig {}

    impl Analyzer for Jobs {
        const ABOUT: About = About { name: "jobs", version: "0.1.0", summary: "Begins jobs" };
        type Config = NoConfig;

        fn analyze(_config: NoConfig, input: &Occasion) -> Result<Action, Error> {
            let before = input.recall::<u32>()?.unwrap_or_default();
            let memory = remember(&before)?;
            Ok(match input.answers.first() {
                None if input.call == Call::Measure => {
                    Action::fetch(vec![Request::post("http://jobs")]).with_memory(memory)
                }
                None => Action::fetch(vec![Request::get("http://jobs/1")]).with_memory(memory),
                Some(Ok(response)) if response.text() == "done" => {
                    let verdict = if input.last { Verdict::Fail("late".into()) } else { Verdict::Pass };
                    Action::judged(verdict, format!("{}", before + 1), "").with_memory(remember(&(before + 1))?)
                }
                Some(Ok(_)) => Action::wait(input.now + 20_000).with_memory(memory),
                Some(Err(failure)) => return Err(failure.clone().into()),
            })
        }

        fn terminate(_config: NoConfig, input: &Occasion) -> Result<Action, Error> {
            assert_eq!(input.now, NOW + 30_000);
            Ok(match input.answers.first() {
                None => Action::fetch(vec![Request::new("DELETE", "http://jobs/1")]),
                Some(_) => Action::measured("null"),
            })
        }
    }

    fn times(course: &Course) -> Vec<(u32, u64, u64)> {
        course.measurements.iter().map(|each| (each.number, each.began, each.ended)).collect()
    }

    #[test]
    fn waits_and_intervals_advance_the_clock_and_the_state_is_kept() {
        let server = canned([respond(200, "begun"), respond(200, "busy"), respond(200, "done"), respond(200, "done")]);

        let course = Run::<Jobs>::new("{}").count(2).play(server);

        assert_eq!(times(&course), [(1, 0, 40_000), (2, 100_000, 100_000)]);
        assert_eq!(course.values(), ["1", "2"]);
        assert_eq!(course.verdicts(), [&Verdict::Pass, &Verdict::Fail("late".into())]);
        assert_eq!(course.measurements[0].requests.len(), 3);
        assert_eq!(course.cancelled, None);
    }

    #[test]
    fn an_error_keeps_the_state_and_is_measured_again() {
        let server = canned([respond(200, "done"), Err(crate::fetch::Failure::Timeout), respond(200, "done")]);

        let course = Run::<Jobs>::new("{}").count(2).after(1_000).every(5_000).play(server);

        assert_eq!(times(&course), [(1, 1_000, 1_000), (2, 6_000, 6_000), (2, 16_000, 16_000)]);
        assert_eq!(course.values(), ["1", "2"]);
        assert_eq!(course.errors(), [&Error::Unavailable("the request timed out".into())]);
    }

    #[test]
    fn consecutive_errors_end_the_run() {
        let course = Run::<Jobs>::new("{}").count(9).play(canned([]));

        assert_eq!(course.errors().len(), 5);
    }

    #[test]
    fn the_end_of_a_run_cancels_a_waiting_measurement() {
        let course = Run::<Jobs>::new("{}").terminate_at(30_000).play(|_| respond(200, "busy"));

        let cancelled = vec![Request::new("DELETE", "http://jobs/1")];
        assert_eq!(course, Course { measurements: Vec::new(), cancelled: Some((Ok(()), cancelled)) });
    }

    #[test]
    fn a_final_verdict_ends_the_run() {
        struct Settled;
        impl Analyzer for Settled {
            const ABOUT: About = About { name: "settled", version: "0.1.0", summary: "Knows" };
            type Config = NoConfig;

            fn analyze(_config: NoConfig, _input: &Occasion) -> Result<Action, Error> {
                let mut action = Action::judged(Verdict::Pass, "1", "");
                if let Action::Judged(judged) = &mut action {
                    judged.settles = true;
                }
                Ok(action)
            }
        }

        assert_eq!(Run::<Settled>::new("{}").count(9).play(canned([])).values(), ["1"]);
    }

    #[test]
    fn endless_waiting_is_an_error() {
        let course = Run::<Jobs>::new("{}").play(|_| respond(200, "busy"));

        assert_eq!(course.errors()[0], &Error::Internal("waits more than 1000 times".into()));
    }
}
