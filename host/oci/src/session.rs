//! A session with a registry for one repository: credentials are sent only on the registry's challenge, and only to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use crate::challenge::Challenge;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::error_response::error_response;
use crate::reference::Reference;
use crate::transport::{self, Incoming, Outgoing, Transport, shown};

/// Tokens have some kilobytes.
const LONGEST_TOKEN_ANSWER: u64 = 64 * 1024;

/// The permission that a token needs.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    Pull,
    Push,
}

pub(crate) struct Session<'a> {
    transport: &'a Transport,
    pub reference: &'a Reference,
    credentials: &'a Credentials,
    access: Access,
    plain_http: bool,
    /// Base URL of the repository.
    base: Url,
    /// The `Authorization` value that the registry accepted last.
    authorization: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Session<'a> {
    pub fn new(
        transport: &'a Transport,
        reference: &'a Reference,
        credentials: &'a Credentials,
        access: Access,
        plain_http: bool,
    ) -> Result<Self, Error> {
        let scheme = if plain_http { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{}/v2/{}/", reference.api_host(), reference.repository()))
            .map_err(|error| Error::Malformed { what: reference.to_string(), reason: error.to_string() })?;
        Ok(Self { transport, reference, credentials, access, plain_http, base, authorization: None })
    }

    /// A request for a path below the repository.
    pub fn request(&self, method: Method, path: &str, what: &str) -> Result<Outgoing, Error> {
        // Without `./` a digest's `sha256:` would be parsed as a scheme.
        let url = self
            .base
            .join(&format!("./{path}"))
            .map_err(|error| Error::Malformed { what: what.to_owned(), reason: error.to_string() })?;
        Ok(Outgoing::new(method, url))
    }

    /// The answer to a request; an error unless it is a success.
    pub async fn ask(&mut self, outgoing: &Outgoing, what: &str) -> Result<Response, Error> {
        let answer = self.send(outgoing, what).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.error_response(answer, what).await) }
    }

    /// The answer to a request, of any status but 401.
    async fn send(&mut self, outgoing: &Outgoing, what: &str) -> Result<Response, Error> {
        let Incoming { response, at_home } = self.send_once(outgoing, what).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // A challenge of another host is ignored.
        if !at_home || outgoing.url.origin() != self.base.origin() {
            return Err(self.error_response(response, what).await);
        }
        self.authorization = Some(match Challenge::of(response.headers()) {
            Challenge::Bearer { realm, service, scope } => self.token(&realm, service, scope).await?,
            Challenge::Basic => match basic(self.credentials, what)? {
                Some(value) => value,
                None => return Err(self.error_response(response, what).await),
            },
            Challenge::Unknown(schemes) if schemes.is_empty() => return Err(self.error_response(response, what).await),
            Challenge::Unknown(schemes) => {
                let reason = format!("it requires the authentication schemes {schemes:?}; expected Bearer or Basic");
                return Err(Error::Malformed { what: what.to_owned(), reason });
            }
        });
        let Incoming { response, .. } = self.send_once(outgoing, what).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            Err(self.error_response(response, what).await)
        } else {
            Ok(response)
        }
    }

    async fn send_once(&self, outgoing: &Outgoing, what: &str) -> Result<Incoming, Error> {
        let to_registry = outgoing.url.origin() == self.base.origin();
        let authorization = self.authorization.as_ref().filter(|_| to_registry);
        self.transport.send(outgoing, authorization, self.plain_http, what).await
    }

    async fn error_response(&self, response: Response, what: &str) -> Error {
        error_response(response, *self.credentials != Credentials::Anonymous, what).await
    }

    /// A token from the service that the registry names.
    async fn token(&self, realm: &str, service: Option<String>, scope: Option<String>) -> Result<HeaderValue, Error> {
        let what = format!("a token for {}", self.reference);
        let malformed = |reason| Error::Malformed { what: what.clone(), reason };
        let mut url = Url::parse(realm).map_err(|error| malformed(format!("its service is at {realm:?}: {error}")))?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &service {
                query.append_pair("service", service);
            }
            let own = self.scope();
            query.append_pair("scope", &own);
            if let Some(other) = scope.filter(|it| *it != own) {
                query.append_pair("scope", &other);
            }
        }
        let what = format!("{what} from {}", shown(&url));
        let outgoing = Outgoing::new(Method::GET, url);
        let authorization = basic(self.credentials, &what)?;
        let answer = self.transport.send(&outgoing, authorization.as_ref(), self.plain_http, &what).await?;
        let mut answer = answer.response;
        if !answer.status().is_success() {
            return Err(self.error_response(answer, &what).await);
        }
        let body = transport::read(&mut answer, LONGEST_TOKEN_ANSWER, &what).await?;
        let token = body
            .and_then(|body| serde_json::from_slice::<TokenAnswer>(&body).ok())
            .and_then(|answer| answer.token.or(answer.access_token))
            .ok_or_else(|| Error::Malformed {
                what: what.clone(),
                reason: "the answer has no \"token\" or \"access_token\"".to_owned(),
            })?;
        secret(&format!("Bearer {token}"), &what)
    }

    fn scope(&self) -> String {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        format!("repository:{}:{actions}", self.reference.repository())
    }
}

fn basic(credentials: &Credentials, what: &str) -> Result<Option<HeaderValue>, Error> {
    match credentials {
        Credentials::Anonymous => Ok(None),
        Credentials::Basic { username, password } => {
            secret(&format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))), what).map(Some)
        }
    }
}

fn secret(value: &str, what: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(value).map_err(|_| Error::Malformed {
        what: what.to_owned(),
        reason: "a credential has characters that no header can hold".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
