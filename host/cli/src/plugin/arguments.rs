//! Flags of `kulta plugin`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use kulta_oci::Reference;
use kulta_wasm::Kind;

use super::json::Json;
use super::name::Name;

#[derive(Args)]
pub struct PluginArguments {
    #[command(subcommand)]
    pub command: PluginCommand,
}

#[derive(Subcommand)]
pub enum PluginCommand {
    /// Write a project that builds and passes its tests at once
    #[command(
        after_help = "Example:\n  kulta plugin new --kind analyzer --lang rust error-rate\n  kulta plugin build error-rate"
    )]
    New(NewArguments),
    /// Build a project into a component, and check that
    #[command(
        after_help = "What it needs by the project's language:\n  Rust        cargo, and the target: rustup target add wasm32-unknown-unknown\n  Python      pip install componentize-py\n  JavaScript  npm install @bytecodealliance/componentize-js (in the project)"
    )]
    Build(BuildArguments),
    /// Show what a component is and may do, and try it with hostile input
    #[command(
        after_help = "Ends with 1 if the controller would refuse the component, or if an input makes it trap, run too long, take too much memory or answer what the controller refuses."
    )]
    Check(CheckArguments),
    /// Call a component once, and show what it answers
    #[command(
        after_help = "Fields that --occasion leaves out are those of a sample rollout; memory and bodies may be text.\n\nExample:\n  kulta plugin run error-rate.wasm --config '{\"url\": \"http://localhost:8080/\", \"max\": 0.05}' --fetch"
    )]
    Run(RunArguments),
    /// Call a component until it is done, and record its answers in a file
    Record(RecordArguments),
    /// Repeat a recorded call without a network and compare the outcome; the exit code is 1 if it differs
    Replay(ReplayArguments),
    /// Push a component to a registry as a CNCF Wasm artifact, and print the fields of a Plugin object for it
    #[command(
        after_help = "Credentials are those of ~/.docker/config.json, or of the folder that DOCKER_CONFIG names."
    )]
    Push(PushArguments),
    /// Pull a component from a registry into a file
    #[command(
        after_help = "Credentials are those of ~/.docker/config.json, or of the folder that DOCKER_CONFIG names."
    )]
    Pull(PullArguments),
    /// List the cluster's Plugin objects, or the built-in plugins
    List(ListArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Python,
    Js,
}

/// Kinds that have project templates; condition languages have none.
const NEW_KINDS: &[Kind] = &[Kind::Analyzer, Kind::Strategy, Kind::Enricher, Kind::Step];

#[derive(Args)]
pub struct NewArguments {
    /// Kind of plugin
    #[arg(long, value_parser = kind_of(NEW_KINDS))]
    pub kind: Kind,
    #[arg(long)]
    pub lang: Language,
    /// Name of the plugin: lower-case letters, digits and "-"
    pub name: Name,
    /// Folder of the project; default: NAME in the current folder
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
}

#[derive(Args)]
pub struct BuildArguments {
    /// Folder of the project
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Output file of the component; default: <plugin's name>.wasm in the project
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct CheckArguments {
    /// The component
    pub file: PathBuf,
    /// Valid configuration for the checks; default: one generated from its schema
    #[arg(long, value_name = "JSON|@FILE", allow_negative_numbers = true)]
    pub config: Option<Json>,
}

/// One call.
#[derive(Args)]
pub struct CallArguments {
    /// The component
    pub file: PathBuf,
    /// Kind to call, if the component has several
    #[arg(long, value_parser = kind_of(&Kind::ALL))]
    pub kind: Option<Kind>,
    /// Configuration of the plugin
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}", allow_negative_numbers = true)]
    pub config: Json,
    /// Input of the call; for a condition language, the value
    #[arg(long, alias = "situation", value_name = "JSON|@FILE", default_value = "{}", allow_negative_numbers = true)]
    pub occasion: Json,
}

#[derive(Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub call: CallArguments,
    /// Make the requests that the component returns from this machine, and repeat the call with their answers until it
    /// is done
    #[arg(long)]
    pub fetch: bool,
}

#[derive(Args)]
pub struct RecordArguments {
    #[command(flatten)]
    pub call: CallArguments,
    /// Output file of the recording; credentials in requests are redacted
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

#[derive(Args)]
pub struct ReplayArguments {
    /// The component
    pub file: PathBuf,
    /// File of `kulta plugin record`
    pub tape: PathBuf,
}

#[derive(Args)]
pub struct PushArguments {
    /// The component
    pub file: PathBuf,
    /// Target: registry/repository:tag
    pub image: Reference,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct PullArguments {
    /// Image: registry/repository with a tag or a digest
    pub image: Reference,
    /// Output file of the component
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// PEM file with public keys, such as cosign.pub: nothing is written unless one of these keys has signed the image
    #[arg(long, value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct RegistryArguments {
    /// Use http instead of https for the registry
    #[arg(long)]
    pub plain_http: bool,
}

#[derive(Args)]
pub struct ListArguments {
    /// List the built-in plugins instead of the cluster's
    #[arg(long)]
    pub built_in: bool,
}

fn kind_of(kinds: &'static [Kind]) -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(kinds.iter().map(|kind| kind.as_str()))
        .try_map(|name| kinds.iter().copied().find(|kind| kind.as_str() == name).ok_or("not a kind of plugin"))
}
