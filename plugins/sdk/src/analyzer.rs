//! Analyzers: take one measurement of a metric, and judge it or leave that to the metric's own conditions.
//!
//! ```
//! use kulta_plugin::analyzer::{Action, Occasion};
//! use kulta_plugin::fetch::Request;
//! use kulta_plugin::{About, Analyzer, Error};
//!
//! /// Measures what a URL answers.
//! struct Body;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     url: String,
//! }
//!
//! impl Analyzer for Body {
//!     const ABOUT: About = About { name: "body", version: "0.1.0", summary: "Measures a number that a URL answers" };
//!     type Config = Config;
//!
//!     fn analyze(config: Config, input: &Occasion) -> Result<Action, Error> {
//!         match input.answers.first() {
//!             None => Ok(Action::fetch(vec![Request::get(config.url)])),
//!             Some(Ok(response)) => Ok(Action::measured(response.json::<f64>()?.to_string())),
//!             Some(Err(failure)) => Err(failure.clone().into()),
//!         }
//!     }
//! }
//!
//! kulta_plugin::export!(analyzer: Body);
//! ```

use crate::bindings::analyzer::exports::kulta::plugin::analyzer;
use crate::description::describe;
use crate::fetch::Request;
use crate::text::{brief, shortened};
use crate::{About, Error, Label, Verdict, config, memory};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

pub use crate::fetch::{MAX_BODY_BYTES, MAX_REQUESTS};
pub use crate::memory::{MAX_MEMORY_BYTES, remember};
pub use crate::text::MAX_REASON_BYTES;
pub use analyzer::{Action, Call, Fetching, Judged, Measured, Occasion, Waiting};

/// The host's limit for one answer.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
pub const MAX_METADATA: usize = 32;
/// Key and value together.
pub const MAX_METADATA_BYTES: usize = 256;
/// The host's facts about the credentials of a provider begin with it.
pub const CREDENTIAL_FACT: &str = "credential.";

/// An analyzer plugin. Instants are Unix milliseconds.
pub trait Analyzer {
    const ABOUT: About;

    /// The configuration, read from JSON. Its JSON Schema is published, and the host checks it before anything is called;
    /// `#[serde(deny_unknown_fields)]` makes a misspelt field an error.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks rules that a schema cannot express. Begin the message with the field's path (`headers[1]: …`).
    fn check_config(_config: &Self::Config) -> Result<(), Error> {
        Ok(())
    }

    /// The run is over: returns the requests that cancel external work of an [`Action::Wait`], and is called once more
    /// with their answers. A plugin that never waits has nothing to cancel. Only requests of the answer are used.
    fn terminate(_config: Self::Config, _input: &Occasion) -> Result<Action, Error> {
        Ok(Action::measured("null"))
    }

    /// Takes the measurement. Must be a pure function: the same arguments, the same answer.
    ///
    /// The first call of a measurement has no `answers`. [`Action::Fetch`] makes the host send requests and call again with the
    /// answers and the memory that the action carried; [`Action::Wait`] makes it call again later with [`Call::Resume`];
    /// the other two end the measurement. Their memory is what the metric's next measurement begins with.
    fn analyze(config: Self::Config, input: &Occasion) -> Result<Action, Error>;
}

