//! Compares with Argo Rollouts' own evaluator for hundreds of conditions: the shared ones, and those of `golden.jsonl`,
//! recorded from expr-lang 1.15.5 with the functions that Argo Rollouts 1.9 adds.

use crate::Conditions;
use kulta_plugin::testing::condition::evaluate;
use std::path::{Path, PathBuf};

/// Folder of the shared conditions, if it is not next to the repository.
const FOLDER: &str = "CONDITIONS";

fn shared() -> PathBuf {
    let folder = std::env::var_os(FOLDER)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conditions"), PathBuf::from);
    folder.join("golden.jsonl")
}

fn rows(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        panic!("{}: {error}; {FOLDER} names the folder that has the rows", path.display());
    });
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_shared_condition_has_argos_result() {
    assert_same(&rows(&shared()), 418);
}

#[test]
fn every_part_of_the_language_has_argos_result() {
    assert_same(&rows(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden.jsonl")), 364);
}

fn assert_same(rows: &[serde_json::Value], at_least: usize) {
    let different: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let condition = row["condition"].as_str().unwrap();
            let ours = evaluate::<Conditions>(&format!("/*now:1764432000000*/{condition}"), &row["value"].to_string());
            let same = match row["is"].as_bool() {
                Some(is) => ours == Ok(is),
                None => ours.is_err() || NEWER.contains(&condition),
            };
            (!same).then(|| format!("{condition} of {}: {ours:?}, Argo {} {}", row["value"], row["is"], row["error"]))
        })
        .collect();

    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), rows.len(), different.join("\n"));
    assert!(rows.len() >= at_least, "rows are missing: {}", rows.len());
}

/// Expressions that are errors in Argo Rollouts' version, and valid and unambiguous in newer ones.
const NEWER: [&str; 5] = [
    "max(map(result, #.dev)) == 1.5",
    "max(result) < 1",
    "reverse(map(result, .dev))[0] == 0.2",
    "flatten([[1],[2]])[1] == 2",
    "`PASS` == result",
];
