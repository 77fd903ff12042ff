//! The client: resolves references and pulls components.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Response};

use crate::artifact::{DOCKER_INDEX, DOCKER_MANIFEST, INDEX, Layer, MANIFEST, only_layer};
use crate::credentials::Credentials;
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use crate::session::{Access, Session};
use crate::settings::{Settings, SettingsError};
use crate::transport::{self, Body, Transport};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The client for registries. One client serves any number of registries and reuses connections.
pub struct Client {
    settings: Settings,
    transport: Transport,
}

/// A pulled component; both digests have been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub component: Bytes,
    /// The resolved digest of the reference: the one to pin.
    pub manifest: Digest,
    /// Digest of the component itself.
    pub layer: Digest,
    /// The unchanged manifest of the registry: its digest, and so a signature, covers these bytes.
    pub document: Bytes,
}

impl Client {
    /// # Errors
    /// If the settings are invalid.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let transport = Transport::new(settings.check()?, settings.proxy.clone());
        Ok(Self { settings, transport })
    }

    /// Pulls the component of a reference. With an expected digest of the manifest, that digest is requested: the tag
    /// is then only informative, and may have moved.
    ///
    /// # Errors
    /// Also if the reference has another digest than the expected one.
    pub async fn pull(
        &self,
        reference: &Reference,
        expected: Option<&Digest>,
        credentials: &Credentials,
    ) -> Result<Pulled, Error> {
        self.in_time(&format!("the pull of {reference}"), async {
            let mut session = self.session(reference, credentials, Access::Pull)?;
            let (manifest, document, layer) = self.manifest(&mut session, expected).await?;
            let component = self.layer(&mut session, &layer).await?;
            Ok(Pulled { component, manifest, layer: layer.digest, document })
        })
        .await
    }

    /// Pulls the component with this digest from a reference's repository, whatever the reference's tag or digest: for
    /// a component that was pulled before and is needed again.
    ///
    /// # Errors
    /// As for a pull.
    pub async fn pull_component(
        &self,
        reference: &Reference,
        component: &Digest,
        credentials: &Credentials,
    ) -> Result<Bytes, Error> {
        self.in_time(&format!("the pull of {component} from {reference}"), async {
            let mut session = self.session(reference, credentials, Access::Pull)?;
            let what = format!("the component {component} of {reference}");
            let request = session.request(Method::GET, &format!("blobs/{component}"), &what)?;
            let mut answer = session.ask(&request, &what).await?;
            let limit = self.settings.layer_limit;
            let Some(bytes) = transport::read(&mut answer, limit, &what).await? else {
                return Err(Error::TooLarge { what, limit });
            };
            let found = Digest::of(&bytes);
            if found != *component {
                return Err(Error::WrongDigest { what, expected: component.clone(), found });
            }
            Ok(bytes)
        })
        .await
    }

    /// The current digest of a reference's manifest; nothing is pulled.
    ///
    /// # Errors
    /// As for a pull, except for errors that only a pull detects.
    pub async fn resolve(&self, reference: &Reference, credentials: &Credentials) -> Result<Digest, Error> {
        self.in_time(&format!("the look-up of {reference}"), async {
            let mut session = self.session(reference, credentials, Access::Pull)?;
            let what = format!("the manifest of {reference}");
            self.look_up(&mut session, version(reference, None)?, &what).await
        })
        .await
    }

    pub(crate) async fn in_time<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.settings.timeout;
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Error::TimedOut { what: what.to_owned(), limit }))
    }

    pub(crate) fn session<'a>(
        &'a self,
        reference: &'a Reference,
        credentials: &'a Credentials,
        access: Access,
    ) -> Result<Session<'a>, Error> {
        let plain_http = self.settings.plain_http.iter().any(|it| it.eq_ignore_ascii_case(reference.registry()));
        Session::new(&self.transport, reference, credentials, access, plain_http)
    }

    pub(crate) const fn manifest_limit(&self) -> u64 {
        self.settings.manifest_limit
    }

    async fn manifest(
        &self,
        session: &mut Session<'_>,
        expected: Option<&Digest>,
    ) -> Result<(Digest, Bytes, Layer), Error> {
        let reference = session.reference;
        let version = version(reference, expected)?;
        let what = match version {
            Version::Tag(_) => format!("the manifest of {reference}"),
            Version::Digest(digest) => format!("the manifest of {}", reference.at(digest.clone())),
        };
        let (body, media_type, claimed) = match self.get_manifest(session, version, &what).await {
            Err(Error::Gone { what, said }) => return Err(self.gone(session, version, what, said).await),
            got => got?,
        };
        let found = Digest::of(&body);
        let promised = match version {
            Version::Digest(digest) => Some(digest),
            Version::Tag(_) => claimed.as_ref(),
        };
        if let Some(expected) = promised.filter(|promised| **promised != found) {
            return Err(Error::WrongDigest { what, expected: expected.clone(), found });
        }
        let layer = only_layer(&body, media_type.as_deref(), &what)?;
        Ok((found, body, layer))
    }

    /// A manifest, the media type of the answer, and the digest in its header.
    async fn get_manifest(
        &self,
        session: &mut Session<'_>,
        version: Version<'_>,
        what: &str,
    ) -> Result<(Bytes, Option<String>, Option<Digest>), Error> {
        let mut answer = ask_for_manifest(session, Method::GET, version, what).await?;
        let (media_type, claimed) = (media_type(&answer), claimed_digest(&answer));
        let limit = self.settings.manifest_limit;
        let body = transport::read(&mut answer, limit, what).await?;
        let body = body.ok_or_else(|| Error::TooLarge { what: what.to_owned(), limit })?;
        Ok((body, media_type, claimed))
    }

    /// For a missing digest the error also names the current digest of the tag, which helps a user.
    async fn gone(&self, session: &mut Session<'_>, version: Version<'_>, what: String, said: String) -> Error {
        let tag = session.reference.tag().filter(|_| matches!(version, Version::Digest(_)));
        let Some(tag) = tag else { return Error::Gone { what, said } };
        match self.look_up(session, Version::Tag(tag), &what).await {
            Ok(found) => Error::Gone { what, said: format!("{said}; the tag {tag:?} is {found} now") },
            // The look-up is for the message only.
            Err(_) => Error::Gone { what, said },
        }
    }

    async fn look_up(&self, session: &mut Session<'_>, version: Version<'_>, what: &str) -> Result<Digest, Error> {
        let claimed = match ask_for_manifest(session, Method::HEAD, version, what).await {
            Ok(answer) => claimed_digest(&answer),
            // The answer to HEAD has no body; the answer to GET has the registry's error message.
            Err(Error::Gone { .. } | Error::Unavailable { .. }) => None,
            Err(error) => return Err(error),
        };
        let found = match claimed {
            Some(digest) => digest,
            None => Digest::of(&self.get_manifest(session, version, what).await?.0),
        };
        match version {
            Version::Digest(expected) if *expected != found => {
                Err(Error::WrongDigest { what: what.to_owned(), expected: expected.clone(), found })
            }
            _ => Ok(found),
        }
    }

    async fn layer(&self, session: &mut Session<'_>, layer: &Layer) -> Result<Bytes, Error> {
        let what = format!("the component {} of {}", layer.digest, session.reference);
        let limit = self.settings.layer_limit;
        if layer.size > limit {
            return Err(Error::TooLarge { what, limit });
        }
        let request = session.request(Method::GET, &format!("blobs/{}", layer.digest), &what)?;
        let mut answer = session.ask(&request, &what).await?;
        let body = Body::read(&mut answer, layer.size, &what).await?;
        if body.length != layer.size {
            return Err(Error::WrongSize { what, expected: layer.size, found: body.length });
        }
        if body.digest != layer.digest {
            return Err(Error::WrongDigest { what, expected: layer.digest.clone(), found: body.digest });
        }
        Ok(body.bytes)
    }
}

