//! A plugin's project: the paths of its files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::arguments::Language;

/// Folder of the WIT package.
pub const WIT: &str = "wit/0.1.0";
/// Name and kind of a Python or JavaScript project; in a Rust project they are in its code.
pub const DESCRIPTION: &str = "kulta.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub name: String,
    pub kind: String,
}

impl Description {
    /// # Errors
    /// If the file is missing or invalid.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(DESCRIPTION);
        let expected = r#"expected {"name": "error-rate", "kind": "analyzer"}"#;
        let text = fs::read_to_string(&path).with_context(|| format!("read {} ({expected})", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{}: {expected}", path.display()))
    }

    /// The world that the component is built for.
    pub fn world(&self) -> String {
        format!("kulta:plugin/{}-plugin", self.kind)
    }
}

/// The file that identifies the language of a project, and is the input of its build.
pub fn main_file(language: Language) -> &'static str {
    match language {
        Language::Rust => "Cargo.toml",
        Language::Python => "app.py",
        Language::Js => "index.js",
    }
}

/// # Errors
/// If the folder is not a project.
pub fn language(dir: &Path) -> Result<Language> {
    let all = [Language::Rust, Language::Python, Language::Js];
    match all.into_iter().find(|language| dir.join(main_file(*language)).is_file()) {
        Some(language) => Ok(language),
        None => bail!(
            "{} is not a plugin project: expected {}; `kulta plugin new` creates one",
            dir.display(),
            all.map(main_file).join(", or ")
        ),
    }
}
