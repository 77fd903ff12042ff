//! The `kulta controller` process of a scenario: starts, stops, kills and inspects it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Command};

use crate::{
    http, proc,
    process::{Process, tail},
    run_folder, wait,
};

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Names the log file, `<run folder>/logs/<name>-<n>.log`.
    pub name: String,
    /// Arguments after `kulta controller`.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub kubeconfig: PathBuf,
    /// Another program than [`binary`].
    pub program: Option<PathBuf>,
}

impl Start {
    pub fn new(name: &str, kubeconfig: &Path) -> Self {
        Self { name: name.to_owned(), kubeconfig: kubeconfig.to_path_buf(), ..Self::default() }
    }

    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// A running controller; killed when dropped.
#[derive(Debug)]
pub struct Controller {
    process: Process,
}

/// `$KULTA_BIN`, or the repository's release build.
pub fn binary() -> PathBuf {
    std::env::var_os("KULTA_BIN").map_or_else(|| run_folder::repository().join("target/release/kulta"), PathBuf::from)
}

impl Controller {
    pub fn start(start: &Start, run: &Path) -> Result<Self> {
        let program = start.program.clone().unwrap_or_else(binary);
        ensure!(program.exists(), "{} is not there: build it or set KULTA_BIN", program.display());
        let mut command = Command::new(program);
        command.arg("controller").args(&start.arguments);
        // The cluster's addresses are reached directly, whatever proxy the machine uses.
        for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(variable);
        }
        command.env("KUBECONFIG", &start.kubeconfig).envs(start.environment.iter().cloned());
        let log = free_log(run, &start.name);
        Ok(Self { process: Process::spawn(&start.name, command, log)? })
    }

    /// An error with the end of the log, if the process has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        if let Some(id) = self.process.id() {
            kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM).context("ask the controller to stop")?;
        }
        match tokio::time::timeout(Duration::from_secs(30), self.process.wait()).await {
            Ok(status) => status,
            Err(_) => anyhow::bail!("the controller did not stop within 30 s of SIGTERM; log:\n{}", self.log_tail()),
        }
    }

    /// SIGKILL: without a regular end.
    pub async fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait().await.map(drop)
    }

    /// All of the log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.process.log).unwrap_or_default()
    }

    pub fn log_tail(&self) -> String {
        tail(&self.process.log, 40)
    }

    /// Current resident memory, in bytes.
    pub fn resident(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// Peak resident memory, in bytes.
    pub fn resident_peak(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// CPU time so far, user and system.
    pub fn cpu(&self) -> Result<Duration> {
        proc::cpu(self.id()?)
    }

    /// Waits until a path of its HTTP address answers 200, such as `/readyz`.
    pub async fn wait_http(&mut self, address: SocketAddr, path: &str, limit: Duration) -> Result<()> {
        let waited = wait::poll(&format!("{path} of the controller"), limit, || async {
            Ok(get(address, path).await.ok().filter(|answer| answer.status() == 200))
        })
        .await;
        self.check()?;
        waited.map(drop).with_context(|| format!("controller log:\n{}", self.log_tail()))
    }

    fn memory(&self, line: &str) -> Result<u64> {
        let status = proc::file(self.id()?, "status")?;
        let found =
            status.lines().find_map(|text| text.strip_prefix(line)).context("no such line in /proc/…/status")?;
        let kilobytes: u64 = found.trim().trim_end_matches(" kB").parse().context("read a number of /proc/…/status")?;
        Ok(kilobytes * 1024)
    }

    fn id(&self) -> Result<u32> {
        self.process.id().context("the controller has ended")
    }
}

/// A plain GET of one of the controller's own pages, such as `/metrics` (bodies by Content-Length only).
pub async fn get(address: SocketAddr, path: &str) -> Result<http::Message> {
    let mut stream = TcpStream::connect(address).await.context("connect")?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("send")?;
    let answer =
        tokio::time::timeout(http::PATIENCE, http::read(&mut stream, &mut Vec::new())).await.context("no answer")?;
    answer.context("read the answer")?.context("no answer")
}

/// An address of this machine that nothing listens on yet.
pub fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    listener.local_addr().context("the free port")
}

fn free_log(run: &Path, name: &str) -> PathBuf {
    let logs = run.join("logs");
    let mut number = 1;
    loop {
        let path = logs.join(format!("{name}-{number}.log"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}
