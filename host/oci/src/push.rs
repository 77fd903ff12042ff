//! Pushes a component to a registry.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use crate::artifact::{Artifact, MANIFEST};
use crate::client::{Client, claimed_digest};
use crate::credentials::Credentials;
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use crate::session::{Access, Session};
use crate::transport::{Outgoing, location};

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl Client {
    /// Stores an artifact under the reference's tag, and returns the digest of its manifest. Blobs that the registry
    /// already has are not sent again.
    ///
    /// # Errors
    /// Also if the reference has a digest that is not the artifact's; then nothing is sent.
    pub async fn push(
        &self,
        reference: &Reference,
        artifact: &Artifact,
        credentials: &Credentials,
    ) -> Result<Digest, Error> {
        let what = format!("the manifest of {reference}");
        let layer = Digest::of(&artifact.component);
        let parts = artifact
            .parts(&layer)
            .map_err(|error| Error::Malformed { what: what.clone(), reason: error.to_string() })?;
        let digest = Digest::of(&parts.manifest);
        if let Some(expected) = reference.digest().filter(|expected| **expected != digest) {
            return Err(Error::WrongDigest { what, expected: expected.clone(), found: digest });
        }
        let version = match (reference.tag(), reference.digest()) {
            (Some(tag), _) => tag,
            (None, Some(digest)) => digest.as_str(),
            (None, None) => return Err(Error::Unversioned { what: reference.to_string() }),
        };
        self.in_time(&format!("the push of {reference}"), async {
            let mut session = self.session(reference, credentials, Access::Push)?;
            upload(&mut session, &layer, &artifact.component, "component").await?;
            upload(&mut session, &Digest::of(&parts.config), &parts.config, "config").await?;
            let mut request = session.request(Method::PUT, &format!("manifests/{version}"), &what)?;
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(MANIFEST));
            request.body = parts.manifest.clone();
            let answer = session.ask(&request, &what).await?;
            match claimed_digest(&answer).filter(|claimed| *claimed != digest) {
                Some(found) => Err(Error::WrongDigest { what: what.clone(), expected: digest.clone(), found }),
                None => Ok(digest.clone()),
            }
        })
        .await
    }
}

/// Uploads a blob in one piece, unless it exists.
pub(crate) async fn upload(session: &mut Session<'_>, digest: &Digest, bytes: &Bytes, kind: &str) -> Result<(), Error> {
    let what = format!("the {kind} {digest} of {}", session.reference);
    let look = session.request(Method::HEAD, &format!("blobs/{digest}"), &what)?;
    match session.ask(&look, &what).await {
        Ok(_) => return Ok(()),
        // The answer to HEAD has no body; on failure, the answer to POST has the registry's error message.
        Err(Error::Gone { .. } | Error::Unavailable { .. }) => {}
        Err(error) => return Err(error),
    }
    let begin = session.request(Method::POST, "blobs/uploads/", &what)?;
    let begun = session.ask(&begin, &what).await?;
    let place = location(&begun).map_err(|reason| Error::Malformed { what: what.clone(), reason })?;
    let mut put = Outgoing::new(Method::PUT, place);
    put.url.query_pairs_mut().append_pair("digest", digest.as_str());
    put.headers.insert(CONTENT_TYPE, BYTES);
    put.body = bytes.clone();
    session.ask(&put, &what).await.map(drop)
}
