//! What a user may set, and what the controller gets from outside.

use std::sync::Arc;

use kube::Client;
use kulta_api::annotations::INSTANCE_ID;
use kulta_oci::TrustedKeys;

use crate::analysis_runs::ProviderEnvironment;
use crate::cache::Scope;
use crate::cdevents::Publisher;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::plugins::{ComponentStore, Requests};

/// What a user may set.
pub struct Settings {
    /// Empty: all namespaces.
    pub namespaces: Vec<String>,
    /// Serve only Rollouts with this instance id; `None`: only those without any.
    pub instance_id: Option<String>,
    /// Rollouts that are reconciled at a time, and as many AnalysisRuns.
    pub workers: usize,
    /// Where metrics ask that name no address.
    pub prometheus_address: Option<String>,
    /// What Argo Rollouts' providers read from the controller's environment.
    pub provider_environment: ProviderEnvironment,
    /// The controller's own: Secrets that Plugins and providers name are there.
    pub namespace: String,
    /// Plugins may name images by tag alone.
    pub allow_plugin_tags: bool,
    /// One of these keys has to have signed the component of a Plugin; None: it is taken by its digest alone.
    pub plugin_trusted_keys: Option<TrustedKeys>,
}

impl Settings {
    pub(super) fn scopes(&self) -> Vec<Scope> {
        if self.namespaces.is_empty() {
            return vec![Scope::Cluster];
        }
        self.namespaces.iter().cloned().map(Scope::Namespace).collect()
    }

    /// The label selector of the objects that this instance serves.
    pub(super) fn instance_selector(&self) -> String {
        match &self.instance_id {
            Some(id) => format!("{INSTANCE_ID}={id}"),
            None => format!("!{INSTANCE_ID}"),
        }
    }
}

/// What the controller gets from outside.
pub struct Parts {
    pub client: Client,
    pub plugins: Arc<kulta_wasm::Plugins>,
    /// Where the components of Plugin objects come from.
    pub registries: kulta_oci::Client,
    /// Keeps them over a restart.
    pub components: Option<ComponentStore>,
    /// Makes the requests that plugins ask for.
    pub requests: Arc<dyn Requests>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// None: no CDEvents are sent.
    pub publisher: Option<Publisher>,
}
