//! A request with its secrets inserted, validated as far as possible without the network. Never shown or logged.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, Url};

use crate::http::header_map;
use crate::in_flight::{Key, KeyParts};
use crate::request::{Auth, Basic, Failure, OAuth2, Request};
use crate::rights::Rights;
use crate::secrets::Secrets;

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
/// Only the controller sets the headers for framing and host: another host name would bypass the URL prefixes.
const OWN_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) struct Call {
    pub method: Method,
    /// Without user and password.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// True if a secret is in the body.
    pub secret_body: bool,
    pub auth: Auth,
    pub skip_tls_verify: bool,
    pub rights: Option<Arc<Rights>>,
}

impl Call {
    pub fn fill(request: &Request, secrets: &Secrets) -> Result<Self, Failure> {
        let method = METHODS
            .into_iter()
            .find(|method| method.as_str() == request.method)
            .ok_or_else(|| Failure::Denied(format!("the method {:?} is not served", request.method)))?;
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.clone(), secrets.fill(value))).collect();
        let headers = header_map(&headers).map_err(|name| {
            Failure::Failed(format!("header {name:?} cannot be sent: HTTP has no such name or value"))
        })?;
        if let Some(own) = OWN_HEADERS.iter().find(|own| headers.contains_key(*own)) {
            return Err(Failure::Denied(format!("header {:?} is set by the controller only", own.as_str())));
        }
        // Not repeated in the message: it may contain a password.
        let mut url = Url::parse(&secrets.fill_url(&request.url))
            .map_err(|error| Failure::Failed(format!("the URL cannot be used: {error}")))?;
        let user = take_user(&mut url);
        let auth = match fill_auth(&request.auth, secrets) {
            Auth::None => user.map_or(Auth::None, Auth::Basic),
            auth => auth,
        };
        let filled = secrets.fill_body(&request.body, is_form(&headers));
        let secret_body = filled.is_some();
        let body = filled.unwrap_or_else(|| request.body.clone());
        let (skip_tls_verify, rights) = (request.skip_tls_verify, request.rights.clone());
        Ok(Self { method, url, headers, body, secret_body, auth, skip_tls_verify, rights })
    }

    /// Equal for requests that must get the same answer. `None` for a request that must be sent each time, because it
    /// may change something. A form by POST counts as a query, because Prometheus accepts long queries this way.
    pub fn key(&self) -> Option<Key> {
        let query = self.method == Method::POST && is_form(&self.headers);
        if !(query || matches!(self.method, Method::GET | Method::HEAD)) {
            return None;
        }
        let mut key = KeyParts::new();
        key.add(self.method.as_str()).add(self.url.as_str()).add(self.headers.len().to_be_bytes());
        for (name, value) in &self.headers {
            key.add(name.as_str()).add(value.as_bytes());
        }
        key.add(&self.body).add([u8::from(self.skip_tls_verify)]);
        match &self.auth {
            Auth::None => key.add("none"),
            Auth::Basic(basic) => key.add("basic").add(&basic.username).add(&basic.password),
            Auth::OAuth2(grant) => {
                key.add("oauth2").add(grant_key(grant, self.skip_tls_verify, self.rights.as_deref()))
            }
            Auth::SigV4(region) => key.add("sigv4").add(region),
        };
        if let Some(rights) = &self.rights {
            rights.add_to(&mut key);
        }
        Some(key.finish())
    }
}

/// Equal for grants that get the same token.
pub(crate) fn grant_key(grant: &OAuth2, skip_tls_verify: bool, rights: Option<&Rights>) -> Key {
    let mut key = KeyParts::new();
    key.add(&grant.token_url).add(&grant.client_id).add(&grant.client_secret).add([u8::from(skip_tls_verify)]);
    key.add(grant.scopes.join(" ")).add_pairs(&grant.parameters);
    if let Some(rights) = rights {
        rights.add_to(&mut key);
    }
    key.finish()
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

fn fill_auth(auth: &Auth, secrets: &Secrets) -> Auth {
    match auth {
        Auth::None => Auth::None,
        Auth::Basic(Basic { username, password }) => {
            Auth::Basic(Basic { username: secrets.fill(username), password: secrets.fill(password) })
        }
        Auth::OAuth2(grant) => Auth::OAuth2(OAuth2 {
            token_url: secrets.fill_url(&grant.token_url),
            client_id: secrets.fill(&grant.client_id),
            client_secret: secrets.fill(&grant.client_secret),
            scopes: grant.scopes.iter().map(|scope| secrets.fill(scope)).collect(),
            parameters: grant.parameters.iter().map(|(name, value)| (name.clone(), secrets.fill(value))).collect(),
        }),
        Auth::SigV4(region) => Auth::SigV4(secrets.fill(region)),
    }
}

/// Moves the user out of the URL, so that it is neither in a redirect nor in a message.
fn take_user(url: &mut Url) -> Option<Basic> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = Basic { username: decode(url.username()), password: decode(url.password().unwrap_or_default()) };
    remove_user(url);
    (!user.username.is_empty() || !user.password.is_empty()).then_some(user)
}

