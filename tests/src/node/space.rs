//! The namespaces of a node: network, mounts, processes, host name. Nothing that the node's programs do to files,
//! mounts, addresses or kernel settings reaches the machine.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nix::sys::wait::{WaitStatus, wait};

use crate::{
    cluster::NODE,
    namespace::{NODE_ADDRESS, Namespace, ip},
};

/// Folders with fixed names that the node's programs write to: each is a folder of the run instead.
const FOLDERS: [&str; 4] = ["/var/log", "/var/lib/cni", "/var/lib/kubelet", "/var/lib/containerd"];

/// Settings of the whole machine that the kubelet corrects, and the values that it wants. It reads these from a file of
/// ours and leaves the machine's alone.
const WANTED: [(&str, &str); 3] = [
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
];

/// Settings of the network namespace.
const NETWORK: [(&str, &str); 3] = [
    ("/proc/sys/net/ipv4/ip_forward", "1"),
    ("/proc/sys/net/ipv4/conf/all/route_localnet", "1"),
    ("/proc/sys/net/bridge/bridge-nf-call-iptables", "1"),
];

/// Mount points that did not exist; removed when dropped.
#[derive(Debug, Default)]
pub struct MountPoints {
    made: Vec<PathBuf>,
}

impl MountPoints {
    pub fn create() -> Result<Self> {
        let mut points = Self::default();
        for folder in FOLDERS.map(PathBuf::from) {
            if !folder.exists() {
                fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
                points.made.push(folder);
            }
        }
        Ok(points)
    }
}

impl Drop for MountPoints {
    fn drop(&mut self) {
        for folder in &self.made {
            if let Err(error) = fs::remove_dir(folder) {
                eprintln!("the folder {} is left over: {error}", folder.display());
            }
        }
    }
}

/// The command that runs `program` as the first process of new namespaces, in the network of `network`. All that runs
/// inside is killed when this process ends.
pub fn command(network: &Namespace, program: OsString) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "nsenter"]).arg(format!("--net=/run/netns/{}", network.name));
    command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc"]);
    command.args(["--propagation", "private"]).arg(program);
    command
}

/// Sets the namespaces up, from inside. The order matters.
pub fn set_up(run: &Path) -> Result<()> {
    fs::write("/proc/sys/kernel/hostname", NODE).context("set the host name")?;
    mount(&["--make-rprivate", "/"])?;
    // A sysfs shows the network of the process that mounted it. A new one has no cgroups: they are moved over.
    let aside = run.join("cgroups").display().to_string();
    fs::create_dir_all(&aside).context("create a mount point")?;
    mount(&["--rbind", "/sys/fs/cgroup", &aside])?;
    mount(&["-t", "sysfs", "sysfs", "/sys"])?;
    mount(&["--rbind", &aside, "/sys/fs/cgroup"])?;
    run_program("umount", &["-l", &aside])?;
    mount(&["-t", "tmpfs", "tmpfs", "/run"])?;
    fs::create_dir_all("/run/netns").context("create /run/netns")?;
    for folder in FOLDERS {
        let own = run.join("root").join(folder.trim_start_matches('/'));
        fs::create_dir_all(&own).with_context(|| format!("create {}", own.display()))?;
        mount(&["--bind", &own.display().to_string(), folder])?;
    }
    for (setting, value) in WANTED {
        let own = run.join("root").join(setting.replace('/', "-"));
        fs::write(&own, value).with_context(|| format!("write {}", own.display()))?;
        mount(&["--bind", &own.display().to_string(), setting])?;
    }
    set_up_network()?;
    // Last: earlier, the lazy unmount would take the cgroups along.
    mount(&["--make-rshared", "/"])
}

fn set_up_network() -> Result<()> {
    ip(&["link", "set", "lo", "up"])?;
    // A bridge without ports is the node's network card: the kernel may have no dummy device.
    ip(&["link", "add", "node0", "type", "bridge"])?;
    ip(&["address", "add", &format!("{NODE_ADDRESS}/24"), "dev", "node0"])?;
    ip(&["link", "set", "node0", "up"])?;
    // Without a default route the node cannot reach the addresses of Services.
    ip(&["route", "add", "default", "dev", "node0"])?;
    for (setting, value) in NETWORK {
        fs::write(setting, value).with_context(|| format!("set {setting}"))?;
    }
    Ok(())
}

/// Runs a program as the only child of the first process, waits for it, and returns its exit code. Processes whose
/// parents have ended, such as those of containers, become children of the first process, which must wait for them too.
pub fn run_and_reap(mut command: Command) -> Result<u8> {
    let child = i32::try_from(command.spawn().context("start the inner process")?.id()).context("a process id")?;
    loop {
        match wait().context("wait for a process")? {
            WaitStatus::Exited(id, code) if id.as_raw() == child => return Ok(u8::try_from(code).unwrap_or(1)),
            WaitStatus::Signaled(id, ..) if id.as_raw() == child => return Ok(1),
            _ => {}
        }
    }
}

fn mount(arguments: &[&str]) -> Result<()> {
    run_program("mount", arguments)
}

fn run_program(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("run {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), errors.trim());
    Ok(())
}
