//! The demo's own temporary folder, for the log and the kubeconfig.

use std::fs::{self, DirBuilder, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::app::NAMESPACE;

const LOG: &str = "kulta.log";
const KUBECONFIG: &str = "kubeconfig";
/// Only the owner needs access.
const MODE: u32 = 0o700;
/// The controller's default level.
const LEVEL: &str = "info";

pub struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// If it exists already or cannot be created.
    pub fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("kulta-demo-{}", std::process::id()));
        DirBuilder::new().mode(MODE).create(&path).with_context(|| format!("make the folder {}", path.display()))?;
        Ok(Self(path))
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
