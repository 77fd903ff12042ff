//! The process itself: leader election, an unavailable event sink, requests of an idle controller.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api, cdevents,
    controller::{Controller, Start, free_address, get},
    kinds, kulta,
    manifests::Canary,
    scenario::Scenario,
    sink::{Mode, Sink},
    wait,
};
use serde_json::json;

/// Argo Rollouts' own Lease, so that a forgotten Argo and KULTA exclude each other.
const LEASE: &str = "argo-rollouts-controller-lock";
const LEASE_NAMESPACE: &str = "kulta-system";
/// A lease that is not renewed is free after 15 s; a candidate checks every 2 s.
const TAKEN_OVER: Duration = Duration::from_secs(25);

/// A controller with leader election; not ready before it leads.
async fn candidate(scenario: &Scenario) -> Result<(Controller, SocketAddr)> {
    candidate_in(scenario, None).await
}

/// As [`candidate`], in the pod with this UID.
async fn candidate_in(scenario: &Scenario, pod_uid: Option<&str>) -> Result<(Controller, SocketAddr)> {
    let kubeconfig = kulta::rights(scenario).await?;
    let address = free_address()?;
    let mut settings = Start::new(&scenario.namespace, &kubeconfig)
        .variable("KULTA_NAMESPACES", &scenario.namespace)
        .variable("KULTA_LISTEN", address.to_string())
        .variable("KULTA_LEADER_ELECT", "true")
        .variable("KULTA_LEASE_NAMESPACE", LEASE_NAMESPACE);
    if let Some(uid) = pod_uid {
        settings = settings.variable("KULTA_POD_NAME", "kulta-0").variable("KULTA_POD_UID", uid);
    }
    let mut controller = Controller::start(&settings, &scenario.environment.run)?;
    controller.wait_http(address, "/healthz", Duration::from_secs(30)).await?;
    Ok((controller, address))
}

async fn is_ready(address: SocketAddr) -> bool {
    get(address, "/readyz").await.is_ok_and(|answer| answer.status() == 200)
}

async fn until_ready(address: SocketAddr, limit: Duration) -> Result<Duration> {
    let began = Instant::now();
    wait::poll("a leader that is ready", limit, || async { Ok(is_ready(address).await.then_some(())) }).await?;
    Ok(began.elapsed())
}

