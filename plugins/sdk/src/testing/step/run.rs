//! A whole step, and its undoing.

use super::{act, input};
use crate::Error;
use crate::fetch::{Answer, Request};
use crate::step::{Action, Call, Finished, Occasion, Step};
use crate::testing::checks;
use crate::testing::rounds::{Round, rounds};
use std::marker::PhantomData;

/// Limit of waits per call.
const MAX_WAITS: usize = 1_000;

/// One step: keeps its state and its time between calls, as the host does. The clock stops while the plugin is called;
/// waits advance it.
///
/// ```
/// use kulta_plugin::fetch::Request;
/// use kulta_plugin::step::{Action, Occasion, Outcome};
/// use kulta_plugin::testing::step::Run;
/// use kulta_plugin::testing::{canned, respond};
/// use kulta_plugin::{About, Error, Step};
///
/// /// Waits until a URL answers.
/// struct Open;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Config {
///     url: String,
/// }
///
/// impl Step for Open {
///     const ABOUT: About = About { name: "open", version: "0.1.0", summary: "Waits until a URL answers" };
///     type Config = Config;
///
///     fn run(config: Config, input: &Occasion) -> Result<Action, Error> {
///         Ok(match input.answers.first() {
///             None => Action::fetch(vec![Request::get(config.url)]),
///             Some(Ok(response)) if response.is_success() => Action::successful("open"),
///             Some(_) => Action::wait(input.now + 30_000, "closed"),
///         })
///     }
/// }
///
/// let mut step = Run::<Open>::new(r#"{"url":"http://gate"}"#);
///
/// let played = step.run(canned([respond(503, ""), respond(200, "")]));
/// assert_eq!(played.finished.map(|finished| finished.outcome), Ok(Outcome::Successful));
/// assert_eq!(played.waits, ["closed"]);
/// assert_eq!(step.elapsed(), 30_000);
///
/// let undone = step.abort(canned([]));
/// assert_eq!(undone.finished.map(|finished| finished.reason), Ok("nothing to undo".to_owned()));
/// ```
pub struct Run<T> {
    config: String,
    input: Occasion,
    began: u64,
    step: PhantomData<T>,
}

/// The result of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    pub finished: Result<Finished, Error>,
    pub requests: Vec<Request>,
    /// The reason of each wait.
    pub waits: Vec<String>,
}

impl<T: Step> Run<T> {
    pub fn new(config: impl Into<String>) -> Self {
        Self { config: config.into(), began: input().now, input: input(), step: PhantomData }
    }

    /// Begins with this input instead of the sample.
    pub fn on(mut self, input: Occasion) -> Self {
        self.began = input.now;
        self.input = input;
        self
    }

    /// Milliseconds since the step began.
    pub fn elapsed(&self) -> u64 {
        self.input.now.saturating_sub(self.began)
    }

    /// Runs the step until it is finished.
    pub fn run(&mut self, server: impl FnMut(&Request) -> Answer) -> Played {
        self.play(Call::Run, None, server)
    }

    /// Runs the step until it is finished or this number of milliseconds after its beginning; then `finished` is the
    /// error `unavailable`.
    pub fn run_until(&mut self, millis: u64, server: impl FnMut(&Request) -> Answer) -> Played {
        self.play(Call::Run, Some(self.began.saturating_add(millis)), server)
    }

    /// The rollout continues without the step.
    pub fn terminate(&mut self, server: impl FnMut(&Request) -> Answer) -> Played {
        self.play(Call::Terminate, None, server)
    }

    /// The rollout is aborted.
    pub fn abort(&mut self, server: impl FnMut(&Request) -> Answer) -> Played {
        self.play(Call::Abort, None, server)
    }

