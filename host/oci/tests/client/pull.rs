use kulta_oci::{Class, Credentials, Digest, Error, Pulled};

use crate::server::{
    Answer, COMPONENT, Received, Server, component_manifest, cut, manifest, manifest_digest, manifest_of, ok, refused,
};

fn expected() -> Pulled {
    Pulled {
        component: COMPONENT.into(),
        manifest: manifest_digest(),
        layer: Digest::of(COMPONENT),
        document: component_manifest().into(),
    }
}

fn nothing_else(_: &Received) -> Option<Answer> {
    None
}

fn is_blob(request: &Received) -> bool {
    request.uri.contains("/blobs/")
}

/// A registry with this manifest.
async fn holding(text: String) -> Server {
    Server::registry(move |request| request.uri.ends_with("/manifests/1").then(|| manifest(text.clone()))).await
}

/// A registry with these bytes instead of the component.
async fn damaged(body: &'static [u8]) -> Server {
    Server::registry(move |request| is_blob(request).then(|| ok(body))).await
}

#[tokio::test]
async fn a_component_is_pulled_by_its_tag_with_both_digests() {
    let server = Server::registry(nothing_else).await;

    assert_eq!(server.pull().await, Ok(expected()));
}

#[tokio::test]
async fn a_component_is_pulled_by_its_digest() {
    let server = Server::registry(nothing_else).await;
    let reference = server.named(&format!("@{}", manifest_digest()));

    let pulled = server.client().pull(&reference, None, &Credentials::Anonymous).await;

    assert_eq!(pulled, Ok(expected()));
}

#[tokio::test]
async fn an_expected_digest_is_requested_instead_of_the_tag() {
    let server = Server::registry(nothing_else).await;

    server.pull_expecting(&manifest_digest()).await.unwrap();

    assert_eq!(server.lines().first(), Some(&format!("GET /v2/acme/plugin/manifests/{}", manifest_digest())));
}

#[tokio::test]
async fn a_manifest_with_an_unexpected_digest_is_rejected() {
    let expected = Digest::of(b"expected");
    let server =
        Server::registry(|request| request.uri.contains("/manifests/").then(|| manifest(component_manifest()))).await;

    let error = server.pull_expecting(&expected).await.unwrap_err();

    assert!(
        matches!(&error, Error::WrongDigest { expected: it, found, .. } if *it == expected && *found == manifest_digest())
    );
    assert!(!error.class().may_pass());
}

#[tokio::test]
async fn a_manifest_that_contradicts_its_header_is_rejected() {
    let server = Server::registry(|request| {
        let mut answer = manifest(component_manifest());
        answer.headers.push(("docker-content-digest", Digest::of(b"other").to_string()));
        request.uri.ends_with("/manifests/1").then_some(answer)
    })
    .await;

    assert!(matches!(server.pull().await, Err(Error::WrongDigest { .. })));
}

#[tokio::test]
async fn a_reference_with_another_digest_than_the_expected_one_is_not_requested() {
    let server = Server::registry(nothing_else).await;
    let reference = server.named(&format!("@{}", manifest_digest()));
    let other = Digest::of(b"other");

    let pulled = server.client().pull(&reference, Some(&other), &Credentials::Anonymous).await;

    assert!(matches!(pulled, Err(Error::WrongDigest { .. })));
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn a_reference_without_tag_and_digest_is_not_requested() {
    let server = Server::registry(nothing_else).await;

    let pulled = server.client().pull(&server.named(""), None, &Credentials::Anonymous).await;

    assert!(matches!(pulled, Err(Error::Unversioned { .. })));
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn a_layer_with_other_bytes_is_rejected() {
    let server = damaged(b"\0asm a c0mponent").await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(&error, Error::WrongDigest { expected, .. } if *expected == Digest::of(COMPONENT)), "{error}");
}

#[tokio::test]
async fn a_truncated_layer_is_reported_with_its_size() {
    let server = damaged(b"\0asm").await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(error, Error::WrongSize { expected: 16, found: 4, .. }), "{error}");
    assert_eq!(error.class(), Class::WrongDigest);
}

#[tokio::test]
async fn a_layer_that_is_larger_than_the_manifest_says_is_rejected() {
    let server = damaged(b"\0asm a component and more").await;

    assert!(matches!(server.pull().await, Err(Error::WrongSize { expected: 16, found: 25, .. })));
}

#[tokio::test]
async fn a_dropped_connection_is_a_temporary_error() {
    let server = Server::registry(|request| is_blob(request).then(|| ok(cut(b"\0asm")))).await;

    let error = server.pull().await.unwrap_err();

    assert_eq!((error.class(), error.class().may_pass()), (Class::Unavailable, true), "{error}");
}

