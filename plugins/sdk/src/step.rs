//! Step plugins: the work of a canary's `steps[].plugin`.
//!
//! ```
//! use kulta_plugin::fetch::Request;
//! use kulta_plugin::step::{Action, Occasion};
//! use kulta_plugin::{About, Error, Step};
//!
//! /// Notifies a chat, and continues.
//! struct Chat;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     url: String,
//! }
//!
//! impl Step for Chat {
//!     const ABOUT: About = About { name: "chat", version: "0.1.0", summary: "Notifies a chat" };
//!     type Config = Config;
//!
//!     fn run(config: Config, input: &Occasion) -> Result<Action, Error> {
//!         match input.answers.first() {
//!             None => {
//!                 let text = format!("{} goes out", input.rollout.name);
//!                 Ok(Action::fetch(vec![Request::post(config.url).body(text)]))
//!             }
//!             Some(Ok(response)) if response.is_success() => Ok(Action::successful("notified the chat")),
//!             Some(Ok(response)) => Ok(Action::failed(&format!("the chat answered {}", response.status))),
//!             Some(Err(failure)) => Err(failure.clone().into()),
//!         }
//!     }
//! }
//!
//! kulta_plugin::export!(step: Chat);
//! ```

use crate::bindings::step::exports::kulta::plugin::step;
use crate::description::describe;
use crate::fetch::Request;
use crate::text::{MAX_REASON_BYTES, brief, shortened};
use crate::{About, Error, config, memory};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

pub use crate::memory::remember;
pub use step::{Action, Call, Fetching, Finished, Occasion, Outcome, Waiting};

/// A step plugin. Instants are Unix milliseconds.
///
/// Each call continues until it is finished: [`Action::Fetch`] makes the host send requests and call again with the
/// answers, [`Action::Wait`] makes it call again later. The state of an action is passed to the next call of any kind.
pub trait Step {
    const ABOUT: About;

    /// The configuration, read from JSON. Its JSON Schema is published, and the host checks it before anything is called;
    /// `#[serde(deny_unknown_fields)]` makes a misspelt field an error.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks rules that a schema cannot express. Begin the message with the field's path (`url: …`).
    fn check_config(_config: &Self::Config) -> Result<(), Error> {
        Ok(())
    }

    /// Does the work. The rollout continues after [`Action::successful`], and is aborted after [`Action::failed`].
    fn run(config: Self::Config, input: &Occasion) -> Result<Action, Error>;

    /// The rollout continues without the step, whose `run` has not finished: stops the work in progress.
    fn terminate(_config: Self::Config, _input: &Occasion) -> Result<Action, Error> {
        Ok(Action::successful("nothing to end"))
    }

    /// The rollout is aborted: undoes the work of `run`, finished or not. Steps are undone in reverse order.
    fn abort(_config: Self::Config, _input: &Occasion) -> Result<Action, Error> {
        Ok(Action::successful("nothing to undo"))
    }
}

impl Occasion {
    /// The host's fact with that key.
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts.iter().find(|fact| fact.key == key).map(|fact| fact.value.as_str())
    }

    /// The value of [`remember`]. `None` without a stored state; an error if another plugin wrote it.
    pub fn recall<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        memory::recall(&self.memory)
    }
}

impl Action {
    /// Make these requests, and call again with the answers in the same order.
    pub fn fetch(requests: Vec<Request>) -> Self {
        Self::Fetch(Fetching { requests, memory: Vec::new() })
    }

    /// Call again at that instant (Unix milliseconds), or later.
    pub fn wait(until: u64, reason: &str) -> Self {
        Self::Wait(Waiting { until, memory: Vec::new(), reason: shortened(reason, MAX_REASON_BYTES) })
    }

    /// The work is done.
    pub fn successful(reason: &str) -> Self {
        Self::finished(Outcome::Successful, reason)
    }

    /// The work has failed.
    pub fn failed(reason: &str) -> Self {
        Self::finished(Outcome::Failed(shortened(reason, MAX_REASON_BYTES)), reason)
    }

    fn finished(outcome: Outcome, reason: &str) -> Self {
        Self::Finished(Finished { outcome, memory: Vec::new(), reason: shortened(reason, MAX_REASON_BYTES) })
    }

    /// Sets the state, whatever the action.
    pub fn with_memory(mut self, memory: Vec<u8>) -> Self {
        *match &mut self {
            Self::Fetch(fetching) => &mut fetching.memory,
            Self::Wait(waiting) => &mut waiting.memory,
            Self::Finished(finished) => &mut finished.memory,
        } = memory;
        self
    }
}

/// A [`Step`] as the component's exports; [`export!`](crate::export) uses it.
pub struct Exported<T>(PhantomData<T>);

describe!(Step);

impl<T: Step> step::Guest for Exported<T> {
    fn act(config: String, input: Occasion) -> Result<Action, Error> {
        let answer = config::parse(&config).and_then(|config| match input.call {
            Call::Run => T::run(config, &input),
            Call::Terminate => T::terminate(config, &input),
            Call::Abort => T::abort(config, &input),
        });
        answer.map_err(brief)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::step::{act, input};

    struct Done;

    #[derive(serde::Deserialize, JsonSchema)]
    struct NoConfig {}

    impl Step for Done {
        const ABOUT: About = About { name: "done", version: "0.1.0", summary: "Is done" };
        type Config = NoConfig;

        fn run(_config: NoConfig, _input: &Occasion) -> Result<Action, Error> {
            Ok(Action::successful("done"))
        }
    }

    #[test]
    fn each_call_has_its_own_function() {
        for (call, reason) in
            [(Call::Run, "done"), (Call::Terminate, "nothing to end"), (Call::Abort, "nothing to undo")]
        {
            let asked = Occasion { call, ..input() };
            assert_eq!(act::<Done>("{}", &asked), Ok(Action::successful(reason)));
        }
    }

    #[test]
    fn every_action_can_carry_a_state() {
        let memory_of = |action: Action| match action.with_memory(vec![7]) {
            Action::Fetch(fetching) => fetching.memory,
            Action::Wait(waiting) => waiting.memory,
            Action::Finished(finished) => finished.memory,
        };
        for action in [Action::fetch(Vec::new()), Action::wait(1, ""), Action::successful(""), Action::failed("")] {
            assert_eq!(memory_of(action), [7]);
        }
    }

    #[test]
    fn a_reason_is_shortened_to_what_the_host_accepts() {
        let Action::Finished(finished) = Action::failed(&"x".repeat(2_000)) else { panic!("not finished") };
        assert_eq!(finished.reason.len(), MAX_REASON_BYTES);
        assert!(matches!(finished.outcome, Outcome::Failed(reason) if reason.len() == MAX_REASON_BYTES));
    }
}
