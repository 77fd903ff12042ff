//! Where events go: one URL, one POST for each event.

use std::time::Duration;

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::http::{IDLE_TIMEOUT, USER_AGENT, header_map, reason};
use crate::retry_after::retry_after;

/// Connections kept for the next event. Rollouts deliver side by side, but a sink has little use for more.
const IDLE_CONNECTIONS: usize = 4;
/// Bytes of an answer that are read: enough to reach its end, so that the connection can be used again, when it is a sensible one.
const ANSWER_BYTES: usize = 16 * 1024;
/// Characters of an answer that are passed on: an error message, not a page.
const ANSWER_CHARS: usize = 200;

#[derive(Clone)]
pub struct SinkConfig {
    /// `http` or `https`; a user and password in it are sent as basic authentication.
    pub url: String,
    /// For one delivery, from the connection to the end of the answer.
    pub timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    // The URL itself is left out of messages: it may hold a token.
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

/// An event as plain values: headers and body go out as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdEventHttp {
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// What became of an event. `why` is for a person and holds no part of the sink's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Accepted,
    /// Not now: the sink is away, busy or in trouble; `after` is what it asks for.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    /// Never: the event is dropped, so that it does not hold up those after it.
    Refused {
        why: String,
    },
    /// The sink wants no more events at all.
    Gone,
}

pub struct Sink {
    client: Client,
    url: Url,
    timeout: Duration,
}

impl Sink {
    /// # Errors
    /// When the URL is none for the web, the timeout is zero, no TLS provider is installed, or (https only) the system has no
    /// certificates to trust.
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
        // reqwest would end the process.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SinkError::NoTlsProvider);
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            // A redirected event might end up where nobody wants it.
            .redirect(Policy::none())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIMEOUT);
        // Without https no certificates are needed, and an image without any must do.
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

/// The answers of the CloudEvents web hook, and of servers that do not know it.
async fn judge(response: Response) -> Delivery {
    let status = response.status();
    let after = retry_after(response.headers());
    let answer = beginning(response).await;
    let why = format!("HTTP {}{}{answer}", status.as_u16(), if answer.is_empty() { "" } else { ": " });
    match status {
        status if status.is_success() => Delivery::Accepted,
        StatusCode::GONE => Delivery::Gone,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Delivery::Retry { after, why },
        // A wrong token or path: a person can mend it, and the event is not to blame.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Delivery::Retry { after, why },
        status if status.is_client_error() => Delivery::Refused { why },
        // Redirects too: the sink has moved, which a person can repair and the event is not to blame for.
        _ => Delivery::Retry { after, why },
    }
}

/// Reads on for as long as the answer may still end, and keeps its beginning as one line. An answer that breaks off is as good.
async fn beginning(mut response: Response) -> String {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        answer.extend(chunk.iter().take(ANSWER_BYTES - answer.len()));
    }
    let line: String = String::from_utf8_lossy(&answer).chars().take(ANSWER_CHARS).collect();
    line.replace(char::is_control, " ").trim().to_owned()
}
