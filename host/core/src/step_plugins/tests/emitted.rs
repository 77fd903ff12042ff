//! Events about the work of step plugins.

use super::*;

fn emitted(plan: &Plan) -> Vec<(&'static str, &str)> {
    let events = plan.events.iter().map(|event| (event.reason.as_str(), event.message.as_str()));
    events.filter(|(reason, _)| *reason == "StepPluginTransition").collect()
}

#[test]
fn each_phase_is_emitted_once() {
    let mut scenario = Scenario::begin();
    let begun = scenario.reconcile();
    let again = scenario.reconcile();

    let message = "Step plugin \"team/gate\" of step 1: Run went to Running";
    assert_eq!(emitted(&begun), [("StepPluginTransition", message)]);
    assert_eq!(emitted(&again), []);
}

#[test]
fn the_outcome_is_emitted_with_its_reason_and_its_own_event_name() {
    let mut scenario = Scenario::begin();
    let begun = scenario.reconcile();
    let id = begun.step_call.as_ref().unwrap().id;
    scenario.observed.step_answers = vec![StepAnswer { id, outcome: failed() }];

    let plan = scenario.reconcile();

    let message = "Step plugin \"team/gate\" of step 1: Run went from Running to Failed: shut";
    assert_eq!(emitted(&plan), [("StepPluginTransition", message)]);
    assert_ne!(begun.events[0].name, plan.events[0].name);
}

#[test]
fn a_status_that_another_controller_wrote_is_tolerated() {
    let foreign = |status: &mut RolloutStatus| {
        status.canary.step_plugin_statuses = serde_json::from_value(json!([
            { "index": 1, "name": "team/gate", "operation": "Run", "phase": "Running", "startedAt": "2027-01-15T08:00:00Z",
              "backoff": "1m0s", "updatedAt": "2027-01-15T08:00:00Z", "executions": 3, "status": { "theirs": true } },
            { "index": 0, "name": "x", "operation": "Else" }
        ]))
        .unwrap();
    };
    let mut scenario = Scenario::begin().with(foreign);
    assert_eq!(scenario.call(), None);

    let call = scenario.after(60).call().unwrap();

    assert_eq!((what(&call), call.memory), ((1, Operation::Run, 3), Vec::new()));
}

#[test]
fn a_run_that_the_spec_does_not_have_is_not_served() {
    let mut scenario = Scenario::begin();
    let crate::rollout::questions::Turn::Ask(ask) = begin(scenario.observed.clone(), scenario.now) else {
        panic!("done")
    };
    let wants = vec![WantedRun { name: "steps/3/plugin".into(), attempt: 1 }];

    let crate::rollout::questions::Turn::Done(plan) = ask.answer(Ok(Decision { runs: wants, ..hold(3, 50) })) else {
        panic!("asked")
    };

    assert!(plan.reason.contains("steps/3/plugin"), "{}", plan.reason);
    scenario.reconcile();
}
