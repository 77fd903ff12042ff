//! Folders, programs and servers for the tests of `kulta plugin`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Router;
use axum::http::StatusCode;

/// The binary of this build.
pub const KULTA: &str = env!("CARGO_BIN_EXE_kulta");
/// Parent of the folders of all tests.
const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A new empty folder.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(TEMPORARY).join("plugin").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn repository() -> &'static Path {
    Path::new(REPOSITORY)
}

/// `kulta plugin …` in a folder. Nested builds share one target folder, and get none of this build's environment.
pub fn kulta(folder: &Path) -> Command {
    let mut kulta = Command::new(KULTA);
    kulta.current_dir(folder).arg("plugin");
    alone(&mut kulta);
    kulta
}

pub fn alone(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().into_owned();
        let ours =
            (text.starts_with("CARGO") && text != "CARGO_HOME") || (text.starts_with("RUST") && text != "RUSTUP_HOME");
        if ours && text != "RUSTUP_TOOLCHAIN" {
            command.env_remove(name);
        }
    }
    command
        .env("CARGO_TARGET_DIR", Path::new(TEMPORARY).join("plugin-target"))
        .env("XDG_CACHE_HOME", Path::new(TEMPORARY).join("plugin-cache"))
        .env("DOCKER_CONFIG", Path::new(TEMPORARY).join("no-docker"));
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs it and returns its output; fails if the command fails.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}\n{}", out(&output), err(&output));
    out(&output)
}

/// Lock for all that run cargo. To cargo, the SDKs of all projects are one package: in the shared target folder, one
/// build would delete the library that another test is about to read.
pub fn cargo() -> MutexGuard<'static, ()> {
    static CARGO: Mutex<()> = Mutex::new(());
    CARGO.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A project from the analyzer template, built once for all tests.
pub fn analyzer() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let (folder, _cargo) = (folder("analyzer"), cargo());
        printed(kulta(&folder).args(["new", "--kind", "analyzer", "--lang", "rust", "error-rate"]));
        printed(kulta(&folder).args(["build", "error-rate"]));
        folder.join("error-rate/error-rate.wasm")
    };
    BUILT.get_or_init(build).clone()
}

/// A component of the runtime's test fixtures; its build has left the module in the target folder.
pub fn fixture(name: &str) -> PathBuf {
    let module = repository().join(format!("plugins/target/wasm32-unknown-unknown/release/{name}.wasm"));
    let module = fs::read(&module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    let mut encoder = wit_component::ComponentEncoder::default().module(&module).unwrap();
    let file = folder(&format!("fixture-{name}")).join("component.wasm");
    fs::write(&file, encoder.encode().unwrap()).unwrap();
    file
}

/// A local server that gives the same answer to every request, until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub fn start(answer: &'static str) -> Self {
        Self::answering(StatusCode::OK, answer)
    }

    pub fn answering(status: StatusCode, answer: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = Router::new().fallback(move || async move { (status, answer) });
        runtime.spawn(async move { axum::serve(listener, service).await });
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
