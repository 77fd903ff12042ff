//! `kulta plugin new`: a project that needs only its language's tools. This program contains the SDK and the interface.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::arguments::{Language, NewArguments};
use super::project::WIT;

/// By name: templates, `wit/0.1.0`, `sdk`, and the SDK's lock file.
const PACKED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/packed.rs"));

const SDK: &str = "sdk/";
const LOCK: &str = "Cargo.lock";
/// Folder of the SDK in a Rust project; the SDK finds the interface next to it.
const SDK_FOLDER: &str = "kulta/sdk";
/// Suffix of template files, which would otherwise be used by other tools in this repository.
const HIDDEN: &str = ".in";
const NAME: &str = "{{name}}";
const KIND: &str = "{{kind}}";

/// # Errors
/// If the folder is not empty, or cannot be written.
pub fn new(arguments: &NewArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let name = arguments.name.to_string();
    let dir = arguments.path.clone().unwrap_or_else(|| PathBuf::from(&name));
    let taken = fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if taken || dir.is_file() {
        bail!("{} exists and is not empty; choose another folder with --path", dir.display());
    }
    let language = match arguments.lang {
        Language::Rust => "rust",
        Language::Python => "python",
        Language::Js => "js",
    };
    let kind = arguments.kind.as_str();
    for part in ["common", kind] {
        let prefix = format!("templates/{language}/{part}/");
        unpack(&prefix, &dir, |text| text.replace(NAME, &name).replace(KIND, kind))?;
    }
    unpack(&format!("{WIT}/"), &dir.join(WIT), str::to_owned)?;
    if arguments.lang == Language::Rust {
        unpack(SDK, &dir.join(SDK_FOLDER), str::to_owned)?;
        unpack(LOCK, &dir.join(LOCK), str::to_owned)?;
    }
    let shown = dir.display();
    let test = match arguments.lang {
        Language::Rust => "cargo test",
        Language::Python => "python3 -m unittest",
        Language::Js => "npm test",
    };
    write!(out, "{shown}: {} {kind} in {language}\n\nTest it:   cd {shown} && {test}\nBuild it:  kulta plugin build {shown}\nRead on:   {shown}/README.md\n", article(kind)).context("print what to do next")?;
    Ok(ExitCode::SUCCESS)
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['a', 'e']) { "an" } else { "a" }
}

/// Writes the embedded files below a prefix; the full name of a file selects that file.
fn unpack(prefix: &str, dir: &Path, change: impl Fn(&str) -> String) -> Result<()> {
    for (name, text) in PACKED {
        let Some(rest) = name.strip_prefix(prefix) else { continue };
        let path = if rest.is_empty() { dir.to_owned() } else { dir.join(rest.trim_end_matches(HIDDEN)) };
        let folder = path.parent().unwrap_or(dir);
        fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
        fs::write(&path, change(text)).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(name: &str) -> &'static str {
        PACKED.iter().find(|(packed, _)| *packed == name).unwrap().1
    }

    #[test]
    fn the_embedded_sdk_inherits_nothing_from_the_workspace() {
        let manifest = packed("sdk/Cargo.toml");

        assert!(!manifest.contains("workspace"), "{manifest}");
        assert!(manifest.contains("wit-bindgen = {") && manifest.contains("edition = \"2024\""), "{manifest}");
    }

    #[test]
    fn every_kind_has_a_template_in_every_language() {
        for language in ["rust", "python", "js"] {
            for part in ["common", "analyzer", "strategy", "enricher", "step"] {
                let prefix = format!("templates/{language}/{part}/");
                assert!(PACKED.iter().any(|(name, _)| name.starts_with(&prefix)), "{prefix}");
            }
        }
    }
}
