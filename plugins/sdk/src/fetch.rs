//! Requests as data: a plugin returns them, the host makes them and calls again with the answers, in the same order.
//!
//! Any text of a request may contain the host's placeholders for secrets. Pass them on unchanged; the host replaces
//! them when it sends the request.

use crate::{Error, Label};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

pub use crate::bindings::analyzer::kulta::plugin::fetch::{Answer, Auth, Basic, Failure, Oauth2, Request, Response};

/// Per answer of a plugin; the host rejects more.
pub const MAX_REQUESTS: usize = 16;
/// Per request; the host rejects more.
pub const MAX_BODY_BYTES: usize = 64 << 10;
/// Bytes of an answer that are quoted in an error.
const EXCERPT_BYTES: usize = 120;

const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const TOO_MANY_REQUESTS: u16 = 429;
const RETRY_AFTER: &str = "Retry-After";

impl Request {
    /// A request without headers, body or authentication, under the host's own time limit.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            auth: Auth::None,
            timeout: 0,
            skip_tls_verify: false,
            options: Vec::new(),
        }
    }

    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Sets a header; one of the same name (in any case) is replaced.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|header| !header.key.eq_ignore_ascii_case(name));
        self.headers.push(Label { key: name.into(), value: value.into() });
        self
    }

    /// Adds a query parameter to the URL, percent-encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        self.url.push_str(&form(&[(name, value)]));
        self
    }

    /// Sends these fields as an HTML form would.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut request = self.header("Content-Type", "application/x-www-form-urlencoded");
        request.body = form(fields).into_bytes();
        request
    }

    /// Sends the value as JSON.
    pub fn json(self, value: &impl Serialize) -> Result<Self, Error> {
        let mut request = self.header("Content-Type", "application/json");
        request.body =
            serde_json::to_vec(value).map_err(|error| Error::Internal(format!("write the request's body: {error}")))?;
        Ok(request)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// In milliseconds; 0 is the host's own limit.
    pub fn timeout(mut self, millis: u64) -> Self {
        self.timeout = millis;
        self
    }

    pub fn skip_tls_verify(mut self, skip: bool) -> Self {
        self.skip_tls_verify = skip;
        self
    }
}

impl Response {
    /// An answer without headers; for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The response, if its status is 200 to 299. Otherwise the error names the status and quotes the beginning of the body; for 401 and
    /// 403 it names the credentials to check, for 429 when to ask again.
    pub fn successful(&self, credentials: &str) -> Result<&Self, Error> {
        let excerpt = self.excerpt();
        Err(Error::Unavailable(match self.status {
            200..300 => return Ok(self),
            status @ (UNAUTHORIZED | FORBIDDEN) => {
                format!("received authentication error response code: {status}: check {credentials}: {excerpt}")
            }
            TOO_MANY_REQUESTS => {
                let after = self
                    .header(RETRY_AFTER)
                    .map(|after| format!(", {RETRY_AFTER}: {}", crate::text::shortened(after, EXCERPT_BYTES)));
                format!(
                    "received response code: {TOO_MANY_REQUESTS}, too many requests{}: {excerpt}",
                    after.unwrap_or_default()
                )
            }
            status => format!("received non 2xx response code: {status}: {excerpt}"),
        }))
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.key.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// The body as text; invalid UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Reads the body as JSON. The error is `unavailable` and quotes the beginning of what came instead.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // serde quotes the unexpected text, of any length.
            let error = crate::text::shortened(&error.to_string(), EXCERPT_BYTES);
            Error::Unavailable(format!("the answer is not the JSON that was expected: {error}: {}", self.excerpt()))
        })
    }

    /// The beginning of the body on one line, for error messages.
    pub fn excerpt(&self) -> String {
        let start: String = self.text().split_whitespace().collect::<Vec<_>>().join(" ");
        match start.is_empty() {
            true => "an empty body".into(),
            false => crate::text::shortened(&start, EXCERPT_BYTES),
        }
    }
}

/// Converts a failure of the host's request to an error of the measurement.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(match failure {
            Failure::Denied(reason) => format!("the request is not allowed: {reason}"),
            Failure::Timeout => "the request timed out".into(),
            Failure::TooLarge(limit) => format!("the answer is larger than the limit of {limit} bytes"),
            Failure::Failed(reason) => format!("the request failed: {reason}"),
        })
    }
}

/// Joins an address and a path with exactly one slash; a query of the address is moved behind the path.
pub fn join(address: &str, path: &str) -> String {
    let (base, query) = match address.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (address, None),
    };
    let mut url = format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'));
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

/// The prefix of the host's placeholders for secrets.
const PLACEHOLDER: &str = "kulta-secret-";

