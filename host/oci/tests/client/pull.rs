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

/// A registry whose manifest is this.
async fn holding(text: String) -> Server {
    Server::registry(move |request| request.uri.ends_with("/manifests/1").then(|| manifest(text.clone()))).await
}

/// A registry whose component is this instead.
async fn damaged(body: &'static [u8]) -> Server {
    Server::registry(move |request| is_blob(request).then(|| ok(body))).await
}

#[tokio::test]
async fn a_component_is_pulled_by_its_tag_and_both_digests_are_told() {
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
async fn an_expected_digest_is_asked_for_instead_of_the_tag() {
    let server = Server::registry(nothing_else).await;

    server.pull_expecting(&manifest_digest()).await.unwrap();

    assert_eq!(server.lines().first(), Some(&format!("GET /v2/acme/plugin/manifests/{}", manifest_digest())));
}

#[tokio::test]
async fn a_manifest_other_than_the_expected_one_is_refused() {
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
async fn a_manifest_other_than_its_header_claims_is_refused() {
    let server = Server::registry(|request| {
        let mut answer = manifest(component_manifest());
        answer.headers.push(("docker-content-digest", Digest::of(b"other").to_string()));
        request.uri.ends_with("/manifests/1").then_some(answer)
    })
    .await;

    assert!(matches!(server.pull().await, Err(Error::WrongDigest { .. })));
}

#[tokio::test]
async fn a_reference_whose_digest_is_not_the_expected_one_is_not_asked_for() {
    let server = Server::registry(nothing_else).await;
    let reference = server.named(&format!("@{}", manifest_digest()));
    let other = Digest::of(b"other");

    let pulled = server.client().pull(&reference, Some(&other), &Credentials::Anonymous).await;

    assert!(matches!(pulled, Err(Error::WrongDigest { .. })));
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn a_reference_without_tag_and_digest_is_not_asked_for() {
    let server = Server::registry(nothing_else).await;

    let pulled = server.client().pull(&server.named(""), None, &Credentials::Anonymous).await;

    assert!(matches!(pulled, Err(Error::Unversioned { .. })));
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn other_bytes_than_the_layers_are_refused() {
    let server = damaged(b"\0asm a c0mponent").await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(&error, Error::WrongDigest { expected, .. } if *expected == Digest::of(COMPONENT)), "{error}");
}

#[tokio::test]
async fn a_truncated_layer_says_how_much_of_it_is_there() {
    let server = damaged(b"\0asm").await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(error, Error::WrongSize { expected: 16, found: 4, .. }), "{error}");
    assert_eq!(error.class(), Class::WrongDigest);
}

#[tokio::test]
async fn a_layer_with_more_bytes_than_the_manifest_says_is_refused() {
    let server = damaged(b"\0asm a component and more").await;

    assert!(matches!(server.pull().await, Err(Error::WrongSize { expected: 16, found: 25, .. })));
}

#[tokio::test]
async fn a_connection_that_is_cut_may_hold_the_next_time() {
    let server = Server::registry(|request| is_blob(request).then(|| ok(cut(b"\0asm")))).await;

    let error = server.pull().await.unwrap_err();

    assert_eq!((error.class(), error.class().may_pass()), (Class::Unavailable, true), "{error}");
}

#[tokio::test]
async fn a_registry_that_nobody_serves_is_unavailable() {
    let server = Server::registry(nothing_else).await;
    let reference = "127.0.0.1:1/acme/plugin:1".parse().unwrap();
    let mut settings = server.settings();
    settings.plain_http.insert("127.0.0.1:1".into());

    let pulled = crate::server::client(settings).pull(&reference, None, &Credentials::Anonymous).await;

    assert_eq!(pulled.unwrap_err().class(), Class::Unavailable);
}

#[tokio::test]
async fn a_manifest_that_is_gone_is_named_with_the_registrys_words() {
    let server = Server::registry(|_| Some(refused(404, "MANIFEST_UNKNOWN"))).await;

    let error = server.pull().await.unwrap_err();

    assert_eq!((error.class(), error.class().may_pass()), (Class::Gone, false));
    let text = error.to_string();
    assert!(text.contains("acme/plugin:1 is not there (404 Not Found, MANIFEST_UNKNOWN said so)"), "{text}");
}

#[tokio::test]
async fn a_digest_that_is_gone_says_what_its_tag_holds_now() {
    let server = Server::registry(nothing_else).await;
    let gone = Digest::of(b"gone");

    let error = server.pull_expecting(&gone).await.unwrap_err();

    assert_eq!(error.class(), Class::Gone);
    let text = error.to_string();
    assert!(text.contains(gone.as_str()), "{text}");
    assert!(text.contains(&format!("the tag \"1\" is {} now", manifest_digest())), "{text}");
}

#[tokio::test]
async fn a_layer_that_is_gone_is_named() {
    let server = Server::registry(|request| is_blob(request).then(|| refused(404, "BLOB_UNKNOWN"))).await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(&error, Error::Gone { what, .. } if what.contains(Digest::of(COMPONENT).as_str())), "{error}");
}

#[tokio::test]
async fn an_index_of_images_is_no_component() {
    let index = r#"{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#;
    let server = holding(index.into()).await;

    let error = server.pull().await.unwrap_err();

    assert!(matches!(error, Error::Index { .. }), "{error}");
    let accepted = &server.received()[0].headers;
    let accepted: Vec<_> = accepted.get_all("accept").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(accepted.contains(&"application/vnd.oci.image.index.v1+json"), "{accepted:?}");
}

#[tokio::test]
async fn what_is_no_manifest_makes_no_sense() {
    let server = holding("<html>".into()).await;

    assert_eq!(server.pull().await.unwrap_err().class(), Class::Malformed);
}

#[tokio::test]
async fn a_component_that_is_too_large_is_not_asked_for() {
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
async fn a_tag_that_is_gone_is_named_with_the_registrys_words() {
    let server = Server::registry(|_| Some(refused(404, "MANIFEST_UNKNOWN"))).await;

    let error = server.client().resolve(&server.reference(), &Credentials::Anonymous).await.unwrap_err();

    assert!(error.to_string().contains("(404 Not Found, MANIFEST_UNKNOWN said so)"), "{error}");
}

#[tokio::test]
async fn a_registry_that_names_no_digest_is_asked_for_the_manifest() {
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
async fn a_component_that_is_another_than_its_digest_says_is_refused() {
    let server = damaged(b"another").await;
    let reference = server.named(":1");

    let pulled = server.client().pull_component(&reference, &Digest::of(COMPONENT), &Credentials::Anonymous).await;

    assert_eq!(pulled.map_err(|error| error.class()), Err(Class::WrongDigest));
}
