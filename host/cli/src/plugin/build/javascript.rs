//! Builds a JavaScript module with componentize-js as a library, with its engine and without WASI.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::super::project::{Description, WIT};
use super::{Built, Scratch, read, run};

const TOOL: &str = "node_modules/@bytecodealliance/componentize-js";
/// The script's text is passed to node in the project's folder, so that the project's own packages are found.
const SCRIPT: &str = include_str!("componentize.mjs");

pub(super) fn build(dir: &Path) -> Result<Built> {
    let description = Description::read(dir)?;
    // Node searches the parent folders too.
    if !dir.ancestors().any(|above| above.join(TOOL).is_dir()) {
        bail!("build {}: componentize-js is not installed; run: npm install (in {})", description.name, dir.display());
    }
    let scratch = Scratch::create()?;
    let mut node = Command::new("node");
    node.current_dir(dir)
        .args(["--input-type=module", "--eval", SCRIPT, "--", "index.js", WIT, &description.world()])
        .arg(scratch.component());
    run(&mut node, &format!("build {}", description.name), "see https://nodejs.org")?;
    Ok(Built { component: read(&scratch.component())?, name: description.name })
}
