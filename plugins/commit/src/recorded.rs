//! `recorded.jsonl`: the enricher's answers to many inputs. The host replays it through the component.
//! `UPDATE_RECORDED=1 cargo test` regenerates it.

use crate::Enrich;
use kulta_plugin::enricher::Occasion;
use kulta_plugin::testing::enricher::{annotated, record};

const CONFIGS: [&str; 3] = ["{}", r#"{"commit":["sha"],"hosts":{"git.example.org":"gitLab"}}"#, r#"{"commit":"sha"}"#];

#[test]
fn the_recording_equals_the_enrichers_answers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.jsonl");
    let answers = record::<Enrich>(&calls()).unwrap();
    if std::env::var_os("UPDATE_RECORDED").is_some() {
        std::fs::write(path, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap_or_default();
    assert!(recorded == answers, "recorded.jsonl is stale: UPDATE_RECORDED=1 cargo test");
}

fn calls() -> Vec<(String, Occasion)> {
    let mut calls = Vec::new();
    for config in CONFIGS {
        for repository in
            ["https://github.com/a/b.git", "git@git.example.org:a/b.git", "https://u:p@git.example.org/x", "web"]
        {
            for (commit, pull_request) in
                [("0b1c2d3", "7"), ("v1", "https://gitlab.com/a/b/-/merge_requests/7"), ("", "")]
            {
                let asked = annotated(&[
                    ("kulta.io/git-repository", repository),
                    ("kulta.io/git-commit", commit),
                    ("sha", commit),
                    ("kulta.io/git-author", "Ada\u{202e} Lövelace"),
                    ("kulta.io/pull-request", pull_request),
                ]);
                calls.push((config.to_owned(), asked));
            }
        }
        calls.push((config.to_owned(), Occasion { annotations: "[".into(), ..annotated(&[]) }));
    }
    calls
}
