//! Whole reconciliations of a canary behind routes: pods and weights, steps, promotion and abort.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kulta_api::{PauseCondition, PauseReason, RolloutStatus, TransitionKind};
use serde_json::json;

use crate::decision::{Decision, FailureClass, Next, StrategyFailure};
use crate::fixtures;
use crate::observed::{Observed, RouteState};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::Turn;
use crate::rollout::tests::support::{
    asked, done, hold, now, route_writes, routed, scales, service, status, steps, stored, under_way,
};
use crate::workload::{Revision, WorkloadWrite};

#[test]
fn a_first_revision_is_created_with_all_pods_without_a_question() {
    let mut observed = under_way(steps(), 0, 0, 0);
    observed.rollout.status = None;
    observed.revisions.clear();

    let plan = done(begin(observed, now()));

    let Some(Action::Workload(WorkloadWrite::Create { body, .. })) =
        plan.writes.iter().map(|write| &write.action).next()
    else {
        panic!("{:?}", plan.writes)
    };
    assert_eq!(body["spec"]["replicas"], 2);
}

#[test]
fn the_weight_is_not_raised_before_the_canary_has_its_pods() {
    let mut observed = under_way(steps(), 2, 1, 50);
    let short = Revision { available_replicas: 1, replicas: 2, ..Revision::clone(&observed.revisions[0]) };
    observed.revisions[0] = Arc::new(short);

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(2, 80))));

    assert_eq!(route_writes(&plan), Vec::<u32>::new());
}

#[test]
fn the_weight_is_raised_once_the_canary_has_its_pods() {
    let plan = done(asked(begin(under_way(steps(), 0, 1, 0), now())).answer(Ok(hold(0, 50))));

    assert_eq!(route_writes(&plan), [50]);
}

fn serving_since(observed: Observed) -> Option<String> {
    let mut turn = begin(observed.clone(), now());
    while let Turn::Ask(ask) = turn {
        turn = ask.answer(Ok(hold(0, 50)));
    }
    let plan = done(turn);
    let kulta = stored(observed, &plan).rollout.status.unwrap().kulta.unwrap();
    kulta.serving_since.map(|time| time.0.to_string())
}

#[test]
fn the_time_since_when_requests_reach_the_revision_is_stored_and_stays() {
    let mut observed = under_way(steps(), 0, 1, 50);
    assert_eq!(serving_since(observed.clone()), Some(now().to_string()));

    let before = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let kulta = kulta_api::KultaStatus { serving_since: Some(kulta_api::Time(before)), ..Default::default() };
    status(&mut observed).kulta = Some(kulta);

    assert_eq!(serving_since(observed), Some(before.to_string()));
}

#[test]
fn requests_do_not_reach_the_revision_without_weight_or_while_the_service_selects_another() {
    let without_weight = under_way(steps(), 0, 1, 0);
    let mut another = under_way(steps(), 0, 1, 50);
    another.services.extend([service("canary", "bad")]);

    assert_eq!([without_weight, another].map(serving_since), [None, None]);
}

#[test]
fn a_canary_that_lost_all_its_pods_loses_its_traffic() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.revisions[0] = Arc::new(Revision { available_replicas: 0, ..Revision::clone(&observed.revisions[0]) });

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(1, 50))));

    assert_eq!(route_writes(&plan), [0]);
}

#[test]
fn the_strategy_is_asked_again_with_reached_once_its_target_is_in_place() {
    let ask = asked(begin(under_way(steps(), 0, 1, 50), now()));

    let again = asked(ask.answer(Ok(hold(0, 50))));

    assert!(again.situation.reached);
}

#[test]
fn a_completed_step_and_its_transition_are_stored_in_one_patch() {
    let again = asked(asked(begin(under_way(steps(), 0, 1, 50), now())).answer(Ok(hold(0, 50))));
    let next = asked(again.answer(Ok(hold(1, 50))));
    let pause = Decision { next: Next::Pause { cause: crate::decision::PauseCause::Step, until: None }, ..hold(1, 50) };

    let plan = done(asked(next.answer(Ok(pause.clone()))).answer(Ok(pause)));

    let patch = plan.status.unwrap().patch;
    assert_eq!(
        (&patch["currentStepIndex"], &patch["pauseConditions"][0]["reason"]),
        (&json!(1), &json!("CanaryPauseStep"))
    );
}