/// True if the text begins like an absolute http or https URL with a host. A text with a placeholder may be any URL:
/// the host validates it when it sends the request.
pub fn is_http_url(text: &str) -> bool {
    if text.contains(PLACEHOLDER) {
        return true;
    }
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) && !host.is_empty()
}

/// `name=value&…`, percent-encoded as `application/x-www-form-urlencoded`.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    pairs.join("&")
}

fn percent(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().map_or('0', char::from);
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_parameter_is_percent_encoded_and_appended() {
        let request = Request::get("http://prometheus/api").query("query", "a{b=\"ü\"} > 1&2").query("t", "1.5");
        assert_eq!(request.url, "http://prometheus/api?query=a%7Bb%3D%22%C3%BC%22%7D%20%3E%201%262&t=1.5");
    }

    #[test]
    fn a_form_is_sent_with_its_content_type() {
        let request = Request::post("http://a").form(&[("query", "sum(x)"), ("time", "1")]);
        assert_eq!(request.body, b"query=sum%28x%29&time=1");
        assert_eq!(request.headers[0].value, "application/x-www-form-urlencoded");
    }

    #[test]
    fn a_header_replaces_one_of_the_same_name() {
        let request = Request::get("http://a").header("X-Scope", "1").header("x-scope", "2");
        assert_eq!(request.headers, [Label { key: "x-scope".into(), value: "2".into() }]);
    }

    #[test]
    fn addresses_and_paths_are_joined_by_one_slash() {
        for (address, url) in [
            ("http://a", "http://a/api/v1"),
            ("http://a/", "http://a/api/v1"),
            ("http://a/prom//", "http://a/prom/api/v1"),
            ("http://a/prom?tenant=1", "http://a/prom/api/v1?tenant=1"),
        ] {
            assert_eq!(join(address, "/api/v1"), url);
        }
    }

    #[test]
    fn only_absolute_http_urls_are_urls() {
        for url in ["http://a", "HTTPS://a:9090/b", "http://{{x}}/y", "http://a?b"] {
            assert!(is_http_url(url), "{url}");
        }
        for secret in ["kulta-secret-0a1b", "kulta-secret-0a1b/health", "kulta-secret-0a1b://a"] {
            assert!(is_http_url(secret), "{secret} is for the host to judge");
        }
        for other in ["", "a:9090", "ftp://a", "http://", "http:///x", "/x", "http:a"] {
            assert!(!is_http_url(other), "{other}");
        }
    }

    #[test]
    fn an_answer_that_is_not_json_is_quoted() {
        let page = Response::new(200, "<html>\n  <body>gateway</body>");
        match page.json::<u32>() {
            Err(Error::Unavailable(message)) => assert!(message.ends_with("<html> <body>gateway</body>"), "{message}"),
            other => panic!("expected unavailable, got {other:?}"),
        }
    }

    #[test]
    fn a_long_unexpected_text_is_quoted_up_to_the_limit() {
        let long = Response::new(200, format!("\"{}\"", "x".repeat(1 << 20)));
        match long.json::<u32>() {
            Err(Error::Unavailable(message)) => assert!(message.len() < 4 * EXCERPT_BYTES, "{}", message.len()),
            other => panic!("expected unavailable, got {other:?}"),
        }
    }

    #[test]
    fn an_unsuccessful_status_is_an_error_that_says_what_to_do() {
        let wait = Label { key: "retry-after".into(), value: "30".into() };
        let limited = Response { headers: vec![wait], ..Response::new(429, "slow down") };
        for (response, message) in [
            (Response::new(401, "who?"), "received authentication error response code: 401: check the token: who?"),
            (
                Response::new(403, ""),
                "received authentication error response code: 403: check the token: an empty body",
            ),
            (limited, "received response code: 429, too many requests, Retry-After: 30: slow down"),
            (Response::new(429, "x"), "received response code: 429, too many requests: x"),
            (Response::new(503, "<html>"), "received non 2xx response code: 503: <html>"),
        ] {
            assert_eq!(response.successful("the token"), Err(Error::Unavailable(message.into())));
        }
        let ok = Response::new(204, "");
        assert_eq!(ok.successful("the token"), Ok(&ok));
    }

    #[test]
    fn a_failure_is_unavailable_with_the_reason() {
        for (failure, text) in [
            (Failure::Timeout, "the request timed out"),
            (Failure::TooLarge(9), "the answer is larger than the limit of 9 bytes"),
            (Failure::Denied("10.0.0.1".into()), "the request is not allowed: 10.0.0.1"),
            (Failure::Failed("no route".into()), "the request failed: no route"),
        ] {
            assert_eq!(Error::from(failure), Error::Unavailable(text.into()));
        }
    }
}
