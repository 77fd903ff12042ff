//! Secret arguments: only the requested server gets them.

use anyhow::{Result, ensure};
use kulta_tests::{
    answers::{Answers, Mode, vector},
    kinds, kulta,
    scenario::Scenario,
};
use serde_json::{Value, json};

use crate::{message, metric, run, until_run, with_role};

const SECRET: &str = "s3cret-of-the-scenario-0451";

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
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_secret_reaches_the_server_and_nothing_else() -> Result<()> {
    let scenario = Scenario::begin("secret").await?;
    let controller = kulta::start(&scenario, None).await?;
    // A server that echoes the request in its value.
    let server = Answers::start(Mode::Json(json!({"ok": true, "you": format!("Bearer {SECRET}")}))).await?;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "metrics"}, "stringData": {"token": SECRET}});
    scenario.apply(secret).await?;

    scenario.apply(run("forbidden", with_token(&server.url()), from_secret("token"))).await?;
    let forbidden = until_run(&scenario, "forbidden", "Error").await?;
    with_role(&scenario, "secrets-role.yaml", "", "secrets", "get").await?;
    scenario.apply(run("keyless", with_token(&server.url()), from_secret("other"))).await?;
    let keyless = until_run(&scenario, "keyless", "Error").await?;
    scenario.apply(run("allowed", with_token(&server.url()), from_secret("token"))).await?;
    until_run(&scenario, "allowed", "Successful").await?;
    // As with Argo, the Secret counts before a value.
    let mut both = from_secret("token");
    json_patch::merge(&mut both["args"][0], &json!({"value": "plain"}));
    scenario.apply(run("both", with_token(&server.url()), both)).await?;
    until_run(&scenario, "both", "Successful").await?;

    let said = message(&forbidden);
    for words in ["args.token", "Secret metrics may not be read", "cannot get resource \"secrets\""] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    ensure!(message(&keyless).contains("has no key \"other\""), "{}", message(&keyless));
    let asked = server.asked();
    ensure!(asked.len() == 2, "{} requests", asked.len());
    let sent = asked.iter().map(|asked| asked.request.header("authorization"));
    ensure!(sent.into_iter().all(|sent| sent == Some(&format!("Bearer {SECRET}"))), "the server got something else");
    let mut told = controller.log();
    for object in
        scenario.list(&kinds::analysis_run(), "").await?.iter().chain(&scenario.list(&kinds::event(), "").await?)
    {
        told.push_str(&serde_json::to_string(object)?);
    }
    ensure!(!told.contains(SECRET), "the secret is in the log");
    let masked = scenario.get(&kinds::analysis_run(), "allowed").await?;
    let value = masked.data.pointer("/status/metricResults/0/measurements/0/value").and_then(Value::as_str);
    ensure!(value.is_some_and(|value| value.contains("Bearer ***")), "{value:?}");
    controller.stop().await?;
    scenario.end().await
}

#[tokio::test]
#[ignore = "needs a cluster: make cluster-test runs it"]
async fn a_password_and_a_client_token_are_sent_as_the_server_expects() -> Result<()> {
    let scenario = Scenario::begin("password").await?;
    let controller = kulta::start(&scenario, None).await?;
    // One answer for both requests: a token, and a sample.
    let mut both = vector(&["1"]);
    json_patch::merge(
        &mut both,
        &json!({"access_token": "token-of-the-scenario", "token_type": "bearer", "expires_in": 60}),
    );
    let (basic, oauth2) = (Answers::start(Mode::sample("1")).await?, Answers::start(Mode::Json(both)).await?);
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "metrics"}, "stringData": {"token": SECRET}});
    scenario.apply(secret).await?;
    with_role(&scenario, "secrets-role.yaml", "", "secrets", "get").await?;
    let with = |authentication: Value| json!({"provider": {"prometheus": {"authentication": authentication}}});
    let password = with(json!({"basicAuth": {"username": "kulta", "password": "{{args.token}}"}}));
    let client =
        json!({"tokenUrl": format!("{}/token", oauth2.url()), "clientId": "kulta", "clientSecret": "{{args.token}}"});
    let client = with(json!({ "oauth2": client }));

    scenario.apply(run("basic", vec![metric("m", &basic.url(), password)], from_secret("token"))).await?;
    scenario.apply(run("oauth2", vec![metric("m", &oauth2.url(), client)], from_secret("token"))).await?;

    until_run(&scenario, "basic", "Successful").await?;
    until_run(&scenario, "oauth2", "Successful").await?;
    let asked = basic.asked();
    let sent = asked.first().and_then(|asked| asked.request.header("authorization"));
    // base64 of kulta:s3cret-of-the-scenario-0451
    ensure!(sent == Some("Basic a3VsdGE6czNjcmV0LW9mLXRoZS1zY2VuYXJpby0wNDUx"), "{sent:?}");
    let asked = oauth2.asked();
    let starts: Vec<&str> = asked.iter().map(|asked| asked.request.second()).collect();
    ensure!(starts == ["/token", "/api/v1/query?query=up"], "{starts:?}");
    let sent = asked.last().and_then(|asked| asked.request.header("authorization"));
    ensure!(sent == Some("Bearer token-of-the-scenario"), "{sent:?}");
    ensure!(!controller.log().contains(SECRET), "the secret is in the log");
    controller.stop().await?;
    scenario.end().await
}
