//! Analysis runs as test suites, and their metrics as test cases.

use kulta_api::{OutboxEntry, Outcome};
use serde_json::{Value, json};

use crate::event::object;
use crate::kinds::Stage;
use crate::subject::{Origin, RolloutId};

/// The CDEvents test type of a metric.
const CASE_TYPE: &str = "performance";
/// The trigger of the run: the rollout's progress.
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
    /// The suite is the rollout's analysis (background or step), the same for all revisions.
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

/// Every finished run is stored with its outcome; a run without one did not succeed.
fn outcome(entry: &OutboxEntry) -> [(&'static str, Option<Value>); 2] {
    let outcome = entry.outcome.unwrap_or(Outcome::Error);
    [("outcome", Some(outcome.as_str().into())), ("reason", entry.why.as_deref().map(Value::from))]
}
