//! Effects of verdicts, whatever the strategy decides.

use super::*;

const ARGOS_WORDS: &str = "Background analysis phase error/failed: slow";

#[test]
fn a_failed_background_aborts_whatever_the_strategy_decides() {
    let observed = with_background(2, "Failed", "slow");

    let plan = decided(observed.clone(), &wants(2, 80, &[("background", 1)]));

    let status = after(&observed, &plan);
    assert_eq!((status.abort, route_writes(&plan)), (true, vec![0]));
    assert!(status.message.ends_with(ARGOS_WORDS), "{}", status.message);
}

#[test]
fn a_message_is_cut_to_what_a_strategy_may_answer_with() {
    let observed = with_background(2, "Inconclusive", &"ä".repeat(2_000));

    let reported = asked(begin(observed, now())).situation.runs;

    let RunPhase::Judged(Verdict::Inconclusive(message)) = &reported[0].phase else { panic!("{reported:?}") };
    assert_eq!((message.len(), message.starts_with('ä')), (768, true));
}

#[test]
fn a_failed_background_aborts_before_the_next_step() {
    let observed = with_background(0, "Error", "slow");

    let plan = decided(observed.clone(), &wants(1, 50, &[("background", 1)]));

    let status = after(&observed, &plan);
    assert_eq!((status.abort, status.current_step_index), (true, Some(0)));
    assert!(!events(&plan).contains(&"RolloutStepCompleted"));
}

#[test]
fn a_failed_background_aborts_although_the_strategy_fails() {
    let observed = with_background(2, "Failed", "slow");
    let failure = StrategyFailure { class: FailureClass::Trapped, message: "boom".into() };

    let plan = done(asked(begin(observed.clone(), now())).answer(Err(failure)));

    assert!(is_aborted(&observed, &plan));
}

#[test]
fn a_failed_background_aborts_a_rollout_that_a_user_paused() {
    let mut observed = with_background(2, "Failed", "slow");
    observed.rollout.spec.paused = Some(true);

    let plan = done(begin(observed.clone(), now()));

    assert!(is_aborted(&observed, &plan));
}

#[test]
fn a_failed_background_aborts_behind_the_last_step() {
    let observed = with_background(4, "Failed", "slow");

    let plan = done(begin(observed.clone(), now()));

    assert!(is_aborted(&observed, &plan));
}

#[test]
fn a_full_promotion_by_a_user_is_not_stopped_by_an_analysis_and_ends_it() {
    let mut observed = with_background(2, "Running", "");
    status(&mut observed).promote_full = true;

    let plan = done(begin(observed.clone(), now()));

    assert_eq!((is_aborted(&observed, &plan), terminated(&plan)), (false, vec![name(&observed, "2").as_str()]));
}

#[test]
fn an_inconclusive_background_pauses_whatever_the_strategy_decides() {
    for index in [2, 4] {
        let observed = with_background(index, "Inconclusive", "no data");

        let plan = decided(observed.clone(), &wants(2, 80, &[("background", 1)]));

        let status = after(&observed, &plan);
        assert_eq!(status.pause_conditions[0].reason, PauseReason::InconclusiveAnalysisRun, "step {index}");
        assert_eq!((status.controller_pause, status.message.as_str()), (true, "InconclusiveAnalysisRun"));
        assert_eq!(route_writes(&plan), Vec::<u32>::new());
    }
}

#[test]
fn the_strategy_is_told_that_an_analysis_caused_the_pause() {
    let mut observed = with_background(2, "Inconclusive", "no data");
    let pause = |reason| PauseCondition { reason, start_time: kulta_api::Time(now()) };
    status(&mut observed).pause_conditions =
        vec![pause(PauseReason::CanaryPauseStep), pause(PauseReason::InconclusiveAnalysisRun)];

    assert_eq!(asked(begin(observed, now())).situation.paused, Some((PauseCause::Analysis, now())));
}

