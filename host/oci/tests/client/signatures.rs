use kulta_oci::fixtures::{BUNDLE_MEDIA_TYPE, PAYLOAD_MEDIA_TYPE, PREDICATE, SIGNATURE_ANNOTATION, Signer};
use kulta_oci::{Class, Credentials, Digest, Distrust, Error, KeyError, Proof, Signature, TrustedKeys};
use serde_json::json;

use crate::server::{
    Answer, COMPONENT, Received, Server, component_manifest, manifest, manifest_digest, manifest_of, ok, refused,
};

/// How cosign 2 lists its bundles in an index.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The tag of a manifest's signatures, in a registry without referrers and in cosign's own format.
fn tag(suffix: &str) -> String {
    format!("/manifests/{}{suffix}", manifest_digest().as_str().replace(':', "-"))
}

fn new_signer() -> Signer {
    Signer::new().unwrap()
}

fn keys(signer: &Signer) -> TrustedKeys {
    TrustedKeys::parse(signer.public_pem().as_bytes()).unwrap()
}

fn own_form(signer: &Signer, manifest: &Digest) -> Signature {
    signer.payload(manifest).unwrap()
}

/// The text of a bundle.
fn bundle(signer: &Signer, predicate: &str, manifest: &Digest) -> String {
    match signer.bundle(predicate, manifest).unwrap() {
        Signature::Bundle(bundle) => bundle,
        Signature::Payload { .. } => panic!("not a bundle"),
    }
}

/// A registry that has the signatures in cosign's own format.
async fn with_payloads(signatures: Vec<Signature>) -> Server {
    let held: Vec<(String, String)> = signatures
        .into_iter()
        .map(|signature| match signature {
            Signature::Payload { payload, signature } => (payload, signature),
            Signature::Bundle(_) => panic!("not of cosign's own form"),
        })
        .collect();
    Server::registry(move |request| {
        if request.uri.ends_with(&tag(".sig")) {
            let layers: Vec<_> = held
                .iter()
                .map(|(payload, signature)| {
                    let annotations = json!({ SIGNATURE_ANNOTATION: signature });
                    json!({
                        "mediaType": PAYLOAD_MEDIA_TYPE, "digest": Digest::of(payload.as_bytes()).as_str(),
                        "size": payload.len(), "annotations": annotations,
                    })
                })
                .collect();
            return Some(manifest(json!({ "layers": layers }).to_string()));
        }
        let blob = held.iter().find(|(payload, _)| request.uri.ends_with(Digest::of(payload.as_bytes()).as_str()));
        blob.map(|(payload, _)| ok(payload.clone()))
    })
    .await
}

/// Answers with the bundle's manifest and blob, and with an index that names it where `is_index` is true.
fn bundled(bundle: &str, artifact_type: &str, request: &Received, is_index: impl Fn(&str) -> bool) -> Option<Answer> {
    let blob = Digest::of(bundle.as_bytes());
    let layers = json!([{ "mediaType": BUNDLE_MEDIA_TYPE, "digest": blob.as_str(), "size": bundle.len() }]);
    let document = json!({ "artifactType": BUNDLE_MEDIA_TYPE, "layers": layers }).to_string();
    let referrer = Digest::of(document.as_bytes());
    if is_index(&request.uri) {
        let other =
            json!({ "artifactType": "application/spdx+json", "digest": Digest::of(b"a list of parts").as_str() });
        let ours = json!({ "artifactType": artifact_type, "digest": referrer.as_str() });
        return Some(ok(json!({ "manifests": [other, ours] }).to_string()));
    }
    if request.uri.ends_with(&format!("/manifests/{referrer}")) {
        return Some(manifest(document));
    }
    request.uri.ends_with(&format!("/blobs/{blob}")).then(|| ok(bundle.to_owned()))
}

async fn look(server: &Server, keys: &TrustedKeys) -> Result<Signature, Error> {
    server.client().signature(&server.reference(), &manifest_digest(), keys, &Credentials::Anonymous).await
}

#[tokio::test]
async fn a_signature_in_cosigns_own_format_is_found_by_its_tag() {
    let signer = new_signer();
    let signature = own_form(&signer, &manifest_digest());
    let server = with_payloads(vec![signature.clone()]).await;

    assert_eq!(look(&server, &keys(&signer)).await, Ok(signature));
}

#[tokio::test]
async fn one_trusted_signature_among_others_is_enough() {
    let (signer, stranger) = (new_signer(), new_signer());
    let signature = own_form(&signer, &manifest_digest());
    let server = with_payloads(vec![own_form(&stranger, &manifest_digest()), signature.clone()]).await;

    assert_eq!(look(&server, &keys(&signer)).await, Ok(signature));
}

