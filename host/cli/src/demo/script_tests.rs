use super::*;
use crate::demo::observe::{Revision, Weights};

/// Advances the script by one second at a time.
struct Watcher {
    script: Script,
    now: Duration,
}

impl Watcher {
    fn new() -> Self {
        Self { script: Script::new("1".parse().unwrap()), now: Duration::ZERO }
    }

    fn advance(&mut self, seen: &Observation) -> Option<Action> {
        self.now += Duration::from_secs(1);
        self.script.advance(self.now, seen).unwrap()
    }

    fn advance_for(&mut self, seconds: u64, seen: &Observation) -> Option<Action> {
        (0..seconds).find_map(|_| self.advance(seen))
    }

    /// Advances until the bad version is being rolled out.
    fn until_bad() -> Self {
        let mut watcher = Self::new();
        watcher.advance(&Observation::default());
        watcher.advance_for(6, &healthy("v1"));
        watcher.advance_for(6, &healthy("v2"));
        watcher
    }
}

fn rollout(version: &str, phase: RolloutPhase) -> ObservedRollout {
    ObservedRollout { phase: Some(phase), up_to_date: true, version: version.into(), ..ObservedRollout::default() }
}

fn healthy(version: &str) -> Observation {
    let rollout = ObservedRollout { stable: true, ..rollout(version, RolloutPhase::Healthy) };
    Observation { rollout: Some(rollout), weights: Weights { stable: 100, canary: 0 }, ..Observation::default() }
}

fn canary(version: &str, phase: RolloutPhase) -> Observation {
    let revision = Revision { number: 3, version: version.into(), role: Role::Canary, wanted: 1, pods: 1, ready: 1 };
    Observation {
        rollout: Some(rollout(version, phase)),
        weights: Weights { stable: 90, canary: 10 },
        revisions: vec![revision],
    }
}

#[test]
fn it_begins_with_the_first_version() {
    assert_eq!(Watcher::new().advance(&Observation::default()), Some(Action::Deploy(Version::First)));
}

#[test]
fn the_good_version_is_deployed_after_the_first_has_served_for_a_while() {
    let mut watcher = Watcher::new();
    watcher.advance(&Observation::default());

    let acts = [watcher.advance_for(4, &healthy("v1")), watcher.advance(&healthy("v1"))];

    assert_eq!(acts, [None, Some(Action::Deploy(Version::Good))]);
}

#[test]
fn it_is_open_to_requests_once_the_first_version_is_healthy() {
    let mut watcher = Watcher::new();
    watcher.advance(&Observation::default());
    watcher.advance(&Observation::default());
    let before = watcher.script.is_open();

    watcher.advance(&healthy("v1"));

    assert_eq!((before, watcher.script.is_open()), (false, true));
}

#[test]
fn a_status_of_the_previous_version_does_not_count() {
    let mut watcher = Watcher::new();
    watcher.advance(&Observation::default());
    watcher.advance_for(5, &healthy("v1"));

    let act = watcher.advance_for(20, &healthy("v1"));

    assert_eq!(act, None);
}

fn rolled_back() -> Observation {
    let aborted =
        ObservedRollout { aborted: true, message: "too many errors".into(), ..rollout("v3", RolloutPhase::Degraded) };
    Observation { rollout: Some(aborted), weights: Weights { stable: 100, canary: 0 }, ..Observation::default() }
}

#[test]
fn a_rollback_of_the_bad_version_is_reported_with_the_reason() {
    let mut watcher = Watcher::until_bad();

    let act = watcher.advance(&rolled_back());

    assert_eq!(act, Some(Action::RolledBack { version: Version::Bad, why: "too many errors".into() }));
}

#[test]
fn a_bad_version_continues_until_the_controller_rolls_it_back() {
    let mut watcher = Watcher::until_bad();

    assert_eq!(watcher.advance_for(10, &canary("v3", RolloutPhase::Paused)), None);
}

#[test]
fn the_demo_is_over_after_stable_has_served_alone_for_a_while() {
    let mut watcher = Watcher::until_bad();
    let back = rolled_back();
    watcher.advance(&back);

    watcher.advance_for(4, &back);
    let early = watcher.script.is_over();
    watcher.advance(&back);

    assert_eq!((early, watcher.script.is_over()), (false, true));
}

#[test]
fn a_promoted_bad_version_is_a_failure() {
    let mut watcher = Watcher::until_bad();

    let failed = watcher.script.advance(watcher.now, &healthy("v3")).unwrap_err();

    assert_eq!(failed.to_string(), "v3 was promoted before its errors were seen");
}

#[test]
fn a_good_version_that_fails_is_a_failure() {
    let mut watcher = Watcher::new();
    watcher.advance(&Observation::default());
    watcher.advance_for(5, &healthy("v1"));

    let failed = watcher.script.advance(watcher.now, &canary("v2", RolloutPhase::Degraded));

    assert!(failed.unwrap_err().to_string().starts_with("v2 failed"));
}

#[test]
fn a_demo_that_exceeds_its_time_limit_is_a_failure_that_names_its_state() {
    let mut script = Script::new("1".parse().unwrap());

    let failed = script.advance(Duration::from_secs(58), &canary("v1", RolloutPhase::Progressing));

    let message = failed.unwrap_err().to_string();
    assert!(message.contains("within 57 s") && message.ends_with("the rollout Progressing"), "{message}");
}
