//! The kinds that this controller watches or writes.

use kube::core::{ApiResource, GroupVersionKind};
use kulta_api::RouteKind;
use kulta_api::gateway::GATEWAY_API_GROUP;

/// How KULTA signs its writes: field manager, and the source of its Kubernetes events.
pub const MANAGER: &str = "kulta";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Rollout,
    AnalysisRun,
    AnalysisTemplate,
    ClusterAnalysisTemplate,
    Plugin,
    ReplicaSet,
    Service,
    Route(RouteKind),
    Pod,
    Secret,
    ConfigMap,
    Job,
    EndpointSlice,
    Event,
    Lease,
}

impl Kind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rollout => "Rollout",
            Self::AnalysisRun => "AnalysisRun",
            Self::AnalysisTemplate => "AnalysisTemplate",
            Self::ClusterAnalysisTemplate => "ClusterAnalysisTemplate",
            Self::Plugin => "Plugin",
            Self::ReplicaSet => "ReplicaSet",
            Self::Service => "Service",
            Self::Route(kind) => kind.as_str(),
            Self::Pod => "Pod",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Job => "Job",
            Self::EndpointSlice => "EndpointSlice",
            Self::Event => "Event",
            Self::Lease => "Lease",
        }
    }

    const fn group_version_plural(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Rollout => ("argoproj.io", "v1alpha1", "rollouts"),
            Self::AnalysisRun => ("argoproj.io", "v1alpha1", "analysisruns"),
            Self::AnalysisTemplate => ("argoproj.io", "v1alpha1", "analysistemplates"),
            Self::ClusterAnalysisTemplate => ("argoproj.io", "v1alpha1", "clusteranalysistemplates"),
            Self::Plugin => ("kulta.io", "v1alpha1", "plugins"),
            Self::ReplicaSet => ("apps", "v1", "replicasets"),
            Self::Service => ("", "v1", "services"),
            Self::Route(kind) => (GATEWAY_API_GROUP, RouteKind::PREFERRED_VERSION, kind.plural()),
            Self::Pod => ("", "v1", "pods"),
            Self::ConfigMap => ("", "v1", "configmaps"),
            Self::Secret => ("", "v1", "secrets"),
            Self::Job => ("batch", "v1", "jobs"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "endpointslices"),
            Self::Event => ("", "v1", "events"),
            Self::Lease => ("coordination.k8s.io", "v1", "leases"),
        }
    }

    #[must_use]
    pub fn resource(self) -> ApiResource {
        self.resource_of_version(None)
    }

    /// The kind in this version of its group, instead of the preferred one.
    #[must_use]
    pub fn resource_of_version(self, version: Option<&str>) -> ApiResource {
        let (group, preferred, plural) = self.group_version_plural();
        let version = version.unwrap_or(preferred);
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, self.as_str()), plural)
    }

    /// `group/version`, as other objects refer to one of the kind.
    #[must_use]
    pub fn api_version(self) -> String {
        match self.group_version_plural() {
            ("", version, _) => version.to_owned(),
            (group, version, _) => format!("{group}/{version}"),
        }
    }

    #[must_use]
    pub const fn plural(self) -> &'static str {
        self.group_version_plural().2
    }

    /// All kinds, for counting requests under bounded names.
    pub const ALL: [Self; 18] = [
        Self::Rollout,
        Self::AnalysisRun,
        Self::AnalysisTemplate,
        Self::ClusterAnalysisTemplate,
        Self::Plugin,
        Self::ReplicaSet,
        Self::Service,
        Self::Route(RouteKind::Http),
        Self::Route(RouteKind::Grpc),
        Self::Route(RouteKind::Tcp),
        Self::Route(RouteKind::Tls),
        Self::Pod,
        Self::Secret,
        Self::ConfigMap,
        Self::Job,
        Self::EndpointSlice,
        Self::Event,
        Self::Lease,
    ];
}