/// The weights before and at the end of the step that this reconciliation completes.
fn progress(observed: Observed, weight: u32) -> (Option<u32>, Option<u32>) {
    let step = u32::try_from(observed.rollout.status.as_ref().unwrap().current_step_index.unwrap()).unwrap();
    let there = asked(asked(begin(observed.clone(), now())).answer(Ok(hold(step, weight))));
    let next = asked(there.answer(Ok(hold(step + 1, 90))));
    let plan = done(next.answer(Ok(hold(step + 1, 90))));
    let outbox = stored(observed, &plan).rollout.status.unwrap().kulta.unwrap().outbox;
    let entry = outbox.into_iter().find(|entry| entry.kind == TransitionKind::Progressed).unwrap();
    (entry.from, entry.weight)
}

#[test]
fn the_event_of_a_completed_step_has_the_weights_before_and_after_it() {
    let first = under_way(steps(), 0, 1, 50);
    let mut later = under_way(steps(), 2, 2, 80);
    let kulta = kulta_api::KultaStatus { step_weight: Some(50), ..Default::default() };
    status(&mut later).kulta = Some(kulta);

    assert_eq!(progress(first, 50), (Some(0), Some(50)));
    assert_eq!(progress(later, 80), (Some(50), Some(80)));
}

#[test]
fn a_route_write_that_moves_no_share_is_no_event() {
    let mut observed = under_way(steps(), 0, 1, 0);
    let RouteState::Found(route) = &mut observed.routes[0].state else { panic!("no route") };
    Arc::make_mut(route).spec["rules"][0]["backendRefs"][0]["weight"] = json!(1);

    let plan = done(asked(begin(observed, now())).answer(Ok(hold(0, 0))));

    let events: Vec<_> =
        plan.writes.iter().flat_map(|write| &write.events).map(|event| event.reason.as_str()).collect();
    assert_eq!((route_writes(&plan), events.contains(&"TrafficWeightUpdated")), (vec![0], false));
}

#[test]
fn a_lifted_pause_is_reported_to_the_strategy() {
    let mut observed = under_way(steps(), 1, 1, 50);
    status(&mut observed).controller_pause = true;

    assert!(asked(begin(observed, now())).situation.promoted);
}

#[test]
fn an_abort_takes_the_traffic_away_without_asking() {
    let mut observed = under_way(steps(), 1, 1, 50);
    status(&mut observed).abort = true;
    status(&mut observed).pause_conditions =
        vec![PauseCondition { reason: PauseReason::CanaryPauseStep, start_time: kulta_api::Time(now()) }];

    let plan = done(begin(observed, now()));

    assert_eq!(route_writes(&plan), [0]);
}

#[test]
fn the_canary_keeps_its_pods_while_it_may_serve() {
    let mut observed = under_way(steps(), 1, 1, 50);
    status(&mut observed).abort = true;

    assert!(scales(&done(begin(observed, now()))).is_empty());
}

#[test]
fn stable_is_never_scaled_down_by_a_held_rollout() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed, now()));

    assert_eq!((scales(&plan), route_writes(&plan)), (Vec::new(), Vec::new()));
}

#[test]
fn a_strategy_that_fails_holds_everything() {
    let failure = StrategyFailure { class: FailureClass::Trapped, message: "boom".into() };

    let plan = done(asked(begin(under_way(steps(), 1, 1, 50), now())).answer(Err(failure)));

    assert_eq!((scales(&plan), route_writes(&plan)), (Vec::new(), Vec::new()));
    assert!(plan.wake_up.is_some());
}

