//! Loads a component from a file, as the controller does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use kulta_wasm::{Limits, LoadError, Loaded, Plugins};

use super::json::read;
use crate::arguments::COMPILE_MEMORY_MIB;
use crate::plugins;

/// Header of a core module; a component has another version and layer.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// Below the user's cache folder.
const CACHE: &str = "kulta/plugins";

/// A component and its file.
pub struct Component {
    pub bytes: Vec<u8>,
    pub loaded: Arc<Loaded>,
}

/// # Errors
/// If the file cannot be read, or the controller would reject the component; the error says why and what to do.
pub async fn component(file: &Path) -> Result<Component> {
    let bytes = read(file)?;
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let loaded = runtime()?.load(&name, bytes.clone(), Limits::default()).await;
    let loaded = loaded.map_err(|error| {
        let advice = advice(&error, &bytes);
        anyhow!("{}: {error}{advice}", file.display())
    })?;
    Ok(Component { bytes, loaded })
}

/// Compiled code is stored for the next call: a large component takes seconds to compile.
///
/// # Errors
/// If there is no runtime, or the folder for compiled code cannot be used.
pub fn runtime() -> Result<Arc<Plugins>> {
    let folder = cache();
    plugins::start(COMPILE_MEMORY_MIB, folder.as_deref()).with_context(|| match &folder {
        Some(folder) => format!("store compiled code in {} (XDG_CACHE_HOME names another folder)", folder.display()),
        None => "start without a folder for compiled code".to_owned(),
    })
}

/// Follows the XDG base directory specification; `None` without a home.
fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join(CACHE))
}

fn advice(error: &LoadError, bytes: &[u8]) -> &'static str {
    match error {
        LoadError::NotAComponent(_) if bytes.starts_with(CORE_MODULE) => {
            "; this is a core module, and `kulta plugin build` makes a component from one"
        }
        LoadError::NotAComponent(_) => "; `kulta plugin build` makes one",
        LoadError::ForbiddenImports(_) => {
            "; a plugin may only import its log: build for wasm32-unknown-unknown (Rust), with --stub-wasi (Python), or with all of \
             disableFeatures (JavaScript), as `kulta plugin build` does"
        }
        LoadError::NoKind { .. } => {
            "; name one of the worlds of kulta:plugin, such as analyzer-plugin, when it is built"
        }
        LoadError::Incompatible(_) => "; was it built from another version of kulta:plugin's WIT?",
        LoadError::TooLarge { .. } => "; leave debug information and unused packages out",
        LoadError::Schema(_) => {
            "; describe() has to answer a JSON Schema (2020-12) as config-schema, such as {\"type\": \"object\"}"
        }
        LoadError::Describe(_) | LoadError::TooCostly(_) | LoadError::Compiler(_) | LoadError::Interrupted => "",
    }
}
