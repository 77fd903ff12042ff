//! Errors of `kulta plugin` for an author: one line that says what to do.

use std::fs;

use crate::support::{analyzer, err, fixture, folder, kulta};

/// The exit code and the error message of a failed command.
fn refused(name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = kulta(&folder(name)).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    (output.status.code(), err(&output))
}

fn assert_one_line(name: &str, arguments: &[&str], expected: &[&str]) {
    let (code, words) = refused(name, arguments);
    assert_eq!((code, words.lines().count()), (Some(1), 1), "{words}");
    for expected in expected {
        assert!(words.contains(expected), "{expected:?} is not in {words}");
    }
}

#[test]
fn a_misused_command_ends_with_2_and_names_what_it_expects() {
    for (arguments, expected) in [
        (&["new", "--kind", "router", "--lang", "rust", "a"][..], "analyzer, strategy, enricher, step"),
        (&["new", "--kind", "step", "--lang", "go", "a"], "rust, python, js"),
        (&["new", "--kind", "step", "--lang", "js", "Error_Rate"], "such as error-rate"),
        (&["run", "a.wasm", "--config", "{"], "expected JSON or @FILE"),
        (&["run", "a.wasm", "--occasion", "@none.json"], "read none.json"),
        (&["push", "a.wasm", "error-rate:1"], "names no registry"),
    ] {
        let (code, words) = refused("misused", arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {words}");
        assert!(words.contains(expected), "{arguments:?}: {words}");
    }
}

#[test]
fn a_folder_that_is_not_empty_is_not_changed() {
    let taken = folder("taken");
    fs::write(taken.join("file"), "").unwrap();

    let arguments = ["new", "--kind", "step", "--lang", "js", "a", "--path", taken.to_str().unwrap()];

    assert_one_line("taken-2", &arguments, &["kulta plugin new: ", "not empty", "--path"]);
}

#[test]
fn an_invalid_project_is_reported_with_the_expected_files() {
    assert_one_line(
        "no-project",
        &["build"],
        &["kulta plugin build: ", "Cargo.toml, or app.py, or index.js", "kulta plugin new"],
    );
}

#[test]
fn a_missing_tool_is_reported_with_its_install_command() {
    for (language, expected) in [("python", "pip install componentize-py"), ("js", "run: npm install (in ")] {
        let folder = folder(&format!("no-tool-{language}"));
        assert!(kulta(&folder).args(["new", "--kind", "step", "--lang", language, "a"]).status().unwrap().success());

        let output = kulta(&folder).args(["build", "a"]).env("PATH", "/nonexistent").output().unwrap();

        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).contains(expected), "{}", err(&output));
    }
}

#[test]
fn an_invalid_component_is_reported_with_how_to_build_one() {
    let folder = folder("no-component");
    fs::write(folder.join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let file = folder.join("module.wasm");

    assert_one_line("no-component-2", &["check", file.to_str().unwrap()], &["core module", "`kulta plugin build`"]);
    assert_one_line("no-component-3", &["check", "none.wasm"], &["read none.wasm: No such file"]);
}

#[test]
fn a_negative_number_is_parsed_as_a_value() {
    assert_one_line("negative", &["run", "none.wasm", "--occasion", "-1.5"], &["read none.wasm: No such file"]);
}

#[test]
fn a_component_without_a_kind_is_reported_with_the_known_worlds() {
    let folder = folder("no-kind");
    fs::write(folder.join("empty.wasm"), b"\0asm\x0d\0\x01\0").unwrap();

    let file = folder.join("empty.wasm");

    assert_one_line("no-kind-2", &["check", file.to_str().unwrap()], &["kulta:plugin/analyzer", "analyzer-plugin"]);
}

#[test]
fn invalid_input_is_reported_with_its_path() {
    let file = analyzer();
    let file = file.to_str().unwrap();
    let config = ["--config", r#"{"url":"http://shop","max":1}"#];
    let run = |more: &[&'static str]| [&["run", file], more].concat();

    assert_one_line("config", &run(&["--config", r#"{"url":1}"#]), &["max: required", "url: ", "kulta plugin check"]);
    let misspelt = [&run(&config)[..], &["--occasion", r#"{"metrics":"errors"}"#]].concat();
    assert_one_line("occasion", &misspelt, &["occasion.metrics: unknown field", "metric, "]);
    let wrong = [&run(&config)[..], &["--occasion", r#"{"rollout":{"replicas":"four"}}"#]].concat();
    assert_one_line("occasion-2", &wrong, &["occasion.rollout.replicas: invalid type"]);
    assert_one_line("kind", &run(&["--kind", "step"]), &["--kind step: the component is analyzer"]);
}

#[test]
fn a_failed_call_reports_its_cause() {
    let file = fixture("hostile_step");

    let arguments = ["run", file.to_str().unwrap(), "--config", r#"{"misdeed":"trap"}"#];

    assert_one_line("trap", &arguments, &["component.wasm: the plugin trapped: "]);
}

#[test]
fn an_invalid_recording_is_reported_with_the_command_that_writes_one() {
    let (folder, file) = (folder("no-tape"), analyzer());
    fs::write(folder.join("tape.jsonl"), "{}\n").unwrap();
    let tape = folder.join("tape.jsonl");

    let arguments = ["replay", file.to_str().unwrap(), tape.to_str().unwrap()];

    assert_one_line("no-tape-2", &arguments, &["at least two lines", "kulta plugin record"]);
}

#[test]
fn an_unavailable_registry_is_named() {
    let file = analyzer();
    let push = ["push", file.to_str().unwrap(), "127.0.0.1:9/acme/error-rate:1", "--plain-http"];

    assert_one_line("away", &push, &["kulta plugin push: ", "127.0.0.1:9/acme/error-rate"]);
    let untagged = ["push", file.to_str().unwrap(), "127.0.0.1:9/acme/error-rate", "--plain-http"];
    assert_one_line("untagged", &untagged, &["expected a tag"]);
    let pull = ["pull", "127.0.0.1:9/acme/error-rate:1", "-o", "a.wasm", "--plain-http"];
    assert_one_line("away-2", &pull, &["kulta plugin pull: ", "127.0.0.1:9/acme/error-rate:1"]);
}

#[test]
fn an_unavailable_cluster_is_reported_with_the_flag_for_built_in_plugins() {
    let output = kulta(&folder("no-cluster"))
        .arg("list")
        .env("KUBECONFIG", "/nonexistent")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("set KUBECONFIG; --built-in needs none"), "{}", err(&output));
}
