use gateway_api::httproutes::HttpRoute;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Process, free_port};

fn start(cluster: &Cluster, port: u16, more: &[&str]) -> Process {
    let listen = format!("--listen=127.0.0.1:{port}");
    cluster.kulta(&[&["controller", &listen], more].concat(), &[])
}

/// The log has the reason as one line, although the controller tries again.
fn logged_once(kulta: &Process, reason: &str) {
    let log = kulta.log();
    assert_eq!(log.lines().filter(|line| line.contains(reason)).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_rollout_crd_is_named_and_work_begins_once_it_is_there() {
    let cluster = Cluster::start(&[]).await;
    cluster.define_all_but(&["Rollout"]).await;
    let port = free_port();
    let mut kulta = start(&cluster, port, &[]);
    let reason = "the cluster does not serve Rollout (argoproj.io/v1alpha1): apply KULTA's CRDs";

    let waiting = kulta.page(port, "/readyz", |page| page.status == 503 && page.body.contains("does not serve"));
    let alive = kulta.page(port, "/healthz", |_| true);
    logged_once(&kulta, reason);
    cluster.define(serde_json::to_value(kulta_api::crd::rollout()).unwrap()).await;
    kulta.page(port, "/readyz", |page| page.status == 200);

    assert!(waiting.body.starts_with(reason), "{}", waiting.body);
    assert_eq!(alive.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argos_crd_is_served_and_what_it_costs_is_said() {
    let cluster = Cluster::start(&[]).await;
    cluster.define_all_but(&["Rollout"]).await;
    cluster.define(without_kultas_status(serde_json::to_value(kulta_api::crd::rollout()).unwrap())).await;
    let port = free_port();
    let mut kulta = start(&cluster, port, &[]);

    let ready = kulta.page(port, "/readyz", |page| page.status == 200);

    assert!(ready.body.starts_with("ok\nlimited: the Rollout CRD prunes status.kulta"), "{}", ready.body);
    logged_once(&kulta, "the Rollout CRD prunes status.kulta");
}

fn without_kultas_status(mut crd: Value) -> Value {
    for version in crd["spec"]["versions"].as_array_mut().unwrap() {
        let status = &mut version["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert!(status["properties"].as_object_mut().unwrap().remove("kulta").is_some());
    }
    crd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_the_controller_lacks_is_named() {
    let cluster = Cluster::complete(&["rollouts"]).await;
    let port = free_port();
    let mut kulta = start(&cluster, port, &[]);

    let waiting = kulta.page(port, "/readyz", |page| page.body.contains("cannot be watched"));

    assert_eq!(waiting.status, 503);
    for expected in ["Rollout cannot be watched", "rollouts is forbidden", "deploy/rbac.yaml"] {
        assert!(waiting.body.contains(expected), "{expected} is not in {}", waiting.body);
    }
    logged_once(&kulta, "Rollout cannot be watched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_without_the_right_to_its_lease_says_so_and_waits() {
    let cluster = Cluster::complete(&["leases"]).await;
    let port = free_port();
    let mut kulta = start(&cluster, port, &["--leader-elect", "--leader-election-retry-period=100ms"]);

    let waiting = kulta.page(port, "/readyz", |page| page.body.contains("lease"));
    let alive = kulta.page(port, "/healthz", |_| true);
    // Several attempts.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    assert_eq!((waiting.status, alive.status), (503, 200));
    let reason = "waiting for the lease argo-rollouts-controller-lock in namespace default: leases is forbidden";
    assert!(waiting.body.starts_with(reason), "{}", waiting.body);
    logged_once(&kulta, reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_gateway_api_the_controller_works_and_names_it_once_a_rollout_needs_it() {
    let cluster = Cluster::start(&[]).await;
    cluster.define_all_but(&[]).await;
    let port = free_port();
    let mut kulta = start(&cluster, port, &[]);

    let before = kulta.page(port, "/readyz", |page| page.status == 200);
    cluster.create("argoproj.io", "v1alpha1", "Rollout", routed()).await;
    let limited = kulta.page(port, "/readyz", |page| page.body.contains("limited"));
    cluster.define(serde_json::to_value(HttpRoute::crd()).unwrap()).await;
    let after = kulta.page(port, "/readyz", |page| !page.body.contains("limited"));

    assert_eq!(before.body, "ok\n");
    assert_eq!(limited.status, 200);
    assert!(
        limited.body.contains("HTTPRoute (gateway.networking.k8s.io/v1): install the CRDs of Gateway API"),
        "{}",
        limited.body
    );
    assert_eq!(after.body, "ok\n");
}

fn routed() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "web:1" }] },
            },
            "strategy": { "canary": {
                "stableService": "web-stable", "canaryService": "web-canary",
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": "web", "namespace": "default" } } },
                "steps": [{ "setWeight": 10 }],
            } },
        },
    })
}
