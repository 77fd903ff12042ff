//! Secrets that arguments name: the server that is asked gets them, and nobody else ever sees them.

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    answers::{Answers, Mode},
    kinds, kulta, run_folder,
    story::Story,
};
use serde_json::{Value, json};

use crate::{message, run, until_run};

const SECRET: &str = "s3cret-of-the-story-0451";

fn with_token(url: &str) -> Vec<Value> {
    vec![json!({
        "name": "guarded", "successCondition": "result.ok",
        "provider": {"web": {
            "url": url, "headers": [{"key": "Authorization", "value": "Bearer {{args.token}}"}],
        }},
    })]
}

fn from_secret(key: &str) -> Value {
    let reference = json!({"name": "metrics", "key": key});
    json!({"args": [{"name": "token", "valueFrom": {"secretKeyRef": reference}}]})
}

#[tokio::test]
async fn a_secret_reaches_the_server_and_nothing_else() -> Result<()> {
    let Some(story) = Story::begin("secret").await? else { return Ok(()) };
    let controller = kulta::start(&story, None).await?;
    // A server that repeats what it was told, in its answer's value.
    let server = Answers::start(Mode::Json(json!({"ok": true, "you": format!("Bearer {SECRET}")}))).await?;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "metrics"}, "stringData": {"token": SECRET}});
    story.apply(secret).await?;

    story.apply(run("forbidden", with_token(&server.url()), from_secret("token"))).await?;
    let forbidden = until_run(&story, "forbidden", "Error").await?;
    let role = std::fs::read_to_string(run_folder::repository().join("deploy/secrets-role.yaml"))?;
    story.apply_yaml(&role).await?;
    story.apply(run("keyless", with_token(&server.url()), from_secret("other"))).await?;
    let keyless = until_run(&story, "keyless", "Error").await?;
    story.apply(run("allowed", with_token(&server.url()), from_secret("token"))).await?;
    until_run(&story, "allowed", "Successful").await?;

    let said = message(&forbidden);
    for words in ["args.token", "Secret metrics may not be read", "cannot get resource \"secrets\""] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    ensure!(message(&keyless).contains("has no key \"other\""), "{}", message(&keyless));
    let asked = server.asked();
    ensure!(asked.len() == 1, "{} requests", asked.len());
    let request = &asked.first().context("no request")?.request;
    ensure!(request.header("authorization") == Some(&format!("Bearer {SECRET}")), "the server was told something else");
    let mut told = controller.log();
    for object in story.list(&kinds::analysis_run(), "").await?.iter().chain(&story.list(&kinds::event(), "").await?) {
        told.push_str(&serde_json::to_string(object)?);
    }
    ensure!(!told.contains(SECRET), "the secret is told");
    let masked = story.get(&kinds::analysis_run(), "allowed").await?;
    let value = masked.data.pointer("/status/metricResults/0/measurements/0/value").and_then(Value::as_str);
    ensure!(value.is_some_and(|value| value.contains("Bearer ***")), "{value:?}");
    controller.stop().await?;
    story.end().await
}
