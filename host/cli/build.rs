//! Embeds the files that `kulta plugin new` writes: templates, the WIT package, and the SDK with literal versions.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with their names in the embedded table, relative to the repository.
const FOLDERS: [(&str, &str); 3] =
    [("templates", "host/cli/templates"), ("wit/0.1.0", "wit/0.1.0"), ("sdk/src", "plugins/sdk/src")];
/// The SDK's manifest, and the manifest that contains its versions.
const SDK_MANIFEST: &str = "plugins/sdk/Cargo.toml";
const PLUGINS_MANIFEST: &str = "plugins/Cargo.toml";
/// Versions that are known to build together.
const LOCK: &str = "plugins/Cargo.lock";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = BTreeMap::new();
    for (name, folder) in FOLDERS {
        let folder = root.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        find(&folder, name, &mut files)?;
    }
    for file in [SDK_MANIFEST, PLUGINS_MANIFEST, LOCK] {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
    }
    files.insert("Cargo.lock".to_owned(), root.join(LOCK));
    let manifest = out.join("sdk-manifest.toml");
    let read = |file: &str| fs::read_to_string(root.join(file));
    fs::write(&manifest, literal(&read(SDK_MANIFEST)?, &read(PLUGINS_MANIFEST)?)?)?;
    files.insert("sdk/Cargo.toml".to_owned(), manifest);

    let mut table = String::from("&[\n");
    for (name, path) in files {
        writeln!(table, "    ({name:?}, include_str!({:?})),", path.display().to_string())?;
    }
    table.push_str("]\n");
    fs::write(out.join("packed.rs"), table)?;
    Ok(())
}

fn find(folder: &Path, name: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            find(&entry.path(), &name, files)?;
        } else {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// Writes out the inherited fields of the manifest; the workspace's lints are left out.
fn literal(manifest: &str, workspace: &str) -> Result<String, Box<dyn Error>> {
    let inherited = |key: &str| {
        let found = workspace.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key);
        found.map(|(_, value)| value.trim().to_owned()).ok_or_else(|| format!("{PLUGINS_MANIFEST} has no {key}"))
    };
    let mut written = String::new();
    for line in manifest.lines().filter(|line| !matches!(*line, "[lints]" | "workspace = true")) {
        match line.strip_suffix(".workspace = true") {
            Some(key) => writeln!(written, "{key} = {}", inherited(key)?)?,
            None => writeln!(written, "{line}")?,
        }
    }
    Ok(written)
}
