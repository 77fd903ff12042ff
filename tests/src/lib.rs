//! A real control plane to test KULTA in: what brings it up, and what stories are told with.
//!
//! `kulta-cluster run -- cargo test …` starts etcd, kube-apiserver, controller-manager, scheduler, kwok, Contour, Envoy and
//! Prometheus in a network namespace of their own and runs the command inside it. Tests then find everything through [`environment`].

// Test support: what it has to say to a person goes to the terminal.
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
pub mod http;
pub mod kinds;
pub mod kubeconfig;
pub mod kulta;
pub mod load;
pub mod manifests;
pub mod metrics_api;
pub mod namespace;
pub mod proc;
pub mod process;
pub mod prometheus;
pub mod registry;
pub mod run_folder;
pub mod sink;
pub mod story;
pub mod verbs;
pub mod wait;

/// One TLS provider for kube and whatever else speaks TLS in the process; calling it twice is fine.
pub fn install_tls_provider() {
    // The only error is "already installed", by another test of the same process.
    drop(rustls::crypto::ring::default_provider().install_default());
}
