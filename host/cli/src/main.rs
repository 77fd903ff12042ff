//! The binary `kulta`.

mod arguments;
mod controller;
mod crds;

use anyhow::Result;
use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> Result<()> {
    // Before any client is made: reqwest and kube share one TLS provider.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    match Arguments::parse().command {
        Command::Controller(settings) => controller::run(*settings),
        Command::Crds => crds::print(),
    }
}