/// The rollout paused at step `paused_at` because its background analysis is inconclusive. A user has promoted it, and it is at
/// step `index` now.
fn promoted_past(paused_at: u32, index: i32) -> Observed {
    let mut observed = with_background(index, "Inconclusive", "no data");
    record_background(&mut observed, "2", "Inconclusive");
    let run = InconclusiveRun { name: name(&observed, "2"), step: paused_at };
    let kulta = KultaStatus { inconclusive_run: Some(run), ..KultaStatus::default() };
    status(&mut observed).kulta = Some(kulta);
    status(&mut observed).controller_pause = index == i32::try_from(paused_at).unwrap();
    observed
}

fn is_paused(observed: &Observed, plan: &Plan) -> bool {
    !after(observed, plan).pause_conditions.is_empty()
}

#[test]
fn the_run_that_pauses_a_rollout_is_recorded_with_the_step() {
    for index in [2, 4] {
        let observed = with_background(index, "Inconclusive", "no data");

        let plan = decided(observed.clone(), &wants(2, 80, &[("background", 1)]));

        let run = after(&observed, &plan).kulta.unwrap().inconclusive_run;
        let step = u32::try_from(index).unwrap();
        assert_eq!(run, Some(InconclusiveRun { name: name(&observed, "2"), step }));
    }
}

#[test]
fn a_promote_resumes_and_begins_no_fresh_run_at_the_step_of_the_pause() {
    let observed = promoted_past(2, 2);
    let decision = wants(2, 50, &[("background", 1)]);

    let first = decided(observed.clone(), &decision);
    let observed_later = stored(observed.clone(), &first);
    let second = decided(observed_later.clone(), &decision);

    assert!(events(&first).contains(&"RolloutResumed"), "{first:?}");
    assert!(!after(&observed, &first).controller_pause);
    for (observed, plan) in [(observed, first), (observed_later, second)] {
        assert_eq!((created(&plan), is_paused(&observed, &plan)), (vec![], false));
    }
}

#[test]
fn a_run_that_a_user_promoted_past_is_reported_to_the_strategy_as_running() {
    let reported = asked(begin(promoted_past(1, 2), now())).situation.runs;

    assert_eq!(reported[0].phase, RunPhase::Running);
}

#[test]
fn a_fresh_run_begins_once_a_later_step_is_reached() {
    let moving = promoted_past(1, 2);
    let there = promoted_past(1, 2);

    let on_its_way = decided(moving.clone(), &wants(2, 80, &[("background", 1)]));
    let reached = decided(there.clone(), &wants(2, 50, &[("background", 1)]));

    assert_eq!((created(&on_its_way), is_paused(&moving, &on_its_way)), (vec![], false));
    assert_eq!(created(&reached), [name(&there, "2.1")]);
    assert_eq!(after(&there, &reached).kulta.unwrap().inconclusive_run, None);
}

#[test]
fn a_fresh_run_that_is_inconclusive_pauses_again() {
    let mut observed = promoted_past(1, 2);
    run(&mut observed, "2.1", "Inconclusive", "no data");
    record_background(&mut observed, "2.1", "Running");

    let plan = decided(observed.clone(), &wants(2, 50, &[("background", 2)]));

    assert!(is_paused(&observed, &plan));
}

#[test]
fn a_promote_behind_the_last_step_promotes_without_a_fresh_run() {
    let observed = promoted_past(4, 4);

    let plan = done(begin(observed.clone(), now()));

    assert_eq!((created(&plan), is_paused(&observed, &plan)), (vec![], false));
    assert!(kinds(&observed, &plan).contains(&TransitionKind::Promoted));
}

/// Another controller wrote the status, or a CRD pruned it, so the status names no run.
#[test]
fn a_pause_that_was_lifted_is_known_by_argos_fields_alone() {
    let mut observed = promoted_past(2, 2);
    status(&mut observed).kulta = None;

    let plan = decided(observed.clone(), &wants(2, 50, &[("background", 1)]));

    assert_eq!((created(&plan), is_paused(&observed, &plan)), (vec![], false));
}

#[test]
fn a_run_that_is_first_observed_inconclusive_after_another_pause_was_lifted_pauses() {
    let mut observed = with_background(2, "Inconclusive", "no data");
    status(&mut observed).controller_pause = true;

    let plan = decided(observed.clone(), &wants(2, 50, &[("background", 1)]));

    assert!(is_paused(&observed, &plan));
}

