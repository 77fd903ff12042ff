//! Builds a crate with cargo for a target without system calls, then encodes the module as a component.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::{Built, run};

const TARGET: &str = "wasm32-unknown-unknown";
const LIBRARY: &str = "cdylib";
const MISSING: &str = "see https://rustup.rs";

/// Cargo's metadata of a project.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

pub(super) fn build(dir: &Path) -> Result<Built> {
    let manifest = dir.join("Cargo.toml");
    let Metadata { packages, target_directory } = metadata(dir)?;
    let own = |package: &&Package| package.manifest_path.canonicalize().ok() == manifest.canonicalize().ok();
    let package =
        packages.iter().find(own).with_context(|| format!("{} is not a package's manifest", manifest.display()))?;
    let library = package.targets.iter().find(|target| target.crate_types.iter().any(|it| it == LIBRARY));
    let Some(library) = library else {
        bail!(
            "{} has no library for a component; write crate-type = [\"{LIBRARY}\", \"rlib\"] below [lib]",
            manifest.display()
        )
    };
    target_is_installed(dir)?;
    let mut cargo = Command::new("cargo");
    // As a cdylib alone: with an rlib, cargo omits link-time optimisation and the module is a third larger.
    cargo.current_dir(dir).args(["rustc", "--release", "--lib", "--crate-type", LIBRARY, "--target", TARGET]);
    run(&mut cargo, &format!("build {}", package.name), MISSING)?;
    let file = format!("{}.wasm", library.name.replace('-', "_"));
    let module = target_directory.join(TARGET).join("release").join(file);
    let module = std::fs::read(&module).with_context(|| format!("read {}", module.display()))?;
    Ok(Built { name: package.name.clone(), component: componentize(&module)? })
}

fn metadata(dir: &Path) -> Result<Metadata> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(dir).args(["metadata", "--no-deps", "--format-version", "1"]);
    let output =
        cargo.output().map_err(|error| anyhow!("read cargo's metadata of {}: {error}; {MISSING}", dir.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("read cargo's metadata of {}: {}", dir.display(), said.trim());
    }
    serde_json::from_slice(&output.stdout).context("read what cargo says of the project")
}

fn target_is_installed(dir: &Path) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(dir).args(["--print", "target-libdir", "--target", TARGET]);
    let output = rustc.output().map_err(|error| anyhow!("start rustc: {error}; {MISSING}"))?;
    let libdir = String::from_utf8_lossy(&output.stdout);
    if !Path::new(libdir.trim()).is_dir() {
        bail!("the Rust target {TARGET} is not installed; run: rustup target add {TARGET}");
    }
    Ok(())
}

/// The encoder reads the interface from a custom section of the module.
fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    let encoder = wit_component::ComponentEncoder::default().validate(true).module(module);
    let encoded = encoder.and_then(|mut encoder| encoder.encode());
    encoded.context("make a component of the module; does the crate name its type in kulta_plugin::export!?")
}
