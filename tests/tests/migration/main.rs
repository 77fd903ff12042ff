//! `docs/migrate/argo-rollouts.md`, with Argo's own controller: every command of the page runs, with rollouts in progress and without.
//! The scenarios replace the cluster's CRDs and controllers, so they need a separate cluster and run one after the other:
//! `tests/scenarios.sh stock-crd` runs them.

// The commands, their output and what the controllers' programs do are in the log of a failed scenario.
#![allow(clippy::print_stdout)]

mod analyses;
mod back;
mod beside;
mod crds;
mod helm;
mod image;
mod page;
mod pods;
mod site;
mod there;

use anyhow::{Result, ensure};
use kulta_tests::environment::Environment;

#[test]
#[ignore = "needs the other scenarios of this file to have run: make cluster-test runs it after them"]
fn every_command_of_the_page_has_run() -> Result<()> {
    let missing = page::not_run(&Environment::find()?)?;

    ensure!(missing.is_empty(), "no scenario runs the blocks {missing:?}");
    Ok(())
}
