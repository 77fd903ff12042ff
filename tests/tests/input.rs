//! Bad input: each error names the object and the mistake, no other object is harmed, and a repair is enough to
//! continue.

use anyhow::{Result, ensure};
use kulta_tests::{api, kinds, kulta, manifests::Canary, scenario::Scenario};
use serde_json::json;

fn plain(name: &str) -> Canary {
    Canary::new(name).without_routing().steps(json!([{"setWeight": 50}, {"pause": {}}]))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_template_that_the_api_server_rejects_is_reported_with_its_message_until_it_is_repaired() -> Result<()> {
    let scenario = Scenario::begin("refused").await?;
    let controller = kulta::start(&scenario, None).await?;
    let good = plain("web");
    kulta::deployed(&scenario, &good).await?;
    let mut bad = good.clone().version("v2").rollout();
    // The Rollout's schema leaves the template open; the ReplicaSet's does not.
    json_patch::merge(&mut bad, &json!({"spec": {"template": {"spec": {"restartPolicy": "Sometimes"}}}}));

    scenario.apply(bad).await?;
    let refused = scenario
        .until(&kinds::rollout(), "web", "the refusal", |rollout| {
            api::condition(rollout, "Progressing").is_some_and(|(_, reason)| reason == "ReplicaSetCreateError")
        })
        .await?;
    let messages: Vec<&str> = refused
        .data
        .pointer("/status/conditions")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|condition| condition.get("message")?.as_str())
        .collect();
    ensure!(messages.iter().any(|message| message.contains("restartPolicy")), "{messages:?}");
    ensure!(kulta::pods(&scenario, "web").await? == [2], "stable pods were touched");
    scenario.until_events_with("Rollout", "web", "ReplicaSetCreateError", 1).await?;

    scenario
        .apply(good.version("v2").spec(json!({"template": {"spec": {"restartPolicy": "Always"}}})).rollout())
        .await?;
    scenario.until_phase("web", "Paused").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_new_rollout_whose_selector_matches_anothers_pods_is_warned_of_and_does_not_harm_it() -> Result<()> {
    let scenario = Scenario::begin("selectors").await?;
    let controller = kulta::start(&scenario, None).await?;
    let first = plain("web");
    kulta::deployed(&scenario, &first).await?;
    let mut rival = plain("rival").rollout();
    let labels = json!({"app": "web"});
    json_patch::merge(
        &mut rival,
        &json!({"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}),
    );
    // Creation times are whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    scenario.apply(rival).await?;

    scenario.until_phase("rival", "Healthy").await?;
    kulta::updated(&scenario, &first).await?;
    scenario.until_phase("web", "Paused").await?;
    scenario.until_phase("rival", "Healthy").await?;
    let is_warning =
        |(reason, message): &(String, String)| reason == "SpecWarning" && message.contains("spec.selector");
    scenario.until_events("Rollout", "rival", |events| events.iter().any(is_warning)).await?;
    ensure!(kulta::pods(&scenario, "rival").await? == [2], "the pods of the newcomer were touched");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn all_errors_of_a_spec_are_reported_at_once() -> Result<()> {
    let scenario = Scenario::begin("mistakes").await?;
    let controller = kulta::start(&scenario, None).await?;
    let bad = plain("web")
        .steps(json!([{"setWeight": 250}, {"pause": {"duration": "soon"}}, {"setCanaryScale": {"weight": 10}}]))
        .spec(json!({"minReadySeconds": 700, "strategy": {"canary": {"trafficRouting": {"nginx": {"stableIngress": "web"}}}}}));

    scenario.apply(bad.rollout()).await?;

    let seen = scenario
        .until(&kinds::rollout(), "web", "InvalidSpec", |rollout| api::condition(rollout, "InvalidSpec").is_some())
        .await?;
    let message = api::text(&seen, "/status/message");
    for path in [
        "spec.strategy.canary.steps[0].setWeight",
        "spec.strategy.canary.steps[1].pause.duration",
        "spec.strategy.canary.trafficRouting.nginx",
        "spec.progressDeadlineSeconds",
    ] {
        ensure!(message.contains(path), "{path} is not named: {message}");
    }
    ensure!(scenario.replica_sets("web").await?.is_empty(), "something was made of an invalid spec");

    scenario.apply(plain("web").rollout()).await?;
    scenario.until_phase("web", "Healthy").await?;
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn pods_that_never_become_ready_block_their_own_rollout_only() -> Result<()> {
    let scenario = Scenario::begin("onebad").await?;
    let controller = kulta::start(&scenario, None).await?;
    let steps = json!([{"setWeight": 50}, {"pause": {"duration": "1s"}}]);
    let good = plain("good").steps(steps.clone());
    let bad = plain("bad").steps(steps);
    kulta::deployed(&scenario, &good).await?;
    kulta::deployed(&scenario, &bad).await?;

    kulta::updated(&scenario, &bad.clone().pod_label("kulta.test/ready", "never")).await?;
    kulta::updated(&scenario, &good).await?;

    scenario
        .until(&kinds::rollout(), "good", "revision 2 is stable", |rollout| {
            api::text(rollout, "/status/observedGeneration")
                == rollout.metadata.generation.unwrap_or_default().to_string()
                && api::text(rollout, "/status/phase") == "Healthy"
                && api::number(rollout, "/status/currentStepIndex") == 2
                && api::text(rollout, "/status/stableRS") == api::text(rollout, "/status/currentPodHash")
                && api::number(rollout, "/status/updatedReplicas") == 2
        })
        .await?;
    let held = scenario.get(&kinds::rollout(), "bad").await?;
    ensure!(api::text(&held, "/status/phase") == "Progressing", "{:?}", held.data.get("status"));
    ensure!(api::number(&held, "/status/currentStepIndex") == 0, "a step passed without pods");
    kulta::updated_to(&scenario, &bad, "v3").await?;
    scenario
        .until(&kinds::rollout(), "bad", "revision 3 is stable", |rollout| {
            api::text(rollout, "/status/phase") == "Healthy"
                && api::text(rollout, "/status/observedGeneration")
                    == rollout.metadata.generation.unwrap_or_default().to_string()
        })
        .await?;
    controller.stop().await?;
    scenario.end().await
}
