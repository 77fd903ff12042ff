//! `kulta demo`: the embedded cluster and the real controller in one process, with a scenario that ends by itself
//! within a minute.

mod app;
mod cluster;
mod demo_run;
mod folder;
mod frame;
mod observe;
mod picture;
mod plain;
mod script;
mod sink;
mod speed;
mod summary;
mod terminal;
mod traffic;
mod user;
mod writes;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use speed::Speed;

use crate::arguments::DemoArguments;
use demo_run::{DemoRun, Ended};
use folder::Folder;
use frame::Frame;
use plain::Plain;
use terminal::Live;

/// The exit code of a process that Ctrl-C ended, as shells report it.
const INTERRUPTED: u8 = 130;

/// Runs the demo and prints a failure as one line.
///
/// # Errors
/// If the line cannot be printed.
pub fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    match attempt(arguments) {
        Ok(code) => Ok(code),
        Err(error) => {
            writeln!(std::io::stderr(), "kulta demo: {error:#}").context("write to the standard error")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn attempt(arguments: &DemoArguments) -> Result<ExitCode> {
    let stdout = std::io::stdout();
    let mut screen = Screen::new(arguments.plain || !stdout.is_terminal())?;
    let folder = Folder::create()?;
    folder.log_to_file()?;
    // One thread is enough, and memory grows with each thread's arenas.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let result = runtime.block_on(run_on_screen(arguments, &mut screen, &folder));
    // A plugin that is still being compiled must not delay the exit.
    runtime.shutdown_background();
    drop(screen);
    match result {
        Ok(code) => {
            folder.remove()?;
            Ok(code)
        }
        Err(error) => {
            let message =
                format!("the demo did not run as planned (the controller's log is {})", folder.log().display());
            Err(error.context(message))
        }
    }
}

async fn run_on_screen(arguments: &DemoArguments, screen: &mut Screen, folder: &Folder) -> Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let mut demo_run = DemoRun::begin(arguments.speed).await?;
    let ended = demo_run.run_to_end(screen, &mut interrupts).await;
    let summary = demo_run.summary();
    screen.close();
    if matches!(ended, Ok(Ended::Interrupted)) {
        // After a hangup there is no terminal to print to.
        drop(print(&["Stopped before the end".to_owned()]));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    print(&summary.lines())?;
    ended?;
    if arguments.keep {
        let kubeconfig = folder.write_kubeconfig(demo_run.address())?;
        print(&[
            String::new(),
            "The cluster and the controller run until Ctrl-C:".to_owned(),
            format!("  kubectl --kubeconfig {} get rollouts", kubeconfig.display()),
            format!("  metrics: http://{}/api/v1/query?query=http_requests_total", demo_run.prometheus()),
        ])?;
        interrupts.next().await;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(lines: &[String]) -> Result<()> {
    let mut to = std::io::stdout().lock();
    for line in lines {
        writeln!(to, "{line}").context("write to the standard output")?;
    }
    to.flush().context("write to the standard output")
}

/// The output of the demo.
enum Screen {
    Live(Box<Live>),
    Plain(Plain),
}

impl Screen {
    fn new(plain: bool) -> Result<Self> {
        if plain { Ok(Self::Plain(Plain::default())) } else { Ok(Self::Live(Box::new(Live::begin()?))) }
    }

    fn show(&mut self, frame: &Frame<'_>) -> Result<()> {
        match self {
            Self::Live(live) => live.show(frame),
            Self::Plain(plain) => print(&plain.lines(frame)),
        }
    }

    fn wants_to_stop(&self) -> bool {
        match self {
            Self::Live(live) => live.wants_to_stop(),
            Self::Plain(_) => false,
        }
    }

    /// Restores the terminal.
    fn close(&mut self) {
        if let Self::Live(_) = self {
            *self = Self::Plain(Plain::default());
        }
    }
}

/// Ctrl-C while there is no picture, a closed terminal, and a termination signal.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            hangup: signal(SignalKind::hangup()).context("listen for SIGHUP")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
