//! Stories of the process itself: who leads, what happens when the event sink is away, what is asked of the API server at rest.

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
    sink::{Mode, Sink},
    story::Story,
    wait,
};
use serde_json::json;

/// Argo Rollouts' own, so that a forgotten Argo and KULTA exclude each other.
const LEASE: &str = "argo-rollouts-controller-lock";
const LEASE_NAMESPACE: &str = "kulta-system";
/// A lease that nobody renews is free after 15 s; a candidate looks every 2 s.
const TAKEN_OVER: Duration = Duration::from_secs(25);

/// A controller that takes part in the election; not ready before it leads.
async fn candidate(story: &Story) -> Result<(Controller, SocketAddr)> {
    candidate_in(story, None).await
}

/// As [`candidate`], in the pod with this UID.
async fn candidate_in(story: &Story, pod_uid: Option<&str>) -> Result<(Controller, SocketAddr)> {
    let kubeconfig = kulta::rights(story).await?;
    let address = free_address()?;
    let mut settings = Start::new(&story.namespace, &kubeconfig)
        .variable("KULTA_NAMESPACES", &story.namespace)
        .variable("KULTA_LISTEN", address.to_string())
        .variable("KULTA_LEADER_ELECT", "true")
        .variable("KULTA_LEASE_NAMESPACE", LEASE_NAMESPACE);
    if let Some(uid) = pod_uid {
        settings = settings.variable("KULTA_POD_NAME", "kulta-0").variable("KULTA_POD_UID", uid);
    }
    let mut controller = Controller::start(&settings, &story.environment.run)?;
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
async fn one_controller_leads_and_the_next_takes_over_when_it_goes() -> Result<()> {
    let story = Story::begin("lease").await?;
    // The first one ever finds no lease.
    let (earliest, earliest_address) = candidate(&story).await?;
    until_ready(earliest_address, TAKEN_OVER).await?;
    earliest.stop().await?;
    // A forgotten Argo Rollouts holds the lease, and renews it for a while.
    api::apply(&story.client, LEASE_NAMESPACE, lease("argo-rollouts-7d9f")).await?;
    let (first, first_address) = candidate(&story).await?;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        api::apply(&story.client, LEASE_NAMESPACE, lease("argo-rollouts-7d9f")).await?;
        ensure!(!is_ready(first_address).await, "two controllers work at a time");
    }
    let after_argo = until_ready(first_address, TAKEN_OVER).await?;
    let (second, second_address) = candidate(&story).await?;
    story.apply_canary(&Canary::new("web").without_routing().steps(json!([{"pause": {}}]))).await?;
    story.until_phase("web", "Healthy").await?;
    ensure!(!is_ready(second_address).await, "two controllers work at a time");

    // Asked to stop, it gives the lease up; killed, it cannot.
    first.stop().await?;
    let after_stop = until_ready(second_address, TAKEN_OVER).await?;
    let (third, third_address) = candidate(&story).await?;
    second.kill().await?;
    let after_kill = until_ready(third_address, TAKEN_OVER).await?;
    kulta::updated(&story, &Canary::new("web").without_routing().steps(json!([{"pause": {}}]))).await?;
    story.until_phase("web", "Paused").await?;

    third.stop().await?;

    // The namespace's name stands for a UID: no other pod has it.
    let (container, container_address) = candidate_in(&story, Some(&story.namespace)).await?;
    until_ready(container_address, TAKEN_OVER).await?;
    container.kill().await?;
    let (restarted, restarted_address) = candidate_in(&story, Some(&story.namespace)).await?;
    let after_restart = until_ready(restarted_address, TAKEN_OVER).await?;

    println!(
        "the lease was taken over {after_argo:.1?} after Argo's last renewal, {after_stop:.1?} after SIGTERM, {after_kill:.1?} after SIGKILL, \
         {after_restart:.1?} after SIGKILL in the same pod"
    );
    ensure!(after_stop < Duration::from_secs(8), "a lease that was given up was waited for: {after_stop:?}");
    ensure!(after_restart < Duration::from_secs(2), "a container waited for its own lease: {after_restart:?}");
    restarted.stop().await?;
    let lease =
        kube::Api::<kube::api::DynamicObject>::namespaced_with(story.client.clone(), LEASE_NAMESPACE, &kinds::lease())
            .get(LEASE)
            .await
            .context("read the lease")?;
    ensure!(api::text(&lease, "/spec/holderIdentity").is_empty(), "the last one did not give the lease up");
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_sink_that_is_down_for_a_whole_rollout_gets_every_event_afterwards_in_order() -> Result<()> {
    let story = Story::begin("sinkdown").await?;
    let sink = Sink::start().await?;
    sink.set(Mode::Down);
    let controller = kulta::start(&story, Some(&sink)).await?;
    let canary = Canary::new("web").without_routing().steps(json!([
        {"setWeight": 50}, {"pause": {"duration": "1s"}}
    ]));
    kulta::deployed(&story, &canary).await?;
    kulta::updated(&story, &canary).await?;
    story
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
    story.until_events("Rollout", "web", |events| events.iter().any(is_wanted)).await?;

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
    story
        .until(&kinds::rollout(), "web", "an empty outbox", |rollout| {
            rollout.data.pointer("/status/kulta/outbox").is_none()
        })
        .await?;

    story.delete(&kinds::rollout(), "web").await?;
    sink.wait_for(&format!("{}/web", story.namespace), "service.removed", Duration::from_secs(10)).await?;
    controller.stop().await?;
    story.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_controller_is_ready_within_a_second_and_asks_nothing_at_rest() -> Result<()> {
    let story = Story::begin("rest").await?;
    let controller = kulta::start(&story, None).await?;
    let canaries =
        ["one", "two", "three"].map(|name| Canary::new(name).steps(json!([{"setWeight": 50}, {"pause": {}}])));
    for canary in &canaries {
        kulta::deployed(&story, canary).await?;
    }
    kulta::updated(&story, &canaries[1]).await?;
    story.until_phase("two", "Paused").await?;
    // Counts are gathered for a second.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let audit = story.audit()?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = audit.of_agent("kulta")?.in_namespace(&story.namespace).beside_watches_and_leases();
    controller.stop().await?;

    ensure!(asked.is_empty(), "at rest, a paused rollout among others: {asked}");
    let began = Instant::now();
    let again = kulta::start(&story, None).await?;
    println!("ready {:.0?} after its start, with 3 rollouts", began.elapsed());
    again.stop().await?;
    story.end().await
}
