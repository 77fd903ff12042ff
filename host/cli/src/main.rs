//! The binary `kulta`.

mod arguments;
mod controller;
mod crds;
mod demo;
mod exit;
mod identity;
mod plugin;
mod plugins;
mod proxies;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};

use arguments::{Command, ParseError, Parsed};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| report(&error))
}

fn run() -> Result<ExitCode> {
    // Before any client is made: reqwest and kube share one TLS provider.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let parsed = arguments::parse(std::env::args_os().collect(), |name| std::env::var(name).ok());
    let Parsed { command, notices } = match parsed {
        Ok(parsed) => parsed,
        // Prints help to the standard output and errors to the standard error.
        Err(ParseError::Flags(error)) => error.exit(),
        Err(error @ ParseError::Contradiction(_)) => {
            report(&error.into());
            return Ok(ExitCode::from(exit::USAGE));
        }
        Err(error) => return Err(exit::Unusable::mark(error)),
    };
    match command {
        Command::Controller(settings) => controller::run(*settings, &notices),
        Command::ConfigSchema => {
            let schema = serde_json::to_string_pretty(&arguments::schema(&arguments::controller_command()))?;
            writeln!(std::io::stdout(), "{schema}").context("print the schema")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Crds => crds::print().map(|()| ExitCode::SUCCESS),
        Command::Demo(settings) => demo::run(&settings),
        Command::Plugin(settings) => plugin::run(settings),
        Command::Compile(settings) => plugins::compile(&settings),
    }
}

/// Prints a failure as one line.
fn report(error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    // If the standard error is closed, the exit code is all that is left.
    drop(writeln!(std::io::stderr(), "kulta: {line}"));
    exit::code(error)
}
