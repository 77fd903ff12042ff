//! Grants of plugins.

use anyhow::{Result, ensure};
use kulta_tests::{
    answers::{Answers, Mode},
    api, kinds,
    scenario::SOON,
    wait,
};
use kulta_wasm::fixtures::{WEB as WEB_ANALYZER, noted};
use serde_json::{Value, json};

use crate::{OWN_NAMESPACE, Place};

/// A user's run that requests an address through the analyzer.
fn run(place: &Place, name: &str, url: &str) -> Value {
    place.ours(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": name},
        "spec": {"metrics": [{
            "name": "asked", "successCondition": "true", "consecutiveErrorLimit": 0,
            "provider": {"plugin": {"asker": {"url": url}}},
        }]},
    }))
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_plugin_reaches_granted_urls_with_headers_that_it_cannot_read() -> Result<()> {
    let place = Place::begin("plugin-grants").await?;
    let answers = Answers::start(Mode::Json(json!(1))).await?;
    let controller = place.controller(None, &[]).await?;
    let scenario = &place.scenario;
    let secret = format!("token-{}", scenario.namespace);
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": OWN_NAMESPACE},
        "stringData": {"token": "hunter2hunter2"},
    });
    api::apply(&scenario.client, OWN_NAMESPACE, object).await?;
    let source = json!({"file": place.file("web.wasm", &noted(WEB_ANALYZER, "granted"))?});
    place.apply("asker", json!({"source": source})).await?;
    place.until("asker", "Serving").await?;
    let end = |name: &'static str| {
        let api = scenario.api(&kinds::analysis_run());
        async move {
            wait::until(&api, name, "its end", SOON, |run| {
                ["Successful", "Failed", "Error", "Inconclusive"].contains(&api::text(run, "/status/phase"))
            })
            .await
        }
    };

    scenario.apply(run(&place, "refused", &answers.url())).await?;
    let refused = end("refused").await?;
    let header = json!({"name": "X-Token", "prefix": "Bearer ", "secretKeyRef": {"name": secret, "key": "token"}});
    let grants = json!([{"urlPrefix": answers.url(), "headersFrom": [header]}]);
    place.apply("asker", json!({"source": source, "grants": grants})).await?;
    place.until("asker", "Serving").await?;
    scenario.apply(run(&place, "granted", &answers.url())).await?;
    let granted = end("granted").await?;

    ensure!(refused.data.to_string().contains("none of the plugin's grants"), "{:?}", refused.data);
    ensure!(api::text(&granted, "/status/phase") == "Successful", "{:?}", granted.data);
    let asked = answers.asked();
    ensure!(asked.len() == 1, "{asked:?}");
    ensure!(asked[0].request.header("x-token") == Some("Bearer hunter2hunter2"), "{asked:?}");
    ensure!(!granted.data.to_string().contains("hunter2"), "{:?}", granted.data);
    controller.stop().await?;
    place.end(&["asker"]).await
}
