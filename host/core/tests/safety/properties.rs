//! What holds for every plan of every reconciliation.

use proptest::prelude::*;
use proptest::test_runner::Config as Cases;

use crate::arbitrary::{Start, answer, answers, fault, start, turns};
use crate::happenings::Happening;
use crate::view;
use crate::world::{Answer, World};

/// Of each property: as many as keep the suite fast.
const CASES: u32 = 300;
/// Of those with many reconciliations.
const LONG_CASES: u32 = 60;
/// Reconciliations of one case.
const TURNS: usize = 6;
/// Until an abort has restored stable, in a cluster in which all that is asked for comes about: more than any order of writes takes.
const RESTORED_WITHIN: usize = 20;
/// Longer than any delay that a case has.
const A_WHILE: i64 = 61;
/// Until a rollout to which nothing happens has nothing more to write.
const IDLE_AFTER: usize = 20;

type Turns = Vec<(Vec<Happening>, Vec<Answer>)>;

fn cases(cases: u32) -> Cases {
    Cases { cases, failure_persistence: None, ..Cases::default() }
}

/// Reconciles after each of these happenings; the rules that a write breaks fail the case.
fn run(start: &Start, turns: &Turns) -> Result<World, TestCaseError> {
    let mut world = World::at(start);
    for (happenings, answers) in turns {
        for happening in happenings {
            world.happen(happening);
        }
        judged(&mut world, answers)?;
    }
    Ok(world)
}

fn judged(world: &mut World, answers: &[Answer]) -> Result<(), TestCaseError> {
    let broken = world.reconcile(answers);
    prop_assert!(broken.is_empty(), "{broken:#?}\n{}", world.story());
    Ok(())
}

/// The traffic's way is known: nothing that the spec names for it is missing or somebody else's.
fn give_all_back(world: &mut World) {
    for happening in [Happening::GiveBack, Happening::MendFaults] {
        world.happen(&happening);
    }
}

proptest! {
    #![proptest_config(cases(CASES))]

    #[test]
    fn no_write_breaks_a_safety_rule_whatever_happens_and_whatever_the_strategy_says(
        start in start(), turns in turns(TURNS),
    ) {
        run(&start, &turns)?;
    }
}

proptest! {
    #![proptest_config(cases(LONG_CASES))]

    #[test]
    fn an_abort_restores_stable_whatever_the_strategy_says_and_whatever_else_is_broken(
        start in start(), turns in turns(TURNS), fault in prop::option::of(fault()), answers in answers(),
    ) {
        let mut world = run(&start, &turns)?;
        give_all_back(&mut world);
        world.bad_images.clear();
        world.reconcile(&answers);
        if let Some(fault) = fault {
            world.happen(&Happening::Break(fault));
        }
        world.happen(&Happening::Abort);
        for _ in 0..RESTORED_WITHIN {
            judged(&mut world, &answers)?;
            world.settle();
            world.pass_seconds(A_WHILE);
        }
        let missing = kulta_oracle::restored(&view::cluster(&world));
        prop_assert!(missing.is_none(), "{missing:?}\n{}", world.story());
    }

    #[test]
    fn a_rollout_to_which_nothing_happens_has_nothing_more_to_write(
        start in start(), turns in turns(TURNS), answer in answer(),
    ) {
        let answers = [answer];
        let mut world = run(&start, &turns)?;
        for _ in 0..IDLE_AFTER {
            world.settle();
            judged(&mut world, &answers)?;
            world.pass_seconds(A_WHILE);
        }
        let written = world.written;
        judged(&mut world, &answers)?;
        prop_assert!(world.written == written, "{}", world.story());
    }
}
