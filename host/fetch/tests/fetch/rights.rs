use std::sync::Arc;

use kulta_fetch::{Auth, Failure, Request, Right, Rights, Settings};

use crate::server::{Server, fetch, get, ok, redirect, settings, text};

const BODY_LIMIT: usize = 1 << 20;

fn to(url: &str) -> Right {
    Right { prefix: Some(url.parse().unwrap()), ..Right::default() }
}

fn with(grants: Vec<Right>, url: impl Into<String>) -> Request {
    Request { rights: Some(Arc::new(Rights { grants, body_limit: BODY_LIMIT })), ..get(url) }
}

#[tokio::test]
async fn a_plugin_without_grants_can_make_no_request() {
    let server = Server::start(|_| ok("")).await;

    let answer = fetch(settings(), with(Vec::new(), &server.url)).await;

    assert!(matches!(&answer, Err(Failure::Denied(why)) if why.contains("none of the plugin's grants")), "{answer:?}");
}

#[tokio::test]
async fn a_grant_covers_every_path_below_its_prefix() {
    let server = Server::start(|_| ok("here")).await;
    let grant = to(&format!("{}/api", server.url));

    let inside = fetch(settings(), with(vec![grant.clone()], format!("{}/api/v1", server.url))).await.unwrap();
    let beside = fetch(settings(), with(vec![grant], format!("{}/apis", server.url))).await;

    assert_eq!(text(&inside), "here");
    assert!(matches!(beside, Err(Failure::Denied(_))), "{beside:?}");
}

#[tokio::test]
async fn a_grant_replaces_the_prefixes_of_built_in_plugins() {
    let server = Server::start(|_| ok("here")).await;
    let elsewhere = Settings { prefixes: vec!["http://elsewhere.example".parse().unwrap()], ..settings() };

    let answer = fetch(elsewhere, with(vec![to(&server.url)], &server.url)).await;

    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_redirect_cannot_leave_the_grants() {
    let target = Server::start(|_| ok("there")).await;
    let url = target.url.clone();
    let server = Server::start(move |_| redirect(302, &url)).await;

    let answer = fetch(settings(), with(vec![to(&server.url)], &server.url)).await;

    assert!(matches!(answer, Err(Failure::Denied(_))), "{answer:?}");
    assert_eq!(target.received().len(), 0);
}

#[tokio::test]
async fn a_granted_header_is_sent_to_its_own_url_only_and_is_redacted_in_answers() {
    let target = Server::start(|_| ok("there")).await;
    let url = target.url.clone();
    let server = Server::start(move |request| {
        if request.uri == "/echo" {
            return ok(request.header("authorization").unwrap_or_default().to_owned());
        }
        redirect(302, &url)
    })
    .await;
    let headers = vec![("Authorization".to_owned(), "Bearer hunter2hunter2".to_owned())];
    let grants = vec![Right { headers, ..to(&server.url) }, to(&target.url)];

    let echoed = fetch(settings(), with(grants.clone(), format!("{}/echo", server.url))).await.unwrap();
    fetch(settings(), with(grants, &server.url)).await.unwrap();

    assert!(!text(&echoed).contains("hunter2"), "{}", text(&echoed));
    assert_eq!(server.last().header("authorization"), Some("Bearer hunter2hunter2"));
    assert_eq!(target.last().header("authorization"), None);
}

#[tokio::test]
async fn an_answer_larger_than_the_plugins_limit_is_not_read() {
    let server = Server::start(|_| ok("x".repeat(100))).await;
    let rights = Rights { grants: vec![to(&server.url)], body_limit: 99 };

    let answer = fetch(settings(), Request { rights: Some(Arc::new(rights)), ..get(&server.url) }).await;

    assert_eq!(answer, Err(Failure::TooLarge(99)));
}

#[tokio::test]
async fn tls_is_verified_unless_the_grant_says_otherwise() {
    let request = with(vec![to("https://127.0.0.1:1")], "https://127.0.0.1:1/");

    let answer = fetch(settings(), Request { skip_tls_verify: true, ..request }).await;

    assert!(matches!(&answer, Err(Failure::Denied(why)) if why.contains("TLS")), "{answer:?}");
}

#[tokio::test]
async fn the_controllers_own_credentials_are_not_granted() {
    let request = with(vec![to("http://127.0.0.1:1")], "http://127.0.0.1:1/");

    let answer = fetch(settings(), Request { auth: Auth::SigV4("eu-west-1".into()), ..request }).await;

    assert!(matches!(&answer, Err(Failure::Denied(why)) if why.contains("sigv4")), "{answer:?}");
}
