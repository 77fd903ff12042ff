//! Blue-green: the selectors of the active and the preview Service, the pods of both sides, and the status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kulta_api::blue_green::BlueGreenStatus;
use kulta_api::{PauseReason, RolloutPhase, RolloutStatus, Time};
use serde_json::{Value, json};

use super::support::{asked, done_with, now, plan_by, plan_with, scales, service, status, stored};
use crate::decision::{Decision, Goal, Next, PauseCause, Scale, Waiting};
use crate::fixtures;
use crate::observed::{Endpoints, Observed, Service};
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::LookedUp;
use crate::workload::Revision;

const BLUE: &str = "blue";

fn strategy() -> Value {
    json!({ "blueGreen": { "activeService": "live", "previewService": "next", "autoPromotionEnabled": false } })
}

fn hash(observed: &Observed) -> String {
    crate::hash::revision_hash(&observed.rollout.spec.template.0, 0)
}

/// Revision 2, `green`, has `pods` of 2 pods, and the active Service selects `blue` or `green`.
fn under_way(pods: u32, green_is_active: bool) -> Observed {
    let mut rollout = fixtures::rollout(strategy());
    let green = crate::hash::revision_hash(&rollout.spec.template.0, 0);
    let mut new = fixtures::revision(&green, 2, pods, pods);
    new.annotations.insert("kulta.io/template-hash".into(), crate::hash::template_hash(&rollout.spec.template.0));
    rollout.status = Some(RolloutStatus {
        current_pod_hash: green.clone(),
        stable_rs: BLUE.into(),
        current_step_index: Some(0),
        observed_generation: "1".into(),
        ..RolloutStatus::default()
    });
    let active = if green_is_active { green.as_str() } else { BLUE };
    Observed {
        services: BTreeMap::from([service("live", active), service("next", &green)]),
        revisions: vec![Arc::new(new), Arc::new(fixtures::revision(BLUE, 1, 2, 2))],
        record_kept: true,
        rollout,
        ..Observed::default()
    }
}

fn decision(step: u32, weight: u32) -> Decision {
    Decision {
        step,
        steps: 6,
        memory: Vec::new(),
        weight,
        canary: Scale::Weight(100),
        routes: Vec::new(),
        runs: Vec::new(),
        next: Next::Hold(Waiting::Routes),
        reason: "because".into(),
    }
}

/// The Services that a plan points at revisions.
fn switched(plan: &Plan) -> Vec<(String, String)> {
    let target = |action: &Action| match action {
        Action::PatchService { name, patch } => {
            let hash = patch.pointer("/spec/selector/rollouts-pod-template-hash")?.as_str()?;
            Some((name.clone(), hash.to_owned()))
        }
        _ => None,
    };
    plan.writes.iter().filter_map(|write| target(&write.action)).collect()
}

fn set_pods(observed: &mut Observed, hash: &str, replicas: u32, available: u32) {
    let revision = observed.revisions.iter_mut().find(|revision| revision.hash() == hash).unwrap();
    let old = Revision::clone(revision);
    *revision = Arc::new(Revision { replicas, created_replicas: replicas, available_replicas: available, ..old });
}

#[test]
fn a_whole_preview_gets_the_active_service_when_the_strategy_switches() {
    let observed = under_way(2, false);
    let green = hash(&observed);

    assert_eq!(switched(&plan_with(observed, &decision(0, 100))), [("live".to_owned(), green)]);
}

#[test]
fn a_preview_with_a_missing_pod_is_never_active() {
    for (replicas, available) in [(1, 1), (2, 1), (2, 0)] {
        let mut observed = under_way(2, false);
        let green = hash(&observed);
        set_pods(&mut observed, &green, replicas, available);

        assert_eq!(switched(&plan_with(observed, &decision(0, 100))), [], "{available} of {replicas}");
    }
}

#[test]
fn a_weight_below_the_maximum_keeps_the_active_service_on_stable() {
    assert_eq!(switched(&plan_with(under_way(2, false), &decision(0, 99))), []);
}

#[test]
fn the_preview_service_selects_the_new_revision_before_it_has_pods() {
    let mut observed = under_way(2, false);
    observed.services.extend([service("next", BLUE)]);
    let green = hash(&observed);
    set_pods(&mut observed, &green, 2, 0);

    assert_eq!(switched(&plan_with(observed, &decision(0, 0))), [("next".to_owned(), green)]);
}

