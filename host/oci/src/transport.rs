//! The HTTP transport: TLS, redirects, credentials per origin, and limits of answers.

use std::error::Error as StdError;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, Proxy, Response, StatusCode, Url};
use rustls::pki_types::CertificateDer;

use crate::digest::{Digest, Hasher};
use crate::error::Error;

const USER_AGENT: &str = concat!("kulta/", env!("CARGO_PKG_VERSION"));
/// For all of a host's addresses and the TLS handshake; a host that takes longer counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Below the minute after which common load balancers silently drop an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// To the registry's canonical name, to its blob store and to the nearest replica, with some to spare.
const REDIRECTS: usize = 5;

pub(crate) struct Transport {
    extra_ca: Vec<CertificateDer<'static>>,
    proxy: Option<Proxy>,
    plain: OnceLock<Client>,
    verifying: OnceLock<Client>,
}

/// One request; redirects send it again.
pub(crate) struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub(crate) struct Incoming {
    pub response: Response,
    /// True if all redirects stayed at the original origin.
    pub at_home: bool,
}

impl Outgoing {
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

impl Transport {
    pub fn new(extra_ca: Vec<CertificateDer<'static>>, proxy: Option<Proxy>) -> Self {
        Self { extra_ca, proxy, plain: OnceLock::new(), verifying: OnceLock::new() }
    }

    /// The last answer, whatever its status. `authorization` is sent to the origin of `outgoing` only. Plain http is
    /// used only if `plain_http` allows it: a registry with https cannot redirect to a cloud's metadata service, which
    /// uses http.
    pub async fn send(
        &self,
        outgoing: &Outgoing,
        authorization: Option<&HeaderValue>,
        plain_http: bool,
        what: &str,
    ) -> Result<Incoming, Error> {
        let malformed = |reason| Error::Malformed { what: what.to_owned(), reason };
        let mut url = outgoing.url.clone();
        let mut at_home = true;
        for _ in 0..=REDIRECTS {
            if url.scheme() != "https" && !(plain_http && url.scheme() == "http") {
                return Err(malformed(format!("it leads to {}, which is not https", shown(&url))));
            }
            let mut request = self
                .client(&url, what)?
                .request(outgoing.method.clone(), url.clone())
                .headers(outgoing.headers.clone())
                .body(outgoing.body.clone());
            if let Some(value) = authorization.filter(|_| at_home) {
                request = request.header(AUTHORIZATION, value.clone());
            }
            let response = request.send().await.map_err(|error| unavailable(what, error))?;
            let Some(next) = redirect(outgoing, &response).map_err(malformed)? else {
                return Ok(Incoming { response, at_home });
            };
            at_home = at_home && next.origin() == outgoing.url.origin();
            url = next;
        }
        Err(malformed(format!("{} leads to more than {REDIRECTS} redirects", shown(&outgoing.url))))
    }

    fn client(&self, url: &Url, what: &str) -> Result<&Client, Error> {
        let encrypted = url.scheme() == "https";
        let place = if encrypted { &self.verifying } else { &self.plain };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .referer(false)
            // The size limits count the same bytes on the wire and in memory.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT);
        let builder = match &self.proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder.no_proxy(),
        };
        let builder = if encrypted {
            let extra: Result<Vec<_>, _> = self.extra_ca.iter().map(|it| Certificate::from_der(it)).collect();
            builder.https_only(true).tls_certs_merge(extra.map_err(|error| unavailable(what, error))?)
        } else {
            builder.tls_certs_only([])
        };
        // A failure is not cached: a user can add the platform's certificates.
        let client = builder.build().map_err(|error| unavailable(what, error))?;
        Ok(place.get_or_init(|| client))
    }
}

/// A body up to `limit` bytes; `None` if it is larger, whatever its content length.
pub(crate) async fn read(response: &mut Response, limit: u64, what: &str) -> Result<Option<Bytes>, Error> {
    let body = Body::read(response, limit, what).await?;
    Ok((body.length <= limit).then_some(body.bytes))
}

/// The bytes that were read of a body.
pub(crate) struct Body {
    pub bytes: Bytes,
    pub digest: Digest,
    /// The number of bytes so far if the body exceeds its limit.
    pub length: u64,
}

impl Body {
    pub async fn read(response: &mut Response, limit: u64, what: &str) -> Result<Self, Error> {
        let said = response.content_length().unwrap_or_default();
        // A content length may be wrong: it only reserves memory, and is used to reject a body that is too large.
        let mut length = if said > limit { said } else { 0 };
        let mut bytes = Vec::with_capacity(usize::try_from(said - length).unwrap_or_default());
        let mut hasher = Hasher::default();
        while length <= limit {
            let Some(chunk) = response.chunk().await.map_err(|error| unavailable(what, error))? else { break };
            length = length.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            if length <= limit {
                hasher.update(&chunk);
                bytes.extend_from_slice(&chunk);
            }
        }
        Ok(Self { bytes: bytes.into(), digest: hasher.finish(), length })
    }
}

/// The target of a redirect, if the answer is one. A request that changes something is not sent again.
fn redirect(outgoing: &Outgoing, response: &Response) -> Result<Option<Url>, String> {
    let leads = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !leads || !matches!(outgoing.method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    location(response).map(Some)
}

/// The URL in `Location`, without user and password.
pub(crate) fn location(response: &Response) -> Result<Url, String> {
    let header = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let joined = header.and_then(|text| response.url().join(text).ok());
    let mut url = joined.ok_or_else(|| format!("{} redirects without a valid URL", shown(response.url())))?;
    // These fail only for URLs that cannot have user and password.
    let _none = (url.set_username(""), url.set_password(None));
    Ok(url)
}

/// Without its query, which may contain a signature.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn unavailable(what: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let hint = causes(&error).find_map(hint).unwrap_or_default();
    let mut reason = error.to_string();
    for cause in causes(&error) {
        reason.push_str(&format!(": {cause}"));
    }
    reason.push_str(hint);
    Error::Unavailable { what: what.to_owned(), reason, retry_after: None }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn StdError + 'static)| (*cause).source())
}

/// A hint about a TLS failure.
fn hint(cause: &(dyn StdError + 'static)) -> Option<&'static str> {
    // An I/O error is not the source of its inner error, which may be another one.
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return hint(error.get_ref()?);
    }
    match cause.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(_) => {
            Some("; if the registry has a CA of its own, configure its certificate")
        }
        rustls::Error::InvalidMessage(_) => Some("; if the registry speaks plain http, allow it"),
        _ => None,
    }
}
