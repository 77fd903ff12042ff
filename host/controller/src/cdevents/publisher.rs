//! Sends events until their sink takes them.

use std::sync::Arc;

use futures::future::BoxFuture;
use kulta_core::plan::EventKind;
use kulta_events::{CdEvent, Origin};
use kulta_fetch::{CdEventHttp, CloudEventsMode, Delivery, Sink};

use crate::backoff::Backoff;
use crate::kube_events::{Message, Regarding};
use crate::metrics::Metrics;
use crate::recorder::Recorder;

/// Failures in a row until an event on the Rollout says that its CDEvents wait: some seconds.
const FAILURES_UNTIL_REPORTED: u32 = 3;
const SINK_UNAVAILABLE: &str = "EventSinkUnavailable";

/// Where events go.
pub trait EventSink: Send + Sync + 'static {
    /// Sends one event once.
    fn deliver<'a>(&'a self, event: &'a CdEventHttp) -> BoxFuture<'a, Delivery>;
}

impl EventSink for Sink {
    fn deliver<'a>(&'a self, event: &'a CdEventHttp) -> BoxFuture<'a, Delivery> {
        Box::pin(Self::deliver(self, event))
    }
}

/// Sends events to a sink.
pub struct Publisher {
    pub sink: Box<dyn EventSink>,
    pub origin: Origin,
    pub mode: CloudEventsMode,
}

/// What sending reports to.
pub struct Reports {
    pub metrics: Arc<Metrics>,
    pub recorder: Arc<Recorder>,
}

impl Publisher {
    /// Sends one event until the sink has taken or refused it. If that takes long, an event on the Rollout that it is about says so.
    pub async fn send(&self, event: &CdEvent, about: Option<&Regarding>, reports: &Reports) {
        let http = match request(event, self.mode) {
            Ok(http) => http,
            Err(error) => {
                tracing::error!(event = event.id, kind = event.event_type, "build an event's envelope: {error}");
                return reports.metrics.delivery("unbuilt");
            }
        };
        let mut failures = 0;
        loop {
            match self.sink.deliver(&http).await {
                Delivery::Accepted => return reports.metrics.delivery("delivered"),
                Delivery::Refused { why } => {
                    tracing::error!(
                        event = event.id,
                        kind = event.event_type,
                        "the event sink refused an event for good: {why}"
                    );
                    return reports.metrics.delivery("refused");
                }
                Delivery::Gone => {
                    tracing::error!(event = event.id, "the event sink wants no more events (410)");
                    return reports.metrics.delivery("gone");
                }
                Delivery::Retry { after, why } => {
                    failures += 1;
                    reports.metrics.delivery("retried");
                    if failures == 1 {
                        tracing::warn!(event = event.id, "the event sink takes no events and is tried again: {why}");
                    } else {
                        tracing::debug!(event = event.id, failures, "the event sink takes no events: {why}");
                    }
                    if let (FAILURES_UNTIL_REPORTED, Some(rollout)) = (failures, about) {
                        reports.recorder.record(rollout, sink_unavailable(event, &why));
                    }
                    let delay = after.unwrap_or_else(|| Backoff::SINK.delay(failures, fastrand::f64));
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}

fn request(event: &CdEvent, mode: CloudEventsMode) -> Result<CdEventHttp, Box<dyn std::error::Error>> {
    Ok(CdEventHttp::of(event.cloud_event()?, mode)?)
}

fn sink_unavailable(event: &CdEvent, why: &str) -> Message {
    Message {
        name: format!("{}.sink", event.id),
        kind: EventKind::Warning,
        reason: SINK_UNAVAILABLE,
        message: format!(
            "The event sink (--cdevents-sink) takes no events since {} {}: {why}; they wait and are sent once it does",
            event.event_type, event.id
        ),
    }
}
