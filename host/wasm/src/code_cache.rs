//! Compiled code on disk, by the digest of its component and the engine that it is for, so that a restart compiles nothing.
//!
//! Code is run as it is found, so the folder has to be ours alone, and nothing gets there but what this controller compiled itself.
//! A file's name carries a digest of its content too: what a crash or a bad disk left behind is not taken.

use crate::bounded_folder::BoundedFolder;
use crate::component::hex_digest;
use rustix::process::geteuid;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use thiserror::Error;
use wasmtime::Engine;

/// Group and others.
const FOREIGN_BITS: u32 = 0o077;
/// A Python component's code takes 35 MB, a Rust one's 0.2 MB.
const MAX_BYTES: u64 = 512 << 20;
const SUFFIX: &str = "code";

/// Why a folder cannot be used.
#[derive(Debug, Error)]
pub enum CacheError {
    #[error("make the folder {}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("the folder {} can be written by others: it must be ours alone (mode 0700)", path.display())]
    NotPrivate { path: PathBuf },
}

/// A folder of compiled code.
#[derive(Debug, Clone)]
pub struct CodeCache {
    folder: BoundedFolder,
}

impl CodeCache {
    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or is not this user's alone.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let path = folder.into();
        let opened = BoundedFolder::open(path.clone(), MAX_BYTES);
        match opened.and_then(|folder| Ok((fs::metadata(&path)?, folder))) {
            Ok((metadata, folder)) if is_private(&metadata) => Ok(Self { folder }),
            Ok(_) => Err(CacheError::NotPrivate { path }),
            Err(source) => Err(CacheError::Make { path, source }),
        }
    }

    /// The file with the code of a component (`sha256:` and hex), whole; none if there is none, or it is damaged.
    pub(crate) fn find(&self, engine: &Engine, component: &str) -> Option<PathBuf> {
        let wanted = prefix(engine, component);
        let entry = self.folder.entries().find(|entry| entry.name.starts_with(&wanted))?;
        let whole = fs::read(&entry.path).is_ok_and(|code| entry.name == name(engine, component, &code));
        if !whole {
            tracing::warn!(file = %entry.path.display(), "compiled code is damaged; it is compiled anew");
            let _ = fs::remove_file(&entry.path);
            return None;
        }
        self.folder.used(&entry.path);
        Some(entry.path)
    }

    /// Keeps the code, and drops the oldest of what is too much. Answers the file.
    pub(crate) fn keep(&self, engine: &Engine, component: &str, code: &[u8]) -> io::Result<PathBuf> {
        self.folder.keep(&name(engine, component, code), code)
    }
}

fn is_private(folder: &Metadata) -> bool {
    folder.uid() == geteuid().as_raw() && folder.mode() & FOREIGN_BITS == 0
}

/// `<component>-<engine>-`, without what depends on the code.
fn prefix(engine: &Engine, component: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let component = component.trim_start_matches("sha256:");
    format!("{component}-{:016x}-", hasher.finish())
}

fn name(engine: &Engine, component: &str, code: &[u8]) -> String {
    format!("{}{}.{SUFFIX}", prefix(engine, component), hex_digest(code))
}
