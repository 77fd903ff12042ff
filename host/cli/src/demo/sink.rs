//! The sink of the demo's CDEvents: stores them for the picture.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use kulta_controller::cdevents::EventSink;
use kulta_fetch::{CdEventHttp, Delivery};
use serde_json::Value;

/// Common prefix of all CDEvent types.
const PREFIXES: [&str; 2] = ["dev.cdevents.", "dev.cdeventsx."];
/// Dot-separated parts of an event type after its name: the three numbers of its version.
const VERSION_PARTS: usize = 3;

/// An event as the demo shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Such as `service.upgraded`.
    pub name: String,
    /// A short summary; may be empty.
    pub summary: String,
}

/// Clones share the stored events.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// In order of arrival.
    #[must_use]
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for Events {
    fn deliver<'a>(&'a self, event: &'a CdEventHttp) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            match serde_json::from_slice(&event.body) {
                Ok(body) => {
                    self.0.lock().unwrap_or_else(PoisonError::into_inner).push(read(&body));
                    Delivery::Accepted
                }
                Err(error) => Delivery::Refused { why: error.to_string() },
            }
        })
    }
}

fn read(body: &Value) -> Event {
    let full = body.pointer("/context/type").and_then(Value::as_str).unwrap_or_default();
    let name = PREFIXES.iter().find_map(|prefix| full.strip_prefix(prefix)).unwrap_or(full);
    let name = name.rsplitn(VERSION_PARTS.saturating_add(1), '.').last().unwrap_or(name);
    let content = body.pointer("/subject/content");
    let field = |key: &str| content.and_then(|content| content.get(key)).filter(|value| !value.is_null());
    let number = |key: &str| field(key).and_then(Value::as_u64);
    let text = |key: &str| field(key).and_then(Value::as_str).map(str::to_owned);
    let step = number("stepIndex").map(|step| match number("steps") {
        Some(steps) => format!("step {}/{steps}", step.saturating_add(1)),
        None => format!("step {}", step.saturating_add(1)),
    });
    let weight = number("weight").map(|weight| format!("weight {weight} %"));
    let version = text("artifactId").and_then(|artifact| version(&artifact));
    let summary: Vec<String> = [version, step, weight, text("outcome"), text("reason")].into_iter().flatten().collect();
    Event { name: name.to_owned(), summary: summary.join(", ") }
}

/// The tag of a package URL, such as `pkg:oci/web?repository_url=…&tag=v2`.
fn version(artifact: &str) -> Option<String> {
    let (_, query) = artifact.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("tag=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_shown_with_its_name_and_a_summary() {
        let body = json!({ "context": { "type": "dev.cdeventsx.kulta-rollout.progressed.0.1.0" },
            "subject": { "content": { "stepIndex": 0, "steps": 4, "weight": 10,
                "artifactId": "pkg:oci/web?repository_url=registry.example&tag=v2" } } });

        let event = read(&body);

        assert_eq!(
            event,
            Event { name: "kulta-rollout.progressed".into(), summary: "v2, step 1/4, weight 10 %".into() }
        );
    }

    #[test]
    fn a_standard_event_keeps_its_standard_name() {
        let body =
            json!({ "context": { "type": "dev.cdevents.service.rolledback.0.3.0" }, "subject": { "content": {} } });

        assert_eq!(read(&body).name, "service.rolledback");
    }
}
