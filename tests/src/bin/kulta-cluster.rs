//! Starts a control plane with a gateway in a separate namespace, for a command or for a user.

// It prints to the user's terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use kulta_tests::{
    backend,
    cluster::{Cluster, Pods},
    environment::Environment,
    gateway::Gateway,
    namespace::{self, Namespace},
    prometheus::Prometheus,
    run_folder::{self, RunFolder},
    supervision::{Signals, run_command, runtime, supervise},
};

/// A real Kubernetes control plane with kwok, Contour, Envoy and Prometheus, in a separate network namespace. Needs
/// root
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    action: Action,
    /// Set by the outer process for the one inside the namespace.
    #[arg(long, global = true, hide = true)]
    inside: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Start a cluster, print how to use it, and run until Ctrl-C
    Up,
    /// Start a cluster, run a command inside it with KUBECONFIG set, and exit with the command's exit code
    Run {
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.inside {
        None => runtime(false).and_then(|runtime| runtime.block_on(outside())),
        Some(run) => runtime(true).and_then(|runtime| runtime.block_on(inside(run.clone(), options.action))),
    };
    result.unwrap_or_else(|error| {
        eprintln!("kulta-cluster: {error:#}");
        ExitCode::FAILURE
    })
}

/// Creates the namespace, runs this program again inside it, and always cleans up.
async fn outside() -> Result<ExitCode> {
    ensure!(
        run_folder::tools().join("kube-apiserver").exists(),
        "the programs are not built yet: run tests/tools/build.sh"
    );
    let mut signals = Signals::listen()?;
    let run = RunFolder::create()?;
    let namespace = Namespace::create(run.id)?;
    let program = std::env::current_exe().context("find this program")?;
    let mut command = namespace.command(program.into_os_string());
    command.arg("--inside").arg(&run.path).args(std::env::args_os().skip(1)).env("KULTA_NETNS", &namespace.name);
    let code = supervise(command, &mut signals).await?;
    drop(namespace);
    let failed = code != 0;
    run.finish(failed)?;
    if failed {
        eprintln!("logs are in {}", run.path.display());
    }
    Ok(ExitCode::from(code))
}

async fn inside(run: PathBuf, action: Action) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    // For a user Ctrl-C is the regular end; a command that was interrupted has failed.
    let wanted_end = matches!(action, Action::Up);
    let started = Instant::now();
    let life = async {
        namespace::configure()?;
        let mut cluster = Cluster::start(&run, Pods::Simulated).await?;
        let mut gateway = Gateway::start(&cluster).await?;
        let backend = tokio::spawn(backend::run(cluster.component_client("kulta-backend").await?));
        let mut prometheus = Prometheus::start(&run).await?;
        println!("cluster with gateway and Prometheus is up after {:.1} s", started.elapsed().as_secs_f32());
        let environment = Environment::at(&run);
        let work = async {
            match action {
                Action::Up => stay(&environment).await,
                Action::Run { command } => run_command(&environment, &command).await,
            }
        };
        let guard = async {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                cluster.check()?;
                gateway.check()?;
                prometheus.check()?;
                ensure!(!backend.is_finished(), "the backend program ended");
            }
        };
        tokio::select! {
            code = work => code,
            broken = guard => broken,
        }
    };
    let code = tokio::select! {
        code = life => code?,
        stop = signals.next() => if wanted_end { 0 } else { stop.code() },
    };
    Ok(ExitCode::from(code))
}

/// Until the user stops it.
async fn stay(environment: &Environment) -> Result<u8> {
    let namespace = std::env::var("KULTA_NETNS").unwrap_or_default();
    println!("kubeconfig: {}", environment.kubeconfig.display());
    println!("gateway:    http://{} (inside the namespace, with a Host header)", environment.gateway);
    println!("prometheus: http://{} (inside the namespace)", environment.prometheus);
    println!(
        "use it:     ip netns exec {namespace} {} --kubeconfig {} get nodes",
        environment.kubectl.display(),
        environment.kubeconfig.display()
    );
    println!("end it:     Ctrl-C");
    std::future::pending().await
}
