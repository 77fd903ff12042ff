//! Starts a control plane with a node that runs real pods, in separate namespaces, for a command or for a user.

// It prints to the user's terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use kulta_tests::{
    cluster::{Cluster, Pods},
    environment::Environment,
    gateway::Gateway,
    namespace::Namespace,
    node::{NAME, Node, cgroups::Cgroups, images, space},
    run_folder::{self, RunFolder},
    supervision::{Signals, run_command, runtime, supervise},
};

/// A real Kubernetes control plane with Contour and Envoy and a node with real pods (kubelet, containerd, kube-proxy,
/// CoreDNS), in separate namespaces. Needs root
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    action: Action,
    /// Set by the outer process for the first one inside the namespaces.
    #[arg(long, global = true, hide = true)]
    first: Option<PathBuf>,
    /// Set by the first process for the one that starts everything.
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
    let result = match (&options.inside, &options.first) {
        (Some(run), _) => runtime(true).and_then(|runtime| runtime.block_on(inside(run.clone(), options.action))),
        (None, Some(run)) => first(run),
        (None, None) => runtime(false).and_then(|runtime| runtime.block_on(outside())),
    };
    result.unwrap_or_else(|error| {
        eprintln!("kulta-node: {error:#}");
        ExitCode::FAILURE
    })
}

/// Creates the namespaces, runs this program again inside them, and always cleans up.
async fn outside() -> Result<ExitCode> {
    for program in ["kube-apiserver", "kubelet", "kube-proxy", "coredns", "base-image"] {
        ensure!(
            run_folder::tools().join(program).exists(),
            "{program} is not built yet: run tests/tools/build.sh node"
        );
    }
    let mut signals = Signals::listen()?;
    let run = RunFolder::create()?;
    let network = Namespace::create(run.id)?;
    let cgroups = Cgroups::create(&network.name)?;
    let mount_points = space::MountPoints::create()?;
    let program = std::env::current_exe().context("find this program")?;
    let mut command = space::command(&network, program.into_os_string());
    command.arg("--first").arg(&run.path).args(std::env::args_os().skip(1)).env(NAME, &network.name);
    let code = supervise(command, &mut signals).await;
    drop((mount_points, cgroups, network));
    let code = code?;
    let failed = code != 0;
    run.finish(failed)?;
    if failed {
        eprintln!("logs are in {}", run.path.display());
    }
    Ok(ExitCode::from(code))
}

/// The first process of the process namespace.
fn first(run: &Path) -> Result<ExitCode> {
    space::set_up(run).context("set up the namespaces")?;
    let program = std::env::current_exe().context("find this program")?;
    let mut command = std::process::Command::new(program);
    command.arg("--inside").arg(run).args(std::env::args_os().skip(3));
    space::run_and_reap(command).map(ExitCode::from)
}

async fn inside(run: PathBuf, action: Action) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    // For a user Ctrl-C is the regular end; a command that was interrupted has failed.
    let wanted_end = matches!(action, Action::Up);
    let started = Instant::now();
    let name = std::env::var(NAME).context("the name of the namespace")?;
    let life = async {
        let (mut cluster, images, mut node) =
            tokio::try_join!(Cluster::start(&run, Pods::Real), images::build(&run), Node::start_runtime(&run))?;
        images.import().await?;
        node.join(&cluster, &name).await?;
        let mut gateway = Gateway::start(&cluster).await?;
        println!("cluster with a node and a gateway is up after {:.1} s", started.elapsed().as_secs_f32());
        let environment = Environment::at(&run);
        let work = async {
            match action {
                Action::Up => stay(&environment, &name).await,
                Action::Run { command } => run_command(&environment, &command).await,
            }
        };
        let guard = async {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                cluster.check()?;
                node.check()?;
                gateway.check()?;
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
async fn stay(environment: &Environment, name: &str) -> Result<u8> {
    println!("kubeconfig: {}", environment.kubeconfig.display());
    println!("gateway:    http://{} (inside the namespace, with a Host header)", environment.gateway);
    println!(
        "use it:     ip netns exec {name} {} --kubeconfig {} get nodes",
        environment.kubectl.display(),
        environment.kubeconfig.display()
    );
    println!("end it:     Ctrl-C");
    std::future::pending().await
}
