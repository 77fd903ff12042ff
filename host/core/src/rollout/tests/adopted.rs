//! Rollouts that Argo Rollouts, or KULTA 0.1.0, has served: they may hash the same steps otherwise.

use kulta_api::{CanaryStep, KultaStatus};
use serde_json::json;

use super::support::{asked, hold, now, plan_with, status, steps, stored, under_way};
use crate::argo_steps::steps_hash;
use crate::hash;
use crate::observed::Observed;
use crate::rollout::begin;

const ANOTHER_HASH: &str = "6fc4d9b587";

/// In the last pause of [`steps`].
fn paused() -> Observed {
    let mut observed = under_way(steps(), 3, 2, 80);
    status(&mut observed).current_step_hash = ANOTHER_HASH.into();
    observed
}

/// The index of the current step, as the strategy plugin receives it.
fn step(observed: Observed) -> u32 {
    asked(begin(observed, now())).situation.step
}

#[test]
fn an_update_of_another_controller_stays_at_its_step() {
    assert_eq!(step(paused()), 3);
}

#[test]
fn an_update_of_another_controller_gets_argos_hash() {
    let plan = plan_with(paused(), &hold(3, 80));

    let known: Vec<CanaryStep> = serde_json::from_value(steps()).unwrap();
    let seen = stored(paused(), &plan).rollout.status.unwrap();
    assert_eq!(seen.current_step_hash, steps_hash(&known));
}

#[test]
fn an_update_of_kultas_begins_again_if_its_steps_have_changed() {
    let mut observed = paused();
    status(&mut observed).kulta = Some(KultaStatus { sequence: 1, ..KultaStatus::default() });

    assert_eq!(step(observed), 0);
}

#[test]
fn an_update_of_another_controller_begins_again_if_steps_have_been_taken_out_meanwhile() {
    let mut observed = paused();
    status(&mut observed).current_step_index = Some(7);

    assert_eq!(step(observed), 0);
}

#[test]
fn an_update_of_kulta_0_1_0_stays_at_its_step() {
    let mut observed = paused();
    let known: Vec<CanaryStep> = serde_json::from_value(steps()).unwrap();
    let current = status(&mut observed);
    current.kulta = Some(KultaStatus { sequence: 1, ..KultaStatus::default() });
    current.current_step_hash = hash::steps_hash(&json!(known));

    assert_eq!(step(observed), 3);
}

#[test]
fn an_idle_rollout_of_another_controller_is_at_its_last_step_and_nothing_is_emitted() {
    let mut observed = under_way(steps(), 2, 2, 0);
    let known = status(&mut observed);
    known.stable_rs.clone_from(&known.current_pod_hash);
    known.current_step_hash = ANOTHER_HASH.into();

    let plan = plan_with(observed.clone(), &hold(4, 0));

    let seen = stored(observed, &plan).rollout.status.unwrap();
    assert_eq!(seen.current_step_index, Some(4));
    assert!(!format!("{:?}", plan.events).contains("SkipSteps"), "{:?}", plan.events);
}
