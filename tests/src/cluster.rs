//! The control plane: etcd, kube-apiserver, controller-manager, scheduler and kwok, started inside the namespace.

mod stages;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use kube::{Api, Client, api::DynamicObject};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    api, certificates, kinds, kubeconfig,
    namespace::{NODE_ADDRESS, POD_CIDR_FOR_KWOK, SERVICE_ADDRESS, SERVICE_CIDR},
    node, proc,
    process::Process,
    run_folder, wait,
};

/// The only node; it has room for thousands of pods.
pub const NODE: &str = "node-0";

/// Who runs the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pods {
    /// kwok, which simulates a node and its pods.
    Simulated,
    /// A kubelet, which [`crate::node::Node`] starts.
    Real,
}

/// Users of the cluster itself, whose requests are not in the audit log.
const COMPONENTS: [&str; 5] = ["kube-controller-manager", "kube-scheduler", "kwok", "contour", "kulta-backend"];

/// The file in the run folder that has the API server's process id.
const API_SERVER_ID: &str = "kube-apiserver.pid";

/// CPU time of the API server so far, in the cluster of this run folder.
pub fn api_server_cpu(run: &Path) -> Result<Duration> {
    let id = fs::read_to_string(run.join(API_SERVER_ID)).context("read the API server's process id")?;
    proc::cpu(id.trim().parse().context("the API server's process id")?)
}

/// A running control plane.
pub struct Cluster {
    pub client: Client,
    /// Of a user in `system:masters`.
    pub kubeconfig: PathBuf,
    pub audit_log: PathBuf,
    pub run: PathBuf,
    processes: Vec<Process>,
}

impl Cluster {
    /// Starts everything and waits until Gateway API's CRDs are served and a simulated node is ready.
    pub async fn start(run: &Path, pods: Pods) -> Result<Self> {
        let started = Instant::now();
        write_credentials(run)?;
        let audit_log = run.join("audit.log");
        fs::write(&audit_log, "").context("create the audit log")?;
        let mut processes = vec![etcd(run)?, api_server(run, &audit_log, pods)?];
        let kubeconfig = run.join("admin.kubeconfig");
        let client = kubeconfig::client(&kubeconfig).await?;
        wait_ready(&client, &mut processes).await?;
        println!("kube-apiserver is ready after {:.1} s", started.elapsed().as_secs_f32());
        processes.push(controller_manager(run, pods)?);
        processes.push(scheduler(run)?);
        let mut cluster = Self { client, kubeconfig, audit_log, run: run.to_path_buf(), processes };
        if pods == Pods::Simulated {
            cluster.processes.push(kwok(run)?);
            let added = cluster.add_node().await;
            cluster.check()?;
            added?;
        }
        api::apply_crds(&cluster.client, &run_folder::tools().join("crds/gateway-api")).await?;
        Ok(cluster)
    }

    /// A client with the credentials of one component, which separates it from the tests in the audit log.
    pub async fn component_client(&self, user: &str) -> Result<Client> {
        kubeconfig::client(&self.run.join(format!("{user}.kubeconfig"))).await
    }

    /// An error that names the first program that has ended.
    pub fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(Process::check)
    }

    async fn add_node(&self) -> Result<()> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
        });
        api::apply(&self.client, "", node).await?;
        let nodes: Api<DynamicObject> = Api::all_with(self.client.clone(), &kinds::node());
        wait::until(&nodes, NODE, "kwok to make it ready", Duration::from_secs(30), |node| {
            api::condition(node, "Ready").is_some_and(|found| found.0 == "True")
        })
        .await?;
        Ok(())
    }
}

fn write_credentials(run: &Path) -> Result<()> {
    let authority = certificates::Authority::create()?;
    let ca = run.join("ca.crt");
    fs::write(&ca, authority.pem()).context("write the authority")?;
    let (private, public) = certificates::token_keys()?;
    fs::write(run.join("service-accounts.key"), private).context("write the token key")?;
    fs::write(run.join("service-accounts.pub"), public).context("write the token key's public half")?;
    let names =
        [NODE_ADDRESS.to_string(), "127.0.0.1".into(), SERVICE_ADDRESS.to_string(), "kubernetes.default.svc".into()];
    authority.server("kube-apiserver", names.to_vec())?.write(run, "server")?;
    let server = format!("https://{NODE_ADDRESS}:6443");
    let administrators = ["admin"].iter().chain(&COMPONENTS).map(|user| (*user, *user, "system:masters"));
    for (file, user, group) in administrators.chain(node::USERS) {
        authority.client(user, group)?.write(run, file)?;
        let credentials =
            kubeconfig::certificate_user(&run.join(format!("{file}.crt")), &run.join(format!("{file}.key")));
        kubeconfig::write(&run.join(format!("{file}.kubeconfig")), &server, &ca, credentials)?;
    }
    authority.server(NODE, vec![NODE_ADDRESS.to_string()])?.write(run, node::SERVER)?;
    Ok(())
}

