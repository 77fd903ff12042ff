//! Table tests of the enricher, called as the host calls it.

use crate::Enrich;
use kulta_plugin::Error;
use kulta_plugin::testing::canned;
use kulta_plugin::testing::enricher::{addition, annotated, check_config, config_schema};
use proptest::prelude::*;
use serde_json::{Value, json};

const COMMIT: &str = "kulta.io/git-commit";
const OCI_COMMIT: &str = "org.opencontainers.image.revision";
const REPOSITORY: &str = "kulta.io/git-repository";
const OCI_REPOSITORY: &str = "org.opencontainers.image.source";
const AUTHOR: &str = "kulta.io/git-author";
const PULL_REQUEST: &str = "kulta.io/pull-request";
const SHA: &str = "0b1c2d3e4f5061728394a5b6c7d8e9f001122334";

fn added_with(config: &str, annotations: &[(&str, &str)]) -> Value {
    let (added, requests) = addition::<Enrich>(config, &annotated(annotations), canned([]));
    assert_eq!(requests, []);
    serde_json::from_str(&added.unwrap()).unwrap()
}

fn added(annotations: &[(&str, &str)]) -> Value {
    added_with("{}", annotations)
}

#[test]
fn all_known_facts_are_added_with_links() {
    let annotations =
        [(COMMIT, SHA), (REPOSITORY, "https://github.com/shop/web"), (AUTHOR, "Ada <ada@shop>"), (PULL_REQUEST, "7")];

    let expected = json!({
        "commit": { "id": SHA, "url": format!("https://github.com/shop/web/commit/{SHA}") },
        "repository": { "url": "https://github.com/shop/web" },
        "author": "Ada <ada@shop>",
        "pullRequest": { "number": 7, "url": "https://github.com/shop/web/pull/7" },
    });
    assert_eq!(added(&annotations), expected);
}

#[test]
fn without_known_facts_an_empty_object_is_added() {
    for annotations in
        [&[][..], &[("team", "a")], &[(COMMIT, ""), (REPOSITORY, "  "), (AUTHOR, "\n"), (PULL_REQUEST, "no")]]
    {
        assert_eq!(added(annotations), json!({}), "{annotations:?}");
    }
}

#[test]
fn the_first_key_with_a_usable_value_wins() {
    for (annotations, id) in [
        (vec![(COMMIT, "1111111"), (OCI_COMMIT, "2222222")], "1111111"),
        (vec![(OCI_COMMIT, "2222222")], "2222222"),
        (vec![(COMMIT, "  "), (OCI_COMMIT, "2222222")], "2222222"),
        (vec![(COMMIT, "no commit"), (OCI_COMMIT, " 2222222\n")], "2222222"),
    ] {
        assert_eq!(added(&annotations)["commit"]["id"], id, "{annotations:?}");
    }
    assert_eq!(added(&[(OCI_REPOSITORY, "http://git/a")])["repository"]["url"], "http://git/a");
}

#[test]
fn keys_are_configurable() {
    let config = r#"{"commit":["sha"],"pullRequest":[]}"#;

    let added = added_with(config, &[("sha", "1111111"), (COMMIT, "2222222"), (PULL_REQUEST, "7"), (AUTHOR, "Ada")]);

    assert_eq!(added, json!({ "commit": { "id": "1111111" }, "author": "Ada" }));
}

#[test]
fn each_notation_of_a_repository_gives_its_page() {
    for (written, url) in [
        ("https://github.com/shop/web", "https://github.com/shop/web"),
        ("https://github.com/shop/web.git", "https://github.com/shop/web"),
        ("https://GitHub.com/shop/web/", "https://github.com/shop/web"),
        ("git+https://github.com/shop/web.git", "https://github.com/shop/web"),
        ("https://x-access-token:secret@github.com/shop/web", "https://github.com/shop/web"),
        ("https://a@b@github.com/shop/web", "https://github.com/shop/web"),
        ("https://github.com/shop/web?token=secret#readme", "https://github.com/shop/web"),
        ("git@github.com:shop/web.git", "https://github.com/shop/web"),
        ("ssh://git@github.com/shop/web.git", "https://github.com/shop/web"),
        ("ssh://git@github.com:22/shop/web.git", "https://github.com/shop/web"),
        ("git+ssh://git@gitlab.com/a/b/c.git", "https://gitlab.com/a/b/c"),
        ("http://github.example.org:8080/shop/web", "http://github.example.org:8080/shop/web"),
        ("https://git.example.org/web.git", "https://git.example.org/web"),
        ("ssh://ada:secret@git.example.org:2222/web.git", "ssh://git@git.example.org:2222/web"),
        ("git@git.example.org:web.git", "ssh://git@git.example.org/web"),
    ] {
        assert_eq!(added(&[(REPOSITORY, written)]), json!({ "repository": { "url": url } }), "{written}");
    }
}

