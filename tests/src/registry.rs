//! A real OCI registry (CNCF Distribution), on the loopback interface or on the node's address.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Command};

use crate::{http, process::Process, run_folder, wait};

const PROGRAM: &str = "registry";
/// The log's text before the address, whose port the system chooses.
const LISTENING: &str = "listening on ";
const READY: Duration = Duration::from_secs(30);

pub const USER: &str = "me";
pub const PASSWORD: &str = "passw0rd";
/// Both in htpasswd's format, with the cheapest bcrypt cost.
const HTPASSWD: &str = "me:$2a$04$QB6Xj2URwfYBWQ/V/KFE5.aqLMlMXBYlcSjWIBYVuo1daabSBrgGO\n";

/// Allowed users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    Everybody,
    /// [`USER`] with [`PASSWORD`].
    One,
}

/// Running until dropped.
#[derive(Debug)]
pub struct Registry {
    pub address: SocketAddr,
    _process: Process,
    folder: PathBuf,
}

impl Registry {
    /// An empty registry that stores everything in `folder`, which is emptied first.
    pub async fn start(folder: &Path, users: Users) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), folder, users).await
    }

    /// As [`start`](Self::start), on another address of the machine: pods do not reach its loopback interface.
    pub async fn start_on(listen: IpAddr, folder: &Path, users: Users) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).context("remove an old registry's folder")?;
        }
        fs::create_dir_all(folder).context("create the registry's folder")?;
        let config = folder.join("config.yaml");
        fs::write(&config, configuration(listen, folder, users).to_string())
            .context("write the registry's configuration")?;
        fs::write(folder.join("htpasswd"), HTPASSWD).context("write the registry's users")?;
        let program = run_folder::tools().join(PROGRAM);
        ensure!(program.exists(), "{} is not there: tests/tools/build.sh builds it", program.display());
        let mut command = Command::new(program);
        // Otherwise it sends traces to a collector that does not exist.
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let mut process = Process::spawn(PROGRAM, command, folder.join("registry.log"))?;
        let log = process.log.clone();
        let address = wait::poll("the registry to listen", READY, || async { address(&log) }).await;
        process.check()?;
        Ok(Self { address: address?, _process: process, folder: folder.to_path_buf() })
    }

    /// The file of a blob or manifest with a digest `sha256:…`.
    pub fn blob(&self, digest: &str) -> Result<PathBuf> {
        let (algorithm, hex) = digest.split_once(':').context("a digest has a colon")?;
        let start = hex.get(..2).context("a digest has more than two digits")?;
        let blobs = self.folder.join("data/docker/registry/v2/blobs");
        Ok(blobs.join(algorithm).join(start).join(hex).join("data"))
    }

    /// Deletes a manifest, as a registry's user would.
    pub async fn delete(&self, repository: &str, digest: &str) -> Result<()> {
        let mut stream = TcpStream::connect(self.address).await.context("connect")?;
        let head = format!("DELETE /v2/{repository}/manifests/{digest} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).await.context("send")?;
        let answer = tokio::time::timeout(http::PATIENCE, http::read(&mut stream, &mut Vec::new())).await;
        let status = answer.context("no answer in time")??.context("no answer")?.status();
        ensure!(status == 202, "the registry answered {status} to a DELETE");
        Ok(())
    }
}

fn configuration(listen: IpAddr, folder: &Path, users: Users) -> Value {
    let mut configuration = json!({
        "version": 0.1,
        "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": folder.join("data")}, "delete": {"enabled": true}},
        "http": {"addr": SocketAddr::new(listen, 0).to_string()},
    });
    if let (Users::One, Some(object)) = (users, configuration.as_object_mut()) {
        object.insert("auth".into(), json!({"htpasswd": {"realm": "tests", "path": folder.join("htpasswd")}}));
    }
    configuration
}

/// From the log; before that the address is unknown.
fn address(log: &Path) -> Result<Option<SocketAddr>> {
    let text = fs::read_to_string(log).context("read the registry's log")?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for line in lines {
        let message = line.get("msg").and_then(Value::as_str).unwrap_or_default();
        if line.get("level").and_then(Value::as_str) == Some("fatal") {
            bail!("the registry says {message:?}");
        }
        if let Some(address) = message.strip_prefix(LISTENING) {
            return address.parse().map(Some).context("the address in the registry's log");
        }
    }
    Ok(None)
}
