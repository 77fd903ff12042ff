//! Starts a real control plane for tests of KULTA, and provides the harness for scenarios on it.
//!
//! `kulta-cluster run -- cargo test …` starts etcd, kube-apiserver, controller-manager, scheduler, kwok, Contour, Envoy and
//! Prometheus in a separate network namespace and runs the command inside it. Tests find the cluster through [`environment`].

// Test support prints its messages to the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

pub mod answers;
pub mod api;
pub mod argo;
pub mod audit;
pub mod backend;
pub mod cdevents;
pub mod certificates;
pub mod cluster;
pub mod controller;
pub mod crds;
pub mod environment;
pub mod gateway;
pub mod helm;
pub mod http;
pub mod https;
pub mod kinds;
pub mod kubeconfig;
pub mod kulta;
pub mod load;
pub mod manifests;
pub mod metrics_api;
pub mod namespace;
pub mod node;
pub mod proc;
pub mod process;
pub mod prometheus;
pub mod registry;
pub mod run_folder;
pub mod scenario;
pub mod sink;
pub mod supervision;
pub mod verbs;
pub mod wait;

/// One TLS provider for kube and whatever else speaks TLS in the process; calling it twice is fine.
pub fn install_tls_provider() {
    // The only error is "already installed", by another test of the same process.
    drop(rustls::crypto::ring::default_provider().install_default());
}
