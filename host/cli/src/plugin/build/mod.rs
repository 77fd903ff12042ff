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
/// When the folder is no project, a tool is missing or fails, or what it makes is refused.
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

/// What came out of a project.
struct Built {
    name: String,
    component: Vec<u8>,
}

/// Runs a tool, whose own words go to the standard error.
fn run(tool: &mut Command, what: &str, missing: &str) -> Result<()> {
    let program = tool.get_program().to_string_lossy().into_owned();
    // Its standard output is for people, and ours is for what this command prints.
    let status = tool.stdout(std::io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{what}: {program} ended with {status}; what it says stands above"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{what}: {program} is not installed; {missing}")
        }
        Err(error) => Err(error).with_context(|| format!("{what}: start {program}")),
    }
}

/// A folder for what a tool leaves behind; gone when it is dropped.
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
        // In the system's temporary folder; what is left there does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(component: &Path) -> Result<Vec<u8>> {
    std::fs::read(component).context("read the component that was built")
}
