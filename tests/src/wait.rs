//! Waits for the expected state of an object, by watch, with an error that contains the last state.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use futures::StreamExt;
use kube::{Api, api::DynamicObject, runtime::watcher};
use tokio::time::{Instant, timeout_at};

/// Waits until `wanted` holds for the object. `what` completes the sentence "waited for …".
pub async fn until(
    api: &Api<DynamicObject>,
    name: &str,
    what: &str,
    limit: Duration,
    mut wanted: impl FnMut(&DynamicObject) -> bool,
) -> Result<DynamicObject> {
    let end = Instant::now() + limit;
    let mut states = watcher::watch_object(api.clone(), name).boxed();
    let mut last: Option<DynamicObject> = None;
    let mut trouble = None;
    loop {
        match timeout_at(end, states.next()).await {
            Ok(Some(Ok(state))) => {
                if let Some(object) = state.as_ref().filter(|object| wanted(object)) {
                    return Ok(object.clone());
                }
                last = state;
            }
            Ok(Some(Err(error))) => {
                trouble = Some(error.to_string());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(None) => bail!("the watch of {name} ended while waiting for {what}"),
            Err(_) => return Err(missed(name, what, limit, last.as_ref(), trouble)),
        }
    }
}

/// Waits until the object is gone.
pub async fn until_gone(api: &Api<DynamicObject>, name: &str, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    let mut states = watcher::watch_object(api.clone(), name).boxed();
    let mut last = None;
    loop {
        match timeout_at(end, states.next()).await {
            Ok(Some(Ok(None))) => return Ok(()),
            Ok(Some(Ok(state))) => last = state,
            Ok(Some(Err(_))) => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(None) => bail!("the watch of {name} ended while waiting for its end"),
            Err(_) => return Err(missed(name, "its end", limit, last.as_ref(), None)),
        }
    }
}

/// Polls every 50 ms until the answer is `Some`. For conditions on more than one object.
pub async fn poll<T, F>(what: &str, limit: Duration, mut question: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + limit;
    loop {
        let answer = question().await;
        if let Ok(Some(found)) = answer {
            return Ok(found);
        }
        if Instant::now() >= end {
            return match answer {
                Err(error) => Err(error.context(format!("waited {limit:?} for {what}"))),
                Ok(_) => bail!("waited {limit:?} for {what}"),
            };
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn missed(
    name: &str,
    what: &str,
    limit: Duration,
    last: Option<&DynamicObject>,
    trouble: Option<String>,
) -> anyhow::Error {
    let state = match last {
        None => "the object does not exist".to_owned(),
        Some(object) => {
            let shown = serde_json::json!({
                "metadata": {"generation": object.metadata.generation, "labels": object.metadata.labels,
                    "annotations": object.metadata.annotations, "deletionTimestamp": object.metadata.deletion_timestamp},
                "status": object.data.get("status"),
            });
            serde_yaml::to_string(&shown).unwrap_or_else(|error| error.to_string())
        }
    };
    let trouble = trouble.map(|text| format!("\nlast watch error: {text}")).unwrap_or_default();
    anyhow!("waited {limit:?} for {name}: {what}; last seen:\n{state}{trouble}")
}
