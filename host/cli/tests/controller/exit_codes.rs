use std::process::{Command, Output};

use crate::cluster::KULTA;

fn kulta(arguments: &[&str]) -> Output {
    Command::new(KULTA).args(arguments).env("KUBECONFIG", "/nowhere").output().unwrap()
}

/// The exit code, and all that was printed.
fn failed(arguments: &[&str]) -> (Option<i32>, String) {
    let output = kulta(arguments);
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[test]
fn without_arguments_help_is_printed() {
    let (code, printed) = failed(&[]);

    assert_eq!(code, Some(2));
    assert!(printed.contains("Usage: kulta <COMMAND>") && printed.contains("Exit codes:"), "{printed}");
}

#[test]
fn an_invalid_flag_ends_with_2() {
    for flags in [&["controller", "--no-such-flag"][..], &["--workers=many"], &["--namespaced", "--namespaces=a"]] {
        assert_eq!(failed(flags).0, Some(2), "{flags:?}");
    }
}

#[test]
fn contradictory_flags_are_one_line() {
    let (code, printed) = failed(&["--analysis-record=a", "--analysis-replay=b"]);

    assert_eq!(code, Some(2));
    assert_eq!(
        printed,
        "kulta: --analysis-record and --analysis-replay exclude each other: a replay sends no requests\n"
    );
}

#[test]
fn a_configuration_that_cannot_be_used_ends_with_3_and_one_line_that_names_it() {
    for (flags, named) in [
        (&["--config=/nowhere/kulta.yaml"][..], "/nowhere/kulta.yaml"),
        (&["--kubeconfig=/nowhere/config"], "/nowhere/config"),
        (&["--http-proxy=ftp://proxy"], "HTTP_PROXY"),
        (&["controller"], "KUBECONFIG"),
    ] {
        let (code, printed) = failed(flags);

        let lines: Vec<_> = printed.lines().filter(|line| line.contains(named)).collect();
        assert_eq!((code, lines.len()), (Some(3), 1), "{flags:?}: {printed}");
    }
}

#[test]
fn the_schema_of_the_configuration_file_is_printed() {
    let output = kulta(&["config-schema"]);

    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["properties"]["workers"]["type"], "integer");
    assert_eq!(schema["additionalProperties"], false);
}
