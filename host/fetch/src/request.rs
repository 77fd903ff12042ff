//! Requests and answers as plain values, as the WIT interface `fetch` has them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::rights::Rights;

/// Any string and the body may hold placeholders of [`Secrets`](crate::Secrets).
#[derive(Clone)]
pub struct Request {
    /// One of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS.
    pub method: String,
    /// `http` or `https`. A user and password in it are sent as basic authentication, unless `auth` says otherwise.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub auth: Auth,
    /// For all of it: waiting for a turn, tokens, redirects, the answer's end. Zero means the setting's.
    pub timeout: Duration,
    pub skip_tls_verify: bool,
    /// For a plugin with rights of its own; none: all that the settings allow.
    pub rights: Option<Arc<Rights>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    None,
    Basic(Basic),
    OAuth2(OAuth2),
    /// Signed for Amazon Managed Prometheus in this region, with the controller's own credentials.
    SigV4(String),
}

#[derive(Clone, PartialEq, Eq)]
pub struct Basic {
    pub username: String,
    pub password: String,
}

/// The client credentials grant.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2 {
    pub token_url: String,
    pub client_id: String,
    pub client_secret: String,
    pub scopes: Vec<String>,
    /// Sent to the token endpoint besides those of the grant itself.
    pub parameters: Vec<(String, String)>,
}

/// The last answer after all redirects, whatever its status. Secrets in it are masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Why there is no answer. The texts are for a person; secrets in them are masked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The settings forbid it; asking again cannot help.
    #[error("denied: {0}")]
    Denied(String),
    #[error("the time for the request is over")]
    Timeout,
    /// Holds the limit in bytes; how much there would have been is not known.
    #[error("the answer's body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("{0}")]
    Failed(String),
}

/// Bytes of a failure's text; a URL in it may be as long as a server likes to make it. The WIT's limit for a message.
const TEXT_BYTES: usize = 1024;

impl Failure {
    pub(crate) fn shortened(self) -> Self {
        match self {
            Self::Denied(why) => Self::Denied(beginning(why)),
            Self::Failed(why) => Self::Failed(beginning(why)),
            failure @ (Self::Timeout | Self::TooLarge(_)) => failure,
        }
    }
}

fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES));
    text
}

/// Header values and the body stay out of logs: they may hold what the user wrote there in plain text.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("headers", &headers)
            .field("body", &self.body.len())
            .field("auth", &self.auth)
            .field("timeout", &self.timeout)
            .field("skip_tls_verify", &self.skip_tls_verify)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic").finish_non_exhaustive()
    }
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth2")
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Without the body, which may be megabytes.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_request_holds_nothing_secret() {
        const SECRET: &str = "hunter2";
        let auths = [
            Auth::Basic(Basic { username: "u".into(), password: SECRET.into() }),
            Auth::OAuth2(OAuth2 {
                token_url: format!("https://id.example/?key={SECRET}"),
                client_id: "kulta".into(),
                client_secret: SECRET.into(),
                scopes: vec![],
                parameters: vec![("assertion".into(), SECRET.into())],
            }),
        ];

        for auth in auths {
            let request = Request {
                method: "POST".into(),
                url: format!("https://u:{SECRET}@metrics.example/?token={SECRET}"),
                headers: vec![("x-api-key".into(), SECRET.into())],
                body: SECRET.into(),
                auth,
                timeout: Duration::ZERO,
                skip_tls_verify: false,
                rights: None,
            };

            let logged = format!("{request:?}");

            assert!(logged.contains("x-api-key") && !logged.contains(SECRET), "{logged}");
        }
    }
}
