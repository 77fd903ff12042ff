use super::*;
use crate::demo::observe::{Revision, Weights};

/// Looks at one second after another.
struct Watcher {
    script: Script,
    now: Duration,
}

impl Watcher {
    fn new() -> Self {
        Self { script: Script::new("1".parse().unwrap()), now: Duration::ZERO }
    }

    fn look(&mut self, seen: &Seen) -> Option<Act> {
        self.now += Duration::from_secs(1);
        self.script.look(self.now, seen).unwrap()
    }

    fn look_for(&mut self, seconds: u64, seen: &Seen) -> Option<Act> {
        (0..seconds).find_map(|_| self.look(seen))
    }

    /// Until the bad version is on its way.
    fn until_bad() -> Self {
        let mut watcher = Self::new();
        watcher.look(&Seen::default());
        watcher.look_for(6, &healthy("v1"));
        watcher.look_for(6, &healthy("v2"));
        watcher
    }
}

fn rollout(version: &str, phase: RolloutPhase) -> Seeable {
    Seeable { phase: Some(phase), up_to_date: true, version: version.into(), ..Seeable::default() }
}

fn healthy(version: &str) -> Seen {
    let rollout = Seeable { stable: true, ..rollout(version, RolloutPhase::Healthy) };
    Seen { rollout: Some(rollout), weights: Weights { stable: 100, canary: 0 }, ..Seen::default() }
}

fn canary(version: &str, phase: RolloutPhase) -> Seen {
    let revision = Revision { number: 3, version: version.into(), role: Role::Canary, wanted: 1, pods: 1, ready: 1 };
    Seen {
        rollout: Some(rollout(version, phase)),
        weights: Weights { stable: 90, canary: 10 },
        revisions: vec![revision],
    }
}

#[test]
fn it_begins_with_the_first_version() {
    assert_eq!(Watcher::new().look(&Seen::default()), Some(Act::Deploy(Version::First)));
}

#[test]
fn the_good_version_comes_when_the_first_has_served_for_a_while() {
    let mut watcher = Watcher::new();
    watcher.look(&Seen::default());

    let acts = [watcher.look_for(4, &healthy("v1")), watcher.look(&healthy("v1"))];

    assert_eq!(acts, [None, Some(Act::Deploy(Version::Good))]);
}

#[test]
fn it_is_open_to_requests_once_the_first_version_is_healthy() {
    let mut watcher = Watcher::new();
    watcher.look(&Seen::default());
    watcher.look(&Seen::default());
    let before = watcher.script.is_open();

    watcher.look(&healthy("v1"));

    assert_eq!((before, watcher.script.is_open()), (false, true));
}

#[test]
fn a_status_of_the_version_before_does_not_count() {
    let mut watcher = Watcher::new();
    watcher.look(&Seen::default());
    watcher.look_for(5, &healthy("v1"));

    let act = watcher.look_for(20, &healthy("v1"));

    assert_eq!(act, None);
}

fn taken_back() -> Seen {
    let aborted = Seeable { aborted: true, message: "too many errors".into(), ..rollout("v3", RolloutPhase::Degraded) };
    Seen { rollout: Some(aborted), weights: Weights { stable: 100, canary: 0 }, ..Seen::default() }
}

#[test]
fn a_bad_version_that_is_taken_back_is_told_with_the_reason() {
    let mut watcher = Watcher::until_bad();

    let act = watcher.look(&taken_back());

    assert_eq!(act, Some(Act::TakenBack { version: Version::Bad, why: "too many errors".into() }));
}

#[test]
fn a_bad_version_is_let_go_on_until_the_controller_takes_it_back() {
    let mut watcher = Watcher::until_bad();

    assert_eq!(watcher.look_for(10, &canary("v3", RolloutPhase::Paused)), None);
}

#[test]
fn it_is_over_when_stable_has_served_alone_for_a_while() {
    let mut watcher = Watcher::until_bad();
    let back = taken_back();
    watcher.look(&back);

    watcher.look_for(4, &back);
    let early = watcher.script.is_over();
    watcher.look(&back);

    assert_eq!((early, watcher.script.is_over()), (false, true));
}

#[test]
fn a_bad_version_that_gets_through_is_a_failure() {
    let mut watcher = Watcher::until_bad();

    let failed = watcher.script.look(watcher.now, &healthy("v3")).unwrap_err();

    assert_eq!(failed.to_string(), "v3 was promoted before its errors were seen");
}

#[test]
fn a_good_version_that_fails_is_a_failure() {
    let mut watcher = Watcher::new();
    watcher.look(&Seen::default());
    watcher.look_for(5, &healthy("v1"));

    let failed = watcher.script.look(watcher.now, &canary("v2", RolloutPhase::Degraded));

    assert!(failed.unwrap_err().to_string().starts_with("v2 failed"));
}

#[test]
fn a_story_without_an_end_is_a_failure_that_tells_where_it_stands() {
    let mut script = Script::new("1".parse().unwrap());

    let failed = script.look(Duration::from_secs(58), &canary("v1", RolloutPhase::Progressing));

    let words = failed.unwrap_err().to_string();
    assert!(words.contains("within 57 s") && words.ends_with("the rollout Progressing"), "{words}");
}