fn etcd(run: &Path) -> Result<Process> {
    let arguments = [
        "--unsafe-no-fsync".to_owned(),
        format!("--data-dir={}", run.join("etcd").display()),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--quota-backend-bytes=4294967296".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Process::start("etcd", &arguments, run)
}

fn api_server(run: &Path, audit_log: &Path, pods: Pods) -> Result<Process> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": COMPONENTS},
            {"level": "None", "users": ["system:apiserver"]},
            {"level": "Metadata"},
        ],
    });
    let policy_file = run.join("audit-policy.yaml");
    fs::write(&policy_file, policy.to_string()).context("write the audit policy")?;
    let file = |name: &str| run.join(name).display().to_string();
    let arguments = [
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--bind-address={NODE_ADDRESS}"),
        format!("--advertise-address={NODE_ADDRESS}"),
        "--secure-port=6443".to_owned(),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--service-account-key-file={}", file("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", file("service-accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--audit-policy-file={}", policy_file.display()),
        format!("--audit-log-path={}", audit_log.display()),
        // Megabytes: a log that is rotated during a test cannot be counted.
        "--audit-log-maxsize=100000".to_owned(),
        "--profiling=false".to_owned(),
    ];
    let by_pods: Vec<String> = match pods {
        Pods::Simulated => vec![
            "--authorization-mode=RBAC".to_owned(),
            // Off by default, on in hardened clusters: an owner with blockOwnerDeletion requires a permission.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned(),
            // No kubelet mounts tokens here, and no node-lifecycle controller would remove the taint.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ],
        Pods::Real => vec![
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--kubelet-client-certificate={}", file("admin.crt")),
            format!("--kubelet-client-key={}", file("admin.key")),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
        ],
    };
    let arguments = [arguments.as_slice(), &by_pods].concat();
    let process = Process::start("kube-apiserver", &arguments, run)?;
    let id = process.id().context("kube-apiserver has ended")?;
    fs::write(run.join(API_SERVER_ID), id.to_string()).context("write the API server's process id")?;
    Ok(process)
}

fn controller_manager(run: &Path, pods: Pods) -> Result<Process> {
    let file = |name: &str| run.join(name).display().to_string();
    let life = match pods {
        Pods::Simulated => ",-nodelifecycle",
        Pods::Real => "",
    };
    let arguments = [
        format!("--kubeconfig={}", file("kube-controller-manager.kubeconfig")),
        format!("--service-account-private-key-file={}", file("service-accounts.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        "--leader-elect=false".to_owned(),
        format!("--controllers=*,-nodeipam,-cloud-node-lifecycle,-service-lb-controller,-node-route-controller{life}"),
        format!("--use-service-account-credentials={}", pods == Pods::Real),
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        // Every 15 s by default: scenarios with autoscalers would last minutes.
        "--horizontal-pod-autoscaler-sync-period=1s".to_owned(),
    ];
    Process::start("kube-controller-manager", &arguments, run)
}

fn scheduler(run: &Path) -> Result<Process> {
    let config = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": false},
        "clientConnection": {"kubeconfig": run.join("kube-scheduler.kubeconfig"), "qps": 500.0, "burst": 1000},
    });
    let file = run.join("scheduler.yaml");
    fs::write(&file, config.to_string()).context("write the scheduler's configuration")?;
    Process::start("kube-scheduler", &[format!("--config={}", file.display())], run)
}

fn kwok(run: &Path) -> Result<Process> {
    let stock = run_folder::tools().join("crds/kwok-stages");
    let read = |name: &str| fs::read_to_string(stock.join(name)).with_context(|| format!("read kwok's stage {name}"));
    let config = run.join("kwok.yaml");
    fs::write(&config, stages::configuration(&[read("node-initialize.yaml")?, read("pod-complete.yaml")?])?)
        .context("write kwok's configuration")?;
    let arguments = [
        format!("--kubeconfig={}", run.join("kwok.kubeconfig").display()),
        "--manage-all-nodes=true".to_owned(),
        format!("--cidr={POD_CIDR_FOR_KWOK}"),
        format!("--node-ip={NODE_ADDRESS}"),
        format!("--config={}", config.display()),
    ];
    Process::start("kwok", &arguments, run)
}

async fn wait_ready(client: &Client, processes: &mut [Process]) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        processes.iter_mut().try_for_each(Process::check)?;
        let request = ::http::Request::get("/readyz").body(Vec::new()).context("make a request")?;
        match client.request_text(request).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= end => bail!("kube-apiserver is not ready after 60 s: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
