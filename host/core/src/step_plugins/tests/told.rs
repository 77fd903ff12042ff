//! What is told of the work.

use super::*;

fn told(plan: &Plan) -> Vec<(&'static str, &str)> {
    let events = plan.events.iter().map(|event| (event.reason.as_str(), event.message.as_str()));
    events.filter(|(reason, _)| *reason == "StepPluginTransition").collect()
}

#[test]
fn each_phase_is_told_once() {
    let mut story = Story::begin();
    let begun = story.look();
    let again = story.look();

    let message = "Step plugin \"team/gate\" of step 1: Run went to Running";
    assert_eq!(told(&begun), [("StepPluginTransition", message)]);
    assert_eq!(told(&again), []);
}

#[test]
fn the_outcome_is_told_with_its_reason_and_under_a_name_of_its_own() {
    let mut story = Story::begin();
    let begun = story.look();
    let id = begun.step_call.as_ref().unwrap().id;
    story.observed.step_answers = vec![StepAnswer { id, outcome: failed() }];

    let plan = story.look();

    let message = "Step plugin \"team/gate\" of step 1: Run went from Running to Failed: shut";
    assert_eq!(told(&plan), [("StepPluginTransition", message)]);
    assert_ne!(begun.events[0].name, plan.events[0].name);
}

#[test]
fn a_status_of_another_controller_is_lived_with() {
    let foreign = |status: &mut RolloutStatus| {
        status.canary.step_plugin_statuses = serde_json::from_value(json!([
            { "index": 1, "name": "team/gate", "operation": "Run", "phase": "Running", "startedAt": "2027-01-15T08:00:00Z",
              "backoff": "1m0s", "updatedAt": "2027-01-15T08:00:00Z", "executions": 3, "status": { "theirs": true } },
            { "index": 0, "name": "x", "operation": "Else" }
        ]))
        .unwrap();
    };
    let mut story = Story::begin().with(foreign);
    assert_eq!(story.call(), None);

    let call = story.after(60).call().unwrap();

    assert_eq!((what(&call), call.memory), ((1, Operation::Run, 3), Vec::new()));
}

#[test]
fn a_run_that_the_spec_does_not_have_is_not_served() {
    let mut story = Story::begin();
    let crate::rollout::questions::Turn::Ask(ask) = begin(story.observed.clone(), story.now) else { panic!("done") };
    let wants = vec![WantedRun { name: "steps/3/plugin".into(), attempt: 1 }];

    let crate::rollout::questions::Turn::Done(plan) = ask.answer(Ok(Decision { runs: wants, ..hold(3, 50) })) else {
        panic!("asked")
    };

    assert!(plan.reason.contains("steps/3/plugin"), "{}", plan.reason);
    story.look();
}
