//! What plugins have the host fetch: sent as their grants allow, and counted.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use kulta_fetch::{self as fetch, Failure, Fetcher, Request, Response, Right, Rights, Secrets};
use kulta_wasm::fetch as wit;

use super::terms::{Granted, Grants, Terms};
use crate::analysis::SecretReader;
use crate::clock::Clock;
use crate::cluster::words;
use crate::key::Key;

/// A token, a query, some pages: whoever asks for more rounds than this does not end.
pub const MOST_ROUNDS: usize = 8;

/// Who makes requests.
pub trait Requests: Send + Sync + 'static {
    fn fetch<'a>(&'a self, request: Request, secrets: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>>;
}

impl Requests for Fetcher {
    fn fetch<'a>(&'a self, request: Request, secrets: &'a Secrets) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(Self::fetch(self, request, secrets))
    }
}

/// The way to the network for all plugins.
pub struct Errands {
    pub requests: Arc<dyn Requests>,
    pub secrets: Arc<SecretReader>,
    pub clock: Arc<dyn Clock>,
    /// The controller's own, where the Secrets of grants are.
    pub namespace: String,
}

/// The requests of one measurement, enrichment or round of a step.
pub struct Errand<'a> {
    errands: &'a Errands,
    secrets: &'a Secrets,
    rights: Option<Arc<Rights>>,
    limit: u32,
    left: u32,
}

impl Errands {
    /// # Errors
    /// When a Secret that a grant needs cannot be had: which, and why.
    pub async fn begin<'a>(&'a self, terms: &Terms, secrets: &'a Secrets) -> Result<Errand<'a>, String> {
        let limit = terms.limits.requests;
        Ok(Errand { errands: self, secrets, rights: self.rights(terms).await?, limit, left: limit })
    }

    async fn rights(&self, terms: &Terms) -> Result<Option<Arc<Rights>>, String> {
        let Grants::Only(granted) = &terms.grants else { return Ok(None) };
        let mut grants = Vec::with_capacity(granted.len());
        for Granted { prefix, headers, skip_tls_verify } in granted {
            let mut right =
                Right { prefix: Some(prefix.clone()), skip_tls_verify: *skip_tls_verify, ..Right::default() };
            for header in headers {
                let secret = Key::new(&self.namespace, header.secret.as_str());
                let value = self.secrets.value(&secret, &header.key, self.clock.now()).await;
                let value = value.map_err(|error| words(&error)).and_then(|value| value);
                let value = value.map_err(|why| format!("the grant's header {:?}: {why}", header.name))?;
                right.headers.push((header.name.clone(), format!("{}{value}", header.prefix)));
            }
            grants.push(right);
        }
        let body_limit = usize::try_from(terms.limits.response_bytes).unwrap_or(usize::MAX);
        Ok(Some(Arc::new(Rights { grants, body_limit })))
    }
}

impl Errand<'_> {
    /// The answers, in the order of the requests.
    ///
    /// # Errors
    /// When there have been more than the limit; none of these is sent then.
    pub async fn run(&mut self, asked: Vec<wit::Request>) -> Result<Vec<wit::Answer>, String> {
        let count = u32::try_from(asked.len()).unwrap_or(u32::MAX);
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| format!("it asks for more than {} requests, its limit", self.limit))?;
        Ok(join_all(asked.into_iter().map(|request| self.send(request))).await)
    }

    async fn send(&self, asked: wit::Request) -> wit::Answer {
        let answer = match request(asked, self.rights.clone()) {
            Ok(request) => self.errands.requests.fetch(request, self.secrets).await,
            Err(failure) => Err(failure),
        };
        self::answer(answer)
    }
}

/// What a plugin asks for, in the fetcher's words.
///
/// # Errors
/// When the request asks for what this build does not serve.
pub fn request(asked: wit::Request, rights: Option<Arc<Rights>>) -> Result<fetch::Request, Failure> {
    if let Some(option) = asked.options.first() {
        return Err(Failure::Denied(format!("the request's option {:?} is not served", option.key)));
    }
    let pairs =
        |labels: Vec<kulta_wasm::strategy::Label>| labels.into_iter().map(|label| (label.key, label.value)).collect();
    Ok(fetch::Request {
        method: asked.method,
        url: asked.url,
        headers: pairs(asked.headers),
        body: asked.body.into(),
        auth: match asked.auth {
            wit::Auth::None => fetch::Auth::None,
            wit::Auth::Basic(basic) => {
                fetch::Auth::Basic(fetch::Basic { username: basic.username, password: basic.password })
            }
            wit::Auth::Oauth2(oauth2) => fetch::Auth::OAuth2(fetch::OAuth2 {
                token_url: oauth2.token_url,
                client_id: oauth2.client_id,
                client_secret: oauth2.client_secret,
                scopes: oauth2.scopes,
                parameters: pairs(oauth2.parameters),
            }),
            wit::Auth::Sigv4(region) => fetch::Auth::SigV4(region),
        },
        timeout: Duration::from_millis(asked.timeout),
        skip_tls_verify: asked.skip_tls_verify,
        rights,
    })
}

/// What came of a request, in the plugins' words.
pub fn answer(answer: Result<Response, Failure>) -> wit::Answer {
    match answer {
        Ok(response) => Ok(wit::Response {
            status: response.status,
            headers: response
                .headers
                .into_iter()
                .map(|(key, value)| kulta_wasm::strategy::Label { key, value })
                .collect(),
            body: response.body.into(),
        }),
        Err(Failure::Denied(why)) => Err(wit::Failure::Denied(why)),
        Err(Failure::Timeout) => Err(wit::Failure::Timeout),
        Err(Failure::TooLarge(limit)) => Err(wit::Failure::TooLarge(limit)),
        Err(Failure::Failed(why)) => Err(wit::Failure::Failed(why)),
    }
}
