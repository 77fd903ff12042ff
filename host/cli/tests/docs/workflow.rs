//! The workflows call `make` targets and nothing else. `make workflows` checks their form.

use serde_json::Value;

use crate::support::read;

/// A matrix stands for these targets.
const MATRIX: &str = "${{ matrix.target }}";

fn targets(job: &Value) -> Vec<String> {
    let runs = job["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str());
    runs.flat_map(|run| {
        let target = run.rsplit_once("make ").unwrap_or_else(|| panic!("{run:?} does not call make")).1.trim();
        if target != MATRIX {
            return vec![target.to_owned()];
        }
        let all = job["strategy"]["matrix"]["target"].as_array().unwrap().iter();
        all.map(|target| target.as_str().unwrap().to_owned()).collect()
    })
    .collect()
}

#[test]
fn every_command_of_the_checks_is_a_target_of_the_makefile() {
    calls_targets_of_the_makefile("ci.yaml");
}

#[test]
fn every_command_of_a_release_is_a_target_of_the_makefile() {
    calls_targets_of_the_makefile("release.yaml");
}

fn calls_targets_of_the_makefile(workflow: &str) {
    let workflow: Value = serde_yaml::from_str(&read(&format!(".github/workflows/{workflow}"))).unwrap();
    let makefile = read("Makefile");

    let called: Vec<String> = workflow["jobs"].as_object().unwrap().values().flat_map(targets).collect();

    assert!(!called.is_empty());
    for target in called {
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "make has no target {target:?}");
    }
}
