//! A plugin in Rust, from the template to the recorded verdict.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Server, alone, analyzer, cargo, err, fixture, folder, kulta, out, printed};

#[test]
fn every_rust_template_builds_and_passes_its_tests_and_the_check() {
    let (folder, _cargo) = (folder("rust"), cargo());
    for kind in ["analyzer", "strategy", "enricher", "step"] {
        printed(kulta(&folder).args(["new", "--kind", kind, "--lang", "rust", kind]));

        let mut tests = Command::new("cargo");
        alone(tests.current_dir(folder.join(kind)).args(["test", "--quiet"]));
        printed(&mut tests);
        let checked = printed(kulta(&folder).args(["build", kind]));

        assert!(checked.contains(&format!("kinds    {kind}\n")) && checked.contains("findings: 0;"), "{checked}");
    }
}

#[test]
fn a_check_describes_a_component() {
    let checked = printed(kulta(&folder("check")).arg("check").arg(analyzer()));

    for expected in [
        "plugin   error-rate 0.1.0: Judges a number that a URL answers",
        "digest   sha256:",
        "kulta:plugin/types@0.1.0 (only types)",
        "64.0 MiB and 1s a call",
        "max, url; JSON Schema of ",
        r#"with {"max":1,"url":"http://localhost:9/"}"#,
    ] {
        assert!(checked.contains(expected), "{expected}\n{checked}");
    }
}

#[test]
fn a_component_that_traps_is_a_finding() {
    let hostile = fixture("hostile_analyzer");

    let output = kulta(&folder("hostile"))
        .arg("check")
        .arg(hostile)
        .args(["--config", r#"{"misdeed":"trap"}"#])
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let checked = out(&output);
    assert!(checked.contains("finding  analyzer: an ordinary measurement: the plugin trapped: "), "{checked}");
}

#[test]
fn one_call_is_shown_as_json() {
    let shown = printed(
        kulta(&folder("run")).arg("run").arg(analyzer()).args(["--config", r#"{"url":"http://shop/","max":1}"#]),
    );

    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["Fetch"]["requests"][0]["url"], json!("http://shop/"));
}

#[test]
fn answers_can_be_given_as_text() {
    let occasion = r#"{"answers":[{"Ok":{"status":200,"headers":[],"body":"0.02"}}]}"#;

    let shown = printed(
        kulta(&folder("answers"))
            .arg("run")
            .arg(analyzer())
            .args(["--config", r#"{"url":"http://shop/","max":1}"#])
            .args(["--occasion", occasion]),
    );

    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["Judged"]["verdict"], &shown["Judged"]["value"]), (&json!("Pass"), &json!("0.02")));
}

#[test]
fn with_fetch_the_requests_are_made() {
    let server = Server::start("0.5");
    let config = format!(r#"{{"url":"http://{}/","max":0.05}}"#, server.address);

    let output =
        kulta(&folder("fetch")).arg("run").arg(analyzer()).args(["--fetch", "--config", &config]).output().unwrap();

    let shown: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(shown["Judged"]["verdict"], json!({ "Fail": "0.5 is more than 0.05" }));
    assert!(err(&output).contains(&format!("GET http://{}/: 200, 3 bytes", server.address)), "{}", err(&output));
}

#[test]
fn a_recording_has_the_same_verdict_without_the_server() {
    let (folder, server) = (folder("tape"), Server::start("0.5"));
    let config = format!(r#"{{"url":"http://{}/","max":0.05}}"#, server.address);
    printed(kulta(&folder).arg("record").arg(analyzer()).args(["--config", &config, "-o", "tape.jsonl"]));
    drop(server);

    let replayed = printed(kulta(&folder).arg("replay").arg(analyzer()).arg("tape.jsonl"));

    assert!(replayed.starts_with("as recorded: ") && replayed.contains("0.5 is more than 0.05"), "{replayed}");
}

#[test]
fn a_replay_with_another_outcome_prints_both_and_fails() {
    let (folder, server) = (folder("other-tape"), Server::start("0.5"));
    let config = format!(r#"{{"url":"http://{}/","max":0.05}}"#, server.address);
    printed(kulta(&folder).arg("record").arg(analyzer()).args(["--config", &config, "-o", "tape.jsonl"]));
    let tape = std::fs::read_to_string(folder.join("tape.jsonl")).unwrap();
    let eased = tape.replacen(r#""max":0.05"#, r#""max":0.7"#, 1);
    assert_ne!(tape, eased);
    std::fs::write(folder.join("tape.jsonl"), eased).unwrap();

    let output = kulta(&folder).arg("replay").arg(analyzer()).arg("tape.jsonl").output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<String> = out(&output).lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("recorded: ") && lines[0].contains("Fail"), "{lines:?}");
    assert!(lines[1].starts_with("now: ") && lines[1].contains("Pass"), "{lines:?}");
}