#[test]
fn an_abort_points_the_active_service_at_stable_at_once() {
    let mut observed = under_way(2, true);
    status(&mut observed).abort = true;

    assert_eq!(switched(&plan_with(observed, &decision(0, 100))), [("live".to_owned(), BLUE.to_owned())]);
}

#[test]
fn an_abort_waits_until_stable_can_serve_as_much_as_the_active_revision() {
    let mut observed = under_way(2, true);
    status(&mut observed).abort = true;
    set_pods(&mut observed, BLUE, 2, 1);

    assert_eq!(switched(&plan_with(observed, &decision(0, 100))), []);
}

#[test]
fn an_aborted_preview_without_pods_leaves_the_preview_service_to_stable() {
    let mut observed = under_way(2, false);
    let green = hash(&observed);
    status(&mut observed).abort = true;
    status(&mut observed).aborted_at = Some(Time(now()));
    set_pods(&mut observed, &green, 0, 0);

    assert_eq!(switched(&plan_with(observed, &decision(0, 0))), [("next".to_owned(), BLUE.to_owned())]);
}

#[test]
fn after_the_switch_the_old_revision_keeps_its_pods_while_the_active_service_lists_them() {
    let mut observed = under_way(2, true);
    let green = hash(&observed);
    let status = status(&mut observed);
    (status.stable_rs, status.current_step_index) = (green, None);
    let mut old = Revision::clone(&observed.revisions[1]);
    old.annotations.insert("scale-down-deadline".into(), "2020-01-01T00:00:00Z".into());
    observed.revisions[1] = Arc::new(old);
    let listing = |pods: &[&str]| LookedUp {
        endpoints: Some(Endpoints {
            listed: BTreeMap::from([(
                "live".to_owned(),
                pods.iter().map(|pod| (*pod).to_owned()).collect::<BTreeSet<_>>(),
            )]),
            ..Endpoints::default()
        }),
        ..LookedUp::default()
    };

    let kept = done_with(begin(observed.clone(), now()), &listing(&["web-blue-7kxq2"]));
    let deleted = done_with(begin(observed, now()), &listing(&["web-green-7kxq2"]));

    assert_eq!((scales(&kept), scales(&deleted)), (vec![], vec![("web-blue".to_owned(), 0)]));
}

#[test]
fn a_missing_stable_revision_is_replaced_by_the_first_pod_of_the_new_one() {
    let mut observed = under_way(2, false);
    let green = hash(&observed);
    observed.revisions.truncate(1);
    set_pods(&mut observed, &green, 2, 1);

    let plan = done_with(begin(observed, now()), &LookedUp::default());

    assert_eq!(switched(&plan), [("live".to_owned(), green)]);
}

#[test]
fn an_active_service_that_selects_every_pod_is_taken_over_once_stable_is_whole() {
    let mut observed = under_way(2, false);
    observed.services.insert("live".into(), Some(Arc::new(Service { name: "live".into(), ..Service::default() })));
    set_pods(&mut observed, BLUE, 2, 1);
    let early = switched(&plan_with(observed.clone(), &decision(0, 0)));
    set_pods(&mut observed, BLUE, 2, 2);

    let late = switched(&plan_with(observed, &decision(0, 0)));

    assert_eq!((early, late), (vec![], vec![("live".to_owned(), BLUE.to_owned())]));
}

#[test]
fn a_promotion_makes_the_active_revision_stable_and_clears_the_index() {
    let observed = under_way(2, true);
    let green = hash(&observed);
    let promote = Decision { step: 0, next: Next::Promote, ..decision(0, 100) };

    let plan = plan_with(observed.clone(), &promote);
    let after = stored(observed, &plan).rollout.status.unwrap();

    assert_eq!((after.stable_rs, after.current_step_index, after.promote_full), (green, None, false));
    let completed = plan.events.iter().find(|event| event.reason.as_str() == "RolloutCompleted").unwrap();
    assert!(completed.message.ends_with("Completed blue-green update"), "{}", completed.message);
}

#[test]
fn a_user_who_promotes_fully_is_told_apart_from_the_strategy() {
    let mut observed = under_way(2, true);
    status(&mut observed).promote_full = true;

    let plan = done_with(begin(observed, now()), &LookedUp::default());

    let completed = plan.events.iter().find(|event| event.reason.as_str() == "RolloutCompleted").unwrap();
    assert!(completed.message.ends_with("Full promotion requested"), "{}", completed.message);
}

