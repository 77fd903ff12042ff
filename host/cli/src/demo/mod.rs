//! `kulta demo`: the embedded cluster and the real controller in one process, and a story that ends by itself within a minute.

mod app;
mod cluster;
mod folder;
mod frame;
mod observe;
mod person;
mod picture;
mod plain;
mod script;
mod sink;
mod speed;
mod summary;
mod tale;
mod terminal;
mod traffic;
mod writes;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use speed::Speed;

use crate::arguments::DemoArguments;
use folder::Folder;
use frame::Frame;
use plain::Plain;
use tale::{Ended, Tale};
use terminal::Live;

/// What a shell makes of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Tells the demo; a failure is told in one line, for the one who watches is no developer.
///
/// # Errors
/// When not even that line can be written.
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
    // All of it fits one thread, and memory grows with each thread's arenas.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let told = runtime.block_on(tell(arguments, &mut screen, &folder));
    // A plugin that is still being compiled must not keep the process.
    runtime.shutdown_background();
    drop(screen);
    match told {
        Ok(code) => {
            folder.remove()?;
            Ok(code)
        }
        Err(error) => {
            let words = format!("it did not go as told (the controller's log is {})", folder.log().display());
            Err(error.context(words))
        }
    }
}

async fn tell(arguments: &DemoArguments, screen: &mut Screen, folder: &Folder) -> Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let mut tale = Tale::begin(arguments.speed).await?;
    let ended = tale.tell(screen, &mut interrupts).await;
    let summary = tale.summary();
    screen.close();
    if matches!(ended, Ok(Ended::Interrupted)) {
        // After a hangup nobody is there to read it.
        drop(print(&["Ended before the story did".to_owned()]));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    print(&summary.lines())?;
    ended?;
    if arguments.keep {
        let kubeconfig = folder.write_kubeconfig(tale.address())?;
        print(&[
            String::new(),
            "The cluster and the controller stay until Ctrl-C:".to_owned(),
            format!("  kubectl --kubeconfig {} get rollouts", kubeconfig.display()),
            format!("  metrics: http://{}/api/v1/query?query=http_requests_total", tale.prometheus()),
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

/// Where the demo is shown.
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

    /// Gives the terminal back.
    fn close(&mut self) {
        if let Self::Live(_) = self {
            *self = Self::Plain(Plain::default());
        }
    }
}

/// Ctrl-C while there is no picture, a terminal that is closed, and the system's wish that the process ends.
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