#[tokio::test]
async fn a_bundle_is_found_among_the_referrers() {
    let signer = new_signer();
    let bundle = bundle(&signer, PREDICATE, &manifest_digest());
    let held = bundle.clone();
    let server =
        Server::registry(move |request| bundled(&held, BUNDLE_MEDIA_TYPE, request, |uri| uri.contains("/referrers/")))
            .await;

    assert_eq!(look(&server, &keys(&signer)).await, Ok(Signature::Bundle(bundle)));
}

#[tokio::test]
async fn a_bundle_is_found_by_its_tag_where_the_registry_has_no_referrers() {
    let signer = new_signer();
    let bundle = bundle(&signer, PREDICATE, &manifest_digest());
    let held = bundle.clone();
    let server = Server::registry(move |request| bundled(&held, EMPTY, request, |uri| uri.ends_with(&tag("")))).await;

    assert_eq!(look(&server, &keys(&signer)).await, Ok(Signature::Bundle(bundle)));
}

#[tokio::test]
async fn an_image_without_a_signature_is_unsigned() {
    let server = Server::registry(|_| None).await;

    let error = look(&server, &keys(&new_signer())).await.unwrap_err();

    assert_eq!(error.class(), Class::Unsigned);
    assert!(
        error.to_string().contains("is not signed by a key that is trusted here (there is no signature)"),
        "{error}"
    );
}

#[tokio::test]
async fn an_image_signed_by_an_untrusted_key_is_unsigned() {
    let server = with_payloads(vec![own_form(&new_signer(), &manifest_digest())]).await;

    let error = look(&server, &keys(&new_signer())).await.unwrap_err();

    assert!(matches!(&error, Error::Unsigned { found: 1, .. }), "{error}");
    assert!(error.to_string().contains("it is by none of the trusted keys"), "{error}");
}

#[tokio::test]
async fn an_unavailable_registry_is_not_reported_as_unsigned() {
    let server = Server::registry(|request| request.uri.ends_with(".sig").then(|| refused(503, "AWAY"))).await;

    let error = look(&server, &keys(&new_signer())).await.unwrap_err();

    assert_eq!(error.class(), Class::Unavailable);
}

#[tokio::test]
async fn a_payload_that_was_changed_in_the_registry_is_invalid() {
    let expected = Digest::of(b"a payload");
    let server = Server::registry(move |request| {
        let layers = json!([{
            "mediaType": PAYLOAD_MEDIA_TYPE, "digest": expected.as_str(), "annotations": { SIGNATURE_ANNOTATION: "" },
        }]);
        let document = || manifest(json!({ "layers": layers }).to_string());
        let changed = request.uri.ends_with(expected.as_str());
        if changed { Some(ok("{}")) } else { request.uri.ends_with(&tag(".sig")).then(document) }
    })
    .await;

    let error = look(&server, &keys(&new_signer())).await.unwrap_err();

    assert!(matches!(&error, Error::Unsigned { found: 1, why, .. } if why.contains("not sha256:")), "{error}");
}

#[tokio::test]
async fn a_damaged_signature_does_not_hide_others() {
    let signer = new_signer();
    let bundle = bundle(&signer, PREDICATE, &manifest_digest());
    let held = bundle.clone();
    let server = Server::registry(move |request| {
        if request.uri.ends_with(&tag(".sig")) {
            return Some(manifest("[]"));
        }
        bundled(&held, BUNDLE_MEDIA_TYPE, request, |uri| uri.contains("/referrers/"))
    })
    .await;

    assert_eq!(look(&server, &keys(&signer)).await, Ok(Signature::Bundle(bundle)));
}

#[tokio::test]
async fn without_referrers_the_tag_is_used_whatever_the_registry_answers() {
    let signer = new_signer();
    for answer in [400, 404, 406, 200] {
        let bundle = bundle(&signer, PREDICATE, &manifest_digest());
        let held = bundle.clone();
        let server = Server::registry(move |request| {
            if request.uri.contains("/referrers/") {
                return Some(Answer { status: answer, ..ok("<html>") });
            }
            bundled(&held, EMPTY, request, |uri| uri.ends_with(&tag("")))
        })
        .await;

        assert_eq!(look(&server, &keys(&signer)).await, Ok(Signature::Bundle(bundle)), "{answer}");
    }
}

#[test]
fn an_envelope_with_too_many_signatures_is_rejected() {
    let signer = new_signer();
    let mut many: serde_json::Value = serde_json::from_str(&bundle(&signer, PREDICATE, &manifest_digest())).unwrap();
    let signature = many["dsseEnvelope"]["signatures"][0].clone();
    many["dsseEnvelope"]["signatures"] = vec![signature; 9].into();

    let error = keys(&signer).verify(&Signature::Bundle(many.to_string()), &manifest_digest()).unwrap_err();

    assert_eq!(error, Distrust::Malformed("it holds 9 signatures, and may hold 8".to_owned()));
}

