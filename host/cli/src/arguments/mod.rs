//! Command line flags. Flags of the controller can also be set by environment variables and by a file: flags win over
//! variables, and variables over the file.

mod analyses;
mod argo;
mod config;
mod defaults;
mod election;
mod events;
mod plugins;
mod process;
mod proxies;
mod renamed;
mod schema;
mod scope;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use analyses::AnalysisArguments;
pub use argo::ArgoArguments;
pub use config::ConfigError;
pub use election::{ElectionArguments, LeaderElect};
pub use events::EventArguments;
pub use plugins::PluginSettings;
pub use process::{LogFormat, ProcessArguments};
pub use proxies::ProxyArguments;
pub use schema::schema;
pub use scope::{ClusterArguments, ScopeArguments};

use crate::demo::Speed;
use crate::plugin::PluginArguments;

/// Documented in docs/flags.md too.
const EXIT_CODES: &str = "\
Exit codes:
  0  done, or stopped as asked
  1  failed, or a check found something
  2  a flag or its value is invalid
  3  the configuration cannot be used: a file, a URL, or how to reach the cluster
  4  the lease is lost: another controller may lead
  130  the demo was interrupted";

/// Progressive delivery for Kubernetes: serves Argo Rollouts' objects, shifts traffic by Gateway API weights, and lets
/// sandboxed Wasm plugins decide
#[derive(Parser)]
#[command(name = "kulta", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the controller against the cluster of KUBECONFIG or of the pod's service account
    ///
    /// It is also run by flags without a subcommand, as by the arguments of Argo Rollouts' controller.
    #[command(name = CONTROLLER_COMMAND, after_help = EXIT_CODES)]
    Controller(Box<ControllerArguments>),
    /// Print the JSON Schema of the controller's configuration file
    ConfigSchema,
    /// Print the CustomResourceDefinitions as YAML
    Crds,
    /// Show a good and a bad rollout on a cluster in memory; needs no setup and ends within a minute
    Demo(DemoArguments),
    /// Create, test and publish plugins
    Plugin(PluginArguments),
    /// Compile a component from standard input to standard output (used by the controller itself)
    #[command(hide = true, name = COMPILE_COMMAND)]
    Compile(CompileArguments),
}

const CONTROLLER_COMMAND: &str = "controller";
/// The controller runs itself with this subcommand to compile a plugin.
pub const COMPILE_COMMAND: &str = "compile-component";
pub const COMPILE_MEMORY_FLAG: &str = "memory-mib";

#[derive(Args)]
pub struct CompileArguments {
    /// Limit of the process's address space, in MiB
    #[arg(long = COMPILE_MEMORY_FLAG, value_name = "MIB")]
    pub memory_mib: u32,
}

/// Enough for the largest known component, Python's runtime.
pub const COMPILE_MEMORY_MIB: u32 = 1_024;

#[derive(Args, Debug)]
pub struct ControllerArguments {
    /// YAML file with any of the flags below, in camelCase, such as `logLevel: debug`; flags and environment variables
    /// win over it
    #[arg(long = config::CONFIG, env = "KULTA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub scope: ScopeArguments,
    #[command(flatten)]
    pub cluster: ClusterArguments,
    #[command(flatten)]
    pub events: EventArguments,
    #[command(flatten)]
    pub analyses: AnalysisArguments,
    #[command(flatten)]
    pub plugins: PluginSettings,
    #[command(flatten)]
    pub proxies: ProxyArguments,
    #[command(flatten)]
    pub process: ProcessArguments,
    #[command(flatten)]
    pub election: ElectionArguments,
    #[command(flatten)]
    pub argo: ArgoArguments,
}

#[derive(Args)]
pub struct DemoArguments {
    /// Speed factor, from 1 to 20
    #[arg(long, default_value = "1", value_name = "NUMBER")]
    pub speed: Speed,
    /// Keep the cluster and the controller running afterwards until Ctrl-C, and print the kubectl command for it
    #[arg(long)]
    pub keep: bool,
    /// Print lines instead of a picture; the default if the output is not a terminal
    #[arg(long)]
    pub plain: bool,
}

/// A parsed command line, and what the log should say about it.
pub struct Parsed {
    pub command: Command,
    pub notices: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error(transparent)]
    Flags(#[from] clap::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An invalid value of the file, or of a variable under another name than the flag's, with its source.
    #[error("{source_name}: {message}")]
    Value { source_name: String, message: String },
    #[error("{0}")]
    Contradiction(String),
}