    fn play(&mut self, call: Call, deadline: Option<u64>, mut server: impl FnMut(&Request) -> Answer) -> Played {
        self.input.call = call;
        let (mut made, mut waits) = (Vec::new(), Vec::new());
        let finished = loop {
            let (ended, requests) = self.call(&mut server);
            made.extend(requests);
            match ended {
                Ok(Action::Finished(finished)) => {
                    self.input.memory.clone_from(&finished.memory);
                    break Ok(finished);
                }
                Ok(Action::Wait(waiting)) => {
                    self.input.memory = waiting.memory;
                    waits.push(waiting.reason);
                    let until = self.input.now.max(waiting.until);
                    if let Some(deadline) = deadline.filter(|deadline| until > *deadline) {
                        self.input.now = deadline;
                        break Err(Error::Unavailable("not finished".into()));
                    }
                    self.input.now = until;
                }
                Ok(Action::Fetch(_)) => break Err(Error::Internal("asks for requests to no end".into())),
                Err(error) => break Err(error),
            }
            if waits.len() >= MAX_WAITS {
                break Err(Error::Internal(format!("waits {MAX_WAITS} times")));
            }
        };
        Played { finished, requests: made, waits }
    }

    fn call(&self, server: &mut dyn FnMut(&Request) -> Answer) -> (Result<Action, Error>, Vec<Request>) {
        rounds(self.input.memory.clone(), server, |memory, answers| {
            let asked = Occasion { memory, answers, ..self.input.clone() };
            Ok(match act::<T>(&self.config, &asked)? {
                Action::Fetch(fetching) => Round::Fetch(fetching.requests, fetching.memory),
                ended => Round::Ended(checks::step(ended)?),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::About;
    use crate::step::{Outcome, remember};
    use crate::testing::{canned, respond};
    use schemars::JsonSchema;

    /// Checks every second, three times; an abort undoes as often as it has checked.
    struct Looks;

    #[derive(serde::Deserialize, JsonSchema)]
    struct NoConfig {}

    impl Step for Looks {
        const ABOUT: About = About { name: "looks", version: "0.1.0", summary: "Looks three times" };
        type Config = NoConfig;

        fn run(_config: NoConfig, input: &Occasion) -> Result<Action, Error> {
            let looks = input.recall::<usize>()?.unwrap_or_default() + 1;
            let action = match looks {
                3 => Action::successful("seen"),
                _ => Action::wait(input.now + 1_000, &format!("look {looks}")),
            };
            Ok(action.with_memory(remember(&looks)?))
        }

        fn abort(_config: NoConfig, input: &Occasion) -> Result<Action, Error> {
            let looks = input.recall::<usize>()?.unwrap_or_default();
            Ok(match input.answers.len() {
                0 => Action::fetch(vec![Request::post("http://undo"); looks]).with_memory(input.memory.clone()),
                answers => Action::successful(&format!("{answers} undone")),
            })
        }
    }

    #[test]
    fn it_runs_until_it_is_finished() {
        let mut step = Run::<Looks>::new("{}");

        let played = step.run(canned([]));

        assert_eq!(played.finished.unwrap().outcome, Outcome::Successful);
        assert_eq!(played.waits, ["look 1", "look 2"]);
        assert_eq!(step.elapsed(), 2_000);
    }

    #[test]
    fn an_abort_has_the_state_of_the_run_whether_it_was_finished_or_not() {
        for (deadline, undone) in [(1_500, "2 undone"), (9_000, "3 undone")] {
            let mut step = Run::<Looks>::new("{}");
            step.run_until(deadline, canned([]));

            let aborted = step.abort(|_| respond(200, ""));

            assert_eq!(aborted.finished.unwrap().reason, undone);
        }
    }

    #[test]
    fn a_deadline_stops_the_clock() {
        let mut step = Run::<Looks>::new("{}");

        let played = step.run_until(1_500, canned([]));

        assert_eq!(played.finished, Err(Error::Unavailable("not finished".into())));
        assert_eq!(step.elapsed(), 1_500);
    }

    #[test]
    fn a_step_that_never_ends_is_an_error() {
        struct Endless;
        impl Step for Endless {
            const ABOUT: About = About { name: "endless", version: "0.1.0", summary: "Waits" };
            type Config = NoConfig;

            fn run(_config: NoConfig, input: &Occasion) -> Result<Action, Error> {
                Ok(Action::wait(input.now, "still"))
            }
        }

        let played = Run::<Endless>::new("{}").run(canned([]));

        assert_eq!(played.finished, Err(Error::Internal("waits 1000 times".into())));
    }
}
