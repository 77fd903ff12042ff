//! Enough pods stay available, and each side of a split keeps the pods that its share of the traffic needs.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{STALE, Witness, hash_of, number, weight};
use crate::cluster::{CANARY, ROLLOUT, ROUTE, STABLE};

/// Argo's default for `maxUnavailable`, in percent.
const DEFAULT_UNAVAILABLE_PERCENT: i64 = 25;
/// Argo's default for `maxSurge`, in percent.
const DEFAULT_SURGE_PERCENT: i64 = 25;
/// Writes of the controller within a minute of virtual time that no scenario has a reason for: two controllers or two rollouts that
/// overwrite each other make thousands.
const WRITES_PER_MINUTE: usize = 300;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// What `spec.replicas` was lately: the controller may not have seen the newest value yet.
#[derive(Default)]
pub struct Wanted(VecDeque<(Timestamp, i64)>);

impl Wanted {
    pub fn record(&mut self, now: Timestamp, replicas: i64) {
        // Each value holds until the next one begins: the last one before the window still counts.
        while self.0.get(1).is_some_and(|(begun, _)| now.duration_since(*begun) > STALE) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(_, last)| *last != replicas) {
            self.0.push_back((now, replicas));
        }
    }

    fn least(&self, now: Timestamp) -> i64 {
        let ended = |index: usize| self.0.get(index + 1).map_or(now, |(begun, _)| *begun);
        let recent = self.0.iter().enumerate().filter(|(index, _)| now.duration_since(ended(*index)) <= STALE);
        recent.map(|(_, (_, replicas))| *replicas).min().unwrap_or(0)
    }
}

/// The controller's writes of the last minute.
#[derive(Default)]
pub struct Pace {
    writes: VecDeque<Timestamp>,
    reported: bool,
}

impl Pace {
    /// There were too many: nothing more can be learnt, and virtual hours of such writes take hours.
    pub const fn is_runaway(&self) -> bool {
        self.reported
    }

    /// Counts a write; answers once, when there are too many.
    pub fn count(&mut self, now: Timestamp) -> Option<String> {
        self.writes.push_back(now);
        while self.writes.front().is_some_and(|at| now.duration_since(*at) > MINUTE) {
            self.writes.pop_front();
        }
        let too_many = self.writes.len() > WRITES_PER_MINUTE && !self.reported;
        self.reported |= too_many;
        too_many.then(|| format!("more than {WRITES_PER_MINUTE} writes within a minute"))
    }
}

impl Witness {
    /// The controller changed the scale of a ReplicaSet of the rollout.
    pub(super) fn scaled(&mut self, before: &Value, after: &Value) {
        let (from, to) = (number(before, "/spec/replicas"), number(after, "/spec/replicas"));
        if to >= from || !self.calm() {
            return;
        }
        let found =
            if self.scenario.routed { self.share_kept(after, from, to) } else { self.available_kept(after, from, to) };
        if let Some(wrong) = found {
            self.wrong(wrong);
        }
    }

    /// Without routes: scaling down leaves `spec.replicas - maxUnavailable` available pods, or all that there were.
    fn available_kept(&self, set: &Value, from: i64, to: i64) -> Option<String> {
        let replicas = self.wanted.least(self.now());
        let floor = replicas - max_unavailable(&self.scenario.strategy, replicas);
        let hash = hash_of(set);
        let all = self.replica_sets();
        let others: i64 = all.iter().filter(|other| hash_of(other) != hash).map(available).sum();
        let own = |scale: i64| number(set, "/status/availableReplicas").min(scale);
        let (had, left) = (others + own(from), others + own(to));
        (left < floor.min(had)).then(|| {
            format!(
                "{hash} goes from {from} to {to} pods: {left} available pods of {had} are left, and {floor} must be"
            )
        })
    }

    /// With routes: a side keeps the pods that its share of the traffic needs.
    fn share_kept(&self, set: &Value, from: i64, to: i64) -> Option<String> {
        let route = self.object("httproutes", ROUTE)?;
        let replicas = self.wanted.least(self.now());
        let max = i64::from(self.scenario.max_weight).max(1);
        let hash = hash_of(set);
        [STABLE, CANARY].into_iter().find_map(|service| {
            let share = weight(route, service);
            let needed = (replicas * share + max - 1) / max;
            (self.selected(service).as_deref() == Some(&hash) && share > 0 && to < needed.min(from)).then(|| {
                format!("{hash} goes from {from} to {to} pods while {service} has weight {share} and needs {needed}")
            })
        })
    }

    /// The controller raised the weight of stable: pods of it must be there to take the requests, or the canary has none either.
    pub(super) fn restored_to_nobody(&self) -> Option<String> {
        let lately = |hash: &str| self.available.get(hash).is_some_and(|at| self.now().duration_since(*at) <= STALE);
        let has_pods = |hash: &str| {
            lately(hash) || self.replica_sets().iter().any(|set| hash_of(set) == hash && available(set) > 0)
        };
        let (stable, canary) = (self.selected(STABLE)?, self.selected(CANARY)?);
        (self.calm() && !has_pods(&stable) && has_pods(&canary))
            .then(|| format!("weight moves to stable {stable}, which has no available pod, from {canary}, which has"))
    }

    /// A change of a Rollout's size, by whomever.
    pub(super) fn resized(&mut self, name: &str, rollout: &Value) {
        if name == ROLLOUT {
            let now = self.now();
            // The API's default.
            let replicas = rollout.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            self.wanted.record(now, replicas);
        }
    }
}

fn available(set: &Arc<Value>) -> i64 {
    number(set, "/status/availableReplicas").min(number(set, "/spec/replicas"))
}

/// In pods; one pod when surge and unavailability both come to none, as the API has it.
fn max_unavailable(strategy: &Value, replicas: i64) -> i64 {
    let given = |key: &str| strategy.get(key).and_then(Value::as_i64);
    let surge = given("maxSurge").unwrap_or((replicas * DEFAULT_SURGE_PERCENT + 99) / 100);
    let unavailable = given("maxUnavailable").unwrap_or(replicas * DEFAULT_UNAVAILABLE_PERCENT / 100);
    if surge == 0 && unavailable == 0 { 1 } else { unavailable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_size_counts_until_the_controller_must_have_seen_the_next_one() {
        let mut wanted = Wanted::default();
        wanted.record(at(0), 2);
        wanted.record(at(100), 8);

        let least = [at(100), at(150), at(200)].map(|now| wanted.least(now));

        assert_eq!(least, [2, 2, 8]);
    }

    #[test]
    fn too_many_writes_are_reported_once() {
        let mut pace = Pace::default();

        let reports = (0..1_000).filter_map(|_| pace.count(at(0))).count();

        assert_eq!(reports, 1);
    }

    #[test]
    fn writes_of_an_hour_are_not_those_of_a_minute() {
        let mut pace = Pace::default();

        let reports = (0..1_000).filter_map(|write| pace.count(at(write * 4))).count();

        assert_eq!(reports, 0);
    }
}
