//! `spec.restartAt`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated},
    manifests::Canary,
    scenario::{SOON, Scenario},
    wait,
};
use serde_json::json;

use crate::{WEB, living, living_uids, name, text, until_a_new_second, until_paused_at};

/// Pods are evicted one after the other, which takes time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the restart is done: `restartedAt` equals `restartAt`.
async fn until_restarted(scenario: &Scenario) -> Result<()> {
    wait::until(&scenario.api(&kinds::rollout()), WEB, "the end of the restart", PATIENCE, |rollout| {
        let wanted = text(rollout, "/spec/restartAt");
        !wanted.is_empty() && text(rollout, "/status/restartedAt") == wanted
    })
    .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_restart_replaces_every_pod_and_a_disruption_budget_delays_it() -> Result<()> {
    let scenario = Scenario::begin("restart").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(2).without_routing().canary(json!({"maxUnavailable": "100%"}));
    deployed(&scenario, &canary).await?;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": WEB},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": WEB}}},
    });
    scenario.apply(budget).await?;
    let before = living_uids(&scenario, WEB, "v1").await?;
    until_a_new_second(living(&scenario, WEB, "v1").await?.last().context("no pod")?).await?;
    let audit = scenario.audit()?;

    scenario.verbs(WEB).restart().await?;

    wait::poll("an eviction that the budget refuses", SOON, || async {
        let evictions = audit.requests()?.into_iter().filter(|request| {
            request.namespace == scenario.namespace && request.subresource == "eviction" && request.code == 429
        });
        Ok((evictions.count() > 0).then_some(()))
    })
    .await?;
    let seen = scenario.until_phase(WEB, "Progressing").await?;
    ensure!(text(&seen, "/status/message") == "rollout is restarting", "{:?}", seen.data);
    ensure!(living_uids(&scenario, WEB, "v1").await? == before, "no pod goes against the budget");
    let budgets = kube::core::ApiResource::from_gvk_with_plural(
        &kube::core::GroupVersionKind::gvk("policy", "v1", "PodDisruptionBudget"),
        "poddisruptionbudgets",
    );
    scenario.delete(&budgets, WEB).await?;
    until_restarted(&scenario).await?;
    scenario.until_phase(WEB, "Healthy").await?;
    ensure!(living_uids(&scenario, WEB, "v1").await?.is_disjoint(&before), "every pod is a new one");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_restart_during_an_update_begins_with_the_stable_pods() -> Result<()> {
    let scenario = Scenario::begin("restart-order").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4).without_routing().canary(json!({"maxUnavailable": 1}));
    deployed(&scenario, &canary).await?;
    updated(&scenario, &canary).await?;
    let seen = until_paused_at(&scenario, WEB, 1).await?;
    let old = [living(&scenario, WEB, "v1").await?, living(&scenario, WEB, "v2").await?].concat();
    until_a_new_second(old.iter().max_by_key(|pod| pod.metadata.creation_timestamp.clone()).context("no pod")?).await?;
    let audit = scenario.audit()?;

    scenario.verbs(WEB).restart().await?;
    until_restarted(&scenario).await?;

    let stable = format!("{WEB}-{}-", text(&seen, "/status/stableRS"));
    let evicted: Vec<_> = audit
        .requests()?
        .into_iter()
        .filter(|request| {
            request.namespace == scenario.namespace && request.subresource == "eviction" && request.code < 300
        })
        .map(|request| request.name)
        .collect();
    let sides: Vec<_> = evicted.iter().map(|pod| pod.starts_with(&stable)).collect();
    ensure!(sides == [true, true, false, false], "evicted in this order: {evicted:?}");
    let gone: Vec<_> = old.iter().map(name).collect();
    ensure!(gone.iter().all(|pod| evicted.contains(pod)), "{gone:?} and {evicted:?}");
    let after = until_paused_at(&scenario, WEB, 1).await?;
    ensure!(api::number(&after, "/status/updatedReplicas") == 2, "{:?}", after.data);
    controller.stop().await?;
    scenario.end().await
}
