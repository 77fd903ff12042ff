//! The workflow calls `make` targets and nothing else. `make workflows` checks its form.

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
fn every_command_of_the_workflow_is_a_target_of_the_makefile() {
    let workflow: Value = serde_yaml::from_str(&read(".github/workflows/ci.yaml")).unwrap();
    let makefile = read("Makefile");

    let called: Vec<String> = workflow["jobs"].as_object().unwrap().values().flat_map(targets).collect();

    assert!(!called.is_empty());
    for target in called {
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "make has no target {target:?}");
    }
}
