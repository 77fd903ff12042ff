//! The life of a program that starts a cluster: an outer process that always cleans up, and an inner one inside the
//! namespaces.

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::environment::Environment;

/// The outer process stays on its main thread: the kernel ends the inner one with the thread that started it.
pub fn runtime(threads: bool) -> Result<tokio::runtime::Runtime> {
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().context("start the runtime")
}

/// Runs the inner process until it ends or a signal arrives, and returns the exit code. `signals` must have been
/// created before anything that needs cleaning up.
pub async fn supervise(command: std::process::Command, signals: &mut Signals) -> Result<u8> {
    let spawned = Command::from(command).kill_on_drop(true).spawn();
    let mut child = spawned.context("start the inner process (Debian packages util-linux, iproute2)")?;
    tokio::select! {
        code = wait(&mut child) => code,
        stop = signals.next() => stopped(&mut child, stop, signals).await,
    }
}

/// Ctrl-C reaches the inner process too, which then ends regularly. On another signal, or after a timeout, it is killed
/// here.
/// Everything inside ends with the first process of its process namespace.
async fn stopped(child: &mut Child, stop: Stop, signals: &mut Signals) -> Result<u8> {
    if stop == Stop::Interrupt {
        tokio::select! {
            code = wait(child) => return code,
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
            _ = signals.next() => {}
        }
    }
    child.kill().await.context("end the cluster")?;
    Ok(stop.code())
}

async fn wait(child: &mut Child) -> Result<u8> {
    let status = child.wait().await.context("wait for the inner process")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Runs a command with the variables of the environment, and returns its exit code.
pub async fn run_command(environment: &Environment, command: &[OsString]) -> Result<u8> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command") };
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.variables())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("run {}", program.display()))?;
    wait(&mut child).await
}

/// The two signals that stop it.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn listen() -> Result<Self> {
        let interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        Ok(Self { interrupt, terminate })
    }

    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Interrupt,
    Terminate,
}

impl Stop {
    /// As shells report it: 128 and the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}
