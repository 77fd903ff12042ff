//! Which objects are served, and how the cluster is reached.

use std::path::PathBuf;

use clap::Args;

use super::values::{non_empty, switch};

#[derive(Args, Debug)]
#[command(next_help_heading = "What is served")]
pub struct ScopeArguments {
    /// Namespaces to serve, comma separated; if unset, all namespaces
    #[arg(long, env = "KULTA_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Serve one namespace: that of --namespace, or the controller's own
    #[arg(long, env = "KULTA_NAMESPACED", value_name = "BOOL", num_args = 0..=1, default_value_t = false,
          default_missing_value = "true", value_parser = switch)]
    pub namespaced: bool,
    /// Namespace to serve with --namespaced; without it the flag has no effect, as in Argo Rollouts
    #[arg(long, short, env = "KULTA_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Serve only Rollouts with the label argo-rollouts.argoproj.io/controller-instance-id=ID; if unset, only Rollouts
    /// without the label
    #[arg(long, env = "KULTA_INSTANCE_ID", value_name = "ID")]
    instance_id: Option<String>,
}

impl ScopeArguments {
    /// The namespaces to serve; none: all.
    pub fn served(&self, own_namespace: &str) -> Vec<String> {
        if self.namespaced {
            return vec![non_empty(self.namespace.as_deref()).unwrap_or_else(|| own_namespace.to_owned())];
        }
        self.namespaces.iter().filter(|name| !name.is_empty()).cloned().collect()
    }

    pub fn instance_id(&self) -> Option<String> {
        non_empty(self.instance_id.as_deref())
    }
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArguments {
    /// Kubeconfig file; if unset, KUBECONFIG, ~/.kube/config or the pod's service account
    #[arg(long, env = "KULTA_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; if unset, its current one
    #[arg(long, env = "KULTA_KUBE_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Cluster of the kubeconfig, in place of the context's
    #[arg(long, env = "KULTA_KUBE_CLUSTER", value_name = "NAME")]
    pub cluster: Option<String>,
    /// User of the kubeconfig, in place of the context's
    #[arg(long, env = "KULTA_KUBE_USER", value_name = "NAME")]
    pub user: Option<String>,
}
