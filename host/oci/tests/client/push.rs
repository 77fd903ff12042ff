use kulta_oci::{Class, Credentials, Digest, Error};
use serde_json::Value;

use crate::server::{Answer, COMPONENT, MANIFEST, ME, Received, Server, artifact, me, ok, refused, status, with};

/// Accepts every upload at `/upload` of the host; it already has the blobs that `has` names.
fn accept(request: &Received, has: &str) -> Answer {
    match request.method.as_str() {
        "HEAD" if !has.is_empty() && request.uri.ends_with(has) => status(200),
        "HEAD" => status(404),
        "POST" => with(202, "location", "/upload?state=a%2Fb"),
        _ => status(201),
    }
}

async fn push(server: &Server, version: &str, credentials: &Credentials) -> Result<Digest, Error> {
    server.client().push(&server.named(version), &artifact(), credentials).await
}

fn puts(server: &Server) -> Vec<Received> {
    server.received().into_iter().filter(|it| it.method == "PUT").collect()
}

#[tokio::test]
async fn a_manifest_is_pushed_after_its_blobs() {
    let server = Server::start(|request| accept(request, "")).await;

    let digest = push(&server, ":1", &Credentials::Anonymous).await.unwrap();

    let puts = puts(&server);
    let [layer, config, manifest] = puts.as_slice() else { panic!("{puts:?}") };
    let parts: Value = serde_json::from_slice(&manifest.body).unwrap();
    assert_eq!(manifest.uri, "/v2/acme/plugin/manifests/1");
    assert_eq!(manifest.header("content-type"), Some(MANIFEST));
    assert_eq!(digest, Digest::of(&manifest.body));
    assert_eq!(layer.body, COMPONENT);
    assert_eq!(parts["layers"][0]["digest"], Digest::of(COMPONENT).as_str());
    assert_eq!(parts["config"]["digest"], Digest::of(&config.body).as_str());
}

#[tokio::test]
async fn an_upload_uses_the_registrys_location_and_the_blobs_digest() {
    let server = Server::start(|request| accept(request, "")).await;

    push(&server, ":1", &Credentials::Anonymous).await.unwrap();

    let digest = Digest::of(COMPONENT).to_string().replace(':', "%3A");
    assert_eq!(puts(&server)[0].uri, format!("/upload?state=a%2Fb&digest={digest}"));
}

#[tokio::test]
async fn a_failing_registry_is_reported_with_its_message() {
    let server = Server::start(|_| Answer { status: 500, ..ok("the disk is full") }).await;

    let error = push(&server, ":1", &Credentials::Anonymous).await.unwrap_err();

    assert!(error.to_string().contains("500 Internal Server Error: the disk is full"), "{error}");
}

#[tokio::test]
async fn existing_blobs_are_not_sent_again() {
    let layer = Digest::of(COMPONENT).to_string();
    let server = Server::start(move |request| accept(request, &layer)).await;

    push(&server, ":1", &Credentials::Anonymous).await.unwrap();

    assert_eq!(puts(&server).len(), 2);
}

#[tokio::test]
async fn the_same_artifact_has_the_same_digest_each_time() {
    let server = Server::start(|request| accept(request, "")).await;

    let first = push(&server, ":1", &Credentials::Anonymous).await.unwrap();
    let second = push(&server, ":2", &Credentials::Anonymous).await.unwrap();

    assert_eq!(first, second);
}

#[tokio::test]
async fn an_artifact_is_pushed_by_its_digest_and_no_other() {
    let server = Server::start(|request| accept(request, "")).await;
    let digest = push(&server, ":1", &Credentials::Anonymous).await.unwrap();

    let by_digest = push(&server, &format!("@{digest}"), &Credentials::Anonymous).await;
    let sent = server.lines().len();
    let by_other = push(&server, &format!(":1@{}", Digest::of(b"other")), &Credentials::Anonymous).await;

    assert_eq!(by_digest, Ok(digest.clone()));
    assert_eq!(puts(&server).last().unwrap().uri, format!("/v2/acme/plugin/manifests/{digest}"));
    assert!(matches!(by_other, Err(Error::WrongDigest { .. })));
    assert_eq!(server.lines().len(), sent);
}

