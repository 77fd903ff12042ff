//! Runs the commands of `docs/plugins.md`, and decodes its objects as the controller does.

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

/// The contents of all code blocks of one kind.
fn blocks(kind: &str) -> Vec<String> {
    let tutorial = fs::read_to_string(repository().join("docs/plugins.md")).unwrap();
    let opened = format!("```{kind}\n");
    let blocks = tutorial.split(&opened).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let blocks: Vec<String> = blocks.collect();
    assert!(!blocks.is_empty(), "no block of {kind}");
    blocks
}

/// Decodes and encodes an object: an unknown field would be lost.
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
    // Otherwise a server would outlive the test after a failed command.
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}", blocks("sh run").join("\n"));

    let mut shell = Command::new("bash");
    alone(shell.current_dir(&folder).args(["-c", &script]).env("PATH", path));
    let printed = printed(&mut shell);

    assert!(printed.contains(r#""verdict": "Pass""#) && printed.contains("as recorded: "), "{printed}");
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
