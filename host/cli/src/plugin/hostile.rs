//! The hostile checks: unexpected configurations and inputs. Each call must end in an answer or in an error of the
//! plugin's own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kulta_wasm::{CallError, CheckError, Loaded};
use serde_json::{Value, json};

use super::call::Call;
use super::occasions::odd;
use super::sample::samples;

/// A string of this size fits any object.
const LONG: usize = 32 << 10;
const DEEP: usize = 64;

/// The result of all calls.
#[derive(Default)]
pub struct Outcome {
    pub answered: usize,
    /// Errors of the plugin's own, and configurations that its schema rejects.
    pub refused: usize,
    pub findings: Vec<Finding>,
    /// Per call: a fresh instance and the call.
    pub times: Vec<Duration>,
    /// An accepted configuration; without one, only a small part of the plugin was called.
    pub config: Option<Value>,
}

/// Forbidden behaviour of a plugin.
pub struct Finding {
    /// The input of the call.
    pub case: String,
    pub error: CallError,
}

impl Outcome {
    pub fn calls(&self) -> usize {
        self.answered + self.refused + self.findings.len()
    }

    fn count<T>(&mut self, case: impl FnOnce() -> String, result: Result<T, CallError>) {
        match result {
            Ok(_) => self.answered += 1,
            Err(CallError::Reported(_)) => self.refused += 1,
            Err(error) => self.findings.push(Finding { case: case(), error }),
        }
    }

    async fn check(&mut self, loaded: &Loaded, case: &str, config: &Value) -> bool {
        let began = Instant::now();
        let checked = loaded.check_config(config).await;
        self.times.push(began.elapsed());
        let accepted = checked.is_ok();
        match checked {
            Err(CheckError::Invalid(_)) => self.refused += 1,
            Err(CheckError::Call(error)) => self.count(|| format!("check-config of {case}"), Err::<(), _>(error)),
            Ok(()) => self.count(String::new, Ok(())),
        }
        accepted
    }
}

/// Checks a component; `config` is an accepted one, if the author named one.
///
/// # Errors
/// If the named configuration is rejected, or an input cannot be generated.
pub async fn pass(loaded: &Loaded, config: Option<&Value>, now: u64) -> Result<Outcome> {
    let mut outcome = Outcome { config: accepted(loaded, config).await?, ..Outcome::default() };
    for (case, config) in odd_configs(outcome.config.as_ref()) {
        outcome.check(loaded, &case, &config).await;
    }
    for kind in loaded.kinds() {
        let given = if *kind == kulta_wasm::Kind::Condition { Value::Null } else { json!({}) };
        let call = Call::new(loaded, *kind, &given, now)?;
        for (case, call) in odd(&call) {
            for config in configs(&call, outcome.config.as_ref()) {
                let began = Instant::now();
                let reply = call.ask(&config).await?;
                outcome.times.push(began.elapsed());
                outcome.count(|| format!("{}: {case}", kind.as_str()), reply);
            }
        }
    }
    outcome.times.sort_unstable();
    Ok(outcome)
}

async fn accepted(loaded: &Loaded, named: Option<&Value>) -> Result<Option<Value>> {
    if let Some(config) = named {
        loaded.check_config(config).await.context("--config")?;
        return Ok(Some(config.clone()));
    }
    for sample in samples(loaded.config_schema()) {
        if loaded.check_config(&sample).await.is_ok() {
            return Ok(Some(sample));
        }
    }
    Ok(None)
}

/// The accepted configuration, or else the least specific one; a condition language takes expressions.
fn configs(call: &Call, accepted: Option<&Value>) -> Vec<Value> {
    match call {
        Call::Condition(..) => {
            ["", "result", "result > 1", "((((", "1 / 0", "result[0].a.b", "\u{0}"].map(Value::from).into()
        }
        _ => vec![accepted.cloned().unwrap_or_else(|| json!({}))],
    }
}

fn odd_configs(accepted: Option<&Value>) -> Vec<(String, Value)> {
    let deep = (0..DEEP).fold(json!({}), |inner, _| json!({ "a": inner }));
    let values = [
        ("null", Value::Null),
        ("true", json!(true)),
        ("-1", json!(-1)),
        ("a very large number", json!(1e308)),
        ("an empty text", json!("")),
        ("a long text", json!("x".repeat(LONG))),
        ("a text of control characters", json!("\u{0}\u{7}\u{202e}")),
        ("an empty list", json!([])),
        ("an empty object", json!({})),
        ("an object of great depth", deep),
    ];
    let whole = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let fields = accepted.and_then(Value::as_object).into_iter().flatten().flat_map(|(field, _)| {
        values.iter().map(move |(name, value)| {
            let mut changed = accepted.cloned().unwrap_or_default();
            if let Some(place) = changed.get_mut(field) {
                *place = value.clone();
            }
            (format!("{field}: {name}"), changed)
        })
    });
    whole.chain(fields).collect()
}
