use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kulta_oci::{Class, Credentials, Error, Pulled};

use crate::server::{Answer, ME, Received, Server, me, ok, refused, status, with};

const BEARER: &str = "Bearer t0ken";

/// A registry that requires a token of its own service, which issues one to `whom`.
async fn token_registry(whom: Option<&'static str>) -> Server {
    Server::registry(move |request| {
        if request.uri.starts_with("/token") {
            let known = request.header("authorization") == whom;
            return Some(if known { ok(r#"{"token": "t0ken"}"#) } else { refused(401, "UNAUTHORIZED") });
        }
        (request.header("authorization") != Some(BEARER)).then(|| {
            let host = request.header("host").unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"registry of tests\"");
            Answer { status: 401, headers: vec![("www-authenticate", challenge)], ..Answer::default() }
        })
    })
    .await
}

async fn basic_registry() -> Server {
    Server::registry(|request| {
        (request.header("authorization") != Some(ME)).then(|| with(401, "www-authenticate", "Basic realm=\"tests\""))
    })
    .await
}

async fn pull(server: &Server, credentials: &Credentials) -> Result<Pulled, Error> {
    server.client().pull(&server.reference(), None, credentials).await
}

fn of_token(server: &Server) -> Received {
    server.received().into_iter().find(|it| it.uri.starts_with("/token")).unwrap()
}

#[tokio::test]
async fn no_credentials_are_sent_without_a_challenge() {
    let server = Server::registry(|_| None).await;

    pull(&server, &me()).await.unwrap();

    assert!(server.received().iter().all(|it| it.header("authorization").is_none()));
}

#[tokio::test]
async fn without_credentials_an_anonymous_token_is_used() {
    let server = token_registry(None).await;

    pull(&server, &Credentials::Anonymous).await.unwrap();

    let expected = "GET /token?service=registry+of+tests&scope=repository%3Aacme%2Fplugin%3Apull";
    assert_eq!(of_token(&server).line(), expected);
}

#[tokio::test]
async fn credentials_are_exchanged_for_a_token_once() {
    let server = token_registry(Some(ME)).await;

    pull(&server, &me()).await.unwrap();

    let sent: Vec<_> =
        server.received().iter().map(|it| it.header("authorization").unwrap_or("none").to_owned()).collect();
    assert_eq!(sent, ["none", ME, BEARER, BEARER]);
}

#[tokio::test]
async fn a_scope_in_the_challenge_is_requested_too() {
    let server = Server::start(|request| {
        if request.uri.starts_with("/token") {
            return ok(r#"{"access_token": "t0ken"}"#);
        }
        let host = request.header("host").unwrap();
        with(401, "www-authenticate", format!("Bearer realm=\"http://{host}/token?a=b\",scope=\"other:x:pull\""))
    })
    .await;

    let _refused = pull(&server, &Credentials::Anonymous).await;

    let expected = "GET /token?a=b&scope=repository%3Aacme%2Fplugin%3Apull&scope=other%3Ax%3Apull";
    assert_eq!(of_token(&server).line(), expected);
}

#[tokio::test]
async fn a_rejected_token_is_not_requested_again() {
    let server = Server::start(|request| {
        if request.uri.starts_with("/token") {
            return ok(r#"{"access_token": "t0ken"}"#);
        }
        let host = request.header("host").unwrap();
        with(401, "www-authenticate", format!("Bearer realm=\"http://{host}/token\""))
    })
    .await;

    let error = pull(&server, &me()).await.unwrap_err();

    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(server.lines().len(), 3);
}

#[tokio::test]
async fn a_registry_with_basic_authentication_gets_the_password() {
    let server = basic_registry().await;

    assert!(pull(&server, &me()).await.is_ok());
}

#[tokio::test]
async fn missing_credentials_are_reported() {
    for server in [basic_registry().await, token_registry(Some(ME)).await] {
        let error = pull(&server, &Credentials::Anonymous).await.unwrap_err();

        assert!(matches!(error, Error::NoCredentials { .. }), "{error}");
        assert_eq!((error.class(), error.class().may_pass()), (Class::Unauthorized, false));
        assert!(error.to_string().contains("add a pull secret"), "{error}");
    }
}

#[tokio::test]
async fn rejected_credentials_are_reported_without_showing_them() {
    let wrong = Credentials::Basic { username: "you".into(), password: "s3cret".into() };
    for server in [basic_registry().await, token_registry(Some(ME)).await] {
        let error = pull(&server, &wrong).await.unwrap_err();

        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn other_schemes_are_named() {
    let server = Server::start(|_| with(401, "www-authenticate", "Negotiate")).await;

    let error = pull(&server, &me()).await.unwrap_err();

    assert!(error.to_string().contains("\"Negotiate\"; expected Bearer or Basic"), "{error}");
}

#[tokio::test]
async fn a_401_without_a_challenge_is_an_error() {
    let server = Server::start(|_| refused(401, "UNAUTHORIZED")).await;

    let error = pull(&server, &me()).await.unwrap_err();

    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
}

#[tokio::test]
async fn an_image_that_the_credentials_may_not_read_is_forbidden() {
    let server = Server::registry(|_| Some(refused(403, "DENIED"))).await;

    let error = pull(&server, &me()).await.unwrap_err();

    assert_eq!((error.class(), error.class().may_pass()), (Class::Forbidden, false));
    assert!(error.to_string().contains("403 Forbidden, DENIED said so"), "{error}");
}

#[tokio::test]
async fn a_rate_limit_is_reported_with_the_delay() {
    let first = AtomicBool::new(true);
    let server =
        Server::registry(move |_| first.swap(false, Ordering::Relaxed).then(|| with(429, "retry-after", "7"))).await;

    let error = server.pull().await.unwrap_err();

    assert_eq!((error.class(), error.class().may_pass()), (Class::RateLimited, true));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(server.pull().await.is_ok());
}

#[tokio::test]
async fn a_failing_registry_is_unavailable_for_now() {
    for code in [500, 502, 503, 504, 408] {
        let server = Server::registry(move |_| Some(status(code))).await;

        let error = server.pull().await.unwrap_err();

        assert_eq!((error.class(), error.class().may_pass()), (Class::Unavailable, true), "{code}");
    }
}

#[tokio::test]
async fn credentials_are_not_sent_to_a_blob_store_on_another_host() {
    let store = Server::registry(|_| None).await;
    let host = store.host.clone();
    let server = Server::registry(move |request| {
        if request.header("authorization") != Some(ME) {
            return Some(with(401, "www-authenticate", "Basic realm=\"tests\""));
        }
        request.uri.contains("/blobs/").then(|| with(307, "location", format!("http://u:p@{host}{}", request.uri)))
    })
    .await;

    pull(&server, &me()).await.unwrap();

    let received = store.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("authorization"), None);
}

#[tokio::test]
async fn another_hosts_challenge_is_not_answered() {
    let store = Server::start(|request| {
        let host = request.header("host").unwrap();
        with(401, "www-authenticate", format!("Bearer realm=\"http://{host}/token\""))
    })
    .await;
    let host = store.host.clone();
    let server = Server::registry(move |request| {
        request.uri.contains("/blobs/").then(|| with(302, "location", format!("http://{host}/blob")))
    })
    .await;

    let error = pull(&server, &me()).await.unwrap_err();

    assert_eq!(error.class(), Class::Unauthorized);
    assert_eq!(store.lines(), ["GET /blob"]);
}

#[tokio::test]
async fn endless_redirects_are_an_error() {
    let server = Server::registry(|request| Some(with(302, "location", request.uri.clone()))).await;

    let error = server.pull().await.unwrap_err();

    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
    assert_eq!(server.lines().len(), 6);
}

#[tokio::test]
async fn a_redirect_without_a_target_is_invalid() {
    let server = Server::registry(|_| Some(status(302))).await;

    assert_eq!(server.pull().await.unwrap_err().class(), Class::Malformed);
}
