//! The node's programs and their configuration.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    cluster::NODE,
    namespace::NODE_ADDRESS,
    node::{DNS_ADDRESS, POD_CIDR, SERVER, images::PAUSE},
    process::Process,
};

const SOCKET: &str = "/run/containerd/containerd.sock";
/// Debian's folder of CNI plugins.
const CNI: &str = "/usr/lib/cni";

/// containerd, with a bridge for pods.
pub fn containerd(run: &Path) -> Result<Process> {
    let networks = run.join("cni");
    fs::create_dir_all(&networks).context("create the folder of networks")?;
    let bridge = json!({
        "type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_CIDR}]], "routes": [{"dst": "0.0.0.0/0"}]},
    });
    let ports = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    write(
        &networks.join("10-pods.conflist"),
        &json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}),
    )?;
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE no pod could start otherwise.
    let config = format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
sandbox_image = "{PAUSE}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
        networks = networks.display(),
    );
    let file = run.join("containerd.toml");
    fs::write(&file, config).context("write containerd's configuration")?;
    let mut command = Command::new("containerd");
    command.arg("--config").arg(&file);
    Process::spawn("containerd", command, run.join("logs/containerd.log"))
}

/// The kubelet. Its pods' cgroups are below `cgroup`.
pub fn kubelet(run: &Path, cgroup: &str) -> Result<Process> {
    let resolver = run.join("resolv.conf");
    fs::write(&resolver, "").context("write the pods' resolver configuration")?;
    let file = |name: String| run.join(name).display().to_string();
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": file("ca.crt".into())},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": file(format!("{SERVER}.crt")), "tlsPrivateKeyFile": file(format!("{SERVER}.key")),
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{cgroup}"), "failCgroupV1": false,
        "failSwapOn": false, "oomScoreAdj": 0,
        "clusterDNS": [DNS_ADDRESS], "clusterDomain": "cluster.local", "resolvConf": resolver,
        // The machine's disk is not the node's concern.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        // Imported images cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": false, "maxPods": 250,
    });
    let config_file = run.join("kubelet.json");
    write(&config_file, &config)?;
    let arguments = [
        format!("--config={}", config_file.display()),
        format!("--kubeconfig={}", file("kubelet.kubeconfig".into())),
        format!("--node-ip={NODE_ADDRESS}"),
        format!("--hostname-override={NODE}"),
    ];
    Process::start("kubelet", &arguments, run)
}

/// kube-proxy, which makes Services' addresses work.
pub fn kube_proxy(run: &Path) -> Result<Process> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "nftables", "clusterCIDR": POD_CIDR, "hostnameOverride": NODE, "oomScoreAdj": 0,
        "clientConnection": {"kubeconfig": run.join("kube-proxy.kubeconfig")},
        // These settings would be the whole machine's.
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s", "udpStreamTimeout": "0s",
        },
    });
    let file = run.join("kube-proxy.json");
    write(&file, &config)?;
    Process::start("kube-proxy", &[format!("--config={}", file.display())], run)
}

/// CoreDNS, on the node's own address. It answers for the cluster and nothing else.
pub fn coredns(run: &Path) -> Result<Process> {
    let config = format!(
        "cluster.local:53 {{\n bind {NODE_ADDRESS}\n errors\n kubernetes {{\n  kubeconfig {}\n }}\n}}\n",
        run.join("coredns.kubeconfig").display()
    );
    let file = run.join("Corefile");
    fs::write(&file, config).context("write CoreDNS's configuration")?;
    Process::start("coredns", &["-conf", &file.display().to_string()], run)
}

fn write(file: &Path, config: &Value) -> Result<()> {
    fs::write(file, config.to_string()).with_context(|| format!("write {}", file.display()))
}
