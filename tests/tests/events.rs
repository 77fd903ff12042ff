//! The schema check and the event sink, which need no cluster.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kulta_tests::{
    cdevents::{self, Schemas},
    http,
    sink::{Mode, Sink},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

fn example(name: &str) -> Result<Value> {
    let path = cdevents::folder().join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

async fn post(sink: &Sink, event: &Value) -> Result<u16> {
    let mut stream = TcpStream::connect(sink.address).await?;
    let body = event.to_string();
    let head = format!("POST /events HTTP/1.1\r\nhost: sink\r\nCe-Id: 7\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let answer = tokio::time::timeout(Duration::from_secs(2), http::read(&mut stream, &mut Vec::new())).await??;
    Ok(answer.context("no answer")?.status())
}

#[test]
fn the_specification_s_own_examples_are_valid() -> Result<()> {
    let schemas = Schemas::load()?;
    let mut checked = 0;
    for entry in std::fs::read_dir(cdevents::folder().join("conformance"))? {
        let path = entry?.path();
        let event: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        schemas.check(&event).with_context(|| path.display().to_string())?;
        checked += 1;
    }
    schemas.check(&example("custom/conformance.json")?)?;
    ensure!(checked > 40, "only {checked} examples");
    Ok(())
}

#[test]
fn invalid_events_are_rejected_with_the_path_of_the_error() -> Result<()> {
    let schemas = Schemas::load()?;
    let valid = example("conformance/service_upgraded.json")?;
    let refused = |change: Value| {
        let mut event = valid.clone();
        json_patch::merge(&mut event, &change);
        schemas.check(&event).map_err(|error| error.to_string()).err().unwrap_or_default()
    };
    let missing = refused(json!({"subject": {"content": {"artifactId": null}}}));
    ensure!(missing.contains("/subject/content") && missing.contains("artifactId"), "{missing}");
    let extra = refused(json!({"context": {"version": "0.5.1"}}));
    ensure!(extra.contains("/context"), "{extra}");
    let link = refused(json!({"context": {"links": [{"linkType": "NONE"}]}}));
    ensure!(link.contains("/context/links"), "{link}");
    let time = refused(json!({"context": {"timestamp": "yesterday"}}));
    ensure!(time.contains("/context/timestamp"), "{time}");
    let kind = refused(json!({"context": {"type": "dev.cdevents.deployment.started.0.1.0"}}));
    ensure!(kind.contains("no event type"), "{kind}");
    let custom = refused(json!({"context": {"type": "dev.cdeventsx.kulta-rollout.step_done.0.1.0"}}));
    ensure!(custom.contains("/context/type"), "{custom}");
    Ok(())
}

#[tokio::test]
async fn the_sink_records_rejects_and_goes_down_on_demand() -> Result<()> {
    let sink = Sink::start().await?;
    let event = example("conformance/service_upgraded.json")?;
    let subject = event.pointer("/subject/id").and_then(Value::as_str).unwrap_or_default().to_owned();

    ensure!(post(&sink, &event).await? == 202);
    sink.set(Mode::Refuse(503));
    ensure!(post(&sink, &event).await? == 503);
    sink.set(Mode::Down);
    ensure!(post(&sink, &event).await.is_err(), "answered while down");
    sink.set(Mode::Silent);
    ensure!(post(&sink, &event).await.is_err(), "answered while silent");
    sink.set(Mode::Accept);
    ensure!(post(&sink, &event).await? == 202);

    let all: Vec<bool> = sink.received().iter().map(|received| received.accepted).collect();
    ensure!(all == [true, false, false, true], "{all:?}");
    let accepted = sink.wait_for(&subject, "service.upgraded", Duration::from_secs(1)).await?;
    ensure!(accepted.len() == 2 && accepted.iter().all(|received| received.header("ce-id") == Some("7")));
    Ok(())
}
