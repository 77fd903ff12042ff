//! Compiled code on disk, by the digests of its component and of the engine, so that a restart compiles nothing.
//!
//! Code from the cache runs unchecked. Therefore only this user may access the folder, and it contains only code that
//! this controller has compiled. A file's name contains a digest of its content: a file that a crash or a bad disk has
//! damaged is ignored.

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
/// A Python component's code takes 35 MB, a Rust component's 0.2 MB.
const MAX_BYTES: u64 = 512 << 20;
const SUFFIX: &str = "code";

/// Why a folder cannot be used.
#[derive(Debug, Error)]
pub enum CacheError {
    #[error("make the folder {}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("the folder {} is accessible by other users: only its owner may access it (mode 0700)", path.display())]
    NotPrivate { path: PathBuf },
}

/// A folder of compiled code.
#[derive(Debug, Clone)]
pub struct CodeCache {
    folder: BoundedFolder,
}

impl CodeCache {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// If it cannot be created, or other users can access it.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let path = folder.into();
        let opened = BoundedFolder::open(path.clone(), MAX_BYTES);
        match opened.and_then(|folder| Ok((fs::metadata(&path)?, folder))) {
            Ok((metadata, folder)) if is_private(&metadata) => Ok(Self { folder }),
            Ok(_) => Err(CacheError::NotPrivate { path }),
            Err(source) => Err(CacheError::Make { path, source }),
        }
    }

    /// The file with the code of a component (`sha256:` and hex); `None` if it is missing or damaged.
    pub(crate) fn find(&self, engine: &Engine, component: &str) -> Option<PathBuf> {
        let wanted = prefix(engine, component);
        let entry = self.folder.entries().find(|entry| entry.name.starts_with(&wanted))?;
        let whole = fs::read(&entry.path).is_ok_and(|code| entry.name == name(engine, component, &code));
        if !whole {
            tracing::warn!(file = %entry.path.display(), "compiled code is damaged; it is compiled again");
            let _ = fs::remove_file(&entry.path);
            return None;
        }
        self.folder.used(&entry.path);
        Some(entry.path)
    }

    /// Stores the code, and deletes the least recently used files if the cache exceeds its limit. Returns the path of
    /// the file.
    pub(crate) fn keep(&self, engine: &Engine, component: &str, code: &[u8]) -> io::Result<PathBuf> {
        self.folder.keep(&name(engine, component, code), code)
    }
}

fn is_private(folder: &Metadata) -> bool {
    folder.uid() == geteuid().as_raw() && folder.mode() & FOREIGN_BITS == 0
}

/// `<component>-<engine>-`, the part of the name that does not depend on the code.
fn prefix(engine: &Engine, component: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let component = component.trim_start_matches("sha256:");
    format!("{component}-{:016x}-", hasher.finish())
}

fn name(engine: &Engine, component: &str, code: &[u8]) -> String {
    format!("{}{}.{SUFFIX}", prefix(engine, component), hex_digest(code))
}