#[test]
fn pods_stay_unchanged_while_the_rollout_waits_for_a_user() {
    let mut observed = with_background(0, "Inconclusive", "no data");
    let slow = Revision { available_replicas: 0, ready_replicas: 0, ..Revision::clone(&observed.revisions[0]) };
    observed.revisions[0] = Arc::new(slow);
    observed.routes = vec![crate::rollout::tests::support::route(0)];
    let unsure = Next::Pause { cause: PauseCause::Analysis, until: None };

    let plan = decided(observed, &Decision { next: unsure, ..wants(0, 0, &[("background", 1)]) });

    assert_eq!(scales(&plan), []);
}

#[test]
fn a_lifted_pause_of_another_kind_stays_lifted_until_its_step_is_completed() {
    let mut observed = with_background(2, "Running", "");
    status(&mut observed).controller_pause = true;

    let plan = decided(observed.clone(), &wants(2, 80, &[("background", 1)]));

    assert!(after(&observed, &plan).controller_pause);
}

#[test]
fn a_pause_by_an_analysis_that_no_longer_exists_is_over() {
    let mut observed = analysed(2);
    status(&mut observed).controller_pause = true;
    status(&mut observed).pause_conditions =
        vec![PauseCondition { reason: PauseReason::InconclusiveAnalysisRun, start_time: kulta_api::Time(now()) }];

    let plan = decided(observed.clone(), &hold(2, 50));

    assert_eq!(after(&observed, &plan).pause_conditions, []);
}

#[test]
fn the_deadline_does_not_run_while_the_rollout_waits_for_an_analysis() {
    let mut observed = analysed(1);
    observed.rollout.spec.progress_deadline_seconds = Some(5);
    let waiting = Decision { next: Next::Hold(Waiting::Runs), ..wants(1, 50, &[(STEP, 1)]) };
    let observed = stored(observed.clone(), &decided(observed, &waiting));
    let later = now().checked_add(SignedDuration::from_secs(60)).unwrap();

    let mut turn = begin(observed.clone(), later);
    while let Turn::Ask(ask) = turn {
        turn = ask.answer(Ok(waiting.clone()));
    }

    assert!(!events(&done(turn)).contains(&"ProgressDeadlineExceeded"));
}

fn any_next() -> impl Strategy<Value = Next> {
    prop_oneof![
        Just(Next::Hold(Waiting::Pods)),
        Just(Next::Hold(Waiting::Runs)),
        Just(Next::Until(now())),
        Just(Next::Pause { cause: PauseCause::Step, until: None }),
        Just(Next::Pause { cause: PauseCause::Analysis, until: None }),
        Just(Next::Promote),
    ]
}

proptest! {
    #[test]
    fn no_answer_keeps_a_failed_background_from_aborting(
        index in 0i32..5, step in 0u32..6, weight in 0u32..=120, next in any_next(), lifted in any::<bool>(), wanted in any::<bool>()
    ) {
        let mut observed = with_background(index, "Failed", "slow");
        status(&mut observed).controller_pause = lifted;
        let runs: &[(&str, u32)] = if wanted { &[("background", 1)] } else { &[] };

        let plan = decided(observed.clone(), &Decision { next, ..wants(step, weight, runs) });

        prop_assert!(is_aborted(&observed, &plan));
        prop_assert!(route_writes(&plan).iter().all(|weight| *weight == 0));
    }

    #[test]
    fn no_run_is_created_twice_and_none_that_is_wanted_is_terminated(
        index in 0i32..5, attempt in 1u32..4, phase in "(|Running|Successful|Inconclusive)", lifted in any::<bool>()
    ) {
        let mut observed = with_background(index, &phase, "");
        status(&mut observed).controller_pause = lifted;

        let plan = decided(observed.clone(), &wants(2, 50, &[("background", attempt)]));

        let current = after(&observed, &plan).canary.current_background_analysis_run_status.unwrap().name;
        prop_assert!(!created(&plan).contains(&name(&observed, "2").as_str()));
        prop_assert!(created(&plan).len() <= 1);
        prop_assert!(!terminated(&plan).contains(&current.as_str()));
    }
}
