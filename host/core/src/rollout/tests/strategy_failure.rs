//! A strategy that fails is not asked for a while. Requests are served meanwhile.

use jiff::{SignedDuration, Timestamp};
use kulta_api::conditions::{self, ConditionType};

use crate::decision::{FailureClass, StrategyFailure};
use crate::observed::Observed;
use crate::plan::{Action, Plan};
use crate::rollout::begin;
use crate::rollout::questions::Turn;
use crate::rollout::tests::support::{asked, done, now, route_writes, scales, status, steps, stored, under_way};
use crate::workload::WorkloadWrite;

fn failure() -> StrategyFailure {
    StrategyFailure { class: FailureClass::DeadlineExceeded, message: "took more than 1 s".into() }
}

fn later(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// The strategy fails whenever it is asked, and the status of the last reconciliation is stored.
fn failing(observed: Observed, at: Timestamp) -> (Observed, Plan) {
    let plan = match begin(observed.clone(), at) {
        Turn::Ask(ask) => done(ask.answer(Err(failure()))),
        turn => done(turn),
    };
    (stored(observed, &plan), plan)
}

#[test]
fn a_strategy_that_failed_is_not_asked_again_when_its_own_status_arrives() {
    let (observed, first) = failing(under_way(steps(), 1, 1, 50), now());

    let echo = done(begin(observed, now()));

    assert_eq!((echo.status, echo.wake_up), (None, first.wake_up));
}

#[test]
fn a_strategy_that_failed_is_asked_again_after_its_time() {
    let (observed, first) = failing(under_way(steps(), 1, 1, 50), now());

    asked(begin(observed, first.wake_up.unwrap()));
}

#[test]
fn a_rollout_is_not_paused_for_a_strategy_that_failed_for_less_than_its_retries_take() {
    let mut observed = under_way(steps(), 1, 1, 50);
    for _ in 0..20 {
        (observed, _) = failing(observed, now());
    }
    assert!(status(&mut observed).pause_conditions.is_empty());

    for second in 1..=30 {
        (observed, _) = failing(observed, later(second));
    }
    assert!(!status(&mut observed).pause_conditions.is_empty());
}

#[test]
fn a_rollout_that_waits_for_a_user_because_its_strategy_fails_is_not_written_to() {
    let mut observed = under_way(steps(), 1, 1, 50);
    for second in 0..=60 {
        (observed, _) = failing(observed, later(second));
    }

    let mut written = 0;
    for second in 61..=120 {
        let plan;
        (observed, plan) = failing(observed, later(second));
        written += usize::from(plan.status.is_some());
    }

    assert_eq!((written, status(&mut observed).pause_conditions.len()), (0, 1));
}

#[test]
fn a_rollout_that_a_user_has_promoted_is_not_paused_again_for_less_than_the_retries_take() {
    let mut observed = under_way(steps(), 1, 1, 50);
    status(&mut observed).controller_pause = true;

    for _ in 0..20 {
        (observed, _) = failing(observed, now());
    }

    assert!(status(&mut observed).pause_conditions.is_empty());
}

#[test]
fn a_user_who_lifts_the_pause_has_the_strategy_asked_at_once() {
    let mut observed = under_way(steps(), 1, 1, 50);
    for second in 0..=30 {
        (observed, _) = failing(observed, later(second));
    }
    status(&mut observed).pause_conditions.clear();

    asked(begin(observed, later(31)));
}

/// The strategy failed to check its configuration.
fn unchecked(mut observed: Observed) -> Observed {
    observed.strategy_failure = Some(failure());
    observed
}

#[test]
fn an_unchecked_configuration_holds_the_rollout_but_is_no_invalid_spec() {
    let observed = unchecked(under_way(steps(), 1, 1, 50));

    let plan = done(begin(observed.clone(), now()));

    let conditions = stored(observed, &plan).rollout.status.unwrap().conditions;
    let reason = |kind| conditions::find(&conditions, kind).map(|condition| condition.reason.clone());
    let reasons = [ConditionType::InvalidSpec, ConditionType::StrategyReady].map(reason);
    assert_eq!(reasons, [None, Some("PluginDeadlineExceeded".to_owned())]);
    assert_eq!((route_writes(&plan), scales(&plan)), (vec![], vec![]));
}

#[test]
fn an_abort_restores_stable_while_the_configuration_cannot_be_checked() {
    let mut observed = unchecked(under_way(steps(), 1, 1, 50));
    status(&mut observed).abort = true;

    assert_eq!(route_writes(&done(begin(observed, now()))), [0]);
}

#[test]
fn a_first_deployment_needs_no_strategy_and_goes_on() {
    let mut observed = unchecked(under_way(steps(), 0, 0, 0));
    observed.rollout.status = None;
    observed.revisions.clear();

    let plan = done(begin(observed, now()));

    assert!(
        matches!(plan.writes.first().map(|write| &write.action), Some(Action::Workload(WorkloadWrite::Create { .. }))),
        "{plan:?}"
    );
}
