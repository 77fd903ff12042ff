//! The network (and process) namespace of the whole cluster: it is isolated from the machine, pod addresses are real,
//! and when its first process dies the kernel ends all others.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::run_folder::alive;

/// The node's address; the API server and Envoy listen on it.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Every address in it is local to the namespace, so one listener on 0.0.0.0 answers for all pods.
pub const POD_CIDR: &str = "10.244.0.0/14";
/// The pod network for kwok. kwok allocates past the end of a range but reuses only addresses inside it. With a range
/// of one address, none is reused: a late request to a deleted pod must fail, and not be answered by another pod.
pub const POD_CIDR_FOR_KWOK: &str = "10.244.0.0/32";
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The address that the first Service of the cluster has.
pub const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

const PREFIX: &str = "kulta-";

/// A network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    /// `id` is the owning process: the next run removes a namespace without a living owner.
    pub fn create(id: u32) -> Result<Self> {
        remove_stale()?;
        let name = format!("{PREFIX}{id}");
        ip(&["netns", "add", &name]).context("add a network namespace (root is needed)")?;
        Ok(Self { name })
    }

    /// The command that runs `program` inside, as the first process of a new process namespace.
    /// It and all its children are killed when this process ends.
    pub fn command(&self, program: OsString) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "ip", "netns", "exec"]).arg(&self.name);
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "del", &self.name]) {
            eprintln!("network namespace {} is left over: {error:#}", self.name);
        }
    }
}

/// True for addresses of the namespace only: loopback, the node's, the pods' and the Services'.
pub fn has(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4 == NODE_ADDRESS || matches!(v4.octets(), [10, 244..=247, ..] | [10, 96, ..])
        }
        IpAddr::V6(v6) => v6.is_loopback(),
    }
}

/// Assigns the namespace's addresses.
pub fn configure() -> Result<()> {
    ip(&["link", "set", "lo", "up"])?;
    ip(&["address", "add", &format!("{NODE_ADDRESS}/32"), "dev", "lo"])?;
    ip(&["route", "add", "local", POD_CIDR, "dev", "lo"])
}

fn remove_stale() -> Result<()> {
    let listed = Command::new("ip").args(["netns", "list"]).output().context("run ip netns list")?;
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let Some(name) = line.split_whitespace().next() else { continue };
        let Some(id) = name.strip_prefix(PREFIX) else { continue };
        if !id.is_empty() && id.chars().all(|c| c.is_ascii_digit()) && !alive(id) {
            ip(&["netns", "del", name])?;
        }
    }
    Ok(())
}

/// Runs `ip`.
pub fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => bail!("run ip (Debian package iproute2): {error}"),
    };
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
