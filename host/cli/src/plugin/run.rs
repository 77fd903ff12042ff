//! `kulta plugin run`: makes one call and prints its result.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use kulta_fetch::Fetcher;
use kulta_wasm::{CheckError, Kind, Loaded};
use serde_json::Value;

use super::arguments::{CallArguments, RunArguments};
use super::call::{self, Call};
use super::check::now;
use super::fetching::{self, Outcome};
use super::json::readable;
use super::load;

/// # Errors
/// If the component is rejected, the configuration or the input is invalid, or the call fails.
pub async fn run(arguments: &RunArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let CallArguments { file, config, .. } = &arguments.call;
    let (_, call) = prepare(&arguments.call).await?;
    let outcome = if arguments.fetch {
        let fetcher = Fetcher::new(fetching::settings()).context("set up requests")?;
        fetching::to_the_end(call, &config.0, &fetcher, &mut std::io::stderr()).await?
    } else {
        call.ask(&config.0).await?.map(|reply| reply.answer).map_err(|error| error.to_string())
    };
    show(file, outcome, out)
}

/// The kind of plugin to call, and its input.
///
/// # Errors
/// If the component is rejected, or the input is invalid.
pub async fn prepare(arguments: &CallArguments) -> Result<(Kind, Call)> {
    let loaded = load::component(&arguments.file).await?.loaded;
    let kind = call::kind(&loaded, arguments.kind)?;
    if kind != Kind::Condition {
        check_config(&loaded, &arguments.config.0).await?;
    }
    Ok((kind, Call::new(&loaded, kind, &arguments.occasion.0, now()).context("--occasion")?))
}

async fn check_config(loaded: &Loaded, config: &Value) -> Result<()> {
    loaded.check_config(config).await.map_err(|error| match error {
        CheckError::Invalid(_) => anyhow!(
            "--config {config} is not accepted by {}: {error}; `kulta plugin check` lists its fields",
            loaded.info().name
        ),
        CheckError::Call(error) => anyhow!("check-config of --config {config}: {error}"),
    })
}

/// # Errors
/// If the outcome is an error.
pub fn show(file: &Path, outcome: Outcome, out: &mut dyn Write) -> Result<ExitCode> {
    let answer = outcome.map_err(|why| anyhow!("{}: {why}", file.display()))?;
    writeln!(out, "{:#}", readable(answer)).context("print the answer")?;
    Ok(ExitCode::SUCCESS)
}
