//! Runs a call to its end: makes the requests that a component returns, and calls it again with their answers.

use std::io::Write;

use anyhow::{Context, Result};
use futures::future::join_all;
use kulta_api::plugin::Limits;
use kulta_controller::plugins::{MAX_CALLS, http};
use kulta_fetch::{self as fetch, AwsEnvironment, Fetcher, Secrets};
use serde_json::Value;

use super::call::Call;

/// The outcome: the last answer, or the message of the failure.
pub type Outcome = Result<Value, String>;

/// As for a Plugin object without limits of its own; loopback addresses are allowed.
#[must_use]
pub fn settings() -> fetch::Settings {
    let body_limit = usize::try_from(Limits::default().response_bytes).unwrap_or(usize::MAX);
    fetch::Settings { loopback: true, body_limit, aws: AwsEnvironment::of_process(), ..fetch::Settings::default() }
}

/// Repeats the call until there are no more requests. `output` gets a line for each request.
///
/// # Errors
/// If this program cannot make the call. A failure of the component is an outcome.
pub async fn to_the_end(mut call: Call, config: &Value, fetcher: &Fetcher, output: &mut dyn Write) -> Result<Outcome> {
    let secrets = Secrets::new();
    let mut left = Limits::default().requests;
    for _ in 0..MAX_CALLS {
        let reply = match call.ask(config).await? {
            Ok(reply) => reply,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let Some(wanted) = reply.wanted else { return Ok(Ok(reply.answer)) };
        let count = u32::try_from(wanted.requests.len()).unwrap_or(u32::MAX);
        let Some(rest) = left.checked_sub(count) else {
            return Ok(Err(format!("it returned more than {} requests, its limit", Limits::default().requests)));
        };
        left = rest;
        let sent = wanted.requests.into_iter().map(|asked| async {
            let shown = format!("{} {}", asked.method, asked.url);
            let answer = match http::request(asked, None) {
                Ok(request) => fetcher.fetch(request, &secrets).await,
                Err(failure) => Err(failure),
            };
            (shown, answer)
        });
        let mut answers = Vec::new();
        for (shown, answer) in join_all(sent).await {
            match &answer {
                Ok(response) => writeln!(output, "{shown}: {}, {} bytes", response.status, response.body.len()),
                Err(failure) => writeln!(output, "{shown}: {failure}"),
            }
            .context("print the requests")?;
            answers.push(http::answer(answer));
        }
        call.go_on(wanted.memory, answers);
    }
    Ok(Err(format!("it returned requests {MAX_CALLS} times without finishing")))
}
