//! The repository's files.

use std::fs;
use std::path::{Path, PathBuf};

pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths from the repository's root of the files below a folder that end in `.extension`, sorted.
pub fn files(folder: &str, extension: &str) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![repository().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