impl Occasion {
    /// The host's fact with that key, for example `prometheus.address`.
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts.iter().find(|fact| fact.key == key).map(|fact| fact.value.as_str())
    }

    /// What the controller read from the Secret of a provider of Argo Rollouts: a placeholder for a secret value, or a setting as it
    /// is. `None` if the Secret has no such key.
    pub fn credential(&self, name: &str) -> Option<&str> {
        self.facts
            .iter()
            .find(|fact| fact.key.strip_prefix(CREDENTIAL_FACT) == Some(name))
            .map(|fact| fact.value.as_str())
    }

    /// As [`credential`](Self::credential). `field` is the field of the configuration that names the Secret.
    pub fn required_credential(&self, name: &str, field: &str) -> Result<&str, Error> {
        self.credential(name).ok_or_else(|| Error::InvalidConfig(format!("{field}: the controller gives no {name}")))
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

    /// Call again at that instant (Unix milliseconds) with `Call::Resume`.
    pub fn wait(until: u64) -> Self {
        Self::Wait(Waiting { until, memory: Vec::new() })
    }

    /// The measurement's value, as JSON text, for the metric's conditions to judge.
    pub fn measured(value: impl Into<String>) -> Self {
        Self::Measured(Measured { value: value.into(), metadata: Vec::new(), memory: Vec::new() })
    }

    /// As [`measured`](Self::measured). A value that the host would reject is an error that gives this advice.
    pub fn measured_within_limit(value: String, advice: &str) -> Result<Self, Error> {
        match value.len() {
            0..=MAX_VALUE_BYTES => Ok(Self::measured(value)),
            bytes => Err(Error::Unavailable(format!(
                "the answer is a value of {bytes} bytes, at most {MAX_VALUE_BYTES}: {advice}"
            ))),
        }
    }

    /// The measurement with its verdict. `value` is JSON text.
    pub fn judged(verdict: Verdict, value: impl Into<String>, reason: &str) -> Self {
        Self::Judged(Judged {
            verdict,
            settles: false,
            value: value.into(),
            metadata: Vec::new(),
            reason: shortened(reason, MAX_REASON_BYTES),
            memory: Vec::new(),
        })
    }

    /// Sets the state, whatever the action.
    pub fn with_memory(mut self, memory: Vec<u8>) -> Self {
        *match &mut self {
            Self::Fetch(fetching) => &mut fetching.memory,
            Self::Wait(waiting) => &mut waiting.memory,
            Self::Measured(measured) => &mut measured.memory,
            Self::Judged(judged) => &mut judged.memory,
        } = memory;
        self
    }

    /// Adds metadata to a measurement, its value shortened to what the host accepts. Requests and waits have none.
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        let value = shortened(value, MAX_METADATA_BYTES.saturating_sub(key.len()));
        match &mut self {
            Self::Measured(Measured { metadata, .. }) | Self::Judged(Judged { metadata, .. }) => {
                metadata.push(Label { key: key.into(), value });
            }
            Self::Fetch(_) | Self::Wait(_) => {}
        }
        self
    }
}

/// An [`Analyzer`] as the component's exports; [`export!`](crate::export) uses it.
pub struct Exported<T>(PhantomData<T>);

describe!(Analyzer);

impl<T: Analyzer> analyzer::Guest for Exported<T> {
    fn analyze(config: String, input: Occasion) -> Result<Action, Error> {
        let answer = config::parse(&config).and_then(|config| match input.call {
            Call::Measure | Call::Resume => T::analyze(config, &input),
            Call::Terminate => T::terminate(config, &input),
        });
        answer.map_err(brief)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::analyzer::input;

    #[test]
    fn metadata_is_shortened_to_what_the_host_accepts() {
        let action = Action::measured("1").with_metadata("query", &"x".repeat(1_000));
        let Action::Measured(measured) = action else { panic!("not measured") };
        let entry = &measured.metadata[0];
        assert_eq!(entry.key.len() + entry.value.len(), MAX_METADATA_BYTES);
    }

    #[test]
    fn a_value_over_the_hosts_limit_is_an_error_with_advice() {
        let value = "1".repeat(MAX_VALUE_BYTES);
        assert_eq!(Action::measured_within_limit(value.clone(), "ask for less"), Ok(Action::measured(value.clone())));
        match Action::measured_within_limit(value + "1", "ask for less") {
            Err(Error::Unavailable(message)) => assert!(message.ends_with("at most 65536: ask for less"), "{message}"),
            other => panic!("expected unavailable, got {other:?}"),
        }
    }

    #[test]
    fn a_credential_is_found_by_its_name_and_its_absence_names_the_field() {
        let asked = crate::testing::analyzer::with_credential(input(), "token", "kulta-secret-1");
        assert_eq!(asked.required_credential("token", "profile"), Ok("kulta-secret-1"));
        let error = Error::InvalidConfig("profile: the controller gives no org".into());
        assert_eq!(asked.required_credential("org", "profile"), Err(error));
    }

    struct Endless;

    #[derive(serde::Deserialize, JsonSchema)]
    struct NoConfig {}

    impl Analyzer for Endless {
        const ABOUT: About = About { name: "endless", version: "0.1.0", summary: "Waits" };
        type Config = NoConfig;

        fn analyze(_config: NoConfig, input: &Occasion) -> Result<Action, Error> {
            Ok(Action::wait(input.now + 1))
        }
    }

    #[test]
    fn a_plugin_with_nothing_to_cancel_ends_when_it_is_terminated() {
        let asked = Occasion { call: Call::Terminate, ..input() };
        assert_eq!(crate::testing::analyzer::analyze::<Endless>("{}", &asked), Ok(Action::measured("null")));
    }

    #[test]
    fn every_action_can_carry_a_state() {
        let memory_of = |action: Action| match action.with_memory(vec![7]) {
            Action::Fetch(fetching) => fetching.memory,
            Action::Wait(waiting) => waiting.memory,
            Action::Measured(measured) => measured.memory,
            Action::Judged(judged) => judged.memory,
        };
        for action in
            [Action::fetch(Vec::new()), Action::wait(1), Action::measured("1"), Action::judged(Verdict::Pass, "1", "")]
        {
            assert_eq!(memory_of(action), [7]);
        }
    }
}
