//! The demo's own temporary folder, for the log and the kubeconfig.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::app::NAMESPACE;

const LOG: &str = "kulta.log";
const KUBECONFIG: &str = "kubeconfig";
/// Only the owner needs access.
const MODE: u32 = 0o700;
/// The controller's default level.
const LEVEL: &str = "info";

/// Folders of interrupted demos whose process had the same id.
const MOST_LEFT: u32 = 1_000;

#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// If it cannot be created.
    pub fn create() -> Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    /// A folder that an interrupted demo left is never used again: its owner may be another user.
    fn create_in(parent: &Path) -> Result<Self> {
        let named = |number: u32| parent.join(format!("kulta-demo-{}-{number}", std::process::id()));
        for path in (0..MOST_LEFT).map(named) {
            match DirBuilder::new().mode(MODE).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("make the folder {}", path.display())),
            }
        }
        bail!("{} is full of folders of interrupted demos: delete kulta-demo-*", parent.display())
    }

    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join(LOG)
    }

    /// Sends all log lines to a file from now on.
    ///
    /// # Errors
    /// If the file cannot be created, or a subscriber is already set.
    pub fn log_to_file(&self) -> Result<()> {
        let path = self.log();
        let file = File::create(&path).with_context(|| format!("make the log {}", path.display()))?;
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(LEVEL))
            .with_ansi(false)
            .with_writer(file)
            .try_init()
            .map_err(|error| anyhow::anyhow!("log to {}: {error}", path.display()))
    }

    /// Writes a kubeconfig for the API server at this address, as JSON, which is also YAML.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_kubeconfig(&self, server: SocketAddr) -> Result<PathBuf> {
        let name = "kulta-demo";
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": name, "cluster": { "server": format!("http://{server}") } }],
            "users": [{ "name": name, "user": {} }],
            "contexts": [{ "name": name, "context": { "cluster": name, "user": name, "namespace": NAMESPACE } }],
            "current-context": name,
        });
        let path = self.0.join(KUBECONFIG);
        fs::write(&path, kubeconfig.to_string()).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// # Errors
    /// If it cannot be removed.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.0).with_context(|| format!("remove the folder {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_an_interrupted_demo_left_is_not_used_again() {
        let left = Folder::create().unwrap();

        let folder = Folder::create().unwrap();

        assert_ne!(left.0, folder.0);
        left.remove().unwrap();
        folder.remove().unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let error = Folder::create_in(Path::new("/dev/null")).unwrap_err();

        assert!(error.to_string().starts_with("make the folder /dev/null/kulta-demo-"), "{error}");
    }
}
