//! The binary `kulta`.

mod arguments;
mod controller;
mod crds;
mod demo;
mod identity;
mod plugin;
mod plugins;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> Result<ExitCode> {
    // Before any client is made: reqwest and kube share one TLS provider.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    match Arguments::parse().command {
        Command::Controller(settings) => controller::run(*settings).map(|()| ExitCode::SUCCESS),
        Command::Crds => crds::print().map(|()| ExitCode::SUCCESS),
        Command::Demo(settings) => demo::run(&settings),
        Command::Plugin(settings) => plugin::run(settings),
        Command::Compile(settings) => plugins::compile(&settings),
    }
}