#[test]
fn a_pause_is_stored_with_argos_reason_for_blue_green() {
    let observed = under_way(2, false);
    let pause = Decision { next: Next::Pause { cause: PauseCause::Step, until: None }, ..decision(0, 0) };

    let after = stored(observed.clone(), &plan_with(observed, &pause)).rollout.status.unwrap();

    assert_eq!(after.pause_conditions[0].reason, PauseReason::BlueGreenPause);
    assert_eq!((after.phase, after.message.as_str()), (Some(RolloutPhase::Paused), "BlueGreenPause"));
}

#[test]
fn the_status_names_the_selected_revisions_and_counts_the_active_pods() {
    let mut observed = under_way(1, false);
    let green = hash(&observed);
    set_pods(&mut observed, BLUE, 2, 2);

    let after = stored(observed.clone(), &plan_with(observed, &decision(0, 0))).rollout.status.unwrap();

    let selectors = after.blue_green.unwrap();
    assert_eq!((selectors.active_selector.as_deref(), selectors.preview_selector), (Some(BLUE), Some(green)));
    assert_eq!((after.hpa_replicas, after.selector.as_str()), (2, "app=web,rollouts-pod-template-hash=blue"));
    assert_eq!(after.canary.weights, None);
}

#[test]
fn a_small_preview_that_has_been_judged_is_recorded_as_argo_does() {
    for (step, recorded) in [(1, None), (3, Some(true))] {
        let mut observed = under_way(2, false);
        observed.rollout.spec.strategy.blue_green.as_mut().unwrap().preview_replica_count = Some(1);
        status(&mut observed).current_step_index = Some(step);

        let hold = decision(u32::try_from(step).unwrap(), 0);
        let after = stored(observed.clone(), &plan_with(observed, &hold)).rollout.status.unwrap();

        assert_eq!(after.blue_green.unwrap().scale_up_preview_check_point, recorded, "step {step}");
    }
}

/// The step at which the strategy is first asked.
fn first_step(observed: Observed) -> u32 {
    asked(begin(observed, now())).situation.step
}

#[test]
fn an_update_of_argo_continues_where_its_pause_or_its_active_service_shows_it_to_be() {
    let adopted = |active: bool, paused: bool| {
        let mut observed = under_way(2, active);
        let status = status(&mut observed);
        status.current_step_index = None;
        if paused {
            let start_time = Time(now());
            status.pause_conditions.push(kulta_api::PauseCondition { reason: PauseReason::BlueGreenPause, start_time });
            status.controller_pause = true;
        }
        first_step(observed)
    };

    assert_eq!([adopted(false, false), adopted(false, true), adopted(true, false)], [0, 1, 4]);
}

#[test]
fn a_revision_within_its_scale_down_delay_is_active_again_without_a_pause() {
    let mut observed = under_way(2, false);
    let green = hash(&observed);
    let mut kept = Revision::clone(&observed.revisions[0]);
    kept.annotations.insert("scale-down-deadline".into(), "2099-01-01T00:00:00Z".into());
    observed.revisions[0] = Arc::new(kept);
    status(&mut observed).current_pod_hash = "the last update".into();

    let plan = done_with(begin(observed, now()), &LookedUp::default());

    assert!(switched(&plan).contains(&("live".to_owned(), green)), "{:?}", switched(&plan));
    assert!(plan.events.iter().any(|event| event.message == "Rollback within the scale-down delay"));
}

#[test]
fn a_change_from_blue_green_to_canary_begins_the_update_again() {
    let mut observed = under_way(2, false);
    observed.rollout.spec.strategy =
        serde_json::from_value(json!({ "canary": { "steps": [{ "setWeight": 50 }, { "pause": {} }] } })).unwrap();
    let status = status(&mut observed);
    status.blue_green = Some(BlueGreenStatus { active_selector: Some(BLUE.into()), ..BlueGreenStatus::default() });
    status.current_step_index = Some(1);

    assert_eq!(first_step(observed), 0);
}

#[test]
fn a_restart_of_the_strategy_is_asked_only_forward() {
    let mut observed = under_way(2, false);
    status(&mut observed).abort = true;

    // An abort of blue-green needs no strategy: all requests go back at once.
    plan_by(begin(observed, now()), &LookedUp::default(), |situation| {
        assert_ne!(situation.goal, Goal::Restore);
        decision(0, 0)
    });
}
