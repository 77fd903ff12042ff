//! Finds the signatures of an image in a registry, and verifies them.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::artifact::{INDEX, MANIFEST};
use crate::client::Client;
use crate::credentials::Credentials;
use crate::digest::Digest;
use crate::error::{Class, Error};
use crate::reference::Reference;
use crate::session::{Access, Session};
use crate::transport;
use crate::trust::{PREDICATE, Signature, TrustedKeys};

/// cosign's own format: the media type of a payload, and the annotation with its signature.
pub(crate) const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The prefix that identifies bundles of all versions; a bundle counts only if this module can read it.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.";
pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Limit of signatures per image and format: otherwise a user who may push could make the client fetch without end.
const MOST: usize = 32;
/// Bytes; a bundle with a certificate and a log entry has some thousands.
const SIGNATURE_LIMIT: u64 = 128 << 10;
/// Annotation with a bundle's predicate type, if its index entry has it.
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The type may be in the manifest only: cosign 2 lists its bundles by the type of their empty configuration.
    fn may_be_bundle(&self) -> bool {
        let bundle = matches!(self.artifact_type.as_str(), "" | EMPTY) || self.artifact_type.starts_with(BUNDLE);
        bundle && self.annotations.get(PREDICATE_TYPE).is_none_or(|predicate| predicate == PREDICATE)
    }
}

/// The signatures found so far.
struct Search<'a> {
    keys: &'a TrustedKeys,
    manifest: &'a Digest,
    found: usize,
    /// Why the last one is invalid.
    why: String,
}

impl Client {
    /// The first signature of a manifest by one of the keys. Signatures are in the image's repository: under cosign's
    /// tag, or among the manifest's referrers (OCI distribution 1.1), for which a registry without that API uses a tag
    /// too.
    ///
    /// # Errors
    /// [`Error::Unsigned`] if there is none; else as for a pull.
    pub async fn signature(
        &self,
        reference: &Reference,
        manifest: &Digest,
        keys: &TrustedKeys,
        credentials: &Credentials,
    ) -> Result<Signature, Error> {
        let what = format!("the signature of {}", reference.at(manifest.clone()));
        self.in_time(&what, async {
            let mut session = self.session(reference, credentials, Access::Pull)?;
            let mut search = Search { keys, manifest, found: 0, why: String::new() };
            if let Some(signature) = self.payloads(&mut session, &mut search, &what).await? {
                return Ok(signature);
            }
            if let Some(signature) = self.bundles(&mut session, &mut search, &what).await? {
                return Ok(signature);
            }
            let Search { found, why, .. } = search;
            Err(Error::Unsigned { what: reference.at(manifest.clone()).to_string(), found, why })
        })
        .await
    }

    async fn payloads(
        &self,
        session: &mut Session<'_>,
        search: &mut Search<'_>,
        what: &str,
    ) -> Result<Option<Signature>, Error> {
        let tag = format!("manifests/{}.sig", tag(search.manifest));
        let document = self.document(session, &tag, MANIFEST, what).await;
        let Some(Some(Manifest { layers })) = search.tolerated(document)? else { return Ok(None) };
        for layer in layers.iter().filter(|layer| layer.media_type == PAYLOAD).take(MOST) {
            let Some(signature) = layer.annotations.get(SIGNATURE).cloned() else { continue };
            let payload = self.content(session, &layer.digest, what).await;
            let Some(payload) = search.tolerated(payload)? else { continue };
            let signature = Signature::Payload { payload, signature };
            if search.counts(&signature) {
                return Ok(Some(signature));
            }
        }
        Ok(None)
    }

