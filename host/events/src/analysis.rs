//! Analysis runs as test suites, their metrics as test cases.

use kulta_api::{OutboxEntry, Outcome};
use serde_json::{Value, json};

use crate::event::object;
use crate::kinds::Stage;
use crate::subject::{Origin, RolloutId};

/// The kind of test that a metric is.
const CASE_TYPE: &str = "performance";
/// What started the run: the rollout as it goes on.
const TRIGGER_TYPE: &str = "pipeline";

/// The AnalysisRun object: `<namespace>/<name>`.
pub(crate) fn run_id(entry: &OutboxEntry, rollout: &RolloutId) -> String {
    let RolloutId { namespace, name, .. } = rollout;
    format!("{namespace}/{name}-{}-{}", entry.hash, entry.run.as_deref().unwrap_or_default())
}

/// The metric of a run: `<namespace>/<name>/<metric>`.
pub(crate) fn case_id(entry: &OutboxEntry, rollout: &RolloutId) -> String {
    format!("{}/{}", run_id(entry, rollout), entry.metric.as_deref().unwrap_or_default())
}

impl Origin {
    /// The suite is the place in the rollout that asks for the analysis, the same for all revisions.
    pub(crate) fn suite_run_content(&self, stage: Stage, entry: &OutboxEntry, rollout: &RolloutId) -> Value {
        let place = entry.step.map_or_else(|| "background".to_owned(), |step| format!("steps/{step}/analysis"));
        let suite = json!({ "id": format!("{}/{}/{place}", rollout.namespace, rollout.name), "name": place });
        let common = [("environment", Some(self.environment_json())), ("testSuite", Some(suite))];
        match stage {
            Stage::Started => object(common.into_iter().chain([("trigger", Some(json!({ "type": TRIGGER_TYPE })))])),
            Stage::Finished => object(common.into_iter().chain(outcome(entry))),
        }
    }

    pub(crate) fn case_run_content(&self, entry: &OutboxEntry, rollout: &RolloutId) -> Value {
        let run = json!({ "id": run_id(entry, rollout), "source": self.source.as_str() });
        let metric = entry.metric.as_deref().filter(|metric| !metric.is_empty());
        let case = metric.map(|metric| json!({ "id": metric, "name": metric, "type": CASE_TYPE }));
        let common = [("environment", Some(self.environment_json())), ("testSuiteRun", Some(run)), ("testCase", case)];
        object(common.into_iter().chain(outcome(entry)))
    }
}

/// Every end is stored with its outcome; what has none all the same is no success.
fn outcome(entry: &OutboxEntry) -> [(&'static str, Option<Value>); 2] {
    let outcome = entry.outcome.unwrap_or(Outcome::Error);
    [("outcome", Some(outcome.as_str().into())), ("reason", entry.why.as_deref().map(Value::from))]
}
