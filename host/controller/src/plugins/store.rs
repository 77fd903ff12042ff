//! Components on disk, by digest: what was good once is there after a restart, whatever has become of the registry.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Only the owner may look in.
const FOLDER_MODE: u32 = 0o700;
/// Some tens of the largest known components.
const MAX_BYTES: u64 = 1 << 30;
const SUFFIX: &str = "wasm";
const DIGEST_PREFIX: &str = "sha256:";

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("make the folder {}", path.display())]
    Make { path: PathBuf, source: io::Error },
}

/// A folder of components. What is in a file is checked against its name before it is used, so that nobody has to trust the folder.
#[derive(Clone, Debug)]
pub struct ComponentStore {
    folder: PathBuf,
}

impl ComponentStore {
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = folder.into();
        match DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&path) {
            Ok(()) => Ok(Self { folder: path }),
            Err(source) => Err(StoreError::Make { path, source }),
        }
    }

    /// The component of that digest (`sha256:` and hex), if it is there and whole.
    #[must_use]
    pub fn find(&self, digest: &str) -> Option<Vec<u8>> {
        let path = self.path(digest)?;
        let bytes = fs::read(&path).ok()?;
        if digest_of(&bytes) != digest {
            tracing::warn!(file = %path.display(), "a component on disk is damaged; it is fetched anew");
            let _ = fs::remove_file(&path);
            return None;
        }
        // What is used stays longest.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Keeps a component; the oldest of what is too much goes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        let Some(path) = self.path(digest) else { return Err(io::ErrorKind::InvalidInput.into()) };
        if path.exists() {
            return Ok(());
        }
        // Whoever looks for the name finds the whole of it.
        let partial = path.with_extension(format!("part-{}", std::process::id()));
        File::create(&partial).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))?;
        fs::rename(&partial, &path)?;
        self.shrink(&path);
        Ok(())
    }

    /// None for what is no digest: it must not become a path.
    fn path(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix(DIGEST_PREFIX)?;
        let plain = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| self.folder.join(hex).with_extension(SUFFIX))
    }

    fn shrink(&self, kept: &Path) {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        files.sort_unstable();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files.iter().filter(|(_, _, path)| path != kept) {
            if total <= MAX_BYTES {
                return;
            }
            let _ = fs::remove_file(path);
            total = total.saturating_sub(*bytes);
        }
    }
}

/// `sha256:` and hex.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{DIGEST_PREFIX}{hex}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Temporary(PathBuf);

    impl Temporary {
        fn new() -> Self {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("kulta-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_kept_is_found_by_its_digest() {
        let folder = Temporary::new();
        let digest = digest_of(b"component");

        ComponentStore::open(&folder.0).unwrap().keep(&digest, b"component").unwrap();

        assert_eq!(ComponentStore::open(&folder.0).unwrap().find(&digest), Some(b"component".to_vec()));
    }

    #[test]
    fn a_damaged_component_is_not_found() {
        let folder = Temporary::new();
        let store = ComponentStore::open(&folder.0).unwrap();
        let digest = digest_of(b"component");
        store.keep(&digest, b"component").unwrap();
        fs::write(store.path(&digest).unwrap(), b"compo").unwrap();

        assert_eq!(store.find(&digest), None);
    }

    #[test]
    fn what_is_no_digest_is_no_path() {
        let folder = Temporary::new();
        let store = ComponentStore::open(&folder.0).unwrap();

        assert!(store.keep("sha256:../../etc/passwd", b"x").is_err());
    }
}
