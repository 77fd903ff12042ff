//! The environment variables that `kulta-cluster run` sets for its command.

use std::{
    env,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use kube::Client;

use crate::{gateway, kubeconfig, namespace::NODE_ADDRESS, prometheus, run_folder};

const SWITCH: &str = "KULTA_CLUSTER";
const RUN: &str = "KULTA_RUN_FOLDER";

/// The addresses and files of the running cluster.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Logs, credentials and kubeconfigs.
    pub run: PathBuf,
    /// Of a user who may do everything.
    pub kubeconfig: PathBuf,
    pub audit_log: PathBuf,
    /// Envoy.
    pub gateway: SocketAddr,
    /// Scrapes all pods and Envoy every second.
    pub prometheus: SocketAddr,
    pub kubectl: PathBuf,
}

impl Environment {
    /// From the environment of `kulta-cluster run`.
    pub fn find() -> Result<Self> {
        let run = env::var_os(RUN).filter(|_| env::var_os(SWITCH).is_some_and(|switch| switch == "1"));
        let run = run.context("there is no cluster: make cluster-test runs this")?;
        Ok(Self::at(Path::new(&run)))
    }

    /// From the cluster's run folder.
    pub fn at(run: &Path) -> Self {
        Self {
            run: run.to_path_buf(),
            kubeconfig: run.join("admin.kubeconfig"),
            audit_log: run.join("audit.log"),
            gateway: SocketAddr::new(IpAddr::V4(NODE_ADDRESS), gateway::PORT),
            prometheus: prometheus::address(),
            kubectl: run_folder::tools().join("kubectl"),
        }
    }

    /// The variables for a command inside the cluster.
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            (SWITCH, "1".into()),
            (RUN, self.run.clone()),
            ("KUBECONFIG", self.kubeconfig.clone()),
            ("KULTA_AUDIT_LOG", self.audit_log.clone()),
            ("KULTA_GATEWAY", self.gateway.to_string().into()),
            ("KULTA_PROMETHEUS", self.prometheus.to_string().into()),
            ("KULTA_KUBECTL", self.kubectl.clone()),
            // A scenario's error has the observed state; forty lines of backtrace below it add nothing.
            ("RUST_LIB_BACKTRACE", "0".into()),
            // The namespace has no way out: cargo's dependencies must have been built before.
            ("CARGO_NET_OFFLINE", "true".into()),
        ]
    }

    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig).await.context("reach the test cluster")
    }
}
