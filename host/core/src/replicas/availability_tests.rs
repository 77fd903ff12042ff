//! Property tests: whatever pods are available and whatever users do, no move takes available pods below the number that the
//! rollout must keep.

use proptest::prelude::*;

use super::basic::{Side, Sides, Split, drain, nearest_split, next_scale};
use super::limits::Limits;

/// A ReplicaSet controller deletes pods that are not available first.
fn left(side: Side, replicas: u32) -> u32 {
    side.available.min(side.replicas).min(replicas)
}

/// Available pods, without those that are about to be deleted.
fn available(side: Side) -> u32 {
    left(side, side.replicas)
}

fn side() -> impl Strategy<Value = Side> {
    (0_u32..16, 0_u32..20).prop_map(|(replicas, available)| Side { replicas, available })
}

fn limits() -> impl Strategy<Value = Limits> {
    (0_u32..5, 0_u32..5)
        .prop_map(|(surge, unavailable)| Limits { surge, unavailable: unavailable.max(u32::from(surge == 0)) })
}

/// User actions between two reconciliations.
#[derive(Clone, Copy, Debug)]
enum UserAction {
    Scale(u32),
    SetWeight(u32),
    Nothing,
}

fn user_action() -> impl Strategy<Value = UserAction> {
    prop_oneof![
        (0_u32..14).prop_map(UserAction::Scale),
        (0_u32..=100).prop_map(UserAction::SetWeight),
        Just(UserAction::Nothing),
    ]
}

/// A rollout without traffic routing whose new version never becomes ready, and a ReplicaSet controller.
#[derive(Debug)]
struct Simulation {
    replicas: u32,
    weight: u32,
    limits: Limits,
    canary: Side,
    stable: Side,
    older: Side,
}

impl Simulation {
    fn limits(&self) -> Limits {
        Limits { unavailable: self.limits.unavailable.min(self.replicas), ..self.limits }
    }

    fn available(&self) -> u32 {
        [self.canary, self.stable, self.older].map(available).iter().sum()
    }

    fn total(&self) -> u32 {
        self.canary.replicas + self.stable.replicas + self.older.replicas
    }

    /// One reconciliation, and its effect through the ReplicaSet controller. Returns the available pods right after it.
    fn reconcile(&mut self) -> u32 {
        let goal = nearest_split(self.replicas, self.weight, 100, self.limits().surge);
        let sides = Sides { canary: self.canary, stable: Some(self.stable), older: self.older.replicas };
        let next = next_scale(self.replicas, goal, self.limits(), sides);
        let older = drain(&[self.older], self.available(), self.replicas, self.limits());
        let older = older.first().copied().unwrap_or(0);
        let kept = left(self.canary, next.canary) + left(self.stable, next.stable) + left(self.older, older);
        self.canary = Side { replicas: next.canary, available: left(self.canary, next.canary) };
        self.older = Side { replicas: older, available: left(self.older, older) };
        // The stable version works: its pods become available.
        self.stable = Side { replicas: next.stable, available: next.stable };
        kept
    }
}

/// `maxSurge: 2, maxUnavailable: 0`, 4 replicas.
fn broken_update() -> Simulation {
    Simulation {
        replicas: 4,
        weight: 50,
        limits: Limits { surge: 2, unavailable: 0 },
        canary: Side::default(),
        stable: Side { replicas: 4, available: 4 },
        older: Side::default(),
    }
}

#[test]
fn stable_keeps_serving_while_a_user_scales_up_and_down_and_the_new_version_never_becomes_ready() {
    let mut simulation = broken_update();
    let mut kept = Vec::new();
    for replicas in [4, 8, 4] {
        simulation.replicas = replicas;
        kept.extend((0..5).map(|_| simulation.reconcile()));
    }

    assert!(kept.iter().all(|pods| *pods >= 4), "{kept:?}");
}

#[test]
fn pods_of_the_canary_that_are_not_available_go_while_older_revisions_still_drain() {
    let sides = Sides {
        canary: Side { replicas: 1, available: 0 },
        stable: Some(Side { replicas: 3, available: 3 }),
        older: 1,
    };

    let next = next_scale(4, Split { canary: 0, stable: 4 }, Limits { surge: 1, unavailable: 0 }, sides);

    assert_eq!(next.canary, 0);
}

proptest! {
    #[test]
    fn a_move_leaves_the_available_pods_that_the_rollout_must_keep(
        replicas in 0_u32..16, weight in 0_u32..=100, limits in limits(), canary in side(), stable in proptest::option::of(side()),
    ) {
        let goal = nearest_split(replicas, weight, 100, limits.surge);

        let next = next_scale(replicas, goal, limits, Sides { canary, stable, older: 0 });

        let stable = stable.unwrap_or_default();
        let kept = left(canary, next.canary) + left(stable, next.stable);
        let must = replicas.saturating_sub(limits.unavailable).min(available(canary) + available(stable));
        prop_assert!(kept >= must, "{next:?}: {kept} of {must}");
    }

    #[test]
    fn no_reconciliation_takes_pods_that_the_rollout_must_keep_whatever_users_do(
        limits in limits(), older in side(), stable in side(), actions in proptest::collection::vec(user_action(), 1..40),
    ) {
        let mut simulation = Simulation { limits, older, stable, ..broken_update() };
        for action in actions {
            match action {
                UserAction::Scale(replicas) => simulation.replicas = replicas,
                UserAction::SetWeight(weight) => simulation.weight = weight,
                UserAction::Nothing => {}
            }
            let (before, total) = (simulation.available(), simulation.total());
            let must = before.min(simulation.replicas - simulation.limits().unavailable);

            let kept = simulation.reconcile();

            prop_assert!(kept >= must, "{action:?} leaves {kept} of {must}: {simulation:?}");
            prop_assert!(simulation.total() <= total.max(simulation.replicas + limits.surge), "{simulation:?}");
        }
        simulation.weight = 0;
        for _ in 0..60 {
            simulation.reconcile();
        }
        prop_assert_eq!(
            (simulation.canary.replicas, simulation.stable.replicas, simulation.older.replicas),
            (0, simulation.replicas, 0)
        );
    }
}