/// The command line; the environment and the configuration file set what it leaves out.
///
/// # Errors
/// If it is invalid, or asks for help.
pub fn parse(arguments: Vec<OsString>, variable: impl Fn(&str) -> Option<String>) -> Result<Parsed, ParseError> {
    let arguments = with_subcommand(arguments);
    if arguments.get(1).is_none_or(|first| first != CONTROLLER_COMMAND) {
        let command = Arguments::try_parse_from(arguments)?.command;
        return Ok(Parsed { command, notices: Vec::new() });
    }
    let (arguments, mut notices) = renamed::translate(arguments);
    let (fallbacks, warnings) = defaults::of_environment(variable);
    notices.extend(warnings);
    let parsed = parse_with(&arguments, &fallbacks)?;
    let settings = match &parsed.config {
        None => parsed,
        Some(file) => {
            let mut all = config::read(&controller_command(), file)?;
            all.extend(fallbacks);
            parse_with(&arguments, &all)?
        }
    };
    settings.check()?;
    notices.extend(settings.notices());
    Ok(Parsed { command: Command::Controller(Box::new(settings)), notices })
}

/// The controller's flags without a subcommand run the controller: Argo Rollouts' image has none.
fn with_subcommand(mut arguments: Vec<OsString>) -> Vec<OsString> {
    const OWN: [&str; 4] = ["--help", "-h", "--version", "-V"];
    let first = arguments.get(1).and_then(|first| first.to_str());
    if first.is_some_and(|first| first.starts_with('-') && !OWN.contains(&first)) {
        arguments.insert(1, CONTROLLER_COMMAND.into());
    }
    arguments
}

fn parse_with(arguments: &[OsString], fallbacks: &[defaults::Default]) -> Result<ControllerArguments, ParseError> {
    let parsed = try_parse(arguments, fallbacks);
    let Err(error) = parsed else { return Ok(parsed?) };
    // If the flags alone are valid, one of the defaults is not.
    if try_parse(arguments, &[]).is_err() {
        return Err(error.into());
    }
    let wrong = fallbacks.iter().find_map(|default| {
        let error = try_parse(arguments, std::slice::from_ref(default)).err()?;
        Some(ParseError::Value { source_name: default.source.clone(), message: value_message(&error) })
    });
    Err(wrong.unwrap_or_else(|| error.into()))
}

fn try_parse(arguments: &[OsString], fallbacks: &[defaults::Default]) -> Result<ControllerArguments, clap::Error> {
    let command =
        Arguments::command().mut_subcommand(CONTROLLER_COMMAND, |controller| defaults::apply(controller, fallbacks));
    let matches = command.try_get_matches_from(arguments)?;
    match Arguments::from_arg_matches(&matches)?.command {
        Command::Controller(settings) => Ok(*settings),
        // Only the controller's command line is parsed with defaults.
        _ => Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand)),
    }
}

/// clap's message without the hint at `--help`, and in one line.
fn value_message(error: &clap::Error) -> String {
    let text = error.to_string();
    let line: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    line.join(" ").trim_start_matches("error: ").to_owned()
}

/// The subcommand `controller`, with all its flags.
#[must_use]
pub fn controller_command() -> clap::Command {
    let mut command = Arguments::command();
    command.build();
    command.find_subcommand(CONTROLLER_COMMAND).cloned().unwrap_or_default()
}

impl ControllerArguments {
    /// Contradictions, wherever the values come from.
    fn check(&self) -> Result<(), ParseError> {
        let election = &self.election;
        let (lease, deadline, retry) = (
            election.leader_election_lease_duration,
            election.leader_election_renew_deadline,
            election.leader_election_retry_period,
        );
        let wrong = if let Err(refused) = self.argo.check() {
            refused
        } else if self.analyses.analysis_record.is_some() && self.analyses.analysis_replay.is_some() {
            "--analysis-record and --analysis-replay exclude each other: a replay sends no requests".to_owned()
        } else if self.scope.namespaced && !self.scope.namespaces.is_empty() {
            "--namespaced and --namespaces exclude each other: --namespaced serves one namespace".to_owned()
        } else if election.pod_name.is_some() != election.pod_uid.is_some() {
            "--pod-name and --pod-uid are one identity: set both or neither".to_owned()
        } else if deadline >= lease {
            format!(
                "--leader-election-renew-deadline ({deadline}) must be less than --leader-election-lease-duration ({lease})"
            )
        } else if retry >= deadline {
            format!(
                "--leader-election-retry-period ({retry}) must be less than --leader-election-renew-deadline ({deadline})"
            )
        } else {
            return Ok(());
        };
        Err(ParseError::Contradiction(wrong))
    }

    /// What the log should say of flags without an effect.
    fn notices(&self) -> Vec<String> {
        let idle = self.scope.namespace.is_some() && !self.scope.namespaced;
        let idle = idle.then(|| {
            "--namespace has an effect only with --namespaced, as in Argo Rollouts; --namespaces names several"
                .to_owned()
        });
        idle.into_iter().chain(self.argo.notices()).collect()
    }
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;

#[cfg(test)]
mod docs_tests;