/// The tag or digest in a manifest's URL.
#[derive(Clone, Copy)]
enum Version<'a> {
    Tag(&'a str),
    Digest(&'a Digest),
}

fn version<'a>(reference: &'a Reference, expected: Option<&'a Digest>) -> Result<Version<'a>, Error> {
    match (expected, reference.digest(), reference.tag()) {
        (Some(expected), Some(found), _) if expected != found => {
            let what = format!("the digest in {reference}");
            Err(Error::WrongDigest { what, expected: expected.clone(), found: found.clone() })
        }
        (Some(digest), ..) | (None, Some(digest), _) => Ok(Version::Digest(digest)),
        (None, None, Some(tag)) => Ok(Version::Tag(tag)),
        (None, None, None) => Err(Error::Unversioned { what: reference.to_string() }),
    }
}

async fn ask_for_manifest(
    session: &mut Session<'_>,
    method: Method,
    version: Version<'_>,
    what: &str,
) -> Result<Response, Error> {
    let path = match version {
        Version::Tag(tag) => format!("manifests/{tag}"),
        Version::Digest(digest) => format!("manifests/{digest}"),
    };
    let mut request = session.request(method, &path, what)?;
    // Types that are not components are accepted too: otherwise a registry answers "not found" for them.
    for media_type in [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX] {
        request.headers.append(ACCEPT, HeaderValue::from_static(media_type));
    }
    session.ask(&request, what).await
}

/// Without parameters such as a character set.
fn media_type(answer: &Response) -> Option<String> {
    let header = answer.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    header.split(';').next().map(|it| it.trim().to_owned())
}

/// The content's digest, as the registry reports it.
pub(crate) fn claimed_digest(answer: &Response) -> Option<Digest> {
    answer.headers().get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}
