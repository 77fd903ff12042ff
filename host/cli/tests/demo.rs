//! The whole demo, as fast as it goes, without a terminal.

use std::process::Command;

/// The binary of this build.
const KULTA: &str = env!("CARGO_BIN_EXE_kulta");

#[test]
fn the_whole_story_is_told_and_every_request_is_served() {
    let output = Command::new(KULTA).args(["demo", "--speed", "20"]).output().unwrap();

    let told = String::from_utf8(output.stdout).unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}\n{words}");
    let summary = told.split_once("What happened:").map(|(_, summary)| summary).unwrap_or_default();
    for expected in ["a person deploys v1", "a person deploys v2", "a person deploys v3", "KULTA takes v3 back: "] {
        assert!(summary.contains(expected), "{expected:?} is not in\n{told}");
    }
    assert!(summary.contains(", 0 failed to be served, ") && !summary.contains(", 0 got an error"), "{told}");
    assert!(!told.contains('\u{1b}'), "control codes in\n{told}");
}

#[test]
fn the_story_is_told_by_lines_in_its_order() {
    let output = Command::new(KULTA).args(["demo", "--plain", "--speed", "20"]).output().unwrap();

    let told = String::from_utf8(output.stdout).unwrap();
    // Events are delivered beside the rollout, and on a busy machine after the next weight.
    let weights =
        ["weight   90 % to v1, 10 % to v2", "weight   50 % to v1, 50 % to v2", "weight   90 % to v2, 10 % to v3"];
    let events =
        ["event    service.deployed (v1)", "event    service.upgraded (v2)", "event    service.rolledback (v2)"];
    for expected in [weights, events] {
        let places: Vec<_> = expected.iter().map(|line| told.find(line)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{told}");
    }
}

#[test]
fn a_speed_that_would_take_longer_than_a_minute_is_refused() {
    let output = Command::new(KULTA).args(["demo", "--speed", "0.5"]).output().unwrap();

    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("from 1 to 20"));
}

#[test]
fn a_failure_is_one_line_that_says_what_is_wrong() {
    let output = Command::new(KULTA).arg("demo").env("TMPDIR", "/nonexistent").output().unwrap();

    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(words.starts_with("kulta demo: make the folder /nonexistent/") && words.lines().count() == 1, "{words}");
}
