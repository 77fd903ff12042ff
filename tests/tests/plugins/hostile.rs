//! Components that mean harm.

use anyhow::{Result, ensure};
use kulta_tests::{kinds, kulta::pods, manifests::Canary};
use kulta_wasm::fixtures::{HOSTILE, LINEAR, noted};
use serde_json::json;

use crate::{Place, WEB, ready, strategy_ready, until_weight};

#[tokio::test]
async fn each_misdeed_is_told_by_its_reason_and_no_other_rollout_is_harmed() -> Result<()> {
    let Some(place) = Place::begin("plugin-hostile").await? else { return Ok(()) };
    let controller = place.controller(None, &[]).await?;
    let limits = json!({"time": "500ms", "memory": "16Mi"});
    place.apply("hostile", json!({"source": {"file": place.file("h.wasm", HOSTILE)?}, "limits": limits})).await?;
    place.until("hostile", "Serving").await?;
    let good = Canary::new("good").canary(json!({"scaleDownDelaySeconds": 1}));
    place.deploy(&good, "linear", json!({"stepWeight": 50, "interval": "1s"})).await?;
    let web = Canary::new(WEB);
    place.deploy(&web, "hostile", json!({"misdeed": "none"})).await?;

    for (number, misdeed, reason) in [
        (2, "trap", "PluginTrapped"),
        (3, "spin", "PluginDeadlineExceeded"),
        (4, "allocate", "PluginOutOfMemory"),
        (5, "heavyWeight", "PluginBadAnswer"),
        (6, "hugeReason", "PluginBadAnswer"),
    ] {
        let bad = web.clone().version(&format!("v{number}"));
        place.story.apply(place.rollout(&bad, "hostile", json!({"misdeed": misdeed}))?).await?;
        let held = place
            .story
            .until(&kinds::rollout(), WEB, &format!("{misdeed} to be told"), |rollout| {
                strategy_ready(rollout).0 == reason
            })
            .await?;
        ensure!(strategy_ready(&held).1.contains("hostile"), "{:?}", held.data);
    }
    place
        .story
        .apply(place.rollout(&good.version("v2"), "linear", json!({"stepWeight": 50, "interval": "1s"}))?)
        .await?;

    place.story.until_phase("good", "Healthy").await?;
    ensure!(pods(&place.story, WEB).await?.first() == Some(&2), "stable lost pods");
    controller.stop().await?;
    place.end(&["hostile"]).await
}

#[tokio::test]
async fn what_may_not_be_served_is_refused_and_what_was_served_stays() -> Result<()> {
    let Some(place) = Place::begin("plugin-refused").await? else { return Ok(()) };
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    place.until("judge", "Serving").await?;
    let canary = Canary::new(WEB);
    place.deploy(&canary, "judge", json!({"stepWeight": 40, "interval": "1h"})).await?;

    for (file, bytes, expected) in [
        ("text.wasm", b"hello".to_vec(), "not a WebAssembly component"),
        ("large.wasm", vec![0; (32 << 20) + 1], "at most"),
        ("empty.wasm", b"\0asm\x0d\0\x01\0".to_vec(), "no plugin of any kind"),
    ] {
        place.apply("judge", json!({"source": {"file": place.file(file, &bytes)?}})).await?;
        let (_, message) = ready(&place.until("judge", "Refused").await?);
        ensure!(message.contains(expected) && message.contains("is still served"), "{file}: {message}");
    }

    place
        .story
        .apply(place.rollout(&canary.version("v2"), "judge", json!({"stepWeight": 40, "interval": "1h"}))?)
        .await?;
    until_weight(&place.story, WEB, 40).await?;
    controller.stop().await?;
    place.end(&["judge"]).await
}

#[tokio::test]
async fn of_two_plugins_with_one_name_the_older_has_it() -> Result<()> {
    let Some(place) = Place::begin("plugin-rivals").await? else { return Ok(()) };
    let controller = place.controller(None, &[]).await?;
    place.apply("judge", json!({"source": {"file": place.file("1.wasm", &noted(LINEAR, "one"))?}})).await?;
    place.until("judge", "Serving").await?;
    // Times of creation are whole seconds.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    let object = json!({
        "apiVersion": "kulta.io/v1alpha1", "kind": "Plugin",
        "metadata": {"name": place.plugin("rival"), "labels": {crate::INSTANCE: place.story.namespace}},
        "spec": {"source": {"file": place.file("2.wasm", &noted(LINEAR, "two"))?}, "serves": ["judge"]},
    });
    kulta_tests::api::apply(&place.story.client, "", object).await?;

    let (_, message) = ready(&place.until("rival", "NameTaken").await?);
    ensure!(message.contains(&place.plugin("judge")), "{message}");
    controller.stop().await?;
    place.end(&["judge", "rival"]).await
}
