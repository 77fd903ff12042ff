//! Builds a Python module with componentize-py, with its interpreter and without WASI.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::super::project::{Description, WIT};
use super::{Built, Scratch, read, run};

const TOOL: &str = "componentize-py";
/// A project's own virtual environment takes precedence.
const ENVIRONMENT: &str = ".venv/bin/componentize-py";
const MISSING: &str =
    "run: python3 -m venv .venv && .venv/bin/pip install componentize-py (in the project, or install it in the PATH)";

pub(super) fn build(dir: &Path) -> Result<Built> {
    let description = Description::read(dir)?;
    let scratch = Scratch::create()?;
    let own = dir.join(ENVIRONMENT);
    let mut tool = if own.is_file() { Command::new(own) } else { Command::new(TOOL) };
    tool.current_dir(dir)
        .args(["--wit-path", WIT, "--world", &description.world()])
        .args(["componentize", "app", "--stub-wasi", "--output"])
        .arg(scratch.component());
    run(&mut tool, &format!("build {}", description.name), MISSING)?;
    Ok(Built { component: read(&scratch.component())?, name: description.name })
}
