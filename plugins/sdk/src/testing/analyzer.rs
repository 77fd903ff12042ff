//! For an analyzer's own tests: a plain occasion to change, and the calls as the host makes them.

use super::{NOW, rollout};
use crate::analyzer::{Action, Analyzer, Call, Exported, Occasion};
use crate::bindings::analyzer::exports::kulta::plugin::analyzer::Guest as _;
use crate::bindings::exports::kulta::plugin::plugin::Guest as _;
use crate::fetch::{Answer, Request, Response};
use crate::{Error, Label};

/// More rounds of requests than any measurement needs.
const MAX_ROUNDS: usize = 8;

/// The first measurement of the metric `errors` in an AnalysisRun that the rollout `shop/web` owns.
pub fn occasion() -> Occasion {
    Occasion {
        call: Call::Measure,
        rollout: Some(rollout()),
        run: "web-7f4b6d9c8-2".into(),
        metric: "errors".into(),
        now: NOW,
        run_started_at: NOW,
        number: 1,
        last: false,
        memory: Vec::new(),
        answers: Vec::new(),
        facts: Vec::new(),
    }
}

/// The occasion with a fact more.
pub fn with_fact(mut occasion: Occasion, key: &str, value: &str) -> Occasion {
    occasion.facts.push(Label { key: key.into(), value: value.into() });
    occasion
}

/// What a server answers, without headers.
pub fn respond(status: u16, body: &str) -> Answer {
    Ok(Response::new(status, body))
}

/// Calls `check-config` as the host does.
pub fn check_config<T: Analyzer>(config: &str) -> Result<(), Error> {
    Exported::<T>::check_config(config.into())
}

/// Calls `analyze` as the host does, once.
pub fn analyze<T: Analyzer>(config: &str, occasion: &Occasion) -> Result<Action, Error> {
    Exported::<T>::analyze(config.into(), occasion.clone())
}

/// Calls `analyze` until the measurement ends or waits; `server` answers each request. The requests made are answered with it.
pub fn measure<T: Analyzer>(
    config: &str,
    occasion: &Occasion,
    mut server: impl FnMut(&Request) -> Answer,
) -> (Result<Action, Error>, Vec<Request>) {
    let mut asked = occasion.clone();
    let mut made = Vec::new();
    for _ in 0..MAX_ROUNDS {
        match analyze::<T>(config, &asked) {
            Ok(Action::Fetch(fetching)) => {
                asked.answers = fetching.requests.iter().map(&mut server).collect();
                asked.memory = fetching.memory;
                made.extend(fetching.requests);
            }
            ended => return (ended, made),
        }
    }
    (Err(Error::Internal(format!("asks for requests more than {MAX_ROUNDS} times"))), made)
}

/// The JSON Schema of the configuration, as the host reads it.
pub fn config_schema<T: Analyzer>() -> String {
    Exported::<T>::describe().config_schema
}

/// Calls of [`analyze`] with their answers, one JSON object a line: `{"config", "occasion", "answer"}`.
/// The host replays such a recording through the component to see that Wasm answers as the native code does.
pub fn record<T: Analyzer>(calls: &[(String, Occasion)]) -> Result<String, serde_json::Error> {
    super::lines(calls.iter().map(|(config, occasion)| {
        serde_json::json!({ "config": config, "occasion": occasion, "answer": analyze::<T>(config, occasion) })
    }))
}
