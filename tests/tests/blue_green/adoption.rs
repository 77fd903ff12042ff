//! A blue-green rollout that another controller has served so far continues where it was.

use anyhow::Result;
use kube::api::PatchParams;
use kulta_tests::{api, kinds, kulta::start, manifests::Canary, scenario::Scenario};
use serde_json::{Value, json};

use crate::{WEB, by_user, deployed, until_healthy, until_paused, until_pods, until_selected, updated};

/// Takes everything out of the status that Argo Rollouts does not store for blue-green.
async fn leave_argos_status(scenario: &Scenario) -> Result<()> {
    let patch = json!({"status": {"kulta": null, "currentStepIndex": null}});
    let api = scenario.api(&kinds::rollout());
    api.patch_status(WEB, &PatchParams::default(), &kube::api::Patch::Merge(patch)).await?;
    Ok(())
}

fn pause_start(rollout: &kube::api::DynamicObject) -> Value {
    rollout.data.pointer("/status/pauseConditions/0/startTime").cloned().unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_paused_update_stays_paused_and_is_promoted_by_the_user() -> Result<()> {
    let scenario = Scenario::begin("adopted-pause").await?;
    let controller = start(&scenario, None).await?;
    let web = Canary::new(WEB);
    deployed(&scenario, &web, &by_user()).await?;
    updated(&scenario, &web, &by_user(), "v2").await?;
    let before = until_paused(&scenario).await?;
    controller.stop().await?;
    leave_argos_status(&scenario).await?;

    let controller = start(&scenario, None).await?;
    let after = scenario
        .until(&kinds::rollout(), WEB, "KULTA's record", |rollout| {
            rollout.data.pointer("/status/kulta").is_some() && api::text(rollout, "/status/phase") == "Paused"
        })
        .await?;
    anyhow::ensure!(pause_start(&before) == pause_start(&after), "{:?}", after.data);
    until_selected(&scenario, &web.stable_service(), 1).await?;

    scenario.verbs(WEB).promote().await?;
    until_healthy(&scenario).await?;
    until_selected(&scenario, &web.stable_service(), 2).await?;
    until_pods(&scenario, &[0, 2]).await?;
    controller.stop().await?;
    scenario.end().await
}
