//! Scales of a canary without traffic routing, where the share of the pods is the weight.

use super::limits::Limits;

/// Pods of the canary or of the stable side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// `spec.replicas` of its ReplicaSet.
    pub replicas: u32,
    pub available: u32,
}

impl Side {
    /// Pods that certainly serve requests. If more pods are available than wanted, some are about to be deleted.
    fn counted(self) -> u32 {
        self.available.min(self.replicas)
    }

    /// The next scale on the way down to `goal`, if at most `budget` available pods may go, and the remaining budget. Pods that
    /// are not available go first and cost no budget, because the ReplicaSet controller deletes them first.
    fn shrunk(self, goal: u32, budget: u32) -> (u32, u32) {
        let excess = self.replicas.saturating_sub(goal);
        let free = excess.min(self.replicas - self.counted());
        let taken = budget.min(excess - free);
        (self.replicas - free - taken, budget - taken)
    }
}

/// The numbers of pods that a move ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    pub canary: u32,
    pub stable: u32,
}

/// The split nearest to `weight` of `max_weight`, of `replicas` pods or, with surge, one more. Of equally near splits the one
/// with the larger canary is taken. Between 0 and `max_weight` each side gets at least one pod if there are two. Source: section
/// 4, "Replica maths, no traffic routing".
#[must_use]
pub fn nearest_split(replicas: u32, weight: u32, max_weight: u32, surge: u32) -> Split {
    if replicas == 0 || max_weight == 0 {
        return Split { canary: 0, stable: 0 };
    }
    let parts = u64::from(replicas) * u64::from(weight);
    let max = u64::from(max_weight);
    let (floor, ceil) = (parts / max, parts.div_ceil(max));
    let whole = u64::from(replicas);
    let at_the_ends = weight == 0 || weight >= max_weight;
    let zero_allowed = at_the_ends || (replicas == 1 && surge == 0);
    let tied = |total: u64| (total * u64::from(weight) * 2) % (max * 2) == max;

    let mut options = Vec::with_capacity(4);
    if ceil < whole || zero_allowed {
        options.push((ceil, whole));
    }
    if !tied(whole) && (floor != 0 || zero_allowed) {
        options.push((floor, whole));
    }
    if surge > 0 && !at_the_ends {
        options.push((ceil, whole + 1));
        if !tied(whole + 1) && floor != 0 {
            options.push((floor, whole + 1));
        }
    }
    // Computes |weight - canary * max / total|, over the common denominator of all options.
    let distance = |&(canary, total): &(u64, u64)| {
        let other = if total == whole { whole + 1 } else { whole };
        (u64::from(weight) * total).abs_diff(canary * max) * other
    };
    // min_by_key returns the first of equal options: the larger canary of the smaller total.
    let (canary, total) = options.into_iter().min_by_key(distance).unwrap_or((0, whole));
    let pods = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Split { canary: pods(canary), stable: pods(total.saturating_sub(canary)) }
}

/// The current pods of all sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    pub canary: Side,
    /// The stable side; `None` if no revision is stable, or if the canary's revision is.
    pub stable: Option<Side>,
    /// Sum of the wanted pods of older revisions.
    pub older: u32,
}

/// The next scale of both sides on the way to `goal`, within surge and unavailability: no move takes available pods below
/// `replicas - unavailable`. Source: section 4, "Replica maths". Unlike in Argo, unavailable pods never count as available;
/// otherwise a broken update would remove pods that serve.
#[must_use]
pub fn next_scale(replicas: u32, goal: Split, limits: Limits, sides: Sides) -> Split {
    let mut next = Split { canary: sides.canary.replicas, stable: sides.stable.map_or(0, |stable| stable.replicas) };
    let goal = if sides.stable.is_some() { goal } else { Split { canary: replicas, stable: 0 } };

    let total = next.canary + next.stable + sides.older;
    let mut up = (replicas + limits.surge).saturating_sub(total);
    if next.stable < goal.stable {
        let added = up.min(goal.stable - next.stable);
        next.stable += added;
        up -= added;
    }
    if next.canary < goal.canary {
        next.canary += up.min(goal.canary - next.canary);
    }
    let available = sides.canary.counted() + sides.stable.map_or(0, Side::counted);
    // Older revisions drain first. While they exist, both sides keep their available pods.
    let budget =
        if sides.older > 0 { 0 } else { available.saturating_sub(replicas.saturating_sub(limits.unavailable)) };
    let mut left = budget;
    if sides.canary.replicas > goal.canary {
        (next.canary, left) = sides.canary.shrunk(goal.canary, left);
    }
    if let Some(stable) = sides.stable.filter(|stable| stable.replicas > goal.stable) {
        (next.stable, _) = stable.shrunk(goal.stable, left);
    }
    next
}

