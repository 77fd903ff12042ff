//! For an enricher's own tests: a sample input, and the calls as the host makes them.

use super::rounds::{Round, rounds};
use super::{checks, rollout};
use crate::Error;
use crate::bindings::enricher::exports::kulta::plugin::enricher::Guest as _;
use crate::bindings::exports::kulta::plugin::plugin::Guest as _;
use crate::enricher::{Action, Enricher, Exported, Occasion};
use crate::fetch::{Answer, Request};

/// An upgrade event, without the fields that enrichers do not use.
const EVENT: &str = r#"{"context":{"specversion":"0.5.1","id":"8f3f5a0e-6c1b-5d8a-9a53-0d5b7c1f2e11","source":"/kulta",
"type":"dev.cdevents.service.upgraded.0.3.0","timestamp":"2026-01-01T00:00:00Z"},
"subject":{"id":"shop/web","content":{"environment":{"id":"production"},"artifactId":"pkg:oci/web@sha256:0b1c"}}}"#;

/// The rollout `shop/web` has been upgraded; its revision has no annotations.
pub fn input() -> Occasion {
    Occasion {
        rollout: rollout(),
        event: EVENT.into(),
        annotations: "{}".into(),
        memory: Vec::new(),
        answers: Vec::new(),
    }
}

/// The [`input`] with these annotations.
pub fn annotated(annotations: &[(&str, &str)]) -> Occasion {
    let annotations: serde_json::Map<String, serde_json::Value> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    Occasion { annotations: serde_json::Value::Object(annotations).to_string(), ..input() }
}

/// Calls `check-config` as the host does.
pub fn check_config<T: Enricher>(config: &str) -> Result<(), Error> {
    Exported::<T>::check_config(config.into())
}

/// Calls `enrich` as the host does, once.
pub fn enrich<T: Enricher>(config: &str, input: &Occasion) -> Result<Action, Error> {
    Exported::<T>::enrich(config.into(), input.clone())
}

/// Calls `enrich` until it returns an addition; `server` answers each request. Returns the added JSON and the requests.
///
/// ```
/// use kulta_plugin::enricher::{Action, Occasion};
/// use kulta_plugin::fetch::Request;
/// use kulta_plugin::testing::enricher::{addition, annotated};
/// use kulta_plugin::testing::{canned, respond};
/// use kulta_plugin::{About, Enricher, Error};
///
/// /// Adds the title of a ticket.
/// struct Ticket;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Config {
///     server: String,
/// }
///
/// impl Enricher for Ticket {
///     const ABOUT: About = About { name: "ticket", version: "0.1.0", summary: "Adds the title of a ticket" };
///     type Config = Config;
///
///     fn enrich(config: Config, input: &Occasion) -> Result<Action, Error> {
///         let annotations = input.annotations()?;
///         match (annotations.get("ticket"), input.answers.first()) {
///             (None, _) => Ok(Action::nothing()),
///             (Some(ticket), None) => Ok(Action::fetch(vec![Request::get(format!("{}/{ticket}", config.server))])),
///             (Some(_), Some(Ok(response))) => Action::add(&serde_json::json!({ "title": response.text() })),
///             (Some(_), Some(Err(failure))) => Err(failure.clone().into()),
///         }
///     }
/// }
///
/// let asked = annotated(&[("ticket", "SHOP-7")]);
/// let server = canned([respond(200, "Faster search")]);
///
/// let (added, requests) = addition::<Ticket>(r#"{"server":"http://tickets"}"#, &asked, server);
///
/// assert_eq!(added, Ok(r#"{"title":"Faster search"}"#.to_owned()));
/// assert_eq!(requests, [Request::get("http://tickets/SHOP-7")]);
/// ```
pub fn addition<T: Enricher>(
    config: &str,
    input: &Occasion,
    mut server: impl FnMut(&Request) -> Answer,
) -> (Result<String, Error>, Vec<Request>) {
    rounds(input.memory.clone(), &mut server, |memory, answers| {
        let asked = Occasion { memory, answers, ..input.clone() };
        Ok(match enrich::<T>(config, &asked)? {
            Action::Fetch(fetching) => Round::Fetch(fetching.requests, fetching.memory),
            Action::Add(text) => Round::Ended(checks::addition(text)?),
        })
    })
}

/// The JSON Schema of the configuration, as the host receives it.
pub fn config_schema<T: Enricher>() -> String {
    Exported::<T>::describe().config_schema
}

/// Calls of [`enrich`] with their answers, one JSON object a line: `{"config", "occasion", "answer"}`.
/// The host replays such a recording through the component to check that Wasm and native code give equal answers.
pub fn record<T: Enricher>(calls: &[(String, Occasion)]) -> Result<String, serde_json::Error> {
    super::lines(calls.iter().map(|(config, input)| {
        serde_json::json!({ "config": config, "occasion": input, "answer": enrich::<T>(config, input) })
    }))
}