#[test]
fn an_unreadable_signature_does_not_hide_others_of_the_envelope() {
    let signer = new_signer();
    let mut two: serde_json::Value = serde_json::from_str(&bundle(&signer, PREDICATE, &manifest_digest())).unwrap();
    let signature = two["dsseEnvelope"]["signatures"][0].clone();
    two["dsseEnvelope"]["signatures"] = json!([{ "sig": "not base64" }, signature]);

    assert_eq!(keys(&signer).verify(&Signature::Bundle(two.to_string()), &manifest_digest()), Ok(()));
}

/// Signed by cosign 2.6.1 with `generate-key-pair`, `sign --key` and `sign --key --new-bundle-format`.
#[test]
fn cosigns_signatures_are_valid_in_both_formats() {
    let keys = TrustedKeys::parse(include_bytes!("cosign/cosign.pub")).unwrap();
    let manifest = "sha256:3a90fec3725a9c75fb1d32aeca4e88a45b3f1713dc5c15a0c52f5a26d35b0908".parse().unwrap();
    let signature =
        "MEUCICOj/rInyCSZZAxtDLEpcHUeie0aQhAUSYa9cld380HoAiEAqHPWujbBu/6FybsXaxvKvLxcLSoPLqh9mF3FfxdiU14=".to_owned();
    let payload = Signature::Payload { payload: include_str!("cosign/payload.json").to_owned(), signature };
    let bundle = Signature::Bundle(include_str!("cosign/bundle.json").to_owned());

    for signature in [payload, bundle] {
        assert_eq!(keys.verify(&signature, &manifest), Ok(()));
        assert!(keys.verify(&signature, &manifest_digest()).is_err());
    }
}

#[test]
fn a_signature_is_valid_for_its_own_image_only() {
    let signer = new_signer();
    let other = Digest::of(b"another manifest");

    for signature in [own_form(&signer, &other), Signature::Bundle(bundle(&signer, PREDICATE, &other))] {
        let error = keys(&signer).verify(&signature, &manifest_digest()).unwrap_err();

        let expected = manifest_digest().to_string();
        assert_eq!(error, Distrust::Subject { found: other.to_string(), expected });
    }
}

#[test]
fn a_statement_of_another_type_is_not_a_signature() {
    let signer = new_signer();
    let provenance = "https://slsa.dev/provenance/v1";
    let bundle = Signature::Bundle(bundle(&signer, provenance, &manifest_digest()));

    let error = keys(&signer).verify(&bundle, &manifest_digest()).unwrap_err();

    assert!(matches!(&error, Distrust::Subject { found, .. } if found == provenance), "{error}");
}

#[test]
fn a_malformed_signature_is_rejected() {
    let keys = keys(&new_signer());
    let signatures = [
        Signature::Payload { payload: String::new(), signature: "not base64".to_owned() },
        Signature::Bundle("not JSON".to_owned()),
        Signature::Bundle(json!({ "messageSignature": {} }).to_string()),
    ];

    for signature in signatures {
        let error = keys.verify(&signature, &manifest_digest()).unwrap_err();

        assert!(matches!(error, Distrust::Malformed(_)), "{signature:?}: {error}");
    }
}

#[test]
fn a_proof_covers_the_component_that_the_signed_manifest_names() {
    let signer = new_signer();
    let proof = Proof { manifest: component_manifest(), signature: own_form(&signer, &manifest_digest()) };

    assert_eq!(keys(&signer).verify_proof(&proof, &Digest::of(COMPONENT)), Ok(()));
    assert!(keys(&signer).verify_proof(&proof, &Digest::of(b"another")).is_err());
    assert_eq!(keys(&new_signer()).verify_proof(&proof, &Digest::of(COMPONENT)), Err(Distrust::Stranger));
}

#[test]
fn a_proof_with_a_changed_manifest_is_invalid() {
    let signer = new_signer();
    let other = Digest::of(b"another");
    let proof = Proof { manifest: manifest_of(&other, 7), signature: own_form(&signer, &manifest_digest()) };

    assert!(matches!(keys(&signer).verify_proof(&proof, &other), Err(Distrust::Subject { .. })));
}

#[test]
fn one_file_may_contain_several_keys() {
    let (first, second) = (new_signer(), new_signer());
    let pem = format!("{}\n{}", first.public_pem(), second.public_pem());

    let keys = TrustedKeys::parse(pem.as_bytes()).unwrap();

    for signer in [first, second] {
        assert_eq!(keys.verify(&own_form(&signer, &manifest_digest()), &manifest_digest()), Ok(()));
    }
}

#[test]
fn an_unsupported_key_is_rejected_with_the_reason() {
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();

    assert_eq!(TrustedKeys::parse(b""), Err(KeyError::None));
    assert_eq!(TrustedKeys::parse(other.as_bytes()), Err(KeyError::Kind { number: 1 }));
    let broken = "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n";
    assert!(matches!(TrustedKeys::parse(broken.as_bytes()), Err(KeyError::Malformed { number: 1, .. })));
}