    async fn bundles(
        &self,
        session: &mut Session<'_>,
        search: &mut Search<'_>,
        what: &str,
    ) -> Result<Option<Signature>, Error> {
        let referrers = format!("referrers/{}", search.manifest);
        let index = match self.document(session, &referrers, INDEX, what).await {
            // Registries without referrers answer in many ways: not found, a bad request, an HTML page.
            Err(error) if error.class() == Class::Malformed => None,
            index => index?,
        };
        let index = match index {
            Some(index) => Some(index),
            None => {
                let tagged = format!("manifests/{}", tag(search.manifest));
                search.tolerated(self.document(session, &tagged, INDEX, what).await)?.flatten()
            }
        };
        let Some(Index { manifests }) = index else { return Ok(None) };
        for referrer in manifests.iter().filter(|referrer| referrer.may_be_bundle()).take(MOST) {
            let document = match digest(&referrer.digest, what) {
                Ok(digest) => self.document(session, &format!("manifests/{digest}"), MANIFEST, what).await,
                Err(error) => Err(error),
            };
            let Some(Some(Manifest { layers })) = search.tolerated(document)? else { continue };
            // A bundle is its artifact's only layer.
            let Some(layer) = layers.first().filter(|layer| layer.media_type.starts_with(BUNDLE)) else { continue };
            let bundle = self.content(session, &layer.digest, what).await;
            let Some(bundle) = search.tolerated(bundle)? else { continue };
            let signature = Signature::Bundle(bundle);
            if search.counts(&signature) {
                return Ok(Some(signature));
            }
        }
        Ok(None)
    }

    /// `None` if the registry does not have it.
    async fn document<T: DeserializeOwned>(
        &self,
        session: &mut Session<'_>,
        path: &str,
        media_type: &'static str,
        what: &str,
    ) -> Result<Option<T>, Error> {
        let mut request = session.request(Method::GET, path, what)?;
        request.headers.append(ACCEPT, HeaderValue::from_static(media_type));
        let mut answer = match session.ask(&request, what).await {
            Err(Error::Gone { .. }) => return Ok(None),
            answer => answer?,
        };
        let body = read(&mut answer, self.manifest_limit(), what).await?;
        let read = serde_json::from_slice(&body);
        read.map(Some).map_err(|error| Error::Malformed { what: what.to_owned(), reason: error.to_string() })
    }

    /// The text of a blob, verified by its digest.
    async fn content(&self, session: &mut Session<'_>, name: &str, what: &str) -> Result<String, Error> {
        let expected = digest(name, what)?;
        let request = session.request(Method::GET, &format!("blobs/{expected}"), what)?;
        let mut answer = session.ask(&request, what).await?;
        let bytes = read(&mut answer, SIGNATURE_LIMIT, what).await?;
        let found = Digest::of(&bytes);
        if found != expected {
            return Err(Error::WrongDigest { what: what.to_owned(), expected, found });
        }
        let text = std::str::from_utf8(&bytes).map(str::to_owned);
        text.map_err(|error| Error::Malformed { what: what.to_owned(), reason: error.to_string() })
    }
}

impl Search<'_> {
    fn counts(&mut self, signature: &Signature) -> bool {
        self.found += 1;
        let verified = self.keys.verify(signature, self.manifest);
        if let Err(why) = &verified {
            self.why = why.to_string();
        }
        verified.is_ok()
    }

    /// `None` for a damaged signature: it is ignored, and does not hide others.
    ///
    /// # Errors
    /// If the registry does not answer, or denies the request.
    fn tolerated<T>(&mut self, outcome: Result<T, Error>) -> Result<Option<T>, Error> {
        match outcome {
            Ok(found) => Ok(Some(found)),
            Err(error) => match error.class() {
                Class::Gone | Class::WrongDigest | Class::TooLarge | Class::Malformed | Class::Unsigned => {
                    self.found += 1;
                    self.why = error.to_string();
                    Ok(None)
                }
                Class::Unauthorized | Class::Forbidden | Class::RateLimited | Class::Unavailable => Err(error),
            },
        }
    }
}

async fn read(answer: &mut Response, limit: u64, what: &str) -> Result<Bytes, Error> {
    let body = transport::read(answer, limit, what).await?;
    body.ok_or_else(|| Error::TooLarge { what: what.to_owned(), limit })
}

/// A digest as a tag, which has no colon.
#[must_use]
pub(crate) fn tag(digest: &Digest) -> String {
    digest.as_str().replace(':', "-")
}

fn digest(text: &str, what: &str) -> Result<Digest, Error> {
    text.parse().map_err(|error: crate::digest::DigestError| Error::Malformed {
        what: what.to_owned(),
        reason: error.to_string(),
    })
}
