//! Plugins in Python and JavaScript.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{KULTA, Server, alone, err, folder, kulta, out, printed, repository};

const KINDS: [&str; 4] = ["analyzer", "strategy", "enricher", "step"];

/// True if a program is installed; if not, prints a line.
fn there_is(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

#[test]
fn every_python_template_passes_its_tests() {
    if !there_is("python3") {
        return;
    }
    let folder = folder("python");
    for kind in KINDS {
        printed(kulta(&folder).args(["new", "--kind", kind, "--lang", "python", kind]));

        let tested = Command::new("python3").args(["-m", "unittest"]).current_dir(folder.join(kind)).output().unwrap();

        assert!(tested.status.success() && !err(&tested).contains("Ran 0"), "{kind}: {}", err(&tested));
    }
}

#[test]
fn every_javascript_template_passes_its_tests() {
    if !there_is("node") {
        return;
    }
    let folder = folder("javascript");
    for kind in KINDS {
        printed(kulta(&folder).args(["new", "--kind", kind, "--lang", "js", kind]));

        let tested = Command::new("node").arg("--test").current_dir(folder.join(kind)).output().unwrap();

        assert!(tested.status.success() && !out(&tested).contains("# tests 0"), "{kind}: {}", out(&tested));
    }
}

/// The release binary of `make languages`: an unoptimised build takes more than a minute to compile an interpreter.
fn released() -> PathBuf {
    std::env::var_os("KULTA_BIN").map_or_else(|| KULTA.into(), PathBuf::from)
}

fn run(folder: &std::path::Path, arguments: &[&str]) -> Value {
    let mut kulta = Command::new(released());
    alone(kulta.current_dir(folder).arg("plugin").args(arguments));
    serde_json::from_str(&printed(&mut kulta)).unwrap()
}

#[test]
#[ignore = "`make languages` runs it, with the release binary"]
fn the_examples_in_python_and_javascript_build_and_run() {
    if !there_is("python3") || !there_is("node") {
        return;
    }
    let folder = folder("examples");
    let mut build = Command::new(repository().join("plugins/examples/build.sh"));
    printed(build.arg(released()).arg(&folder));

    let server = Server::start("[1, 2, 3]");
    let config = json!({ "url": format!("http://{}/", server.address), "percent": 50, "max": 2 }).to_string();
    let judged = run(&folder, &["run", "quantile.wasm", "--fetch", "--config", &config]);
    assert_eq!(judged["Judged"]["reason"], json!("p50 is 2, at most 2 passes"), "{judged}");

    let server = Server::start(r#"{"title": "Faster search"}"#);
    let config = json!({ "server": format!("http://{}", server.address) }).to_string();
    let occasion = json!({ "annotations": r#"{"example.com/ticket":"SHOP-7"}"# }).to_string();
    let added = run(&folder, &["run", "ticket.wasm", "--fetch", "--config", &config, "--occasion", &occasion]);
    let added: Value = serde_json::from_str(added["Add"].as_str().unwrap()).unwrap();
    assert_eq!(added["title"], json!("Faster search"));
}
