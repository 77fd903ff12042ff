//! Validates a rollout's requests for analyses. Whether the templates exist and are valid is checked elsewhere.

use super::analysis::validate_request;
use crate::analysis::RolloutAnalysis;
use crate::field_error::{Faults, Path};

/// In the background. Without templates nothing is measured, as in Argo Rollouts.
pub(super) fn background(analysis: &RolloutAnalysis, path: &Path, faults: &mut Faults) {
    parts(analysis, path, faults);
}

pub(super) fn step(analysis: &RolloutAnalysis, path: &Path, faults: &mut Faults) {
    faults.add_if(
        analysis.templates.is_empty(),
        &path.field("templates"),
        "is required: a step needs something to measure",
    );
    parts(analysis, path, faults);
}

fn parts(analysis: &RolloutAnalysis, path: &Path, faults: &mut Faults) {
    for error in validate_request(analysis, path.as_str()).err().unwrap_or_default() {
        faults.push(error);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::rollout::Rollout;
    use crate::validation::tests::{assert_faults, canary, rollout};

    fn step(analysis: Value) -> Rollout {
        canary(json!({ "steps": [{ "setWeight": 5 }, { "analysis": analysis }] }))
    }

    fn background(analysis: Value) -> Rollout {
        canary(json!({ "steps": [{ "setWeight": 5 }], "analysis": analysis }))
    }

    fn named() -> Value {
        json!([{ "templateName": "errors" }, { "templateName": "latency", "clusterScope": true }])
    }

    #[test]
    fn an_analysis_names_its_templates() {
        assert_faults(vec![
            (step(json!({ "templates": named() })), &[]),
            (step(json!({})), &["spec.strategy.canary.steps[1].analysis.templates"]),
            (step(json!({ "templates": [{}] })), &["spec.strategy.canary.steps[1].analysis.templates[0].templateName"]),
            (background(json!({ "templates": named() })), &[]),
            (background(json!({})), &[]),
            (background(json!({ "templates": [{}] })), &["spec.strategy.canary.analysis.templates[0].templateName"]),
        ]);
    }

    #[test]
    fn the_background_analysis_may_begin_at_any_step() {
        let starting = |step: i32| background(json!({ "templates": named(), "startingStep": step }));
        assert_faults(vec![
            (starting(0), &[]),
            (starting(1), &[]),
            (starting(2), &[]),
            (starting(-1), &[]),
            (canary(json!({ "analysis": { "startingStep": 0 } })), &[]),
        ]);
    }

    #[test]
    fn a_plugin_strategy_may_have_a_background_analysis() {
        let plugin = |analysis: Value| {
            rollout(json!({ "strategy": { "canary": null, "plugin": { "name": "linear", "analysis": analysis } } }))
        };
        assert_faults(vec![
            (plugin(json!({ "templates": named(), "startingStep": 7 })), &[]),
            (plugin(json!({ "templates": [{}] })), &["spec.strategy.plugin.analysis.templates[0].templateName"]),
        ]);
    }

    #[test]
    fn an_invalid_argument_is_reported_with_its_path() {
        let args = json!([{ "name": "a", "valueFrom": { "podTemplateHashValue": "Newest" } }]);
        assert_faults(vec![(
            background(json!({ "templates": named(), "args": args })),
            &["spec.strategy.canary.analysis.args[0].valueFrom.podTemplateHashValue"],
        )]);
    }
}
