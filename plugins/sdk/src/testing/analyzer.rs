//! For an analyzer's own tests: a sample input, the calls as the host makes them, and a whole [`Run`].

mod run;

pub use run::{Course, Measurement, Outcome, Run};

use super::rounds::{Round, rounds};
use super::{NOW, checks, rollout};
use crate::analyzer::{Action, Analyzer, CREDENTIAL_FACT, Call, Exported, Occasion};
use crate::bindings::analyzer::exports::kulta::plugin::analyzer::Guest as _;
use crate::bindings::exports::kulta::plugin::plugin::Guest as _;
use crate::fetch::{Answer, Request};
use crate::{Error, Label};

/// The first measurement of the metric `errors` in an AnalysisRun that the rollout `shop/web` owns.
pub fn input() -> Occasion {
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

/// The input with one more fact.
pub fn with_fact(mut input: Occasion, key: &str, value: &str) -> Occasion {
    input.facts.push(Label { key: key.into(), value: value.into() });
    input
}

/// The input with one more credential, as the host gives those of a provider of Argo Rollouts.
pub fn with_credential(input: Occasion, name: &str, value: &str) -> Occasion {
    with_fact(input, &format!("{CREDENTIAL_FACT}{name}"), value)
}

/// Calls `check-config` as the host does.
pub fn check_config<T: Analyzer>(config: &str) -> Result<(), Error> {
    Exported::<T>::check_config(config.into())
}

/// Calls `analyze` as the host does, once.
pub fn analyze<T: Analyzer>(config: &str, input: &Occasion) -> Result<Action, Error> {
    Exported::<T>::analyze(config.into(), input.clone())
}

/// Calls `analyze` until the measurement ends or waits; `server` answers each request. Also returns the requests.
pub fn measure<T: Analyzer>(
    config: &str,
    input: &Occasion,
    mut server: impl FnMut(&Request) -> Answer,
) -> (Result<Action, Error>, Vec<Request>) {
    rounds(input.memory.clone(), &mut server, |memory, answers| {
        let asked = Occasion { memory, answers, ..input.clone() };
        Ok(match analyze::<T>(config, &asked)? {
            Action::Fetch(fetching) => Round::Fetch(fetching.requests, fetching.memory),
            ended => Round::Ended(checks::measurement(ended)?),
        })
    })
}

/// The JSON Schema of the configuration, as the host receives it.
pub fn config_schema<T: Analyzer>() -> String {
    Exported::<T>::describe().config_schema
}

/// Calls of [`analyze`] with their answers, one JSON object a line: `{"config", "occasion", "answer"}`.
/// The host replays such a recording through the component to check that Wasm and native code give equal answers.
pub fn record<T: Analyzer>(calls: &[(String, Occasion)]) -> Result<String, serde_json::Error> {
    super::lines(calls.iter().map(|(config, input)| {
        serde_json::json!({ "config": config, "occasion": input, "answer": analyze::<T>(config, input) })
    }))
}
