//! Components on disk, by digest: what was good once is there after a restart, whatever has become of the registry.

use std::fs;
use std::io;
use std::path::PathBuf;

use kulta_oci::{Digest, Proof};
use kulta_wasm::BoundedFolder;
use thiserror::Error;

/// Some tens of the largest known components.
const MAX_BYTES: u64 = 1 << 30;
const SUFFIX: &str = "wasm";
/// Beside a component: that it was signed.
const PROOF_SUFFIX: &str = "proof.json";
const DIGEST_PREFIX: &str = "sha256:";

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("make the folder {}", path.display())]
    Make { path: PathBuf, source: io::Error },
}

/// A folder of components. What is in a file is checked against its name before it is used, so that nobody has to trust the folder.
#[derive(Clone, Debug)]
pub struct ComponentStore {
    folder: BoundedFolder,
}

impl ComponentStore {
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = folder.into();
        match BoundedFolder::open(path.clone(), MAX_BYTES) {
            Ok(folder) => Ok(Self { folder }),
            Err(source) => Err(StoreError::Make { path, source }),
        }
    }

    /// The component of that digest (`sha256:` and hex), if it is there and whole.
    #[must_use]
    pub fn find(&self, digest: &str) -> Option<Vec<u8>> {
        let path = self.folder.path().join(name(digest, SUFFIX)?);
        let bytes = fs::read(&path).ok()?;
        if digest_of(&bytes) != digest {
            tracing::warn!(file = %path.display(), "a component on disk is damaged; it is fetched anew");
            let _ = fs::remove_file(&path);
            return None;
        }
        self.folder.used(&path);
        Some(bytes)
    }

    /// Keeps a component; the oldest of what is too much goes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        let name = name(digest, SUFFIX).ok_or(io::ErrorKind::InvalidInput)?;
        if self.folder.path().join(&name).exists() { Ok(()) } else { self.folder.keep(&name, bytes).map(drop) }
    }

    /// That the component of that digest was signed, as it was kept: whoever believes it checks it first.
    #[must_use]
    pub fn proof(&self, digest: &str) -> Option<Proof> {
        let path = self.folder.path().join(name(digest, PROOF_SUFFIX)?);
        let proof = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        self.folder.used(&path);
        Some(proof)
    }

    /// The last one counts: keys change.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_proof(&self, digest: &str, proof: &Proof) -> io::Result<()> {
        let name = name(digest, PROOF_SUFFIX).ok_or(io::ErrorKind::InvalidInput)?;
        self.folder.keep(&name, &serde_json::to_vec(proof)?).map(drop)
    }
}

/// None for what is no digest: it must not become a path.
fn name(digest: &str, suffix: &str) -> Option<String> {
    let hex = digest.strip_prefix(DIGEST_PREFIX)?;
    let plain = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| format!("{hex}.{suffix}"))
}

/// `sha256:` and hex.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kulta_oci::Signature;

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
        fs::write(folder.0.join(name(&digest, SUFFIX).unwrap()), b"compo").unwrap();

        assert_eq!(store.find(&digest), None);
    }

    #[test]
    fn the_last_proof_of_a_component_is_found() {
        let folder = Temporary::new();
        let store = ComponentStore::open(&folder.0).unwrap();
        let digest = digest_of(b"component");
        let proof = |text: &str| Proof { manifest: text.to_owned(), signature: Signature::Bundle("{}".to_owned()) };

        store.keep_proof(&digest, &proof("first")).unwrap();
        store.keep_proof(&digest, &proof("second")).unwrap();

        assert_eq!(store.proof(&digest), Some(proof("second")));
        assert_eq!(store.find(&digest), None);
    }

    #[test]
    fn what_is_no_digest_is_no_path() {
        let folder = Temporary::new();
        let store = ComponentStore::open(&folder.0).unwrap();

        assert!(store.keep("sha256:../../etc/passwd", b"x").is_err());
    }
}
