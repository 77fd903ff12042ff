//! Requests and answers as plain values, as in the WIT interface `fetch`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::rights::Rights;

/// Every string and the body may contain placeholders of [`Secrets`](crate::Secrets).
#[derive(Clone)]
pub struct Request {
    /// One of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS.
    pub method: String,
    /// `http` or `https`. A user and password in it are sent as basic authentication, unless `auth` says otherwise.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub auth: Auth,
    /// For the whole request: the network permit, tokens, redirects, the complete answer. Zero selects the setting's
    /// default.
    pub timeout: Duration,
    pub skip_tls_verify: bool,
    /// Permissions of a plugin; `None` allows everything that the settings allow.
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
    /// Parameters for the token endpoint in addition to those of the grant.
    pub parameters: Vec<(String, String)>,
}

/// The last answer after all redirects, whatever its status. Secrets in it are redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Why there is no answer. The texts are for users; secrets in them are redacted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The settings forbid it; a retry cannot help.
    #[error("denied: {0}")]
    Denied(String),
    #[error("the time for the request is over")]
    Timeout,
    /// Contains the limit in bytes; the real size is unknown.
    #[error("the answer's body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("{0}")]
    Failed(String),
}

/// Bytes of a failure's text, which is the WIT's limit for a message; a server may send a URL of any length.
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

/// Header values and the body are not logged: a user may have written secrets there in plain text.
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
    fn the_debug_output_of_a_request_contains_no_secret() {
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
