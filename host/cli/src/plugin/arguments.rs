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
        after_help = "Fields that --occasion leaves out are those of a made-up rollout; memory and bodies may be text.\n\nExample:\n  kulta plugin run error-rate.wasm --config '{\"url\": \"http://localhost:8080/\", \"max\": 0.05}' --fetch"
    )]
    Run(RunArguments),
    /// Call a component until it is done, and keep the answers that it got in a file
    Record(RecordArguments),
    /// Call a component as it was recorded, offline, and compare what comes out; ends with 1 if that differs
    Replay(ReplayArguments),
    /// Push a component to a registry as a CNCF Wasm artifact, and print what a Plugin object needs to name it
    #[command(
        after_help = "Credentials are those of ~/.docker/config.json, or of the folder that DOCKER_CONFIG names."
    )]
    Push(PushArguments),
    /// Pull a component from a registry into a file
    #[command(
        after_help = "Credentials are those of ~/.docker/config.json, or of the folder that DOCKER_CONFIG names."
    )]
    Pull(PullArguments),
    /// List the cluster's Plugin objects, or the plugins that come with this program
    List(ListArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Python,
    Js,
}

/// Projects are written for these; a condition language is nobody's first plugin.
const NEW_KINDS: &[Kind] = &[Kind::Analyzer, Kind::Strategy, Kind::Enricher, Kind::Step];

#[derive(Args)]
pub struct NewArguments {
    /// What the controller will ask it
    #[arg(long, value_parser = kind_of(NEW_KINDS))]
    pub kind: Kind,
    #[arg(long)]
    pub lang: Language,
    /// Of the plugin: lower-case letters, digits and "-"
    pub name: Name,
    /// Folder of the project; NAME in the present folder when absent
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
}

#[derive(Args)]
pub struct BuildArguments {
    /// Folder of the project
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the component goes; <plugin's name>.wasm in the project when absent
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct CheckArguments {
    /// The component
    pub file: PathBuf,
    /// A configuration that it accepts, to go further with; made up from its schema when absent
    #[arg(long, value_name = "JSON|@FILE", allow_negative_numbers = true)]
    pub config: Option<Json>,
}

/// One call.
#[derive(Args)]
pub struct CallArguments {
    /// The component
    pub file: PathBuf,
    /// What to ask it, where it is of several kinds
    #[arg(long, value_parser = kind_of(&Kind::ALL))]
    pub kind: Option<Kind>,
    /// Its configuration
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}", allow_negative_numbers = true)]
    pub config: Json,
    /// What it is asked about: a strategy's situation, any other's occasion; for a condition language, the value
    #[arg(long, alias = "situation", value_name = "JSON|@FILE", default_value = "{}", allow_negative_numbers = true)]
    pub occasion: Json,
}

#[derive(Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub call: CallArguments,
    /// Make the requests that it asks for, from this machine, and call it again with their answers until it is done
    #[arg(long)]
    pub fetch: bool,
}

#[derive(Args)]
pub struct RecordArguments {
    #[command(flatten)]
    pub call: CallArguments,
    /// Where the recording goes; credentials in requests are masked
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

#[derive(Args)]
pub struct ReplayArguments {
    /// The component
    pub file: PathBuf,
    /// What `kulta plugin record` wrote
    pub tape: PathBuf,
}

#[derive(Args)]
pub struct PushArguments {
    /// The component
    pub file: PathBuf,
    /// Where to: registry/repository:tag
    pub image: Reference,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct PullArguments {
    /// What: registry/repository with a tag or a digest
    pub image: Reference,
    /// Where the component goes
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// PEM file with public keys, such as cosign.pub: nothing is written unless one of them has signed the image
    #[arg(long, value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

#[derive(Args)]
pub struct RegistryArguments {
    /// Ask the registry by http instead of https
    #[arg(long)]
    pub plain_http: bool,
}

#[derive(Args)]
pub struct ListArguments {
    /// The plugins that come with this program, instead of the cluster's
    #[arg(long)]
    pub built_in: bool,
}

fn kind_of(kinds: &'static [Kind]) -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(kinds.iter().map(|kind| kind.as_str()))
        .try_map(|name| kinds.iter().copied().find(|kind| kind.as_str() == name).ok_or("no kind of plugin"))
}
