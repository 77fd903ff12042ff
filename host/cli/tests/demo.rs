//! The whole demo, at full speed, without a terminal.

use std::process::Command;

/// The binary of this build.
const KULTA: &str = env!("CARGO_BIN_EXE_kulta");

#[test]
fn the_whole_demo_runs_and_every_request_is_served() {
    let output = Command::new(KULTA).args(["demo", "--speed", "20"]).output().unwrap();

    let printed = String::from_utf8(output.stdout).unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}\n{words}");
    let summary = printed.split_once("What happened:").map(|(_, summary)| summary).unwrap_or_default();
    for expected in ["a user deploys v1", "a user deploys v2", "a user deploys v3", "KULTA rolls v3 back: "] {
        assert!(summary.contains(expected), "{expected:?} is not in\n{printed}");
    }
    assert!(summary.contains(", 0 failed to be served, ") && !summary.contains(", 0 got an error"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "control codes in\n{printed}");
}

#[test]
fn the_demo_prints_its_transitions_in_order() {
    let output = Command::new(KULTA).args(["demo", "--plain", "--speed", "20"]).output().unwrap();

    let printed = String::from_utf8(output.stdout).unwrap();
    // Event delivery does not block the rollout: on a busy machine an event can come after the next weight.
    let weights =
        ["weight   90 % to v1, 10 % to v2", "weight   50 % to v1, 50 % to v2", "weight   90 % to v2, 10 % to v3"];
    let events =
        ["event    service.deployed (v1)", "event    service.upgraded (v2)", "event    service.rolledback (v2)"];
    for expected in [weights, events] {
        let places: Vec<_> = expected.iter().map(|line| printed.find(line)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{printed}");
    }
}

#[test]
fn a_speed_that_would_take_longer_than_a_minute_is_rejected() {
    let output = Command::new(KULTA).args(["demo", "--speed", "0.5"]).output().unwrap();

    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("from 1 to 20"));
}

#[test]
fn a_failure_is_one_line_with_the_cause() {
    let output = Command::new(KULTA).arg("demo").env("TMPDIR", "/nonexistent").output().unwrap();

    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(words.starts_with("kulta demo: make the folder /nonexistent/") && words.lines().count() == 1, "{words}");
}
