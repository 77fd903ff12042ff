//! Calls on the network: checks each hop, adds credentials, and limits the size of the answer.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::FutureExt;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::address::{AddressDenied, AddressRules};
use crate::aws::{self, Credentials};
use crate::call::{Call, grant_key, shown};
use crate::clients::Clients;
use crate::counters::{Counters, add_one};
use crate::http::{causes, reason};
use crate::in_flight::ExpiringCache;
use crate::mask::Mask;
use crate::oauth2;
use crate::redirect::{Hop, Step};
use crate::request::{Auth, Basic, Failure, OAuth2, Response};
use crate::rights::Rights;
use crate::settings::{Settings, UrlPrefix};

pub(crate) struct Network {
    settings: Settings,
    rules: Arc<AddressRules>,
    clients: Clients,
    turns: Semaphore,
    counters: Arc<Counters>,
    tokens: ExpiringCache<String>,
    roles: ExpiringCache<Credentials>,
}

/// One request on the wire.
pub(crate) struct Outgoing {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub skip_tls_verify: bool,
    pub rights: Option<Arc<Rights>>,
}

/// An answer whose body is not read yet; its network permit is released with it.
pub(crate) struct Incoming<'a> {
    response: reqwest::Response,
    body_limit: usize,
    from: String,
    _turn: SemaphorePermit<'a>,
}

/// Who has named the host of a URL. A host that an administrator has named may be one that only the proxy can resolve.
#[derive(Clone, Copy)]
enum Naming {
    ByAdministrator,
    ByUser,
}

impl Naming {
    /// The URL is covered by one of the prefixes, if there are any.
    fn of_prefixes(prefixes: &[UrlPrefix]) -> Self {
        if prefixes.is_empty() { Self::ByUser } else { Self::ByAdministrator }
    }
}

enum Credential {
    None,
    Header(HeaderValue),
    Aws { credentials: Credentials, region: String },
}