fn lease(holder: &str) -> serde_json::Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE, "namespace": LEASE_NAMESPACE},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15,
            "renewTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()}})
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn one_controller_leads_and_the_next_takes_over_when_it_stops() -> Result<()> {
    let scenario = Scenario::begin("lease").await?;
    // The first controller finds no lease.
    let (earliest, earliest_address) = candidate(&scenario).await?;
    until_ready(earliest_address, TAKEN_OVER).await?;
    earliest.stop().await?;
    // A forgotten Argo Rollouts holds the lease, and renews it for a while.
    api::apply(&scenario.client, LEASE_NAMESPACE, lease("argo-rollouts-7d9f")).await?;
    let (first, first_address) = candidate(&scenario).await?;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        api::apply(&scenario.client, LEASE_NAMESPACE, lease("argo-rollouts-7d9f")).await?;
        ensure!(!is_ready(first_address).await, "two controllers work at a time");
    }
    let after_argo = until_ready(first_address, TAKEN_OVER).await?;
    let (second, second_address) = candidate(&scenario).await?;
    scenario.apply_canary(&Canary::new("web").without_routing().steps(json!([{"pause": {}}]))).await?;
    scenario.until_phase("web", "Healthy").await?;
    ensure!(!is_ready(second_address).await, "two controllers work at a time");

    // On a regular stop it releases the lease; when killed, it cannot.
    first.stop().await?;
    let after_stop = until_ready(second_address, TAKEN_OVER).await?;
    let (third, third_address) = candidate(&scenario).await?;
    second.kill().await?;
    let after_kill = until_ready(third_address, TAKEN_OVER).await?;
    kulta::updated(&scenario, &Canary::new("web").without_routing().steps(json!([{"pause": {}}]))).await?;
    scenario.until_phase("web", "Paused").await?;

    third.stop().await?;

    // The namespace's name is used as a UID: no other pod has it.
    let (container, container_address) = candidate_in(&scenario, Some(&scenario.namespace)).await?;
    until_ready(container_address, TAKEN_OVER).await?;
    container.kill().await?;
    let (restarted, restarted_address) = candidate_in(&scenario, Some(&scenario.namespace)).await?;
    let after_restart = until_ready(restarted_address, TAKEN_OVER).await?;

    println!(
        "the lease was taken over {after_argo:.1?} after Argo's last renewal, {after_stop:.1?} after SIGTERM, {after_kill:.1?} after SIGKILL, \
         {after_restart:.1?} after SIGKILL in the same pod"
    );
    ensure!(after_stop < Duration::from_secs(8), "a lease that was given up was waited for: {after_stop:?}");
    ensure!(after_restart < Duration::from_secs(2), "a container waited for its own lease: {after_restart:?}");
    restarted.stop().await?;
    let lease = kube::Api::<kube::api::DynamicObject>::namespaced_with(
        scenario.client.clone(),
        LEASE_NAMESPACE,
        &kinds::lease(),
    )
    .get(LEASE)
    .await
    .context("read the lease")?;
    ensure!(api::text(&lease, "/spec/holderIdentity").is_empty(), "the last one did not give the lease up");
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_sink_that_is_down_during_a_rollout_gets_every_event_afterwards_in_order() -> Result<()> {
    let scenario = Scenario::begin("sinkdown").await?;
    let sink = Sink::start().await?;
    sink.set(Mode::Down);
    let controller = kulta::start(&scenario, Some(&sink)).await?;
    let canary = Canary::new("web").without_routing().steps(json!([
        {"setWeight": 50}, {"pause": {"duration": "1s"}}
    ]));
    kulta::deployed(&scenario, &canary).await?;
    kulta::updated(&scenario, &canary).await?;
    scenario
        .until(&kinds::rollout(), "web", "revision 2 is stable", |rollout| {
            api::text(rollout, "/status/phase") == "Healthy"
                && api::number(rollout, "/status/currentStepIndex") == 2
                && api::text(rollout, "/status/observedGeneration")
                    == rollout.metadata.generation.unwrap_or_default().to_string()
        })
        .await?;
    ensure!(sink.received().iter().all(|event| !event.accepted), "the sink was not down");
    let is_wanted =
        |(reason, message): &(String, String)| reason == "EventSinkUnavailable" && message.contains("--cdevents-sink");
    scenario.until_events("Rollout", "web", |events| events.iter().any(is_wanted)).await?;

    sink.set(Mode::Accept);
    // Retries come at growing intervals, up to a minute.
    let events = wait::poll("the events of both revisions", Duration::from_secs(90), || async {
        let events: Vec<_> = sink.received().into_iter().filter(|event| event.accepted).collect();
        let finished = events.iter().filter(|event| event.kind() == "kulta-rollout.finished").count();
        Ok((finished == 2).then_some(events))
    })
    .await?;

    let kinds: Vec<&str> = events.iter().map(|event| event.kind()).collect();
    println!("{kinds:?}");
    let expected = [
        "kulta-rollout.started",
        "service.deployed",
        "kulta-rollout.finished",
        "kulta-rollout.started",
        "kulta-rollout.progressed",
        "kulta-rollout.paused",
        "kulta-rollout.resumed",
        "kulta-rollout.progressed",
        "kulta-rollout.promoted",
        "service.upgraded",
        "kulta-rollout.finished",
    ];
    ensure!(kinds == expected, "{kinds:?}");
    let ids: BTreeSet<&str> = events.iter().map(|event| event.id()).collect();
    ensure!(ids.len() == events.len(), "an id twice");
    let schemas = cdevents::Schemas::load()?;
    for event in &events {
        schemas.check(&event.body).with_context(|| event.kind().to_owned())?;
    }
    scenario
        .until(&kinds::rollout(), "web", "an empty outbox", |rollout| {
            rollout.data.pointer("/status/kulta/outbox").is_none()
        })
        .await?;

    scenario.delete(&kinds::rollout(), "web").await?;
    sink.wait_for(&format!("{}/web", scenario.namespace), "service.removed", Duration::from_secs(10)).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_controller_is_ready_within_a_second_and_sends_no_requests_when_idle() -> Result<()> {
    let scenario = Scenario::begin("rest").await?;
    let controller = kulta::start(&scenario, None).await?;
    let canaries =
        ["one", "two", "three"].map(|name| Canary::new(name).steps(json!([{"setWeight": 50}, {"pause": {}}])));
    for canary in &canaries {
        kulta::deployed(&scenario, canary).await?;
    }
    kulta::updated(&scenario, &canaries[1]).await?;
    scenario.until_phase("two", "Paused").await?;
    // Counts are collected for a second.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let audit = scenario.audit()?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = audit.of_agent("kulta")?.in_namespace(&scenario.namespace).beside_watches_and_leases();
    controller.stop().await?;

    ensure!(asked.is_empty(), "idle, with a paused rollout among others: {asked}");
    let began = Instant::now();
    let again = kulta::start(&scenario, None).await?;
    println!("ready {:.0?} after its start, with 3 rollouts", began.elapsed());
    again.stop().await?;
    scenario.end().await
}