#[tokio::test]
async fn a_push_without_tag_and_digest_sends_nothing() {
    let server = Server::start(|request| accept(request, "")).await;

    let pushed = push(&server, "", &Credentials::Anonymous).await;

    assert!(matches!(pushed, Err(Error::Unversioned { .. })));
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn a_token_for_a_push_covers_a_pull_too() {
    let server = Server::start(|request| {
        if request.uri.starts_with("/token") {
            return crate::server::ok(r#"{"token": "t0ken"}"#);
        }
        let host = request.header("host").unwrap();
        match request.header("authorization") {
            Some("Bearer t0ken") => accept(request, ""),
            _ => with(401, "www-authenticate", format!("Bearer realm=\"http://{host}/token\"")),
        }
    })
    .await;

    push(&server, ":1", &me()).await.unwrap();

    let tokens: Vec<_> = server.lines().into_iter().filter(|it| it.contains("/token")).collect();
    assert_eq!(tokens, ["GET /token?scope=repository%3Aacme%2Fplugin%3Apull%2Cpush"]);
}

#[tokio::test]
async fn credentials_are_not_sent_to_another_host_for_uploads() {
    let store = Server::start(|_| status(201)).await;
    let host = store.host.clone();
    let server = Server::start(move |request| match request.header("authorization") {
        Some(ME) if request.method == "POST" => with(202, "location", format!("http://{host}/upload")),
        Some(ME) => accept(request, ""),
        _ => with(401, "www-authenticate", "Basic realm=\"tests\""),
    })
    .await;

    push(&server, ":1", &me()).await.unwrap();

    assert_eq!(store.received().len(), 2);
    assert!(store.received().iter().all(|it| it.header("authorization").is_none()));
}

#[tokio::test]
async fn another_hosts_challenge_to_an_upload_is_not_answered() {
    let store = Server::start(|request| {
        let host = request.header("host").unwrap();
        with(401, "www-authenticate", format!("Bearer realm=\"http://{host}/token\""))
    })
    .await;
    let host = store.host.clone();
    let server = Server::start(move |request| match request.method.as_str() {
        "POST" => with(202, "location", format!("http://{host}/upload")),
        _ => accept(request, ""),
    })
    .await;

    let error = push(&server, ":1", &me()).await.unwrap_err();

    assert_eq!((error.class(), store.lines().len()), (Class::Unauthorized, 1));
}

#[tokio::test]
async fn an_upload_with_another_resulting_digest_is_an_error() {
    let other = Digest::of(b"other").to_string();
    let server = Server::start(move |request| match request.uri.contains("/manifests/") {
        true => with(201, "docker-content-digest", other.clone()),
        false => accept(request, ""),
    })
    .await;

    assert!(matches!(push(&server, ":1", &me()).await, Err(Error::WrongDigest { .. })));
}

#[tokio::test]
async fn a_rejected_upload_is_reported_with_the_registrys_message() {
    let server = Server::start(|request| match request.method.as_str() {
        "POST" => refused(403, "DENIED"),
        _ => accept(request, ""),
    })
    .await;

    let error = push(&server, ":1", &me()).await.unwrap_err();

    assert_eq!(error.class(), Class::Forbidden);
    assert!(error.to_string().contains(&format!("the component {}", Digest::of(COMPONENT))), "{error}");
}

#[tokio::test]
async fn an_upload_is_not_sent_again_after_a_redirect() {
    let server = Server::start(|request| match request.method.as_str() {
        "PUT" => with(307, "location", "/elsewhere"),
        _ => accept(request, ""),
    })
    .await;

    let error = push(&server, ":1", &me()).await.unwrap_err();

    assert_eq!((error.class(), puts(&server).len()), (Class::Malformed, 1), "{error}");
}