#[test]
fn only_the_final_answer_about_a_step_in_place_is_logged() {
    let answer = |reason: &str| Ok(Decision { reason: reason.into(), ..hold(1, 50) });
    let logged = |observed: Observed| {
        let again = asked(asked(begin(observed, now())).answer(answer("moving the weight")));
        let plan = done(again.answer(answer("keeping the weight")));
        plan.status.and_then(|status| status.patch.pointer("/kulta/decisions").cloned())
    };
    let mut observed = under_way(steps(), 1, 1, 50);
    let first = logged(observed.clone()).unwrap();
    let kulta = json!({ "kulta": { "sequence": 1, "decisions": first } });
    status(&mut observed).kulta = serde_json::from_value::<RolloutStatus>(kulta).unwrap().kulta;

    let second = logged(observed);

    assert_eq!(first.as_array().map(Vec::len), Some(1), "{first}");
    assert_eq!(second, None, "written again");
}

#[test]
fn a_full_promotion_cancels_an_abort() {
    let mut observed = under_way(steps(), 0, 2, 0);
    status(&mut observed).abort = true;
    status(&mut observed).aborted_at = Some(kulta_api::Time(now()));
    status(&mut observed).promote_full = true;

    let plan = done(begin(observed, now()));

    assert_eq!(route_writes(&plan), [100]);
}

#[test]
fn a_rollout_without_wanted_pods_is_scaled_down_whatever_the_weight_is() {
    let mut observed = under_way(steps(), 1, 1, 50);
    observed.rollout.spec.replicas = Some(0);

    let Turn::Done(plan) = asked(begin(observed, now())).answer(Ok(hold(1, 50))) else { panic!("looked up") };

    let mut scaled: Vec<_> = scales(&plan).into_iter().map(|(_, pods)| pods).collect();
    scaled.dedup();
    assert_eq!(scaled, [0]);
}

#[test]
fn a_step_of_a_rollout_without_pods_is_reached_without_weight() {
    let mut observed = under_way(steps(), 0, 0, 0);
    observed.rollout.spec.replicas = Some(0);
    observed.revisions[1] = Arc::new(fixtures::revision("old", 1, 0, 0));

    let again = asked(asked(begin(observed, now())).answer(Ok(hold(0, 50))));

    assert!(again.situation.reached);
}

#[test]
fn a_strategy_that_aborts_takes_the_traffic_back_and_its_reason_is_reported() {
    let next = Next::Abort { kind: kulta_api::FailureKind::Analysis, reason: "9 % of requests fail".into() };
    let abort = Decision { next, ..hold(1, 50) };
    let again = asked(asked(begin(under_way(steps(), 1, 1, 50), now())).answer(Ok(abort.clone())));

    let plan = done(again.answer(Ok(abort)));

    assert_eq!(route_writes(&plan), [0]);
    let status = plan.status.unwrap().patch;
    assert_eq!(
        (&status["abort"], &status["kulta"]["failure"], &status["message"]),
        (
            &json!(true),
            &json!("analysis"),
            &json!("RolloutAborted: Rollout aborted update to revision 2: 9 % of requests fail")
        )
    );
}

#[test]
fn a_full_promotion_ends_with_the_new_revision_stable_and_one_transition() {
    let mut observed = under_way(steps(), 4, 2, 100);
    status(&mut observed).kulta = Some(kulta_api::KultaStatus { promoting: true, ..Default::default() });

    let plan = done(begin(observed, now()));

    let patch = plan.status.unwrap().patch;
    let events: Vec<TransitionKind> =
        serde_json::from_value::<Vec<kulta_api::OutboxEntry>>(patch["kulta"]["outbox"].clone())
            .unwrap()
            .into_iter()
            .map(|entry| entry.kind)
            .filter(|kind| *kind == TransitionKind::ServiceUpgraded)
            .collect();
    assert_eq!((events.len(), patch["stableRS"].is_string()), (1, true));
}

#[test]
fn a_transition_keeps_the_number_that_its_revision_has_at_that_moment() {
    let mut observed = under_way(steps(), 4, 2, 100);
    status(&mut observed).kulta = Some(kulta_api::KultaStatus { promoting: true, ..Default::default() });

    let plan = done(begin(observed, now()));

    assert_eq!(plan.status.unwrap().patch.pointer("/kulta/outbox/0/rev"), Some(&json!(2)));
}

