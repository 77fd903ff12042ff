//! For tests: signs as cosign does, with a temporary key pair, and stores the signature as cosign does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use ring::error::{KeyRejected, Unspecified};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use crate::artifact::{INDEX, MANIFEST};
use crate::client::Client;
use crate::credentials::Credentials;
use crate::digest::Digest;
use crate::error::Error;
use crate::push::upload;
use crate::reference::Reference;
use crate::session::{Access, Session};
use crate::signatures::{EMPTY, PAYLOAD, SIGNATURE, tag};
use crate::trust::{self, IN_TOTO, P256, PAYLOAD_TYPE, Signature, pre_authentication};

pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub const PAYLOAD_MEDIA_TYPE: &str = PAYLOAD;
pub const SIGNATURE_ANNOTATION: &str = SIGNATURE;
pub const PREDICATE: &str = trust::PREDICATE;

/// A key pair that signs.
pub struct Signer {
    random: SystemRandom,
    pair: EcdsaKeyPair,
}

#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    #[error("make a key pair: {0}")]
    Make(Unspecified),
    #[error("read the key pair that was made: {0}")]
    Read(KeyRejected),
    #[error("sign: {0}")]
    Sign(Unspecified),
}

impl Signer {
    /// # Errors
    /// If there is no randomness.
    pub fn new() -> Result<Self, SignerError> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(SignerError::Make)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).map_err(SignerError::Read)?;
        Ok(Self { random, pair })
    }

    /// In the format of cosign.pub.
    #[must_use]
    pub fn public_pem(&self) -> String {
        let mut key = P256.to_vec();
        key.extend_from_slice(self.pair.public_key().as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(key))
    }

    /// In cosign's own format.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn payload(&self, manifest: &Digest) -> Result<Signature, SignerError> {
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": "registry.example/acme/plugin" },
                "image": { "docker-manifest-digest": manifest.as_str() },
                "type": PAYLOAD_TYPE,
            },
            "optional": null,
        })
        .to_string();
        let signature = self.sign(payload.as_bytes())?;
        Ok(Signature::Payload { payload, signature })
    }

    /// As a Sigstore bundle with a statement of this type about an image.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn bundle(&self, predicate: &str, manifest: &Digest) -> Result<Signature, SignerError> {
        let hex = manifest.as_str().trim_start_matches("sha256:");
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "digest": { "sha256": hex } }],
            "predicateType": predicate,
            "predicate": {},
        })
        .to_string();
        let signature = self.sign(&pre_authentication(IN_TOTO, statement.as_bytes()))?;
        let envelope = json!({
            "payload": STANDARD.encode(&statement), "payloadType": IN_TOTO, "signatures": [{ "sig": signature }],
        });
        Ok(Signature::Bundle(json!({ "mediaType": BUNDLE_MEDIA_TYPE, "dsseEnvelope": envelope }).to_string()))
    }

    fn sign(&self, message: &[u8]) -> Result<String, SignerError> {
        let signature = self.pair.sign(&self.random, message).map_err(SignerError::Sign)?;
        Ok(STANDARD.encode(signature))
    }
}

impl Client {
    /// Stores the signature of a manifest in its repository, as for a registry without referrers.
    ///
    /// # Errors
    /// As for a push.
    pub async fn push_signature(
        &self,
        reference: &Reference,
        manifest: &Digest,
        signature: &Signature,
        credentials: &Credentials,
    ) -> Result<(), Error> {
        let mut session = self.session(reference, credentials, Access::Push)?;
        let (content, media_type, annotations) = match signature {
            Signature::Payload { payload, signature } => {
                (payload, PAYLOAD_MEDIA_TYPE, json!({ SIGNATURE_ANNOTATION: signature }))
            }
            Signature::Bundle(bundle) => (bundle, BUNDLE_MEDIA_TYPE, json!({})),
        };
        let (content, empty) = (Bytes::from(content.clone()), Bytes::from_static(b"{}"));
        let (blob, config) = (Digest::of(&content), Digest::of(&empty));
        upload(&mut session, &blob, &content, "signature").await?;
        upload(&mut session, &config, &empty, "config").await?;
        let layer = json!({
            "mediaType": media_type, "digest": blob.as_str(), "size": content.len(), "annotations": annotations,
        });
        let document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": media_type,
            "config": { "mediaType": EMPTY, "digest": config.as_str(), "size": empty.len() }, "layers": [layer],
        })
        .to_string();
        match signature {
            Signature::Payload { .. } => put(&mut session, &format!("{}.sig", tag(manifest)), MANIFEST, document).await,
            Signature::Bundle(_) => {
                let referrer = Digest::of(document.as_bytes());
                let entry = json!({
                    "mediaType": MANIFEST, "artifactType": EMPTY, "digest": referrer.as_str(),
                    "size": document.len(),
                });
                put(&mut session, referrer.as_str(), MANIFEST, document).await?;
                let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string();
                put(&mut session, &tag(manifest), INDEX, index).await
            }
        }
    }
}

async fn put(session: &mut Session<'_>, name: &str, media_type: &'static str, document: String) -> Result<(), Error> {
    let what = format!("the manifest of a signature in {}", session.reference);
    let mut request = session.request(Method::PUT, &format!("manifests/{name}"), &what)?;
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    request.body = document.into();
    session.ask(&request, &what).await.map(drop)
}