impl Network {
    pub fn new(settings: Settings, counters: Arc<Counters>) -> Self {
        let rules = Arc::new(AddressRules { loopback: settings.loopback, denied: settings.denied.clone() });
        Self {
            clients: Clients::new(Arc::clone(&rules), settings.in_flight),
            rules,
            turns: Semaphore::new(settings.in_flight.min(Semaphore::MAX_PERMITS)),
            settings,
            counters,
            tokens: ExpiringCache::default(),
            roles: ExpiringCache::default(),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The last answer to a call. Credentials that the host fetched are redacted in it; those of the caller are not.
    pub async fn send(self: &Arc<Self>, call: &Call) -> Result<Response, Failure> {
        // No token is fetched for a denied request.
        self.check(&call.url, call.rights.as_deref())?;
        let Some(rights) = &call.rights else { return self.authorized(call).await };
        if matches!(call.auth, Auth::SigV4(_)) {
            let why = "sigv4 signs with the controller's own credentials, which are not granted to plugins";
            return Err(Failure::Denied(why.to_owned()));
        }
        rights.mask().outcome(self.authorized(call).await)
    }

    async fn authorized(self: &Arc<Self>, call: &Call) -> Result<Response, Failure> {
        match &call.auth {
            Auth::None => self.walk(call, &Credential::None).await,
            Auth::Basic(basic) => self.walk(call, &Credential::basic(basic)?).await,
            Auth::OAuth2(grant) => self.send_with_token(call, grant).await,
            Auth::SigV4(region) => {
                let credentials = self.aws_credentials(region).await?;
                let mask = Mask::of(credentials.secrets());
                mask.outcome(self.walk(call, &Credential::Aws { credentials, region: region.clone() }).await)
            }
        }
    }

    async fn send_with_token(self: &Arc<Self>, call: &Call, grant: &OAuth2) -> Result<Response, Failure> {
        let key = grant_key(grant, call.skip_tls_verify, call.rights.as_deref());
        let (token, kept) = self.token(grant, call).await?;
        let outcome = Mask::of([token.as_str()]).outcome(self.walk(call, &Credential::bearer(&token)?).await);
        // A cached token may have been revoked early. A new token that is rejected would be rejected again.
        if !(kept && outcome.as_ref().is_ok_and(|response| response.status == 401)) {
            return outcome;
        }
        self.tokens.forget(&key, &token);
        let (token, _) = self.token(grant, call).await?;
        Mask::of([token.as_str()]).outcome(self.walk(call, &Credential::bearer(&token)?).await)
    }

    async fn token(self: &Arc<Self>, grant: &OAuth2, call: &Call) -> Result<(String, bool), Failure> {
        let (skip_tls_verify, rights) = (call.skip_tls_verify, call.rights.clone());
        let key = grant_key(grant, skip_tls_verify, rights.as_deref());
        let fetch = || {
            let (network, grant) = (Arc::clone(self), grant.clone());
            async move { oauth2::token(&network, &grant, skip_tls_verify, rights.as_ref()).await }.boxed()
        };
        self.tokens.get(key, fetch).await
    }

    async fn aws_credentials(self: &Arc<Self>, region: &str) -> Result<Credentials, Failure> {
        match self.settings.aws.source(region)? {
            aws::Source::Given(credentials) => Ok(credentials),
            aws::Source::Role(role) => {
                let network = Arc::clone(self);
                let fetch = || async move { role.assume(&network).await }.boxed();
                Ok(self.roles.get(aws::role_key(region), fetch).await?.0)
            }
        }
    }

    /// Follows redirects to the end.
    async fn walk(&self, call: &Call, credential: &Credential) -> Result<Response, Failure> {
        let mut hop = Hop::first(call);
        for _ in 0..=self.settings.redirects {
            let incoming = self.ask(outgoing(&hop, credential)?).await?;
            match hop.next(incoming.response.status(), incoming.response.headers())? {
                Step::On(next) => hop = *next,
                Step::Last => return incoming.read().await,
            }
        }
        Err(Failure::Failed(format!("{} leads to more than {} redirects", shown(&call.url), self.settings.redirects)))
    }

    /// Sends a request of a plugin, within its permissions.
    pub async fn ask(&self, mut outgoing: Outgoing) -> Result<Incoming<'_>, Failure> {
        self.check(&outgoing.url, outgoing.rights.as_deref())?;
        let rights = outgoing.rights.clone();
        let Some(rights) = rights else {
            return self.transfer(outgoing, Naming::of_prefixes(&self.settings.prefixes)).await;
        };
        let right = rights.of(&outgoing.url)?;
        if outgoing.skip_tls_verify && !right.skip_tls_verify {
            let why = format!("{}: the plugin's grant does not let it skip TLS verification", shown(&outgoing.url));
            return Err(Failure::Denied(why));
        }
        outgoing.skip_tls_verify = right.skip_tls_verify;
        right.equip(&mut outgoing.headers)?;
        let mut incoming = self.transfer(outgoing, Naming::ByAdministrator).await?;
        incoming.body_limit = incoming.body_limit.min(rights.body_limit);
        Ok(incoming)
    }

    /// Sends a request to an address of the controller's own environment; the URL prefixes apply to plugins only.
    pub async fn exchange(&self, outgoing: Outgoing) -> Result<Incoming<'_>, Failure> {
        self.transfer(outgoing, Naming::ByAdministrator).await
    }

