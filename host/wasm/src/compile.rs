//! Compiles a component to machine code in a child process, so that the controller is protected from its memory and
//! time.
//!
//! Compiling takes a hundred times the memory of its result, and the component determines how long it takes. The child
//! process has limits for both, and its memory is freed when it ends.

use crate::error::{LoadError, shortened};
use crate::runtime::{Timing, engine_config};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;
use wasmtime::Engine;

/// Python's and JavaScript's runtimes take 11 and 13 s on an idle core; a busy machine needs several times that.
const TIME: Duration = Duration::from_secs(120);

/// The exit code of a child process for input that is not a component; any other failure is the compiler's.
const NOT_A_COMPONENT: u8 = 65;

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// In this process, without limits: for tests and simulations, which serve built-in plugins.
    Here,
    Child(ChildCompiler),
}

/// A program that calls [`compile_stdin`] when it is run with these arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildCompiler {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Wall-clock time.
    pub time: Duration,
}

impl ChildCompiler {
    /// With a time limit for the slowest known components.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments, time: TIME }
    }
}

/// Output of a child process.
type Code = Vec<u8>;

impl Compiler {
    /// The code for this engine, as [`wasmtime::component::Component::deserialize`] takes it.
    pub(crate) async fn compile(&self, engine: &Engine, component: Vec<u8>) -> Result<Code, LoadError> {
        match self {
            Self::Here => {
                let engine = engine.clone();
                let compiled = tokio::task::spawn_blocking(move || compile(&engine, &component)).await;
                compiled.map_err(|_| LoadError::Interrupted)?.map_err(LoadError::NotAComponent)
            }
            Self::Child(child) => child.compile(component).await,
        }
    }
}

impl ChildCompiler {
    async fn compile(&self, component: Vec<u8>) -> Result<Code, LoadError> {
        let failed = |what: &str, error: &std::io::Error| LoadError::Compiler(format!("{what}: {error}"));
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("start the compiler", &error))?;
        let stdin = child.stdin.take();
        let written = async {
            // A child process that ends early does not read its whole input; its exit status says why.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(&component).await;
            }
        };
        let answered = async { tokio::join!(written, child.wait_with_output()).1 };
        let output = timeout(self.time, answered)
            .await
            .map_err(|_| LoadError::TooCostly(format!("it took longer than {:?}", self.time)))?
            .map_err(|error| failed("wait for the compiler", &error))?;
        let said = || shortened(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        match output.status.code() {
            Some(0) => Ok(output.stdout),
            Some(code) if code == i32::from(NOT_A_COMPONENT) => Err(LoadError::NotAComponent(said())),
            Some(_) => Err(LoadError::Compiler(said())),
            None => Err(LoadError::TooCostly(format!("the compiler was killed ({}): {}", output.status, said()))),
        }
    }
}

/// The child process: reads a component from standard input and writes its code to standard output, within a limit of
/// address space.
///
/// # Errors
/// If the code cannot be written, or there is no engine.
pub fn compile_stdin(memory_bytes: u64) -> std::io::Result<ExitCode> {
    setrlimit(Resource::As, Rlimit { current: Some(memory_bytes), maximum: Some(memory_bytes) })?;
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component)?;
    let engine = Engine::new(&engine_config(Timing::Deadline)).map_err(std::io::Error::other)?;
    match compile(&engine, &component) {
        Ok(code) => {
            std::io::stdout().lock().write_all(&code)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(message) => {
            std::io::stderr().lock().write_all(message.as_bytes())?;
            Ok(ExitCode::from(NOT_A_COMPONENT))
        }
    }
}

fn compile(engine: &Engine, component: &[u8]) -> Result<Code, String> {
    engine.precompile_component(component).map_err(|error| shortened(format!("{error:#}")))
}
