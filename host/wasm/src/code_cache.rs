//! Compiled code on disk, by the digest of its component and the engine that it is for, so that a restart compiles nothing.
//!
//! Code is run as it is found, so the folder has to be ours alone, and nothing gets there but what this controller compiled itself.
//! A file's name carries a digest of its content too: what a crash or a bad disk left behind is not taken.

use crate::component::hex_digest;
use rustix::process::geteuid;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirBuilder, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;
use wasmtime::Engine;

/// Only the owner may look in, let alone write.
const FOLDER_MODE: u32 = 0o700;
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
    folder: PathBuf,
}

impl CodeCache {
    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or is not this user's alone.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let path = folder.into();
        let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&path).and_then(|()| fs::metadata(&path));
        match made {
            Ok(metadata) if is_private(&metadata) => Ok(Self { folder: path }),
            Ok(_) => Err(CacheError::NotPrivate { path }),
            Err(source) => Err(CacheError::Make { path, source }),
        }
    }

    /// The file with the code of a component (`sha256:` and hex), whole; none if there is none, or it is damaged.
    pub(crate) fn find(&self, engine: &Engine, component: &str) -> Option<PathBuf> {
        let wanted = prefix(engine, component);
        let entry = entries(&self.folder).find(|entry| entry.name.starts_with(&wanted))?;
        let whole = fs::read(&entry.path).is_ok_and(|code| entry.name == name(engine, component, &code));
        if !whole {
            tracing::warn!(file = %entry.path.display(), "compiled code is damaged; it is compiled anew");
            let _ = fs::remove_file(&entry.path);
            return None;
        }
        // What is used stays longest; a folder that has become read-only keeps what it has.
        let _ = File::open(&entry.path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(entry.path)
    }

    /// Keeps the code, and drops the oldest of what is too much. Answers the file.
    pub(crate) fn keep(&self, engine: &Engine, component: &str, code: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.join(name(engine, component, code));
        // Whoever looks for the name finds the whole of it.
        let partial = path.with_extension(format!("part-{}", std::process::id()));
        File::create(&partial).and_then(|mut file| file.write_all(code).and_then(|()| file.sync_all()))?;
        fs::rename(&partial, &path)?;
        self.shrink(&path);
        Ok(path)
    }

    fn shrink(&self, kept: &Path) {
        let mut all: Vec<Entry> = entries(&self.folder).collect();
        all.sort_by_key(|entry| entry.used);
        let mut total: u64 = all.iter().map(|entry| entry.bytes).sum();
        for entry in all.iter().filter(|entry| entry.path != kept) {
            if total <= MAX_BYTES {
                return;
            }
            // Code that is in use stays mapped; only its name goes.
            let _ = fs::remove_file(&entry.path);
            total = total.saturating_sub(entry.bytes);
        }
    }
}

struct Entry {
    name: String,
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

fn entries(folder: &Path) -> impl Iterator<Item = Entry> {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let name = entry.file_name().into_string().ok()?;
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        metadata.is_file().then(|| Entry { name, path: entry.path(), bytes: metadata.len(), used })
    })
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