/// The next scale of each older revision, in the given order. Unavailable pods go at once; available ones go while `replicas -
/// unavailable` available pods remain in total.
#[must_use]
pub fn drain(older: &[Side], available_in_all: u32, replicas: u32, limits: Limits) -> Vec<u32> {
    let mut budget = available_in_all.saturating_sub(replicas.saturating_sub(limits.unavailable));
    older
        .iter()
        .map(|side| {
            let (replicas, left) = side.shrunk(0, budget);
            budget = left;
            replicas
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(replicas: u32, weight: u32, surge: u32) -> (u32, u32) {
        let split = nearest_split(replicas, weight, 100, surge);
        (split.canary, split.stable)
    }

    /// The first move from a complete stable side, for the reference's examples.
    fn first_move(replicas: u32, weight: u32, surge: u32, unavailable: u32) -> (u32, u32) {
        let limits = Limits { surge, unavailable };
        let sides = Sides { canary: Side::default(), stable: Some(Side { replicas, available: replicas }), older: 0 };
        let next = next_scale(replicas, nearest_split(replicas, weight, 100, surge), limits, sides);
        (next.canary, next.stable)
    }

    #[test]
    fn the_examples_of_the_reference_give_their_documented_results() {
        assert_eq!(first_move(10, 10, 1, 1), (1, 9));
        assert_eq!(first_move(10, 30, 0, 5), (0, 7));
        assert_eq!(first_move(1, 5, 1, 0), (1, 1));
        assert_eq!(first_move(1, 95, 1, 0), (1, 1));
    }

    #[test]
    fn a_canary_is_added_before_stable_is_reduced_when_nothing_may_be_unavailable() {
        assert_eq!(first_move(10, 30, 3, 0), (3, 10));
    }

    #[test]
    fn the_split_is_the_nearest_to_the_weight() {
        for (replicas, weight, surge, expected) in [
            (10, 10, 0, (1, 9)),
            (4, 25, 1, (1, 3)),
            (5, 50, 0, (3, 2)),
            (5, 50, 1, (3, 3)),
            (3, 10, 1, (1, 3)),
            (3, 90, 1, (3, 1)),
            // 1 of 11 is nearer to 5 % than 1 of 10.
            (10, 5, 1, (1, 10)),
            (1, 50, 0, (1, 0)),
            (2, 1, 0, (1, 1)),
            (7, 0, 1, (0, 7)),
            (7, 100, 1, (7, 0)),
            (0, 50, 1, (0, 0)),
        ] {
            assert_eq!(split(replicas, weight, surge), expected, "{weight} % of {replicas}, surge {surge}");
        }
    }

    #[test]
    fn older_revisions_drain_before_the_two_sides_shrink() {
        let sides = Sides {
            canary: Side { replicas: 5, available: 5 },
            stable: Some(Side { replicas: 5, available: 5 }),
            older: 2,
        };

        let next = next_scale(10, Split { canary: 1, stable: 9 }, Limits { surge: 2, unavailable: 2 }, sides);

        assert_eq!(next, Split { canary: 5, stable: 5 });
    }

    #[test]
    fn a_canary_that_never_became_available_is_removed_on_the_way_down() {
        let sides = Sides {
            canary: Side { replicas: 2, available: 0 },
            stable: Some(Side { replicas: 8, available: 8 }),
            older: 0,
        };

        let next = next_scale(10, Split { canary: 0, stable: 10 }, Limits { surge: 0, unavailable: 1 }, sides);

        assert_eq!(next.canary, 0);
    }

    #[test]
    fn pods_that_are_not_available_are_drained_at_no_cost() {
        let drained = drain(&[Side { replicas: 3, available: 1 }], 10, 10, Limits { surge: 0, unavailable: 0 });

        assert_eq!(drained, [1]);
    }

    fn states() -> impl Strategy<Value = (u32, u32, Limits, Sides)> {
        (1_u32..30, 0_u32..=100, 0_u32..5, 0_u32..5).prop_flat_map(|(replicas, weight, surge, unavailable)| {
            let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable }.min(replicas);
            let limits = Limits { surge, unavailable };
            (0..=replicas + surge).prop_flat_map(move |canary| {
                (0..=canary, 0..=replicas + surge - canary, Just(canary)).prop_flat_map(
                    move |(canary_available, stable, canary)| {
                        (0..=stable).prop_map(move |stable_available| {
                            let sides = Sides {
                                canary: Side { replicas: canary, available: canary_available },
                                stable: Some(Side { replicas: stable, available: stable_available }),
                                older: 0,
                            };
                            (replicas, weight, limits, sides)
                        })
                    },
                )
            })
        })
    }

    proptest! {
        #[test]
        fn a_move_never_exceeds_the_surge((replicas, weight, limits, sides) in states()) {
            let goal = nearest_split(replicas, weight, 100, limits.surge);
            let next = next_scale(replicas, goal, limits, sides);
            let before = sides.canary.replicas + sides.stable.map_or(0, |stable| stable.replicas);
            prop_assert!(next.canary + next.stable <= (replicas + limits.surge).max(before));
        }

        #[test]
        fn moves_with_available_pods_reach_the_split((replicas, weight, limits, sides) in states()) {
            let goal = nearest_split(replicas, weight, 100, limits.surge);
            let mut sides = sides;
            for _ in 0..200 {
                let next = next_scale(replicas, goal, limits, sides);
                sides.canary = Side { replicas: next.canary, available: next.canary };
                sides.stable = Some(Side { replicas: next.stable, available: next.stable });
            }
            prop_assert_eq!((sides.canary.replicas, sides.stable.unwrap().replicas), (goal.canary, goal.stable));
        }

        #[test]
        fn enough_pods_stay_available_while_all_are((replicas, weight, limits, sides) in states()) {
            let goal = nearest_split(replicas, weight, 100, limits.surge);
            let full = |side: Side| Side { replicas: side.replicas, available: side.replicas };
            let sides = Sides { canary: full(sides.canary), stable: sides.stable.map(full), older: 0 };
            let next = next_scale(replicas, goal, limits, sides);
            let kept = next.canary.min(sides.canary.replicas) + next.stable.min(sides.stable.unwrap().replicas);
            let before = sides.canary.replicas + sides.stable.unwrap().replicas;
            prop_assert!(kept >= (replicas - limits.unavailable).min(before));
        }
    }
}
