//! `docs/plugins.md` where it needs a registry or a cluster: its commands as an author types them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    controller::binary,
    environment::Environment,
    registry::{Registry, Users},
    run_folder,
};
use tokio::process::Command;

const TUTORIAL: &str = "docs/plugins.md";
/// Where the tutorial's registry is.
const REGISTRY: &str = "localhost:5000";
/// What a shell needs to find cargo and the toolchain; the rest of this test's environment is its own affair.
const KEPT: [&str; 4] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"];
/// As far as a component: the tutorial's first two chapters, whose every command has a test of its own.
const COMPONENT: &str =
    "kulta plugin new --kind analyzer --lang rust error-rate && kulta plugin build error-rate && cd error-rate";

/// The blocks of one kind, in order.
fn blocks(kind: &str) -> Result<String> {
    let tutorial = fs::read_to_string(run_folder::repository().join(TUTORIAL)).context("read the tutorial")?;
    let opened = format!("```{kind}\n");
    let blocks: Vec<&str> = tutorial.split(&opened).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    ensure!(!blocks.is_empty(), "the tutorial has no block of {kind}");
    Ok(blocks.join("\n"))
}

/// What a script prints, in a folder that is emptied first, where `kulta` is the program under test.
async fn printed(folder: &Path, script: &str) -> Result<String> {
    let programs = folder.join("programs");
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(&programs).context("make the author's folder")?;
    symlink(binary(), programs.join("kulta")).context("lay out the program")?;
    let mut shell = Command::new("bash");
    shell.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let path = std::env::var("PATH").context("there is no PATH")?;
    shell.env("PATH", format!("{}:{path}", programs.display())).env("XDG_CACHE_HOME", folder.join("cache"));
    let output = shell.current_dir(folder).args(["-euc", script]).output().await.context("start a shell")?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{script}\n{out}\n{err}");
    Ok(out.into_owned())
}

#[tokio::test]
async fn a_component_goes_to_a_registry_and_comes_back() -> Result<()> {
    if !Registry::is_built() && Environment::find().is_none() {
        println!("skipped: tests/tools/build.sh builds the registry");
        return Ok(());
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("authoring");
    let registry = Registry::start(&folder.join("registry"), Users::Everybody).await?;
    let commands = blocks("sh registry")?.replace(REGISTRY, &registry.address.to_string());

    let told = printed(&folder.join("author"), &format!("{COMPONENT}\n{commands}")).await?;

    // Push tells it first, and again in the Plugin object; pull tells what it pulled.
    let digests: Vec<&str> = told.lines().filter(|line| line.starts_with("sha256:")).collect();
    ensure!(digests.len() == 2 && digests.first() == digests.get(1), "{told}");
    ensure!(told.contains(&format!("  digest: {}", digests.first().copied().unwrap_or_default())), "{told}");
    Ok(())
}
