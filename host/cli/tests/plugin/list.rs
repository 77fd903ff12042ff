//! `kulta plugin list`, and the condition language as a component.

use std::fs;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Server, err, fixture, folder, kulta, printed};

const NOT_FOUND: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"NotFound","message":"the server could not find the requested resource","code":404}"#;

/// A kubeconfig for this server.
fn kubeconfig(folder: &Path, server: &Server) -> PathBuf {
    let file = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": format!("http://{}", server.address) } }],
        "users": [{ "name": "test", "user": {} }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    fs::write(&file, config.to_string()).unwrap();
    file
}

#[test]
fn the_clusters_plugins_are_listed() {
    let plugins = r#"{"apiVersion":"kulta.io/v1alpha1","kind":"PluginList","metadata":{},"items":[
        {"apiVersion":"kulta.io/v1alpha1","kind":"Plugin","metadata":{"name":"error-rate"},"spec":{"source":{"file":"/a"}},
         "status":{"kinds":["analyzer"],"version":"0.1.0","digest":"sha256:ab","conditions":[{"type":"Ready","status":"True",
         "reason":"Serving","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}},
        {"apiVersion":"kulta.io/v1alpha1","kind":"Plugin","metadata":{"name":"new"},"spec":{"source":{"file":"/b"}}}]}"#;
    let (folder, server) = (folder("list"), Server::start(plugins));

    let listed = printed(kulta(&folder).arg("list").env("KUBECONFIG", kubeconfig(&folder, &server)));

    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected = [
        ["NAME", "KINDS", "VERSION", "READY", "REASON", "DIGEST"],
        ["error-rate", "analyzer", "0.1.0", "True", "Serving", "sha256:ab"],
        ["new", "-", "-", "-", "-", "-"],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_cluster_without_the_crd_is_reported_with_the_command_that_installs_it() {
    let (folder, server) = (folder("list-404"), Server::answering(StatusCode::NOT_FOUND, NOT_FOUND));

    let output = kulta(&folder).arg("list").env("KUBECONFIG", kubeconfig(&folder, &server)).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("kulta crds | kubectl apply"), "{}", err(&output));
}

#[test]
fn the_built_in_plugins_are_listed_with_their_digests() {
    let listed = printed(kulta(&folder("built-in")).args(["list", "--built-in"]));

    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "KIND", "VERSION", "DIGEST"]);
    let threshold = rows.iter().find(|row| row[0] == "threshold").unwrap();
    assert!(threshold[1] == "analyzer" && threshold[3].starts_with("sha256:"), "{threshold:?}");
}

#[test]
fn a_condition_language_evaluates_a_value() {
    let conditions = fixture("conditions");

    let asked = printed(kulta(&folder("condition")).arg("run").arg(conditions).args([
        "--config",
        r#""result > 1""#,
        "--occasion",
        "2",
    ]));

    assert_eq!(asked, "true\n");
}
