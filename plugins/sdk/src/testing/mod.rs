//! For a plugin's own tests: sample situations and inputs, the calls as the host makes them (configuration as JSON
//! text), and whole runs with prepared answers and a simulated clock. Each kind of plugin has its own module:
//!
//! | kind | one call | a whole run |
//! |---|---|---|
//! | strategy | [`strategy::decide`] | [`strategy::Simulation`]: a rollout whose decisions come into place |
//! | analyzer | [`analyzer::analyze`] | [`analyzer::Run`]: measurements, their requests, waits and memory |
//! | enricher | [`enricher::enrich`] | [`enricher::addition`]: rounds of requests up to what is added |
//! | step | [`step::act`] | [`step::Run`]: runs until it is finished, then terminates or aborts |
//! | condition | [`condition::evaluate`] | |
//!
//! Whole runs reject the answers that the host rejects, with an [`Error::Internal`](crate::Error::Internal).
//!
//! A server is a function from request to answer. [`respond`] makes an answer; [`canned`] makes a server that gives
//! answers in order.

pub mod analyzer;
mod checks;
pub mod condition;
pub mod enricher;
mod rounds;
pub mod step;
pub mod strategy;

use crate::fetch::{Answer, Failure, Request, Response};
use crate::{Revision, Rollout};

/// The time of all samples: 2026-01-01T00:00:00Z, a whole second.
pub const NOW: u64 = 1_767_225_600_000;

/// 4 pods, whose new revision has none yet; the maximum weight is 100.
pub fn rollout() -> Rollout {
    let revision = |hash: &str, number, pods| Revision {
        hash: hash.into(),
        number,
        desired: pods,
        created: pods,
        ready: pods,
        available: pods,
    };
    Rollout {
        namespace: "shop".into(),
        name: "web".into(),
        replicas: 4,
        max_weight: 100,
        stable: Some(revision("5d7c9b8f6", 1, 4)),
        canary: revision("7f4b6d9c8", 2, 0),
        others: Vec::new(),
        facts: Vec::new(),
    }
}

/// An answer without headers.
pub fn respond(status: u16, body: &str) -> Answer {
    Ok(Response::new(status, body))
}

/// A server that gives these answers in order to any requests, and fails after the last one.
///
/// ```
/// use kulta_plugin::fetch::Request;
/// use kulta_plugin::testing::{canned, respond};
///
/// let mut server = canned([respond(503, ""), respond(200, "ok")]);
///
/// assert_eq!(server(&Request::get("http://shop")), respond(503, ""));
/// assert_eq!(server(&Request::get("http://shop")), respond(200, "ok"));
/// assert!(server(&Request::get("http://shop")).is_err());
/// ```
pub fn canned(answers: impl IntoIterator<Item = Answer>) -> impl FnMut(&Request) -> Answer {
    let mut answers = answers.into_iter();
    move |request| {
        let none_left =
            || Err(Failure::Failed(format!("no canned answer is left for {} {}", request.method, request.url)));
        answers.next().unwrap_or_else(none_left)
    }
}

fn lines(calls: impl Iterator<Item = serde_json::Value>) -> Result<String, serde_json::Error> {
    let lines: Result<Vec<String>, _> = calls.map(|call| serde_json::to_string(&call)).collect();
    Ok(lines?.join("\n") + "\n")
}
