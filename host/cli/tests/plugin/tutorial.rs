//! `docs/plugins.md` to the letter: its commands are run, its objects are read as the controller reads them.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use kulta_api::analysis::AnalysisTemplate;
use kulta_api::plugin::Plugin;
use kulta_api::validation::plugin::validate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::support::{KULTA, alone, cargo, folder, printed, repository};

/// The blocks of one kind: what stands behind their fences.
fn blocks(kind: &str) -> Vec<String> {
    let tutorial = fs::read_to_string(repository().join("docs/plugins.md")).unwrap();
    let opened = format!("```{kind}\n");
    let blocks = tutorial.split(&opened).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let blocks: Vec<String> = blocks.collect();
    assert!(!blocks.is_empty(), "no block of {kind}");
    blocks
}

/// Read, and written again: a field that the object does not have would be gone.
fn whole<T: Serialize + DeserializeOwned>(yaml: &str) -> T {
    let written: Value = serde_yaml::from_str(yaml).unwrap();
    let object: T = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&object).unwrap(), written);
    object
}

#[test]
fn every_command_of_the_tutorial_works() {
    let (folder, programs) = (folder("tutorial"), folder("tutorial-programs"));
    symlink(KULTA, programs.join("kulta")).unwrap();
    let _cargo = cargo();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    // A server that a failed command leaves behind would outlive the test.
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}", blocks("sh run").join("\n"));

    let mut shell = Command::new("bash");
    alone(shell.current_dir(&folder).args(["-c", &script]).env("PATH", path));
    let told = printed(&mut shell);

    assert!(told.contains(r#""verdict": "Pass""#) && told.contains("as recorded: "), "{told}");
}

#[test]
fn every_plugin_object_of_the_tutorial_is_valid() {
    for block in blocks("yaml plugin") {
        let plugin: Plugin = whole(&block);

        assert_eq!(validate(&plugin.spec), Ok(()), "{block}");
    }
    for block in blocks("yaml template") {
        whole::<AnalysisTemplate>(&block);
    }
}