    async fn transfer(&self, outgoing: Outgoing, naming: Naming) -> Result<Incoming<'_>, Failure> {
        let Outgoing { method, url, headers, body, skip_tls_verify, .. } = outgoing;
        self.check_address(&url)?;
        let proxy = self.settings.proxies.of(&url);
        if proxy.is_some() {
            self.check_behind_proxy(&url, naming).await?;
        }
        let client = self.clients.for_url(&url, proxy, skip_tls_verify)?;
        // The semaphore is never closed.
        let turn = self.turns.acquire().await.map_err(|error| Failure::Failed(error.to_string()))?;
        add_one(&self.counters.sent);
        let from = shown(&url);
        let request = client.request(method, url).headers(headers);
        let request = if body.is_empty() { request } else { request.body(body) };
        let response = request.send().await.map_err(|error| failure(&from, error))?;
        Ok(Incoming { response, body_limit: self.settings.body_limit, from, _turn: turn })
    }

    fn check(&self, url: &Url, rights: Option<&Rights>) -> Result<(), Failure> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::Denied(format!(
                "the scheme {:?} is not served, only http and https are",
                url.scheme()
            )));
        }
        if let Some(rights) = rights {
            rights.of(url)?;
        } else if !self.settings.allows(url) {
            return Err(Failure::Denied(format!("{} has none of the allowed URL prefixes", shown(url))));
        }
        self.check_address(url)
    }

    /// The proxy resolves the name again, so the connection cannot be kept to an address that was checked: each address that
    /// the name has here must be allowed.
    async fn check_behind_proxy(&self, url: &Url, naming: Naming) -> Result<(), Failure> {
        let Some(host) = url.domain() else { return Ok(()) };
        let port = url.port_or_known_default().unwrap_or_default();
        match (tokio::net::lookup_host((host, port)).await, naming) {
            (Ok(addresses), _) => {
                let addresses = addresses.map(|address| address.ip());
                self.rules.check_all(host, addresses).map_err(|denied| Failure::Denied(denied.to_string()))
            }
            (Err(_), Naming::ByAdministrator) => Ok(()),
            (Err(error), Naming::ByUser) => Err(Failure::Failed(format!(
                "{} is to be reached through a proxy, but its name cannot be resolved here to check its addresses ({error}): \
                 name it in --analysis-url-prefix, or in a grant of the plugin",
                shown(url)
            ))),
        }
    }

    fn check_address(&self, url: &Url) -> Result<(), Failure> {
        self.rules.check_literal(url).map_err(|denied| Failure::Denied(denied.to_string()))
    }
}

impl Incoming<'_> {
    /// Reads the body up to its limit.
    pub async fn read(mut self) -> Result<Response, Failure> {
        let too_large = || Failure::TooLarge(u64::try_from(self.body_limit).unwrap_or(u64::MAX));
        let limit = self.body_limit;
        let status = self.response.status().as_u16();
        let headers = self
            .response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        // A content length may be wrong: it is only used to reject a body that is too large.
        if self.response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |it| it > limit)) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.response.chunk().await.map_err(|error| failure(&self.from, error))? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body: body.into() })
    }
}

impl Credential {
    fn basic(basic: &Basic) -> Result<Self, Failure> {
        Ok(Self::Header(basic_header(&basic.username, &basic.password)?))
    }

    fn bearer(token: &str) -> Result<Self, Failure> {
        Ok(Self::Header(secret_header(&format!("Bearer {token}"))?))
    }
}

fn outgoing(hop: &Hop, credential: &Credential) -> Result<Outgoing, Failure> {
    let mut outgoing = Outgoing {
        method: hop.method.clone(),
        url: hop.url.clone(),
        headers: hop.headers.clone(),
        body: hop.body.clone(),
        skip_tls_verify: hop.skip_tls_verify,
        rights: hop.rights.clone(),
    };
    if hop.at_home {
        match credential {
            Credential::None => {}
            Credential::Header(value) => {
                outgoing.headers.insert(AUTHORIZATION, value.clone());
            }
            Credential::Aws { credentials, region } => aws::sign(&mut outgoing, credentials, region, Timestamp::now())?,
        }
    }
    Ok(outgoing)
}

pub(crate) fn basic_header(username: &str, password: &str) -> Result<HeaderValue, Failure> {
    secret_header(&format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
}

pub(crate) fn secret_header(value: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Failure::Failed("a credential has characters that no header can hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn failure(from: &str, error: reqwest::Error) -> Failure {
    if let Some(denied) = causes(&error).find_map(|cause| cause.downcast_ref::<AddressDenied>()) {
        return Failure::Denied(denied.to_string());
    }
    Failure::Failed(format!("{from}: {}", reason(error)))
}