#[test]
fn an_invalid_repository_is_left_out() {
    let long = format!("https://github.com/shop/{}", "x".repeat(1_024));
    for written in [
        "web",
        "github.com/shop/web",
        "ftp://github.com/shop/web",
        "file:///srv/web.git",
        "javascript:alert(1)",
        "javascript://github.com/%0aalert(1)",
        "https://github.com",
        "https://github.com/",
        "https:///shop/web",
        "https://github..com/shop/web",
        "https://github.com:port/shop/web",
        "https://github.com:99999/shop/web",
        "https://[::1]/shop/web",
        "https://github.com/shop/<script>",
        "https://github.com/shop/web x",
        "https://github.com/shop/\u{202e}bew",
        "https://gïthub.com/shop/web",
        "https://tok/en@github.com/shop/web",
        "@:",
        &long,
    ] {
        assert_eq!(added(&[(REPOSITORY, written)]), json!({}), "{written}");
    }
}

#[test]
fn links_have_the_form_of_their_host() {
    for (repository, commit, pull_request) in [
        ("https://github.com/a/b", "https://github.com/a/b/commit/0b1c2d3", "https://github.com/a/b/pull/7"),
        (
            "https://github.acme.org/a/b",
            "https://github.acme.org/a/b/commit/0b1c2d3",
            "https://github.acme.org/a/b/pull/7",
        ),
        (
            "git@gitlab.com:a/b/c.git",
            "https://gitlab.com/a/b/c/-/commit/0b1c2d3",
            "https://gitlab.com/a/b/c/-/merge_requests/7",
        ),
        (
            "https://bitbucket.org/a/b",
            "https://bitbucket.org/a/b/commits/0b1c2d3",
            "https://bitbucket.org/a/b/pull-requests/7",
        ),
    ] {
        let added = added(&[(REPOSITORY, repository), (COMMIT, "0b1c2d3"), (PULL_REQUEST, "7")]);

        assert_eq!(added["commit"]["url"], commit);
        assert_eq!(added["pullRequest"]["url"], pull_request);
    }
}

#[test]
fn no_link_is_guessed() {
    for (repository, commit) in [
        ("https://git.example.org/a/b", "0b1c2d3"),
        ("https://bitbucket.example.org/a/b", "0b1c2d3"),
        ("https://mygithub.com/a/b", "0b1c2d3"),
        ("https://github.com/a", "0b1c2d3"),
        ("https://github.com/a/b/tree/main", "0b1c2d3"),
        ("https://github.com/a/..", "0b1c2d3"),
        ("https://gitlab.com/a/b/-/tree/main", "0b1c2d3"),
        ("https://github.com/a/b", "v1.2.3"),
        ("https://github.com/a/b", "0b1c2d"),
        ("https://github.com/a/b", "0b1c2d3-dirty"),
    ] {
        let added = added(&[(REPOSITORY, repository), (COMMIT, commit)]);

        assert_eq!(added["commit"], json!({ "id": commit }), "{repository} {commit}");
    }
}

#[test]
fn a_configured_host_gets_links() {
    let config = r#"{"hosts":{"git.example.org":"gitLab"}}"#;

    let added = added_with(config, &[(REPOSITORY, "git@git.example.org:a/b.git"), (COMMIT, "0b1c2d3")]);

    assert_eq!(added["commit"]["url"], "https://git.example.org/a/b/-/commit/0b1c2d3");
}

