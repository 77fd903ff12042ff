//! Tests of the harness itself.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api, audit, backend,
    controller::{Controller, Start},
    crds, kinds, load, manifests,
    scenario::Scenario,
    wait,
};
use serde_json::{Value, json};

fn ready(pod: &kube::api::DynamicObject) -> bool {
    api::condition(pod, "Ready").is_some_and(|found| found.0 == "True")
}

/// A Service over the pods of one version.
fn versioned_service(name: &str, version: &str) -> Value {
    manifests::service(name, &json!({"app": name, "version": version}))
}

async fn ready_replicas(scenario: &Scenario, name: &str, count: i64) -> Result<Instant> {
    scenario
        .until(&kinds::replica_set(), name, &format!("{count} ready replicas"), |set| {
            api::number(set, "/status/readyReplicas") == count && api::number(set, "/status/replicas") == count
        })
        .await?;
    Ok(Instant::now())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn pods_of_a_plain_replica_set_become_ready_unless_a_label_says_otherwise() -> Result<()> {
    let scenario = Scenario::begin("ready").await?;
    let started = Instant::now();
    scenario.apply(manifests::replica_set("good", 3, "v1")).await?;
    let took = ready_replicas(&scenario, "good", 3).await? - started;
    println!("3 pods ready after {took:.1?}");

    let mut bad = manifests::replica_set("bad", 1, "v1");
    json_patch::merge(
        &mut bad,
        &json!({"spec": {"template": {"metadata": {"labels": {"kulta.test/ready": "never"}}}}}),
    );
    let mut slow = manifests::replica_set("slow", 1, "v1");
    json_patch::merge(
        &mut slow,
        &json!({"spec": {"template": {"metadata": {"labels": {"kulta.test/ready-after": "2s"}}}}}),
    );
    let mut crashing = manifests::replica_set("crashing", 1, "v1");
    json_patch::merge(
        &mut crashing,
        &json!({"spec": {"template": {"metadata": {"labels": {"kulta.test/crash-after": "1s"}}}}}),
    );
    let started = Instant::now();
    scenario.apply_all([bad, slow, crashing]).await?;
    ensure!(
        ready_replicas(&scenario, "slow", 1).await? - started >= Duration::from_secs(2),
        "the slow pod was ready at once"
    );
    let crashed = wait::poll("a crash loop", Duration::from_secs(10), || async {
        let pods = scenario.list(&kinds::pod(), "app=crashing").await?;
        let reason = |pod: &kube::api::DynamicObject| {
            api::text(pod, "/status/containerStatuses/0/state/waiting/reason").to_owned()
        };
        Ok(pods.into_iter().find(|pod| reason(pod) == "CrashLoopBackOff"))
    })
    .await?;
    ensure!(!ready(&crashed), "a crashing pod is ready");

    let pods = scenario.list(&kinds::pod(), "app=bad").await?;
    let pod = pods.first().context("no pod")?;
    ensure!(
        !ready(pod) && api::text(pod, "/status/phase") == "Running",
        "the pod that must not be ready: {:?}",
        pod.data
    );
    let name = pod.metadata.name.clone().context("a pod without a name")?;
    scenario.patch(&kinds::pod(), &name, json!({"metadata": {"labels": {"kulta.test/ready": null}}})).await?;
    scenario.until(&kinds::pod(), &name, "readiness when the label goes", ready).await?;
    scenario.patch(&kinds::pod(), &name, json!({"metadata": {"labels": {"kulta.test/ready": "never"}}})).await?;
    scenario.until(&kinds::pod(), &name, "no readiness when the label is back", |pod| !ready(pod)).await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn requests_are_split_by_the_weights_of_a_route() -> Result<()> {
    let scenario = Scenario::begin("weights").await?;
    let host = format!("split.{}.test", scenario.namespace);
    let backends = [("old".to_owned(), 90), ("new".to_owned(), 10)];
    scenario
        .apply_all([
            manifests::replica_set("old", 3, "v1"),
            manifests::replica_set("new", 1, "v2"),
            versioned_service("old", "v1"),
            versioned_service("new", "v2"),
            manifests::http_route("split", &host, &backends),
        ])
        .await?;
    ready_replicas(&scenario, "old", 3).await?;
    ready_replicas(&scenario, "new", 1).await?;
    scenario.until_weights("split", &[("old", 90), ("new", 10)]).await?;
    scenario.until_served(&host).await?;

    let load = load::Load::start(load::Plan::to(&host))?;
    let split = load.next(4000).await?;
    println!("90/10: {split}");
    ensure!((split.percent("v2") - 10.0).abs() <= 3.0, "not 90/10: {split}");
    ensure!(split.failed() == 0, "{split}");

    // The control: scaling a side down before its weight is gone loses requests, and the load detects it.
    let from = Instant::now();
    scenario.patch(&kinds::replica_set(), "new", json!({"spec": {"replicas": 0}})).await?;
    wait::poll("the end of the new side's pods", Duration::from_secs(20), || async {
        Ok(scenario.list(&kinds::pod(), "app=new").await?.is_empty().then_some(()))
    })
    .await?;
    load.next(1000).await?;
    let split = load.between(from, Instant::now());
    println!("scaled down under weight: {split}");
    ensure!(split.failed() > 0, "a side without pods lost no request: {split}");
    println!("whole load: {}", load::total(&load.stop().await));
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn pods_and_weights_that_change_in_order_lose_no_request() -> Result<()> {
    let scenario = Scenario::begin("order").await?;
    let host = format!("order.{}.test", scenario.namespace);
    let route =
        |old: i32, new: i32| manifests::http_route("order", &host, &[("old".to_owned(), old), ("new".to_owned(), new)]);
    scenario
        .apply_all([
            manifests::replica_set("old", 4, "v1"),
            manifests::replica_set("new", 2, "v2"),
            versioned_service("old", "v1"),
            versioned_service("new", "v2"),
            route(100, 0),
        ])
        .await?;
    ready_replicas(&scenario, "old", 4).await?;
    ready_replicas(&scenario, "new", 2).await?;
    scenario.until_weights("order", &[("old", 100), ("new", 0)]).await?;
    scenario.until_served(&host).await?;

    let load = load::Load::start(load::Plan { per_second: 500, ..load::Plan::to(&host) })?;
    load.next(200).await?;
    scenario.patch(&kinds::replica_set(), "old", json!({"spec": {"replicas": 1}})).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scenario.apply(route(0, 100)).await?;
    scenario.until_weights("order", &[("old", 0), ("new", 100)]).await?;
    let moved = Instant::now();
    scenario.patch(&kinds::replica_set(), "old", json!({"spec": {"replicas": 0}})).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = load.between(moved + Duration::from_millis(500), Instant::now());
    let all = load::total(&load.stop().await);

    println!("in order: {all}; after the move: {after}");
    ensure!(all.failed() == 0, "requests were lost: {all}");
    ensure!(after.percent("v2") > 99.9, "the weights did not move: {after}");
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_pod_answers_while_it_terminates_and_resets_after_its_deletion() -> Result<()> {
    let scenario = Scenario::begin("gone").await?;
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}});
    json_patch::merge(&mut pod, &manifests::pod_template(json!({"version": "v7"}), "v7"));
    scenario.apply(pod).await?;
    let object = scenario.until(&kinds::pod(), "one", "readiness", ready).await?;
    let address: IpAddr = api::text(&object, "/status/podIP").parse().context("read the pod's address")?;
    let target = SocketAddr::new(address, backend::PORT);
    let answer =
        wait::poll("the pod's answer", Duration::from_secs(5), || async { Ok(load::once(target, "any").await.ok()) })
            .await?;
    ensure!(&*answer == "v7", "the wrong version: {answer}");

    let plan = load::Plan { target, workers: 1, per_second: 100, ..load::Plan::to("any") };
    let keeps_alive = load::Load::start(plan)?;
    let from = Instant::now();
    scenario.delete(&kinds::pod(), "one").await?;
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let terminating = keeps_alive.between(from, Instant::now());
    wait::until_gone(&scenario.api(&kinds::pod()), "one", Duration::from_secs(10)).await?;
    let stayed = from.elapsed();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let gone = Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = keeps_alive.between(gone, Instant::now());

    println!("terminating for {stayed:.1?}: {terminating}; gone: {after}");
    ensure!(stayed >= Duration::from_millis(1900), "the pod stayed only {stayed:?}");
    ensure!(terminating.answered() > 50 && terminating.failed() == 0, "while terminating: {terminating}");
    ensure!(after.answered() == 0 && after.failed() > 20, "when gone: {after}");
    ensure!(after.failures.contains_key("ConnectionReset"), "not reset: {after}");
    ensure!(load::once("192.0.2.1:80".parse()?, "x").await.is_err(), "the namespace has a way out");
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_audit_log_counts_requests_of_a_service_account_and_denied_ones() -> Result<()> {
    let scenario = Scenario::begin("audit").await?;
    let namespace = &scenario.namespace;
    scenario
        .apply_all([
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}]}),
        ])
        .await?;
    let kubeconfig = scenario.kubeconfig_of(namespace, "reader").await?;
    let client = kulta_tests::kubeconfig::client(&kubeconfig).await?;
    let pods = kube::Api::<kube::api::DynamicObject>::namespaced_with(client.clone(), namespace, &kinds::pod());
    let services = kube::Api::<kube::api::DynamicObject>::namespaced_with(client, namespace, &kinds::service());
    // A new RoleBinding takes a moment to reach the authorizer.
    wait::poll("the role to count", Duration::from_secs(10), || async {
        Ok(pods.list(&Default::default()).await.ok())
    })
    .await?;

    let mark = scenario.audit()?;
    pods.list(&Default::default()).await?;
    let refused = services.list(&Default::default()).await;
    let tally = mark.of_user(&format!("system:serviceaccount:{namespace}:reader"))?.in_namespace(namespace);

    println!("{tally}");
    ensure!(refused.is_err(), "services could be listed");
    ensure!(tally.reads().len() == 2 && tally.writes().is_empty(), "{tally}");
    ensure!(
        tally.forbidden().by_kind().keys().eq([&("list".to_owned(), "services".to_owned())]),
        "{}",
        tally.forbidden()
    );
    let written =
        mark.requests()?.into_iter().filter(audit::Request::is_write).filter(|request| request.namespace == *namespace);
    ensure!(written.count() == 0, "there are no writes");
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn the_rollout_crds_and_the_canary_manifests_fit_the_api_server() -> Result<()> {
    let scenario = Scenario::begin("manifests").await?;
    for crd in [crds::rollout()?, crds::stock_rollout()?] {
        api::dry_run(&scenario.client, &scenario.namespace, crd).await?;
    }
    let canary = manifests::Canary::new("web").replicas(4).canary(json!({"maxSurge": 1}));
    for object in canary.services().into_iter().chain([canary.route(&scenario.namespace)]) {
        scenario.apply(object).await?;
    }
    scenario.until_weights("web", &[("web-stable", 100), ("web-canary", 0)]).await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_controller_process_is_started_inspected_and_stopped() -> Result<()> {
    let scenario = Scenario::begin("process").await?;
    let script = scenario.environment.run.join(format!("{}.sh", scenario.namespace));
    std::fs::write(
        &script,
        "#!/bin/sh\necho \"$1 $2 $KUBECONFIG $EXTRA\"\ntrap 'exit 3' TERM\nwhile :; do sleep 0.1; done\n",
    )?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut start = Start::new("fake", &scenario.environment.kubeconfig).argument("--flag").variable("EXTRA", "more");
    start.program = Some(script);

    let mut controller = Controller::start(&start, &scenario.environment.run)?;
    let log = wait::poll("its first line", Duration::from_secs(5), || async {
        let log = controller.log();
        Ok(log.contains('\n').then_some(log))
    })
    .await?;
    ensure!(log == format!("controller --flag {} more\n", scenario.environment.kubeconfig.display()), "{log}");
    controller.check()?;
    ensure!(controller.resident()? > 100_000, "resident memory {}", controller.resident()?);
    ensure!(controller.stop().await?.code() == Some(3), "SIGTERM did not reach it");

    let second = Controller::start(&start, &scenario.environment.run)?;
    second.kill().await?;
    scenario.end().await
}
