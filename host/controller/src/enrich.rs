//! What enrichers add to a CDEvent on its way out. A failing one costs only its own addition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kulta_core::decision::FailureClass;
use kulta_events::CdEvent;
use kulta_fetch::Secrets;
use kulta_wasm::EnricherPlugin;
use kulta_wasm::enricher::{Action, Occasion, Rollout};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::metrics::{Metrics, OK};
use crate::plugins::{Catalog, Choice, Errands, MOST_ROUNDS};

/// For one enricher and one event. The event waits for it, and those behind it.
const TIME: Duration = Duration::from_secs(10);

pub struct Enrichers {
    pub catalog: Arc<Catalog>,
    pub errands: Arc<Errands>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

impl Enrichers {
    /// Adds what each enricher answers under its name; `annotations` are the revision's.
    pub async fn enrich(&self, event: &mut CdEvent, rollout: &Rollout, annotations: &BTreeMap<String, String>) {
        for (name, choice) in self.catalog.enrichers().await {
            let enriching = self.ask(&name, &choice, event, rollout, annotations);
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

    async fn ask(
        &self,
        name: &str,
        choice: &Choice<EnricherPlugin>,
        event: &CdEvent,
        rollout: &Rollout,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Value, String> {
        let secrets = Secrets::new();
        let mut errand = self.errands.begin(&choice.terms, &secrets).await?;
        let config = choice.terms.configured(&json!({})).to_string();
        let mut occasion = Occasion {
            rollout: rollout.clone(),
            event: event.body.to_string(),
            annotations: json!(annotations).to_string(),
            memory: Vec::new(),
            answers: Vec::new(),
        };
        for _ in 0..MOST_ROUNDS {
            let answer = choice.guarded(self.clock.now(), choice.plugin.enrich(&config, &occasion)).await;
            self.metrics.plugin_call(name, answer.as_ref().map_or_else(|error| error.class().label(), |_| OK));
            match answer.map_err(|error| error.to_string())? {
                Action::Fetch(fetching) => {
                    occasion.answers = errand.run(fetching.requests).await.inspect_err(|_| {
                        self.metrics.plugin_call(name, FailureClass::BadAnswer.label());
                    })?;
                    occasion.memory = fetching.memory;
                }
                Action::Add(addition) => return serde_json::from_str(&addition).map_err(|error| error.to_string()),
            }
        }
        self.metrics.plugin_call(name, FailureClass::Endless.label());
        Err(format!("it asked for requests {MOST_ROUNDS} times and came to no end"))
    }
}
