//! Real manifests: valid ones, and invalid ones with the paths of their errors.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::PathBuf;

use kulta_api::{Unchecked, decode, unchecked, validation};
use serde_json::Value;

const FAULT: &str = "# fault: ";

/// Name and text of each manifest in the folder.
fn manifests(folder: &str) -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(folder);
    let mut manifests: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    manifests.sort();
    assert!(!manifests.is_empty());
    manifests
}

fn object(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn manifests_that_argo_accepts_are_valid() {
    for (name, text) in manifests("good") {
        let rollout = decode(&object(&text)).unwrap_or_else(|error| panic!("{name}: {error}"));

        assert_eq!(validation::validate(&rollout), Ok(()), "{name}");
    }
}

#[test]
fn manifests_match_the_schema() {
    for (name, text) in manifests("good").into_iter().chain(manifests("bad")) {
        assert_eq!(unchecked(&object(&text)), Unchecked::default(), "{name}");
    }
}

#[test]
fn every_error_of_an_invalid_manifest_is_reported_by_its_path() {
    for (name, text) in manifests("bad") {
        let mut expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(FAULT)).collect();

        let errors = decode(&object(&text))
            .map_err(|error| vec![error])
            .and_then(|rollout| validation::validate(&rollout))
            .unwrap_err();

        let mut paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        expected.sort_unstable();
        paths.sort_unstable();
        assert_eq!(paths, expected, "{name}: {}", validation::joined(&errors));
    }
}
