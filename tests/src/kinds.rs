//! The kinds of the scenarios, as API resources: without discovery, so that the audit log contains only relevant
//! requests.

use kube::core::{ApiResource, GroupVersionKind};

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

pub fn rollout() -> ApiResource {
    resource("argoproj.io", "v1alpha1", "Rollout", "rollouts")
}

pub fn analysis_run() -> ApiResource {
    resource("argoproj.io", "v1alpha1", "AnalysisRun", "analysisruns")
}

pub fn analysis_template() -> ApiResource {
    resource("argoproj.io", "v1alpha1", "AnalysisTemplate", "analysistemplates")
}

pub fn cluster_analysis_template() -> ApiResource {
    resource("argoproj.io", "v1alpha1", "ClusterAnalysisTemplate", "clusteranalysistemplates")
}

pub fn plugin() -> ApiResource {
    resource("kulta.io", "v1alpha1", "Plugin", "plugins")
}

pub fn replica_set() -> ApiResource {
    resource("apps", "v1", "ReplicaSet", "replicasets")
}

pub fn deployment() -> ApiResource {
    resource("apps", "v1", "Deployment", "deployments")
}

pub fn job() -> ApiResource {
    resource("batch", "v1", "Job", "jobs")
}

pub fn pod() -> ApiResource {
    resource("", "v1", "Pod", "pods")
}

pub fn service() -> ApiResource {
    resource("", "v1", "Service", "services")
}

pub fn endpoint_slice() -> ApiResource {
    resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
}

pub fn event() -> ApiResource {
    resource("", "v1", "Event", "events")
}

pub fn namespace() -> ApiResource {
    resource("", "v1", "Namespace", "namespaces")
}

pub fn node() -> ApiResource {
    resource("", "v1", "Node", "nodes")
}

pub fn lease() -> ApiResource {
    resource("coordination.k8s.io", "v1", "Lease", "leases")
}

pub fn crd() -> ApiResource {
    resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
}

pub fn gateway_class() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses")
}

pub fn gateway() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
}

pub fn http_route() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
}

pub fn grpc_route() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes")
}

/// In the version of the CRD that the tests install.
pub fn tcp_route() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1alpha2", "TCPRoute", "tcproutes")
}

pub fn tls_route() -> ApiResource {
    resource("gateway.networking.k8s.io", "v1", "TLSRoute", "tlsroutes")
}

pub fn horizontal_pod_autoscaler() -> ApiResource {
    resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
}

pub fn api_service() -> ApiResource {
    resource("apiregistration.k8s.io", "v1", "APIService", "apiservices")
}