#[tokio::test]
async fn an_unreachable_registry_is_unavailable() {
    let server = Server::registry(nothing_else).await;
    let reference = "127.0.0.1:1/acme/plugin:1".parse().unwrap();
    let mut settings = server.settings();
    settings.plain_http.insert("127.0.0.1:1".into());

    let pulled = crate::server::client(settings).pull(&reference, None, &Credentials::Anonymous).await;

    assert_eq!(pulled.unwrap_err().class(), Class::Unavailable);
}

#[tokio::test]
async fn a_missing_manifest_is_reported_with_the_registrys_message() {
    let server = Server::registry(|_| Some(refused(404, "MANIFEST_UNKNOWN"))).await;

    let error = server.pull().await.unwrap_err();

    assert_eq!((error.class(), error.class().may_pass()), (Class::Gone, false));
    let text = error.to_string();
    assert!(text.contains("acme/plugin:1 does not exist (404 Not Found, MANIFEST_UNKNOWN said so)"), "{text}");
}

#[tokio::test]
async fn a_missing_digest_is_reported_with_the_tags_current_one() {
    let server = Server::registry(nothing_else).await;
    let gone = Digest::of(b"gone");

    let error = server.pull_expecting(&gone).await.unwrap_err();

    assert_eq!(error.class(), Class::Gone);
    let text = error.to_string();
    assert!(text.contains(gone.as_str()), "{text}");
    assert!(text.contains(&format!("the tag \"1\" is {} now", manifest_digest())), "{text}");
}

#[tokio::test]
async fn a_missing_layer_is_named() {
    let server = Server::registry(|request| is_blob(request).then(|| refused(404, "BLOB_UNKNOWN"))).await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(&error, Error::Gone { what, .. } if what.contains(Digest::of(COMPONENT).as_str())), "{error}");
}

#[tokio::test]
async fn an_index_of_images_is_rejected() {
    let index = r#"{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#;
    let server = holding(index.into()).await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(error, Error::Index { .. }), "{error}");
    let accepted = &server.received()[0].headers;
    let accepted: Vec<_> = accepted.get_all("accept").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(accepted.contains(&"application/vnd.oci.image.index.v1+json"), "{accepted:?}");
}

#[tokio::test]
async fn an_invalid_manifest_is_rejected() {
    let server = holding("<html>".into()).await;

    assert_eq!(server.pull().await.unwrap_err().class(), Class::Malformed);
}

#[tokio::test]
async fn a_component_that_is_too_large_is_not_requested() {
    let server = holding(manifest_of(&Digest::of(COMPONENT), 10_001)).await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(error, Error::TooLarge { limit: 10_000, .. }), "{error}");
    assert!(!server.received().iter().any(is_blob));
}

#[tokio::test]
async fn a_tag_is_resolved_without_reading_the_manifest() {
    let server = Server::registry(nothing_else).await;

    let digest = server.client().resolve(&server.reference(), &Credentials::Anonymous).await;

    assert_eq!(digest, Ok(manifest_digest()));
    assert_eq!(server.lines(), ["HEAD /v2/acme/plugin/manifests/1"]);
}

#[tokio::test]
async fn a_missing_tag_is_reported_with_the_registrys_message() {
    let server = Server::registry(|_| Some(refused(404, "MANIFEST_UNKNOWN"))).await;

    let error = server.client().resolve(&server.reference(), &Credentials::Anonymous).await.unwrap_err();

    assert!(error.to_string().contains("(404 Not Found, MANIFEST_UNKNOWN said so)"), "{error}");
}

#[tokio::test]
async fn without_a_digest_in_the_header_the_manifest_is_read() {
    let server = holding(component_manifest()).await;

    let digest = server.client().resolve(&server.reference(), &Credentials::Anonymous).await;

    assert_eq!(digest, Ok(manifest_digest()));
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn a_component_is_pulled_again_by_its_own_digest_whatever_its_manifest() {
    let server =
        Server::registry(|request| request.uri.contains("/manifests/").then(|| refused(404, "MANIFEST_UNKNOWN"))).await;
    let (reference, digest) = (server.named(":1"), Digest::of(COMPONENT));

    let pulled = server.client().pull_component(&reference, &digest, &Credentials::Anonymous).await;

    assert_eq!(pulled.as_deref(), Ok(COMPONENT));
}

#[tokio::test]
async fn a_component_with_another_digest_is_rejected() {
    let server = damaged(b"another").await;
    let reference = server.named(":1");

    let pulled = server.client().pull_component(&reference, &Digest::of(COMPONENT), &Credentials::Anonymous).await;

    assert_eq!(pulled.map_err(|error| error.class()), Err(Class::WrongDigest));
}
