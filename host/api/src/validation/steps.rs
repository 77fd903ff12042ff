//! Validates the steps of a canary.

use super::{managed_routes, request};
use crate::duration;
use crate::field_error::{Faults, Path};
use crate::step::{CanaryStep, SetCanaryScale};
use crate::strategy::CanaryFields;

pub(super) fn validate(steps: &[CanaryStep], fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    for (index, step) in steps.iter().enumerate() {
        validate_step(step, fields, &path.index(index), faults);
    }
}

fn validate_step(step: &CanaryStep, fields: &CanaryFields, path: &Path, faults: &mut Faults) {
    let later = [(step.experiment.is_some(), "experiment")];
    // As in Argo Rollouts, whose check of exclusive kinds names these four.
    let exclusive =
        [step.set_weight.is_some(), step.pause.is_some(), step.analysis.is_some(), step.experiment.is_some()];
    let others = [
        step.set_canary_scale.is_some(),
        step.plugin.is_some(),
        step.set_header_route.is_some(),
        step.set_mirror_route.is_some(),
    ];
    match exclusive.into_iter().filter(|present| *present).count() {
        0 => faults.add_if(
            !others.into_iter().chain(later.map(|(present, _)| present)).any(|present| present),
            path,
            "must have one of setWeight, pause, setCanaryScale, setHeaderRoute, setMirrorRoute, analysis or plugin",
        ),
        1 => {}
        _ => faults.add(path, "must have only one of setWeight, pause and analysis: use a separate step for each"),
    }
    for (present, field) in later {
        faults.unsupported(present, &path.field(field));
    }
    if let Some(weight) = step.set_weight {
        let max = fields.max_weight();
        let within = u32::try_from(weight).is_ok_and(|weight| weight <= max);
        faults.add_if(!within, &path.field("setWeight"), format!("{weight} must be between 0 and {max}"));
    }
    if let Some(Err(error)) = step.pause.as_ref().and_then(|pause| pause.duration.as_ref()).map(duration::parse) {
        faults.add(&path.field("pause").field("duration"), error.to_string());
    }
    if let Some(scale) = &step.set_canary_scale {
        let path = path.field("setCanaryScale");
        faults.add_if(fields.traffic_routing.is_none(), &path, "can only be used with trafficRouting");
        validate_scale(scale, &path, faults);
    }
    if let Some(judged) = &step.analysis {
        request::step(judged, &path.field("analysis"), faults);
    }
    if let Some(route) = &step.set_header_route {
        managed_routes::header_step(route, fields, &path.field("setHeaderRoute"), faults);
    }
    if let Some(route) = &step.set_mirror_route {
        managed_routes::mirror_step(route, fields, &path.field("setMirrorRoute"), faults);
    }
    let both = step.set_header_route.is_some() && step.set_mirror_route.is_some();
    faults.add_if(both, path, "must have only one of setHeaderRoute and setMirrorRoute: use a separate step for each");
    let nameless = step.plugin.as_ref().is_some_and(|plugin| plugin.name.is_empty());
    faults.add_if(nameless, &path.field("plugin").field("name"), "must name the step plugin");
}