pub(crate) fn remove_user(url: &mut Url) {
    // These fail only for URLs that can have neither user nor password.
    let _none_to_remove = url.set_username("");
    let _none_to_remove = url.set_password(None);
}

/// A URL in the form that messages use.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request() -> Request {
        Request {
            method: "GET".into(),
            url: "http://metrics.example/".into(),
            headers: vec![],
            body: Bytes::new(),
            auth: Auth::None,
            timeout: Duration::ZERO,
            skip_tls_verify: false,
            rights: None,
        }
    }

    fn call(request: &Request) -> Result<Call, Failure> {
        Call::fill(request, &Secrets::new())
    }

    fn key(request: Request) -> Option<Key> {
        call(&request).unwrap().key()
    }

    #[test]
    fn requests_that_differ_only_in_their_timeout_are_equal() {
        let basic = |password: &str| Auth::Basic(Basic { username: "u".into(), password: password.into() });
        let form = vec![("Content-Type".into(), format!("{FORM}; charset=utf-8"))];
        let others = [
            Request { method: "HEAD".into(), ..request() },
            Request { url: "http://metrics.example/?query=up".into(), ..request() },
            Request { headers: vec![("x-scope-orgid".into(), "a".into())], ..request() },
            Request { headers: vec![("x-scope-orgid".into(), "b".into())], ..request() },
            Request { body: "a".into(), ..request() },
            Request { auth: basic("a"), ..request() },
            Request { auth: basic("b"), ..request() },
            Request { auth: Auth::SigV4("eu-west-1".into()), ..request() },
            Request { skip_tls_verify: true, ..request() },
            Request { method: "POST".into(), headers: form.clone(), body: "query=up".into(), ..request() },
            Request { method: "POST".into(), headers: form, body: "query=down".into(), ..request() },
            request(),
        ];
        let count = others.len();

        let keys: std::collections::BTreeSet<_> = others.into_iter().map(|other| key(other).unwrap()).collect();

        assert_eq!(keys.len(), count);
        assert_eq!(key(Request { timeout: Duration::from_secs(1), ..request() }), key(request()));
    }

    #[test]
    fn secrets_make_requests_equal_by_their_values() {
        let keys = ["one", "one", "two"].map(|value| {
            let mut secrets = Secrets::new();
            let headers = vec![("x-key".into(), secrets.add(value).unwrap())];
            Call::fill(&Request { headers, ..request() }, &secrets).unwrap().key()
        });

        assert_eq!((keys[0] == keys[1], keys[0] == keys[2]), (true, false));
    }

    #[test]
    fn a_request_that_may_change_something_is_sent_each_time() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(key(Request { method: method.into(), ..request() }), None, "{method}");
        }
    }

    #[test]
    fn a_user_in_the_url_becomes_basic_authentication() {
        let call = call(&Request { url: "http://me:p%40ss@metrics.example/".into(), ..request() }).unwrap();

        assert_eq!(call.auth, Auth::Basic(Basic { username: "me".into(), password: "p@ss".into() }));
        assert_eq!(call.url.as_str(), "http://metrics.example/");
    }

    #[test]
    fn a_plugin_cannot_set_framing_headers() {
        for name in ["Host", "content-length", "Transfer-Encoding", "connection", "Upgrade"] {
            let failure = call(&Request { headers: vec![(name.into(), "1".into())], ..request() }).err();

            assert!(matches!(failure, Some(Failure::Denied(_))), "{name}: {failure:?}");
        }
    }

    #[test]
    fn a_connect_or_unknown_method_is_denied() {
        for method in ["CONNECT", "TRACE", "get", "", "GET /"] {
            let failure = call(&Request { method: method.into(), ..request() }).err();

            assert!(matches!(failure, Some(Failure::Denied(_))), "{method}: {failure:?}");
        }
    }

    #[test]
    fn a_header_that_a_secret_makes_invalid_is_named_without_its_value() {
        let mut secrets = Secrets::new();
        let headers = vec![("x-key".into(), secrets.add("hunter2\r\nhost: evil").unwrap())];

        let failure = Call::fill(&Request { headers, ..request() }, &secrets).err().unwrap().to_string();

        assert!(failure.contains("x-key") && !failure.contains("hunter2"), "{failure}");
    }
}