#[test]
fn an_older_revision_without_an_available_pod_is_not_kept_for_the_delay() {
    let mut observed = under_way(steps(), 4, 2, 0);
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.services = BTreeMap::from([service("canary", &hash), service("stable", &hash)]);
    observed.revisions[1] = Arc::new(fixtures::revision("bad", 1, 2, 0));
    status(&mut observed).stable_rs = hash;

    let plan = done(begin(observed, now()));

    assert_eq!(scales(&plan), [("web-bad".to_owned(), 0)]);
}

/// An idle rollout that keeps no history, with an older revision that event 1 is about. The event is delivered. `stored` says
/// whether its outbox entry is still in the status.
fn without_history(stored: bool) -> Plan {
    let mut observed = under_way(steps(), 4, 2, 0);
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.services = BTreeMap::from([service("canary", &hash), service("stable", &hash)]);
    observed.revisions[1] = Arc::new(fixtures::revision("old", 1, 0, 0));
    observed.rollout.spec.revision_history_limit = Some(0);
    observed.delivered = 1;
    status(&mut observed).stable_rs = hash;
    let mut kulta = kulta_api::KultaStatus::default();
    kulta.store(|seq, first| {
        let entry = json!({ "seq": seq, "kind": "serviceUpgraded", "at": "2026-01-01T00:00:00Z", "hash": "old", "first": first });
        serde_json::from_value(entry).unwrap()
    });
    if !stored {
        kulta.outbox.clear();
    }
    status(&mut observed).kulta = Some(kulta);
    done(begin(observed, now()))
}

fn deletes(plan: &Plan) -> bool {
    plan.writes.iter().any(|write| matches!(write.action, Action::Workload(WorkloadWrite::Delete { .. })))
}

#[test]
fn a_revision_whose_events_may_be_emitted_again_is_not_deleted() {
    assert_eq!([without_history(true), without_history(false)].map(|plan| deletes(&plan)), [false, true]);
}

#[test]
fn nothing_is_written_for_an_idle_rollout() {
    let mut observed = under_way(steps(), 4, 2, 0);
    let hash = status(&mut observed).current_pod_hash.clone();
    observed.services = BTreeMap::from([service("canary", &hash), service("stable", &hash)]);
    observed.revisions.truncate(1);
    status(&mut observed).stable_rs = hash;
    observed.rollout.metadata.annotations =
        Some(BTreeMap::from([("rollout.argoproj.io/revision".to_owned(), "2".to_owned())]));
    let first = done(begin(observed.clone(), now()));
    let mut stored = serde_json::to_value(observed.rollout.status.clone()).unwrap();
    json_patch::merge(&mut stored, &first.status.unwrap().patch);
    observed.rollout.status = serde_json::from_value(stored).unwrap();
    observed.delivered = u64::MAX;

    let second = done(begin(observed, now()));

    assert_eq!((second.status.map(|status| status.patch), second.writes), (None, Vec::new()));
}

#[test]
fn a_promotion_of_many_pods_moves_fine_grained_weights_with_the_pods() {
    let mut observed = under_way(steps(), 4, 4_999, 100);
    let mut strategy = routed(steps());
    strategy["canary"]["dynamicStableScale"] = json!(true);
    strategy["canary"]["trafficRouting"]["maxTrafficWeight"] = json!(1_000_000);
    observed.rollout.spec.strategy = fixtures::rollout(strategy).spec.strategy;
    observed.rollout.spec.replicas = Some(5_000);
    let RouteState::Found(shared) = &mut observed.routes[0].state else { panic!("no route") };
    let backends = json!([{ "name": "stable", "weight": 500_000 }, { "name": "canary", "weight": 500_000 }]);
    Arc::make_mut(shared).spec["rules"][0]["backendRefs"] = backends;

    let plan = done(begin(observed, now()));

    assert_eq!(route_writes(&plan), [999_800]);
}
