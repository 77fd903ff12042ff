//! A program of the cluster as a child process with a log file.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::run_folder;

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    pub log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `tests/tools/bin/<name>` with its output in `<run folder>/logs/<name>.log`.
    pub fn start<A: AsRef<str>>(name: &str, arguments: &[A], run: &Path) -> Result<Self> {
        let program = run_folder::tools().join(name);
        let mut command = Command::new(&program);
        command.args(arguments.iter().map(AsRef::as_ref));
        Self::spawn(name, command, run.join("logs").join(format!("{name}.log")))
    }

    /// Starts any command. It gets its own process group, so that a terminal's Ctrl-C ends the run in order.
    pub fn spawn(name: &str, mut command: Command, log: PathBuf) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let errors = output.try_clone().context("share the log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name} (tests/tools/build.sh builds it)"))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// `None` after it has been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error with the end of the log, if the program has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("look after {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}; its log ends with:\n{}", self.name, tail(&self.log, 20)),
        }
    }

    pub async fn wait(&mut self) -> Result<std::process::ExitStatus> {
        self.child.wait().await.with_context(|| format!("wait for {}", self.name))
    }

    pub fn kill(&mut self) -> Result<()> {
        self.child.start_kill().with_context(|| format!("kill {}", self.name))
    }
}

/// The last lines of a log file, for an error message.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}
