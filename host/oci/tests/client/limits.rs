use std::time::Duration;

use axum::body::Body;
use kulta_oci::{Class, Credentials, Digest, Error, Settings};

use crate::server::{Answer, COMPONENT, Server, client, dripping, endless, manifest, manifest_of, ok, with};

/// A registry that answers requests whose URL contains `part` with a given body.
async fn answering(part: &'static str, body: fn() -> Body) -> Server {
    Server::registry(move |request| request.uri.contains(part).then(|| manifest(body()))).await
}

async fn pulled_in_a_moment(server: &Server) -> Error {
    let settings = Settings { timeout: Duration::from_millis(200), ..server.settings() };
    client(settings).pull(&server.reference(), None, &Credentials::Anonymous).await.unwrap_err()
}

#[tokio::test]
async fn a_huge_manifest_is_rejected_by_its_length() {
    let server = answering("/manifests/", || " ".repeat(10_001).into()).await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(error, Error::TooLarge { limit: 10_000, .. }), "{error}");
}

#[tokio::test]
async fn an_endless_manifest_is_read_up_to_the_limit() {
    let server = answering("/manifests/", endless).await;

    let error = server.pull().await.unwrap_err();

    assert_eq!((error.class(), error.class().may_pass()), (Class::TooLarge, false), "{error}");
}

#[tokio::test]
async fn a_manifest_of_exactly_the_limit_is_read() {
    let server = Server::registry(|request| {
        let text = manifest_of(&Digest::of(COMPONENT), COMPONENT.len());
        request.uri.ends_with("/manifests/1").then(|| manifest(format!("{text:10000}")))
    })
    .await;

    assert!(server.pull().await.is_ok());
}

#[tokio::test]
async fn an_endless_layer_is_read_up_to_the_size_in_the_manifest() {
    let server = answering("/blobs/", endless).await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(error, Error::WrongSize { expected: 16, .. }), "{error}");
}

#[tokio::test]
async fn an_endless_error_text_does_not_hide_the_error() {
    let server = Server::registry(|_| Some(Answer { status: 404, ..ok(endless()) })).await;

    assert_eq!(server.pull().await.unwrap_err().class(), Class::Gone);
}

#[tokio::test]
async fn an_endless_token_is_invalid() {
    let server = Server::start(|request| {
        if request.uri.starts_with("/token") {
            return ok(endless());
        }
        let host = request.header("host").unwrap();
        with(401, "www-authenticate", format!("Bearer realm=\"http://{host}/token\""))
    })
    .await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(&error, Error::Malformed { reason, .. } if reason.contains("\"token\"")), "{error}");
}

#[tokio::test]
async fn a_timeout_is_a_temporary_error() {
    let server = Server::registry(|_| Some(Answer { delay: Duration::from_secs(60), ..Answer::default() })).await;

    let error = pulled_in_a_moment(&server).await;

    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(error.class().may_pass());
    assert!(error.to_string().contains("acme/plugin:1 was not done within 0.2 s"), "{error}");
}

#[tokio::test]
async fn a_slow_manifest_does_not_exceed_the_timeout() {
    let server = answering("/manifests/", dripping).await;

    assert!(matches!(pulled_in_a_moment(&server).await, Error::TimedOut { .. }));
}
