//! A call to its end: the requests that a component asks for are made, and it is asked again with their answers.

use std::io::Write;

use anyhow::{Context, Result};
use futures::future::join_all;
use kulta_api::plugin::Limits;
use kulta_controller::plugins::{MAX_CALLS, http};
use kulta_fetch::{self as fetch, AwsEnvironment, Fetcher, Secrets};
use serde_json::Value;

use super::call::Call;

/// What came of it: the last answer, or the words of the failure.
pub type Outcome = Result<Value, String>;

/// As a Plugin object without limits of its own has it; this machine itself may be asked.
#[must_use]
pub fn settings() -> fetch::Settings {
    let body_limit = usize::try_from(Limits::default().response_bytes).unwrap_or(usize::MAX);
    fetch::Settings { loopback: true, body_limit, aws: AwsEnvironment::of_process(), ..fetch::Settings::default() }
}

/// Asks until there are no more requests. `told` gets a line for each of them.
///
/// # Errors
/// What keeps this program from asking; what the component does wrong is an outcome.
pub async fn to_the_end(mut call: Call, config: &Value, fetcher: &Fetcher, told: &mut dyn Write) -> Result<Outcome> {
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
            return Ok(Err(format!("it asks for more than {} requests, its limit", Limits::default().requests)));
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
                Ok(response) => writeln!(told, "{shown}: {}, {} bytes", response.status, response.body.len()),
                Err(failure) => writeln!(told, "{shown}: {failure}"),
            }
            .context("tell of the requests")?;
            answers.push(http::answer(answer));
        }
        call.go_on(wanted.memory, answers);
    }
    Ok(Err(format!("it asked for requests {MAX_CALLS} times and came to no end")))
}
