//! What enrichers add to a CDEvent before it is sent. An enricher that fails costs only its own addition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kulta_core::decision::FailureClass;
use kulta_events::CdEvent;
use kulta_fetch::Secrets;
use kulta_wasm::EnricherPlugin;
use kulta_wasm::enricher::{Action, Fetching, Occasion, Rollout};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::metrics::{Metrics, OK};
use crate::plugins::{HttpClient, PluginHandle, PluginRegistry, Reply, SessionError};

/// For one enricher and one event. The event waits for it, and those behind it.
const TIME: Duration = Duration::from_secs(10);

pub struct Enrichers {
    pub registry: Arc<PluginRegistry>,
    pub http: Arc<HttpClient>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

impl Enrichers {
    /// Adds what each enricher answers under its name; `annotations` are the revision's.
    pub async fn enrich(&self, event: &mut CdEvent, rollout: &Rollout, annotations: &BTreeMap<String, String>) {
        for (name, handle) in self.registry.enrichers().await {
            let enriching = self.call(&name, &handle, event, rollout, annotations);
            match tokio::time::timeout(TIME, enriching).await {
                Ok(Ok(addition)) if addition.as_object().is_some_and(serde_json::Map::is_empty) => {}
                Ok(Ok(addition)) => event.add(&name, addition),
                Ok(Err(why)) => {
                    tracing::warn!(plugin = name, event = event.id, "the event goes out without an addition: {why}");
                }
                Err(_) => {
                    self.metrics.plugin_call(&name, FailureClass::DeadlineExceeded.label());
                    let limit = TIME.as_secs();
                    tracing::warn!(
                        plugin = name,
                        event = event.id,
                        limit,
                        "the event goes out without an addition: too slow"
                    );
                }
            }
        }
    }

    async fn call(
        &self,
        name: &str,
        handle: &PluginHandle<EnricherPlugin>,
        event: &CdEvent,
        rollout: &Rollout,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Value, String> {
        let secrets = Secrets::new();
        let mut session = self.http.session(&handle.policy, &secrets).await?;
        let config = handle.policy.configured(&json!({})).to_string();
        let (body, annotations) = (event.body.to_string(), json!(annotations).to_string());
        let addition = session.run(Vec::new(), async |memory, answers| {
            let (rollout, event, annotations) = (rollout.clone(), body.clone(), annotations.clone());
            let occasion = Occasion { rollout, event, annotations, memory, answers };
            let answer = handle.with_breaker(self.clock.now(), handle.plugin.enrich(&config, &occasion)).await;
            self.metrics.plugin_call(name, answer.as_ref().map_or_else(|error| error.class().label(), |_| OK));
            Ok(match answer? {
                Action::Fetch(Fetching { requests, memory }) => Reply::Fetch { requests, memory },
                Action::Add(addition) => Reply::Done(addition),
            })
        });
        let addition = addition.await.map_err(|error| {
            // Failed calls are counted where they are made.
            if !matches!(error, SessionError::Call(_)) {
                self.metrics.plugin_call(name, error.class().label());
            }
            error.to_string()
        })?;
        serde_json::from_str(&addition).map_err(|error| error.to_string())
    }
}