#[test]
fn a_commit_is_an_id_of_bounded_length() {
    let (longest, longer) = ("a".repeat(128), "a".repeat(129));
    for (written, id) in [
        ("0b1c2d3", Some("0b1c2d3")),
        ("main@sha1:0b1c2d3", Some("main@sha1:0b1c2d3")),
        (longest.as_str(), Some(longest.as_str())),
        (longer.as_str(), None),
        ("two words", None),
        ("<b>", None),
    ] {
        assert_eq!(added(&[(COMMIT, written)])["commit"]["id"].as_str(), id, "{written}");
    }
}

#[test]
fn an_author_is_one_line_of_bounded_length() {
    let long = "ä".repeat(10_000);
    assert_eq!(added(&[(AUTHOR, " Ada\n Lovelace\u{7} \u{202e}")])["author"], "Ada Lovelace");
    assert!(added(&[(AUTHOR, &long)])["author"].as_str().unwrap().len() <= 256);
}

#[test]
fn a_pull_request_is_a_number_or_an_address() {
    for (written, expected) in [
        ("7", json!({ "number": 7 })),
        ("#7", json!({ "number": 7 })),
        ("!7", json!({ "number": 7 })),
        ("https://github.com/a/b/pull/7", json!({ "number": 7, "url": "https://github.com/a/b/pull/7" })),
        (
            "https://u:p@gitlab.com/a/b/-/merge_requests/7/?x=1",
            json!({ "number": 7, "url": "https://gitlab.com/a/b/-/merge_requests/7" }),
        ),
        ("https://github.com/a/b/pull/7/files", json!({ "url": "https://github.com/a/b/pull/7/files" })),
        ("https://review.example.org/c/7", json!({ "url": "https://review.example.org/c/7" })),
        ("0", Value::Null),
        ("-7", Value::Null),
        ("+7", Value::Null),
        ("##7", Value::Null),
        ("99999999999999999999", Value::Null),
        ("git@github.com:a/b.git", Value::Null),
        ("javascript:alert(1)", Value::Null),
    ] {
        assert_eq!(added(&[(PULL_REQUEST, written)])["pullRequest"], expected, "{written}");
    }
}

#[test]
fn bad_configuration_is_named_by_its_path() {
    let many = format!(r#"{{"commit":["{}"]}}"#, ["a"; 17].join(r#"",""#));
    for (config, start) in [
        (r#"{"commits":[]}"#, "commits: "),
        (r#"{"commit":"sha"}"#, "commit: "),
        (r#"{"author":["a",""]}"#, "author[1]: empty"),
        (&many, "commit: 17 keys, at most 16"),
        (r#"{"hosts":{"a.b":"gitea"}}"#, "hosts.a.b: "),
        (r#"{"hosts":{"https://a.b":"gitHub"}}"#, "hosts.https://a.b: not a host's name"),
        (r#"{"hosts":{"A.b":"gitHub"}}"#, "hosts.A.b: not a host's name"),
    ] {
        match check_config::<Enrich>(config) {
            Err(Error::InvalidConfig(message)) => assert!(message.starts_with(start), "{config}: {message}"),
            other => panic!("expected an invalid configuration for {config}, got {other:?}"),
        }
    }
    assert_eq!(check_config::<Enrich>("{}"), Ok(()));
}

#[test]
fn the_schema_shows_the_default_keys() {
    assert!(config_schema::<Enrich>().contains(OCI_REPOSITORY));
}

proptest! {
    #[test]
    fn whatever_is_written_what_is_added_is_small_and_its_urls_have_no_credentials(
        commit in ".*", repository in "(https|ssh|git\\+https)://.*", author in ".*", pull_request in ".*",
    ) {
        let added = added(&[(COMMIT, &commit), (REPOSITORY, &repository), (AUTHOR, &author), (PULL_REQUEST, &pull_request)]);

        prop_assert!(added.to_string().len() < 8_192);
        if let Some(url) = added["repository"]["url"].as_str() {
            let authority = url.split("://").nth(1).unwrap().split('/').next().unwrap();
            prop_assert!(authority.strip_prefix("git@").unwrap_or(authority).find('@').is_none(), "{url}");
        }
    }
}