/// A weight above 100 is valid, as in Argo Rollouts: it requests more canary pods than `spec.replicas`. Several
/// measures and none are valid too: Argo defines their precedence (`utils/replicaset/canary.go`, `UseSetCanaryScale`).
fn validate_scale(scale: &SetCanaryScale, path: &Path, faults: &mut Faults) {
    faults.not_negative(scale.replicas, &path.field("replicas"));
    faults.not_negative(scale.weight, &path.field("weight"));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::rollout::Rollout;
    use crate::validation::tests::{assert_faults, canary, paths, routed};

    fn step(step: Value) -> Rollout {
        routed(json!({ "steps": [step] }))
    }

    #[test]
    fn a_step_has_exactly_one_action() {
        let at: &[&str] = &["spec.strategy.canary.steps[0]"];
        assert_faults(vec![
            (step(json!({})), at),
            (step(json!({ "setWeight": 5, "pause": {} })), at),
            (
                step(json!({ "setWeight": 5, "experiment": {} })),
                &["spec.strategy.canary.steps[0]", "spec.strategy.canary.steps[0].experiment"],
            ),
        ]);
    }

    #[test]
    fn two_of_weight_pause_analysis_and_experiment_are_rejected() {
        let kinds = [("setWeight", json!(5)), ("pause", json!({})), ("analysis", json!({})), ("experiment", json!({}))];
        for (index, (first, one)) in kinds.iter().enumerate() {
            for (second, two) in kinds.iter().skip(index + 1) {
                let rollout = step(json!({ *first: one, *second: two }));

                assert!(paths(&rollout).contains(&"spec.strategy.canary.steps[0]".to_owned()), "{first} and {second}");
            }
        }
    }

    /// As in Argo Rollouts, whose check of exclusive kinds omits it.
    #[test]
    fn a_canary_scale_may_be_combined_with_another_action() {
        let scale = json!({ "replicas": 1 });
        assert_faults(vec![
            (step(json!({ "setWeight": 5, "setCanaryScale": scale })), &[]),
            (step(json!({ "pause": {}, "setCanaryScale": scale })), &[]),
            (step(json!({ "analysis": { "templates": [{ "templateName": "a" }] }, "setCanaryScale": scale })), &[]),
            (step(json!({ "plugin": { "name": "team/gate" }, "setCanaryScale": scale })), &[]),
        ]);
    }

    /// As in Argo Rollouts, whose check of exclusive kinds leaves it out.
    #[test]
    fn a_plugin_may_stand_beside_another_kind() {
        let plugin = json!({ "name": "team/gate" });
        assert_faults(vec![
            (step(json!({ "setWeight": 5, "plugin": plugin })), &[]),
            (step(json!({ "pause": {}, "plugin": plugin })), &[]),
            (step(json!({ "analysis": { "templates": [{ "templateName": "a" }] }, "plugin": plugin })), &[]),
        ]);
    }

    #[test]
    fn a_weight_is_between_zero_and_the_maximum() {
        let at: &[&str] = &["spec.strategy.canary.steps[1].setWeight"];
        let weight = |weight: i32| routed(json!({ "steps": [{ "pause": {} }, { "setWeight": weight }] }));
        let of_1000 = |weight: i32| {
            routed(
                json!({ "trafficRouting": { "maxTrafficWeight": 1000 }, "steps": [{ "pause": {} }, { "setWeight": weight }] }),
            )
        };
        assert_faults(vec![
            (weight(0), &[]),
            (weight(100), &[]),
            (weight(101), at),
            (weight(-1), at),
            (of_1000(1000), &[]),
            (of_1000(1001), at),
        ]);
    }

    #[test]
    fn a_pause_is_indefinite_or_has_a_valid_duration() {
        let at: &[&str] = &["spec.strategy.canary.steps[0].pause.duration"];
        let pause = |duration: Value| step(json!({ "pause": { "duration": duration } }));
        assert_faults(vec![
            (step(json!({ "pause": {} })), &[]),
            (step(json!({ "pause": null })), &[]),
            (pause(json!(30)), &[]),
            (pause(json!("30")), &[]),
            (pause(json!("1h30m")), &[]),
            (pause(json!(-1)), at),
            (pause(json!("5 minutes")), at),
        ]);
    }

    #[test]
    fn a_canary_scale_needs_routes_and_no_negative_measure() {
        let at = "spec.strategy.canary.steps[0].setCanaryScale";
        let scale = |scale: Value| step(json!({ "setCanaryScale": scale }));
        assert_faults(vec![
            (scale(json!({ "replicas": 0 })), &[]),
            (scale(json!({ "weight": 200 })), &[]),
            (scale(json!({ "matchTrafficWeight": true })), &[]),
            (scale(json!({ "matchTrafficWeight": false, "weight": 5 })), &[]),
            (scale(json!({})), &[]),
            (scale(json!({ "matchTrafficWeight": false })), &[]),
            (scale(json!({ "replicas": 1, "weight": 5, "matchTrafficWeight": true })), &[]),
            (scale(json!({ "replicas": -1 })), &["spec.strategy.canary.steps[0].setCanaryScale.replicas"]),
            (scale(json!({ "weight": -1 })), &["spec.strategy.canary.steps[0].setCanaryScale.weight"]),
            (canary(json!({ "steps": [{ "setCanaryScale": { "replicas": 1 } }] })), &[at]),
        ]);
    }

    #[test]
    fn unsupported_steps_are_rejected_by_their_path() {
        assert_eq!(paths(&step(json!({ "experiment": {} }))), ["spec.strategy.canary.steps[0].experiment"]);
    }

    #[test]
    fn a_step_plugin_needs_a_name() {
        let at: &[&str] = &["spec.strategy.canary.steps[0].plugin.name"];
        assert_faults(vec![
            (step(json!({ "plugin": { "name": "team/gate" } })), &[]),
            (step(json!({ "plugin": { "name": "team/gate", "config": { "url": "x" }, "disabled": true } })), &[]),
            (step(json!({ "plugin": { "name": "" } })), at),
            (step(json!({ "plugin": {} })), at),
        ]);
    }
}
