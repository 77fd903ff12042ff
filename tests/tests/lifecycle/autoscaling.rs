//! A HorizontalPodAutoscaler of the controller-manager on a Rollout, with an external metric that has a value per pod. The autoscaler
//! divides the metric by `status.HPAReplicas`; where the quotient is within a tenth of the target, it wants as many pods as that field says.

use std::time::Duration;

use anyhow::{Result, ensure};
use kulta_tests::{
    api, kinds,
    kulta::{deployed, pods, start},
    manifests::Canary,
    metrics_api::MetricsApi,
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{WEB, until_paused_at, until_pods};

/// A second Rollout with Argo's count: its `status.HPAReplicas` counts the pods of all revisions.
const ARGO: &str = "argo";
/// Pods at first, and what the metric says of each: one more pod is then within the autoscaler's tolerance.
const PODS: i32 = 10;
/// The autoscaler decides every second here.
const SEVERAL_DECISIONS: Duration = Duration::from_secs(8);

fn canary(name: &str) -> Canary {
    Canary::new(name).replicas(PODS).steps(json!([{"setWeight": 10}, {"pause": {}}]))
}

/// Wants one pod for each one of the metric that is named as the Rollout.
fn autoscaler(rollout: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": rollout},
        "spec": {
            "scaleTargetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": rollout},
            "minReplicas": 1, "maxReplicas": 30,
            "metrics": [{"type": "External", "external": {
                "metric": {"name": rollout}, "target": {"type": "AverageValue", "averageValue": "1"},
            }}],
        },
    })
}

/// Waits until the autoscaler has read its metric and wants so many pods.
async fn until_wanted(scenario: &Scenario, rollout: &str, replicas: i64) -> Result<()> {
    let kind = kinds::horizontal_pod_autoscaler();
    scenario
        .until(&kind, rollout, &format!("the autoscaler to want {replicas} pods"), |autoscaler| {
            api::number(autoscaler, "/status/desiredReplicas") == replicas
                && api::condition(autoscaler, "ScalingActive").is_some_and(|(status, _)| status == "True")
        })
        .await
        .map(drop)
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn an_autoscaler_scales_the_stable_side_during_a_canary_and_is_not_misled_by_the_canarys_pods() -> Result<()> {
    let scenario = Scenario::begin("hpa").await?;
    let metrics = MetricsApi::start(&scenario.client).await?;
    let controller = start(&scenario, None).await?;
    let as_argo = json!({"annotations": {"kulta.io/hpa-counts-all-pods": "true"}});
    let (web, argo) = (canary(WEB), canary(ARGO).metadata(as_argo));
    for canary in [&web, &argo] {
        metrics.set(&canary.name, PODS.into());
        deployed(&scenario, canary).await?;
        scenario.apply(autoscaler(&canary.name)).await?;
        until_wanted(&scenario, &canary.name, PODS.into()).await?;
    }

    for canary in [&web, &argo] {
        // From here on only the autoscaler writes spec.replicas.
        let template = canary.clone().version("v2").rollout().pointer("/spec/template").cloned().unwrap_or_default();
        scenario.verbs(&canary.name).patch_spec(json!({"spec": {"template": template}})).await?;
    }

    // 10 for each of the 11 pods in `status.HPAReplicas` is within the tolerance, so the autoscaler wants 11.
    until_wanted(&scenario, ARGO, 11).await?;
    until_pods(&scenario, ARGO, &[11, 2]).await?;
    until_paused_at(&scenario, WEB, 1).await?;
    until_pods(&scenario, WEB, &[10, 1]).await?;
    tokio::time::sleep(SEVERAL_DECISIONS).await;
    ensure!(pods(&scenario, WEB).await? == [10, 1], "scaled by the canary's pod: {:?}", pods(&scenario, WEB).await?);

    metrics.set(WEB, 14);
    until_wanted(&scenario, WEB, 14).await?;
    until_pods(&scenario, WEB, &[14, 2]).await?;
    tokio::time::sleep(SEVERAL_DECISIONS).await;
    ensure!(pods(&scenario, WEB).await? == [14, 2], "scaled by the canary's pods: {:?}", pods(&scenario, WEB).await?);

    scenario.verbs(WEB).promote().await?;
    let seen = scenario.until_phase(WEB, "Healthy").await?;
    ensure!(api::number(&seen, "/spec/replicas") == 14, "scaled by the promotion: {:?}", seen.data.get("spec"));
    controller.stop().await?;
    metrics.stop().await?;
    scenario.end().await
}
