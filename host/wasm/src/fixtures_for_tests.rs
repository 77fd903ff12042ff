//! One call of the hostile analyzer, enricher and step each.

use crate::strategy::{Revision, Rollout};
use crate::testing::{BUILT_IN, situation};
use crate::{CallError, FailureClass, Limits, Loaded, analyzer, enricher, step};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

const ANALYZER: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE_ANALYZER"));
const ENRICHER: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE_ENRICHER"));
const STEP: &[u8] = include_bytes!(env!("KULTA_FIXTURE_HOSTILE_STEP"));

static LOADED: [OnceCell<Arc<Loaded>>; 3] = [const { OnceCell::const_new() }; 3];

async fn loaded(number: usize, component: &[u8]) -> &'static Arc<Loaded> {
    // Long enough on a busy machine for the other misdeeds to complete before they count as a loop.
    let limits = Limits { deadline: Duration::from_secs(2), ..Limits::default() };
    let load = async || BUILT_IN.load("hostile", component.to_vec(), limits).await.unwrap();
    LOADED[number].get_or_init(load).await
}

fn config(misdeed: &str) -> String {
    json!({ "misdeed": misdeed, "url": "http://example.invalid" }).to_string()
}

fn class<T>(answer: Result<T, CallError>) -> Option<FailureClass> {
    answer.err().map(|error| error.class())
}

fn rollout() -> Rollout {
    Rollout { others: Vec::<Revision>::new(), ..situation().rollout }
}

pub(crate) async fn analyzed(misdeed: &str) -> Option<FailureClass> {
    let input = analyzer::Occasion {
        call: analyzer::Call::Measure,
        rollout: None,
        run: "shop/web-1".into(),
        metric: "errors".into(),
        now: situation().now,
        run_started_at: situation().now,
        number: 1,
        last: false,
        memory: Vec::new(),
        answers: Vec::new(),
        facts: Vec::new(),
    };
    let plugin = loaded(0, ANALYZER).await.analyzer().unwrap();
    class(plugin.analyze(&config(misdeed), &input).await)
}

pub(crate) async fn enriched(misdeed: &str) -> Option<FailureClass> {
    let input = enricher::Occasion {
        rollout: rollout(),
        event: "{}".into(),
        annotations: "{}".into(),
        memory: Vec::new(),
        answers: Vec::new(),
    };
    let plugin = loaded(1, ENRICHER).await.enricher().unwrap();
    class(plugin.enrich(&config(misdeed), &input).await)
}

pub(crate) async fn stepped(misdeed: &str) -> Option<FailureClass> {
    let input = step::Occasion {
        rollout: rollout(),
        call: step::Call::Run,
        index: 0,
        now: situation().now,
        memory: Vec::new(),
        answers: Vec::new(),
        facts: Vec::new(),
    };
    let plugin = loaded(2, STEP).await.step().unwrap();
    class(plugin.act(&config(misdeed), &input).await)
}
