//! Fields about pods: readiness, minimum numbers, metadata.

use anyhow::{Result, ensure};
use kube::api::DynamicObject;
use kulta_tests::{
    api, kinds,
    kulta::{deployed, start, updated, updated_to},
    manifests::Canary,
    scenario::{SOON, Scenario, revision},
    wait,
};
use serde_json::json;

use crate::{
    WEB, let_be_ready, living, living_uids, name, replica_set, said, says, text, uid, until_paused_at, until_pods,
};

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_pod_counts_only_when_it_has_been_ready_for_min_ready_seconds() -> Result<()> {
    let scenario = Scenario::begin("min-ready").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().steps(json!([])).spec(json!({"minReadySeconds": 4}));

    scenario.apply_canary(&canary).await?;

    scenario
        .until(&kinds::rollout(), WEB, "ready pods that are not available yet", |rollout| {
            api::number(rollout, "/status/readyReplicas") == 2
                && api::number(rollout, "/status/availableReplicas") == 0
                && text(rollout, "/status/message").starts_with("updated replicas are still becoming available: ")
        })
        .await?;
    scenario.until_phase(WEB, "Healthy").await?;
    scenario.verbs(WEB).patch_spec(json!({"spec": {"minReadySeconds": 1}})).await?;
    let set = name(&replica_set(&scenario, WEB, 1).await?);
    scenario
        .until(&kinds::replica_set(), &set, "the new minReadySeconds", |set| {
            api::number(set, "/spec/minReadySeconds") == 1
        })
        .await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn old_replica_sets_beyond_the_history_limit_are_deleted() -> Result<()> {
    let scenario = Scenario::begin("history").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(1).without_routing().steps(json!([]));
    let canary = canary.spec(json!({"revisionHistoryLimit": 1}));
    deployed(&scenario, &canary).await?;

    for version in ["v2", "v3", "v4"] {
        updated_to(&scenario, &canary, version).await?;
        scenario.until_phase(WEB, "Healthy").await?;
    }

    wait::poll("revisions 3 and 4 alone", SOON, || async {
        let kept: Vec<_> = scenario.replica_sets(WEB).await?.iter().map(revision).collect();
        Ok((kept == [3, 4]).then_some(()))
    })
    .await?;
    controller.stop().await?;
    scenario.end().await
}

/// A deadline's message about one new pod, with which an update without routing begins.
fn timed_out(rollout: &DynamicObject) -> String {
    let name = format!("ReplicaSet \"web-{}\"", text(rollout, "/status/currentPodHash"));
    format!("{name} has timed out progressing: {name} has 0 of 1 pods available")
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_stalled_update_is_degraded_and_continues_when_its_pods_become_ready() -> Result<()> {
    let scenario = Scenario::begin("deadline").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).without_routing().spec(json!({"progressDeadlineSeconds": 3}));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary.clone().pod_label("kulta.test/ready", "never")).await?;

    let seen = scenario.until_phase(WEB, "Degraded").await?;
    let message = timed_out(&seen);
    ensure!(says(&seen, "Progressing") == said("False", "ProgressDeadlineExceeded", &message), "{:?}", seen.data);
    ensure!(text(&seen, "/status/message") == format!("ProgressDeadlineExceeded: {message}"), "{:?}", seen.data);
    ensure!(living(&scenario, WEB, "v1").await?.len() == 2, "stable is whole");
    let_be_ready(&scenario, WEB, usize::MAX).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_stalled_update_is_aborted_if_the_spec_says_so() -> Result<()> {
    let scenario = Scenario::begin("deadline-abort").await?;
    let controller = start(&scenario, None).await?;
    let deadline = json!({"progressDeadlineSeconds": 3, "progressDeadlineAbort": true});
    let canary = Canary::new(WEB).without_routing().spec(deadline);
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary.clone().pod_label("kulta.test/ready", "never")).await?;

    let seen = scenario
        .until(&kinds::rollout(), WEB, "the abort", |rollout| {
            rollout.data.pointer("/status/abortedAt").is_some() && text(rollout, "/status/phase") == "Degraded"
        })
        .await?;
    let why = timed_out(&seen);
    let message = format!("Rollout aborted update to revision 2: {why}");
    ensure!(says(&seen, "Progressing") == said("False", "RolloutAborted", &message), "{:?}", seen.data);
    until_pods(&scenario, WEB, &[2, 0]).await?;
    // On a busy machine pods can exceed the deadline without a fault.
    scenario.verbs(WEB).patch_spec(json!({"spec": {"progressDeadlineSeconds": 600}})).await?;
    scenario.verbs(WEB).retry().await?;
    until_pods(&scenario, WEB, &[2, 1]).await?;
    // The pod of the aborted update may still exist: the expected one is created after it.
    wait::poll("the pause", SOON, || async {
        let_be_ready(&scenario, WEB, usize::MAX).await?;
        let seen = scenario.get(&kinds::rollout(), WEB).await?;
        Ok((text(&seen, "/status/phase") == "Paused").then_some(()))
    })
    .await?;
    until_paused_at(&scenario, WEB, 1).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_first_deploy_that_never_becomes_ready_is_repaired_by_the_next_template() -> Result<()> {
    let scenario = Scenario::begin("bad-first").await?;
    let controller = start(&scenario, None).await?;
    for canary in [Canary::new("basic").without_routing(), Canary::new("routed")] {
        let canary = canary.spec(json!({"progressDeadlineSeconds": 3}));
        let bad = canary.clone().pod_label("kulta.test/ready", "never");
        scenario.apply_canary(&bad).await?;
        scenario.until_phase(&canary.name, "Degraded").await?;

        updated(&scenario, &canary).await?;

        scenario.until_phase(&canary.name, "Healthy").await?;
        until_pods(&scenario, &canary.name, &[0, 2]).await?;
    }
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_routed_canary_has_at_least_the_minimum_of_pods() -> Result<()> {
    let scenario = Scenario::begin("min-pods").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4).steps(json!([{"setWeight": 5}, {"pause": {}}]));
    let canary = canary.canary(json!({"minPodsPerReplicaSet": 2}));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary).await?;

    until_paused_at(&scenario, WEB, 1).await?;
    until_pods(&scenario, WEB, &[4, 2]).await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_step_continues_with_as_many_available_pods_as_the_threshold() -> Result<()> {
    let scenario = Scenario::begin("threshold").await?;
    let controller = start(&scenario, None).await?;
    let canary = Canary::new(WEB).replicas(4);
    let canary = canary.canary(json!({"replicaProgressThreshold": {"type": "Percent", "value": 50}}));
    deployed(&scenario, &canary).await?;

    updated(&scenario, &canary.clone().pod_label("kulta.test/ready", "never")).await?;
    wait::poll("both pods of the canary", SOON, || async {
        Ok((living(&scenario, WEB, "v2").await?.len() == 2).then_some(()))
    })
    .await?;
    let_be_ready(&scenario, WEB, 1).await?;

    let seen = until_paused_at(&scenario, WEB, 1).await?;
    ensure!(api::number(&seen, "/status/canary/weights/canary/weight") == 50, "{:?}", seen.data);
    let set = replica_set(&scenario, WEB, 2).await?;
    ensure!(api::number(&set, "/status/availableReplicas") == 1, "one of two is available: {:?}", set.data);
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn pods_have_the_metadata_of_their_role_and_swap_it_on_promotion() -> Result<()> {
    let scenario = Scenario::begin("metadata").await?;
    let controller = start(&scenario, None).await?;
    let roles = json!({
        "canaryMetadata": {"labels": {"role": "canary"}, "annotations": {"note": "new"}},
        "stableMetadata": {"labels": {"role": "stable"}},
    });
    let canary = Canary::new(WEB).without_routing().canary(roles);
    deployed(&scenario, &canary).await?;
    until_role(&scenario, "v1", 2, "stable", "").await?;

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    until_role(&scenario, "v1", 1, "stable", "").await?;
    until_role(&scenario, "v2", 1, "canary", "new").await?;
    let first = living_uids(&scenario, WEB, "v2").await?;
    scenario.verbs(WEB).promote_full().await?;
    scenario.until_phase(WEB, "Healthy").await?;

    until_role(&scenario, "v2", 2, "stable", "").await?;
    ensure!(living_uids(&scenario, WEB, "v2").await?.is_superset(&first), "the canary's pod was not created again");
    let set = replica_set(&scenario, WEB, 2).await?;
    ensure!(text(&set, "/spec/template/metadata/labels/role") == "stable", "{:?}", set.data);
    ensure!(set.data.pointer("/spec/template/metadata/annotations/note").is_none(), "{:?}", set.data);
    controller.stop().await?;
    scenario.end().await
}

/// Waits until a version has this number of living pods and all of them have the role and the note.
async fn until_role(scenario: &Scenario, version: &str, count: usize, role: &str, note: &str) -> Result<()> {
    wait::poll(&format!("{count} pods of {version} with the role {role}"), SOON, || async {
        let pods = living(scenario, WEB, version).await?;
        let right = pods.iter().all(|pod| {
            let label = pod.metadata.labels.as_ref().and_then(|all| all.get("role")).map_or("", String::as_str);
            label == role && crate::annotation(pod, "note").unwrap_or_default() == note
        });
        Ok((pods.len() == count && right).then_some(()))
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn anti_affinity_keeps_the_canary_away_from_stable_until_it_is_stable() -> Result<()> {
    let scenario = Scenario::begin("affinity").await?;
    let controller = start(&scenario, None).await?;
    let preferred = json!({"antiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 7}}});
    let canary = Canary::new(WEB).without_routing().canary(preferred);
    deployed(&scenario, &canary).await?;
    let stable = text(&scenario.get(&kinds::rollout(), WEB).await?, "/status/stableRS");

    updated(&scenario, &canary).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    let set = replica_set(&scenario, WEB, 2).await?;
    let rules = "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";
    let rule = set.data.pointer(&format!("{rules}/0"));
    let wanted = json!({"weight": 7, "podAffinityTerm": {
        "labelSelector": {"matchExpressions": [
            {"key": "rollouts-pod-template-hash", "operator": "In", "values": [stable]}]},
        "topologyKey": "kubernetes.io/hostname",
    }});
    ensure!(rule == Some(&wanted), "{rule:?}");
    scenario.verbs(WEB).promote().await?;
    scenario.until_phase(WEB, "Healthy").await?;

    scenario
        .until(&kinds::replica_set(), &name(&set), "no rule in the stable template", |set| {
            set.data.pointer("/spec/template/spec/affinity").is_none()
        })
        .await?;
    ensure!(uid(&replica_set(&scenario, WEB, 2).await?) == uid(&set), "the ReplicaSet stays the same");
    controller.stop().await?;
    scenario.end().await
}
