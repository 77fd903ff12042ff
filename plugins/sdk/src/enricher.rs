//! Enrichers: add facts to events.
//!
//! ```
//! use kulta_plugin::enricher::{Action, Occasion};
//! use kulta_plugin::{About, Enricher, Error};
//!
//! /// Names the team that owns a rollout.
//! struct Team;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     annotation: String,
//! }
//!
//! impl Enricher for Team {
//!     const ABOUT: About = About { name: "team", version: "0.1.0", summary: "Names the team that owns a rollout" };
//!     type Config = Config;
//!
//!     fn enrich(config: Config, input: &Occasion) -> Result<Action, Error> {
//!         let annotations = input.annotations()?;
//!         match annotations.get(&config.annotation) {
//!             Some(team) => Action::add(&serde_json::json!({ "name": team })),
//!             None => Ok(Action::nothing()),
//!         }
//!     }
//! }
//!
//! kulta_plugin::export!(enricher: Team);
//! ```

use crate::bindings::enricher::exports::kulta::plugin::enricher;
use crate::description::describe;
use crate::fetch::Request;
use crate::text::brief;
use crate::{About, Error, config, memory};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::marker::PhantomData;

pub use crate::memory::remember;
pub use enricher::{Action, Fetching, Occasion};

/// Limit of [`Action::add`]. Carriers of events need not accept more than 64 KiB, and other enrichers need room too.
pub const MAX_ADDITION_BYTES: usize = 16 << 10;
/// An empty JSON object: the plugin adds nothing.
const NOTHING: &str = "{}";

/// An enricher plugin. It is called for every event before it is sent; its addition is stored at `customData.<plugin
/// name>`. If it fails, the event is sent without its addition.
pub trait Enricher {
    const ABOUT: About;

    /// The configuration, read from JSON. Its JSON Schema is published, and the host checks it before anything is called;
    /// `#[serde(deny_unknown_fields)]` makes a misspelt field an error.
    type Config: DeserializeOwned + JsonSchema;

    /// Checks rules that a schema cannot express. Begin the message with the field's path (`keys[1]: …`).
    fn check_config(_config: &Self::Config) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the addition. Must be a pure function: the same arguments, the same answer.
    ///
    /// The first call for an event has no `answers`. [`Action::Fetch`] makes the host send requests and call again with
    /// the answers and the action's state. No state is kept between events.
    fn enrich(config: Self::Config, input: &Occasion) -> Result<Action, Error>;
}

impl Occasion {
    /// The event, in the JSON format of the CDEvents specification; decode only the fields that you need.
    pub fn event<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.event).map_err(|error| Error::Internal(format!("read the event: {error}")))
    }

    /// The revision's annotations: a copy of the Rollout's at the time when the revision was created. Any user who may
    /// write the Rollout controls them, so do not trust them.
    pub fn annotations(&self) -> Result<BTreeMap<String, String>, Error> {
        serde_json::from_str(&self.annotations)
            .map_err(|error| Error::Internal(format!("read the annotations: {error}")))
    }

    /// The value of [`remember`] from the previous call for the same event. `None` in the first call; an error if
    /// another plugin wrote it.
    pub fn recall<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        memory::recall(&self.memory)
    }
}

impl Action {
    /// Make these requests, and call again with the answers in the same order.
    pub fn fetch(requests: Vec<Request>) -> Self {
        Self::Fetch(Fetching { requests, memory: Vec::new() })
    }

    /// Adds the value, which must be a JSON object of at most [`MAX_ADDITION_BYTES`].
    pub fn add(value: &impl Serialize) -> Result<Self, Error> {
        let text =
            serde_json::to_string(value).map_err(|error| Error::Internal(format!("write what to add: {error}")))?;
        match text.len() {
            0..=MAX_ADDITION_BYTES if text.starts_with('{') => Ok(Self::Add(text)),
            0..=MAX_ADDITION_BYTES => Err(Error::Internal("what to add is no JSON object".into())),
            size => Err(Error::Internal(format!("{size} bytes to add, at most {MAX_ADDITION_BYTES}"))),
        }
    }

    /// Adds no field.
    pub fn nothing() -> Self {
        Self::Add(NOTHING.into())
    }

    /// Sets the state of a [`Action::Fetch`]; other actions have none.
    pub fn with_memory(mut self, memory: Vec<u8>) -> Self {
        match &mut self {
            Self::Fetch(fetching) => fetching.memory = memory,
            Self::Add(_) => {}
        }
        self
    }
}

/// An [`Enricher`] as the component's exports; [`export!`](crate::export) uses it.
pub struct Exported<T>(PhantomData<T>);

describe!(Enricher);

impl<T: Enricher> enricher::Guest for Exported<T> {
    fn enrich(config: String, input: Occasion) -> Result<Action, Error> {
        config::parse(&config).and_then(|config| T::enrich(config, &input)).map_err(brief)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::enricher::input;
    use serde_json::json;

    #[test]
    fn an_object_is_added_as_json() {
        assert_eq!(Action::add(&json!({ "a": 1 })), Ok(Action::Add(r#"{"a":1}"#.into())));
    }

    #[test]
    fn a_value_that_is_no_object_or_too_large_is_an_error() {
        let large = json!({ "a": "x".repeat(MAX_ADDITION_BYTES) });
        for value in [json!([1]), json!(1), json!("{}"), large] {
            assert!(matches!(Action::add(&value), Err(Error::Internal(_))));
        }
    }

    #[test]
    fn the_event_is_read_into_a_type_of_ones_own() {
        #[derive(serde::Deserialize)]
        struct Event {
            context: Context,
        }
        #[derive(serde::Deserialize)]
        struct Context {
            #[serde(rename = "type")]
            kind: String,
        }

        let event: Event = input().event().unwrap();

        assert_eq!(event.context.kind, "dev.cdevents.service.upgraded.0.3.0");
    }

    #[test]
    fn annotations_are_read_by_key() {
        let asked = Occasion { annotations: r#"{"a":"b"}"#.into(), ..input() };
        assert_eq!(asked.annotations().unwrap().get("a").map(String::as_str), Some("b"));
    }

    #[test]
    fn annotations_that_are_not_strings_are_an_error() {
        let asked = Occasion { annotations: r#"{"a":1}"#.into(), ..input() };
        assert!(matches!(asked.annotations(), Err(Error::Internal(_))));
    }

    #[test]
    fn only_a_fetch_carries_a_state() {
        let fetch = Action::fetch(Vec::new()).with_memory(vec![7]);
        assert_eq!(fetch, Action::Fetch(Fetching { requests: Vec::new(), memory: vec![7] }));
        assert_eq!(Action::nothing().with_memory(vec![7]), Action::nothing());
    }
}
