//! Compares the picture of each stage with a golden file; `KULTA_WRITE_GOLDEN=1` regenerates the files.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::demo::frame::fixtures::{self, Stage};

const WRITE: &str = "KULTA_WRITE_GOLDEN";

fn text(stage: &Stage, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|to| draw(to, &stage.frame())).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let rows = buffer.content().chunks(usize::from(width)).map(|row| {
        let row: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", row.trim_end())
    });
    rows.collect()
}

fn check(stage: &Stage, name: &str, width: u16, height: u16) {
    let found = text(stage, width, height);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/picture/golden").join(name);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&golden).unwrap_or_default(), "{name}");
}

#[test]
fn a_good_version_at_half_of_the_requests() {
    check(&fixtures::half(), "half.txt", 110, 34);
}

#[test]
fn a_bad_version_whose_errors_show() {
    check(&fixtures::bad(), "bad.txt", 110, 34);
}

#[test]
fn a_completed_rollback() {
    check(&fixtures::back(), "back.txt", 110, 34);
}

#[test]
fn an_empty_cluster() {
    check(&fixtures::empty(), "empty.txt", 110, 34);
}

#[test]
fn a_small_terminal_shows_all_parts() {
    check(&fixtures::bad(), "small.txt", 80, 24);
}

#[test]
fn no_size_is_too_small_to_be_drawn() {
    for (width, height) in [(1, 1), (3, 40), (200, 2), (20, 10)] {
        let _ = text(&fixtures::bad(), width, height);
    }
}
