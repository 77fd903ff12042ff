//! `kulta plugin`: for authors of plugins, from a new project to a registry.

mod arguments;
mod build;
mod call;
mod check;
mod fetching;
mod hostile;
mod image;
mod json;
mod list;
mod load;
mod name;
mod new;
mod occasions;
mod project;
mod run;
mod sample;
mod table;
mod tape;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

pub use arguments::PluginArguments;

use arguments::PluginCommand;

/// Minimum level of a plugin's log lines that are shown.
const LEVEL: &str = "debug,hyper=info,reqwest=info,rustls=info,h2=info,tower=info,kube=info";

/// Prints a failure as one line.
///
/// # Errors
/// If the line cannot be printed.
pub fn run(arguments: PluginArguments) -> Result<ExitCode> {
    let name = name(&arguments.command);
    match attempt(arguments.command) {
        Ok(code) => Ok(code),
        Err(error) => {
            let line = format!("{error:#}").replace('\n', " ");
            writeln!(std::io::stderr(), "kulta plugin {name}: {line}").context("write to the standard error")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn name(command: &PluginCommand) -> &'static str {
    match command {
        PluginCommand::New(_) => "new",
        PluginCommand::Build(_) => "build",
        PluginCommand::Check(_) => "check",
        PluginCommand::Run(_) => "run",
        PluginCommand::Record(_) => "record",
        PluginCommand::Replay(_) => "replay",
        PluginCommand::Push(_) => "push",
        PluginCommand::Pull(_) => "pull",
        PluginCommand::List(_) => "list",
    }
}

fn attempt(command: PluginCommand) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let done = runtime.block_on(perform(command));
    // A connection that is not needed any more must not delay the exit.
    runtime.shutdown_background();
    done
}

async fn perform(command: PluginCommand) -> Result<ExitCode> {
    let mut out = std::io::stdout();
    match command {
        PluginCommand::New(arguments) => new::new(&arguments, &mut out),
        PluginCommand::Build(arguments) => build::build(&arguments, &mut out).await,
        PluginCommand::Check(arguments) => check::check(&arguments.file, arguments.config.as_ref(), &mut out).await,
        PluginCommand::Run(arguments) => {
            show_logs()?;
            run::run(&arguments, &mut out).await
        }
        PluginCommand::Record(arguments) => {
            show_logs()?;
            tape::record(&arguments, &mut out).await
        }
        PluginCommand::Replay(arguments) => {
            show_logs()?;
            tape::replay(&arguments, &mut out).await
        }
        PluginCommand::Push(arguments) => image::push(&arguments, &mut out).await,
        PluginCommand::Pull(arguments) => image::pull(&arguments, &mut out).await,
        PluginCommand::List(arguments) => list::list(&arguments, &mut out).await,
    }
}

/// Prints a plugin's log to standard error.
fn show_logs() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(LEVEL))
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| anyhow::anyhow!("show what the plugin logs: {error}"))
}
