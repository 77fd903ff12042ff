//! A node with real pods, beside the control plane: containerd, kubelet, kube-proxy and CoreDNS, all of them in the
//! namespaces that [`space`] sets up.

pub mod app;
pub mod cgroups;
pub mod images;
pub mod install;
mod programs;
pub mod space;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use kube::{Api, Client, api::DynamicObject};
use serde_json::{Value, json};
use tokio::{process::Command, time::Instant};

use crate::{
    api,
    cluster::{Cluster, NODE},
    kinds,
    namespace::NODE_ADDRESS,
    process::Process,
    run_folder, wait,
};

/// File name, user and group of the node's client certificates.
pub const USERS: [(&str, &str, &str); 3] = [
    ("kubelet", "system:node:node-0", "system:nodes"),
    // The user that the role system:node-proxier is bound to.
    ("kube-proxy", "system:kube-proxy", "kulta-tests"),
    ("coredns", "coredns", "system:masters"),
];
/// File name of the kubelet's server certificate.
pub const SERVER: &str = "kubelet-server";
/// What pods get their addresses from.
pub const POD_CIDR: &str = "10.244.0.0/24";
/// The address of the Service `kube-dns`.
pub const DNS_ADDRESS: &str = "10.96.0.10";

/// The variable that has the name of the network namespace and of the cgroup, for the inner processes.
pub const NAME: &str = "KULTA_NETNS";

/// Timeout of each part of the start.
const READY: Duration = Duration::from_secs(60);

/// The node's programs, running.
#[derive(Debug)]
pub struct Node {
    processes: Vec<Process>,
}

impl Node {
    /// Starts containerd and waits until it answers. Needs no control plane.
    pub async fn start_runtime(run: &Path) -> Result<Self> {
        let mut containerd = programs::containerd(run)?;
        let answered = wait::poll("containerd to answer", READY, || async {
            let output = Command::new("ctr").arg("version").output().await.context("run ctr (Debian: containerd)")?;
            Ok(output.status.success().then_some(()))
        })
        .await;
        containerd.check()?;
        answered?;
        Ok(Self { processes: vec![containerd] })
    }

    /// Starts the rest and waits until the node is ready and DNS is served.
    pub async fn join(&mut self, cluster: &Cluster, cgroup: &str) -> Result<()> {
        let (run, started) = (cluster.run.as_path(), Instant::now());
        self.processes.push(programs::kubelet(run, cgroup)?);
        self.processes.push(programs::kube_proxy(run)?);
        self.processes.push(programs::coredns(run)?);
        for object in dns_objects() {
            api::apply(&cluster.client, "kube-system", object).await?;
        }
        let nodes: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &kinds::node());
        let ready = wait::until(&nodes, NODE, "the kubelet to make it ready, without taints", READY, |node| {
            api::condition(node, "Ready").is_some_and(|found| found.0 == "True")
                && node.data.pointer("/spec/taints").is_none()
        })
        .await;
        self.check()?;
        ready?;
        println!("the node is ready {:.1} s after the kubelet's start", started.elapsed().as_secs_f32());
        Ok(())
    }

    /// An error that names the first program that has ended.
    pub fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check)
    }
}

/// What the kubelet counts as a pod's memory, in bytes: with page cache that is in use, as `kubectl top` and evictions do.
/// Waits until the kubelet has measured a new pod.
pub async fn working_set(client: &Client, pod: &DynamicObject) -> Result<u64> {
    wait::poll("the kubelet to measure the pod's memory", READY, || async {
        let path = format!("/api/v1/nodes/{NODE}/proxy/stats/summary?only_cpu_and_memory=true");
        let request = ::http::Request::get(path).body(Vec::new()).context("make a request")?;
        let summary: Value = client.request(request).await.context("ask the kubelet for its statistics")?;
        let mut pods = summary.pointer("/pods").and_then(Value::as_array).into_iter().flatten();
        let found =
            pods.find(|found| found.pointer("/podRef/uid").and_then(Value::as_str) == pod.metadata.uid.as_deref());
        Ok(found.and_then(|found| found.pointer("/memory/workingSetBytes")?.as_u64()).filter(|bytes| *bytes > 0))
    })
    .await
}

/// The most memory that a pod of the QoS class Burstable has ever used, with page cache, in bytes.
pub fn peak_memory(pod: &DynamicObject) -> Result<u64> {
    let name = std::env::var(NAME).context("the name of the node's cgroup")?;
    cgroups::peak_memory(&name, pod.metadata.uid.as_deref().context("the pod has no uid")?)
}

/// CoreDNS listens on the node; this is the Service that pods reach it by.
fn dns_objects() -> [serde_json::Value; 2] {
    let ports =
        json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]);
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns"},
            "spec": {"clusterIP": DNS_ADDRESS, "ports": ports},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "kube-dns", "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4", "endpoints": [{"addresses": [NODE_ADDRESS]}], "ports": ports,
        }),
    ]
}

/// The name of the shipped image, with the version of the workspace: the same for docker, podman and containerd.
pub fn image() -> Result<String> {
    let path = run_folder::repository().join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(format!("docker.io/library/kulta:{}", version.context("Cargo.toml has no version")?))
}
