//! `kulta plugin build`: from a project to a component, with the tools of its language.

mod javascript;
mod python;
mod rust;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use super::arguments::{BuildArguments, Language};
use super::{check, project};

/// # Errors
/// If the folder is not a project, a tool is missing or fails, or the result is rejected.
pub async fn build(arguments: &BuildArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let dir = std::path::absolute(&arguments.dir).with_context(|| format!("find {}", arguments.dir.display()))?;
    let built = match project::language(&dir)? {
        Language::Rust => rust::build(&dir)?,
        Language::Python => python::build(&dir)?,
        Language::Js => javascript::build(&dir)?,
    };
    let file = arguments.output.clone().unwrap_or_else(|| arguments.dir.join(format!("{}.wasm", built.name)));
    std::fs::write(&file, built.component).with_context(|| format!("write {}", file.display()))?;
    writeln!(out, "{}\n", file.display()).context("print the file's name")?;
    check::check(&file, None, out).await
}

/// The built component.
struct Built {
    name: String,
    component: Vec<u8>,
}

/// Runs a tool; its output goes to standard error.
fn run(tool: &mut Command, what: &str, missing: &str) -> Result<()> {
    let program = tool.get_program().to_string_lossy().into_owned();
    // The tool's standard output is for humans; standard output of this command is for its results.
    let status = tool.stdout(std::io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{what}: {program} ended with {status}; see its output above"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{what}: {program} is not installed; {missing}")
        }
        Err(error) => Err(error).with_context(|| format!("{what}: start {program}")),
    }
}

/// A temporary folder for intermediate files, removed on drop.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("kulta-build-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).with_context(|| format!("make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    fn component(&self) -> std::path::PathBuf {
        self.0.join("component.wasm")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A remainder in the system's temporary folder is harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(component: &Path) -> Result<Vec<u8>> {
    std::fs::read(component).context("read the component that was built")
}
