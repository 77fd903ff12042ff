//! Watches.

use anyhow::{Result, ensure};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::place::{Events, Place, expect, gadget};

async fn next(place: &Place, events: &mut Events, kind: &str, name: &str) -> Result<Value> {
    let (found, object) = place.event(events).await?;
    ensure!(found == kind && object["metadata"]["name"] == name, "{found} instead of {kind} of {name}: {object}");
    Ok(object)
}

async fn version(place: &Place) -> Result<String> {
    let list = place.get(&place.gadgets("")).await?.is(200)?;
    Ok(list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
}

fn labelled(name: &str, value: &str) -> Value {
    let mut body = gadget(name);
    body["metadata"]["labels"] = json!({ "side": value });
    body
}

pub async fn changes_come_in_order(place: &Place) -> Result<()> {
    let from = version(place).await?;
    let mut events = place.watch(&place.gadgets(&format!("?resourceVersion={from}"))).await?;
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let changed = place.merge(&place.gadgets("a"), &json!({ "spec": { "colour": "blue" } })).await?.is(200)?;
    place.post(&place.gadgets(""), &gadget("b")).await?.is(201)?;
    place.delete(&place.gadgets("a"), &json!({})).await?.is(200)?;
    next(place, &mut events, "ADDED", "a").await?;
    let seen = next(place, &mut events, "MODIFIED", "a").await?;
    next(place, &mut events, "ADDED", "b").await?;
    let last = next(place, &mut events, "DELETED", "a").await?;
    expect(seen == changed, "not what was answered", &seen)?;
    let number =
        |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok());
    expect(number(&last) > number(&changed), "a deletion has a version of its own", &last)
}

pub async fn a_watch_resumes_after_a_version(place: &Place) -> Result<()> {
    let first = place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    place.post(&place.gadgets(""), &gadget("b")).await?.is(201)?;
    let from = first["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let mut events = place.watch(&place.gadgets(&format!("?resourceVersion={from}"))).await?;
    next(place, &mut events, "ADDED", "b").await.map(drop)
}

pub async fn a_watch_from_nothing_begins_with_what_is_there(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let mut events = place.watch(&place.gadgets("")).await?;
    next(place, &mut events, "ADDED", "a").await?;
    place.post(&place.gadgets(""), &gadget("b")).await?.is(201)?;
    next(place, &mut events, "ADDED", "b").await.map(drop)
}

pub async fn objects_move_in_and_out_of_a_selection(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &labelled("a", "out")).await?.is(201)?;
    let from = version(place).await?;
    let mut events = place.watch(&place.gadgets(&format!("?labelSelector=side%3Din&resourceVersion={from}"))).await?;
    for side in ["in", "out"] {
        place.merge(&place.gadgets("a"), &json!({ "metadata": { "labels": { "side": side } } })).await?.is(200)?;
    }
    place.post(&place.gadgets(""), &labelled("b", "in")).await?.is(201)?;
    next(place, &mut events, "ADDED", "a").await?;
    let left = next(place, &mut events, "DELETED", "a").await?;
    next(place, &mut events, "ADDED", "b").await?;
    expect(left["metadata"]["labels"]["side"] == "in", "not the last that was selected", &left)
}

pub async fn one_object_is_watched_by_name(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    place.post(&place.gadgets(""), &gadget("b")).await?.is(201)?;
    let mut events = place.watch(&place.gadgets("?fieldSelector=metadata.name%3Db")).await?;
    next(place, &mut events, "ADDED", "b").await?;
    place.delete(&place.gadgets("a"), &json!({})).await?.is(200)?;
    place.delete(&place.gadgets("b"), &json!({})).await?.is(200)?;
    next(place, &mut events, "DELETED", "b").await.map(drop)
}

pub async fn a_watch_ends_in_time(place: &Place) -> Result<()> {
    let from = version(place).await?;
    let mut events = place.watch(&place.gadgets(&format!("?timeoutSeconds=1&resourceVersion={from}"))).await?;
    let last = events.next().await;
    ensure!(last.is_none(), "an event instead of the end: {last:?}");
    Ok(())
}

pub async fn initial_events_end_with_a_bookmark(place: &Place) -> Result<()> {
    place.post(&place.gadgets(""), &gadget("a")).await?.is(201)?;
    let query = "?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = place.watch(&place.gadgets(query)).await?;
    next(place, &mut events, "ADDED", "a").await?;
    let (kind, bookmark) = place.event(&mut events).await?;
    let end = &bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"];
    expect(kind == "BOOKMARK" && end == "true", "no bookmark", &bookmark)
}

pub async fn a_forgotten_version_is_gone(place: &Place) -> Result<()> {
    let mut events = place.watch(&place.gadgets("?resourceVersion=1")).await?;
    let (kind, status) = place.event(&mut events).await?;
    expect(kind == "ERROR" && status["code"] == 410 && status["reason"] == "Expired", "not gone", &status)
}
