//! The sink of events: one URL, one POST for each event.

use std::time::Duration;

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::http::{IDLE_TIMEOUT, USER_AGENT, header_map, reason};
use crate::proxies::Proxies;
use crate::retry_after::retry_after;

/// Idle connections that are kept. Rollouts deliver in parallel, but a sink has little use for more.
const IDLE_CONNECTIONS: usize = 4;
/// Bytes of an answer that are read: enough for any sensible answer, so that the connection can be reused.
const ANSWER_BYTES: usize = 16 * 1024;
/// Characters of an answer that are kept: an error message, not a page.
const ANSWER_CHARS: usize = 200;

#[derive(Clone)]
pub struct SinkConfig {
    /// `http` or `https`; a user and password in it are sent as basic authentication.
    pub url: String,
    /// For one delivery, from the connection to the end of the answer.
    pub timeout: Duration,
    /// Proxies on the way to it.
    pub proxies: Proxies,
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    // The URL itself is not in messages: it may contain a token.
    #[error("the event sink is not a URL such as \"https://events.example/webhook\": {reason}")]
    Url { reason: String },
    #[error("the event sink has the scheme \"{scheme}\"; only http and https are served")]
    Scheme { scheme: String },
    #[error("the event sink's timeout is zero")]
    Timeout,
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    #[error("setting up connections to the event sink: {reason}")]
    Client { reason: String },
}

/// An event as plain values: headers and body are sent unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdEventHttp {
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// The result of a delivery. `why` is for users and contains no part of the sink's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Accepted,
    /// A temporary failure: the sink is unavailable, busy or failing; `after` is its `Retry-After`.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    /// A permanent failure: the event is dropped, so that it does not block the events after it.
    Refused {
        why: String,
    },
    /// The sink accepts no more events at all.
    Gone,
}

pub struct Sink {
    client: Client,
    url: Url,
    timeout: Duration,
}

impl Sink {
    /// # Errors
    /// If the URL is not an http or https URL, the timeout is zero, no TLS provider is installed, or (https only) the
    /// system has no trusted certificates.
    pub fn new(config: SinkConfig) -> Result<Self, SinkError> {
        let url = Url::parse(&config.url).map_err(|error| SinkError::Url { reason: error.to_string() })?;
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            scheme => return Err(SinkError::Scheme { scheme: scheme.to_owned() }),
        };
        if config.timeout.is_zero() {
            return Err(SinkError::Timeout);
        }
        // Without a provider reqwest would abort the process.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SinkError::NoTlsProvider);
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .proxy(config.proxies.to_reqwest())
            // A redirect could send an event to an unintended receiver.
            .redirect(Policy::none())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIMEOUT);
        // Without https no certificates are needed, and an image may have none.
        let client = if secure { client.https_only(true) } else { client.tls_certs_only([]) };
        let client = client.build().map_err(|error| SinkError::Client { reason: reason(error) })?;
        Ok(Self { client, url, timeout: config.timeout })
    }

    /// Sends `event` once.
    pub async fn deliver(&self, event: &CdEventHttp) -> Delivery {
        let headers = match header_map(&event.headers) {
            Ok(headers) => headers,
            Err(name) => return Delivery::Refused { why: format!("header {name:?} cannot be sent") },
        };
        let request =
            self.client.post(self.url.clone()).timeout(self.timeout).headers(headers).body(event.body.clone());
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) if error.is_timeout() => {
                Delivery::Retry { after: None, why: format!("timed out after {:?}", self.timeout) }
            }
            Err(error) => Delivery::Retry { after: None, why: reason(error) },
        }
    }
}

/// Interprets the answers of the CloudEvents web hook, and of servers that do not know it.
async fn judge(response: Response) -> Delivery {
    let status = response.status();
    let after = retry_after(response.headers());
    let answer = beginning(response).await;
    let why = format!("HTTP {}{}{answer}", status.as_u16(), if answer.is_empty() { "" } else { ": " });
    match status {
        status if status.is_success() => Delivery::Accepted,
        StatusCode::GONE => Delivery::Gone,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Delivery::Retry { after, why },
        // A wrong token or path: a user can fix it, and the event is not the cause.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Delivery::Retry { after, why },
        status if status.is_client_error() => Delivery::Refused { why },
        // Redirects too: a user can configure the new URL, and the event is not the cause.
        _ => Delivery::Retry { after, why },
    }
}

/// Reads a bounded part of the answer, and keeps its beginning as one line. An incomplete answer is accepted.
async fn beginning(mut response: Response) -> String {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        answer.extend(chunk.iter().take(ANSWER_BYTES - answer.len()));
    }
    let line: String = String::from_utf8_lossy(&answer).chars().take(ANSWER_CHARS).collect();
    line.replace(char::is_control, " ").trim().to_owned()
}
