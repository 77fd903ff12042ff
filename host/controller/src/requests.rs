//! Requests to the API server: one at a time, each with an end, none repeated behind the caller's back.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Uri};
use kube::Client;
use kube::client::{Body, ClientBuilder};
use serde::de::DeserializeOwned;
use tower::{Layer, Service};

use crate::kinds::Kind;
use crate::metrics::{Metrics, Request};

/// The API server gives up on a request of its own accord after a minute; nothing that this controller asks for takes a second.
const LONGEST_REQUEST: Duration = Duration::from_secs(15);
const USER_AGENT: &str = concat!("kulta/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("{message} (HTTP {code})")]
    Refused { code: u16, reason: String, message: String },
    #[error("no answer within {LONGEST_REQUEST:?}")]
    TimedOut,
    #[error("write the request")]
    Build(#[from] kube::core::request::Error),
    #[error("write the body")]
    Body(#[from] serde_json::Error),
    #[error("reach the API server")]
    Send(#[source] kube::Error),
}

impl RequestError {
    /// The HTTP status; 0 when there was no answer.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            Self::TimedOut | Self::Build(_) | Self::Body(_) | Self::Send(_) => 0,
        }
    }

    /// A create found the name taken.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        matches!(self, Self::Refused { code: 409, reason, .. } if reason == "AlreadyExists")
    }
}

impl From<kube::Error> for RequestError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                Self::Refused { code: status.code, reason: status.reason.clone(), message: status.message }
            }
            kube::Error::BuildRequest(error) => Self::Build(error),
            error => Self::Send(error),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("set up the connection to the API server")]
    SetUp(#[source] kube::Error),
}

/// A client without hidden retries (a repeated write must be a decision), without rate limits (the API server's fairness does that
/// job), that counts what it sends.
///
/// # Errors
/// When certificates or credentials in the configuration cannot be used.
pub fn client(mut config: kube::Config, metrics: Arc<Metrics>) -> Result<Client, ClientError> {
    config.default_retry = false;
    config.headers.retain(|(name, _)| name != http::header::USER_AGENT);
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
    let builder = ClientBuilder::try_from(config).map_err(ClientError::SetUp)?;
    Ok(builder.with_layer(&CountLayer(metrics)).build())
}

/// Sends a request and reads the answer.
///
/// # Errors
/// When the API server refuses, cannot be reached, or does not answer in time; the write may have been done in the last two cases.
pub async fn send<T: DeserializeOwned>(client: &Client, request: http::Request<Vec<u8>>) -> Result<T, RequestError> {
    let answer = tokio::time::timeout(LONGEST_REQUEST, client.request(request)).await;
    Ok(answer.map_err(|_| RequestError::TimedOut)??)
}

struct CountLayer(Arc<Metrics>);

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count { inner, metrics: self.0.clone() }
    }
}

struct Count<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, B> Service<http::Request<Body>> for Count<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (verb, kind) = classify(request.method(), request.uri());
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let status_code = answer.as_ref().map_or(0, |response| response.status().as_u16());
            metrics.request(&Request { verb: verb.into(), kind: kind.into(), status_code });
            answer
        })
    }
}

/// Verb and kind, as client-go's metrics name them.
fn classify(method: &Method, uri: &Uri) -> (&'static str, &'static str) {
    let mut segments = uri.path().split('/').filter(|segment| !segment.is_empty());
    // /api/v1 or /apis/<group>/<version>
    let skipped = if segments.next() == Some("apis") { 2 } else { 1 };
    let mut segments = segments.skip(skipped).peekable();
    if segments.peek() == Some(&"namespaces") {
        segments.next();
        segments.next();
    }
    let plural = segments.next().unwrap_or_default();
    let named = segments.next().is_some();
    let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == plural).map_or("Other", Kind::as_str);
    let watches = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    let verb = match (method.as_str(), named) {
        ("GET", true) => "Get",
        ("GET", false) if watches => "Watch",
        ("GET", false) => "List",
        ("POST", _) => "Create",
        ("PATCH", _) => "Patch",
        ("PUT", _) => "Update",
        ("DELETE", _) => "Delete",
        _ => "Other",
    };
    (verb, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_verb_and_kind() {
        for (method, uri, expected) in [
            (Method::GET, "/apis/argoproj.io/v1alpha1/rollouts?&limit=500", ("List", "Rollout")),
            (Method::GET, "/api/v1/namespaces/ns/services?&watch=true&timeoutSeconds=290", ("Watch", "Service")),
            (Method::PATCH, "/apis/argoproj.io/v1alpha1/namespaces/ns/rollouts/a/status?", ("Patch", "Rollout")),
            (Method::POST, "/api/v1/namespaces/ns/pods/p/eviction?", ("Create", "Pod")),
            (Method::GET, "/version", ("List", "Other")),
        ] {
            assert_eq!(classify(&method, &uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
