//! AWS Signature Version 4 in the `Authorization` header.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};
use ring::hmac;

use super::Credentials;
use crate::network::{Outgoing, secret_header};
use crate::request::Failure;

/// Amazon Managed Prometheus.
const SERVICE: &str = "aps";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The path is encoded a second time, which every service but S3 expects.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Signs host, date and token, the required headers, and writes the query in the form that was signed.
pub(crate) fn sign(
    outgoing: &mut Outgoing,
    credentials: &Credentials,
    region: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    let query = canonical_query(&outgoing.url);
    outgoing.url.set_query((!query.is_empty()).then_some(&query));
    let mut signed = vec![(HOST, host(&outgoing.url)), (DATE, time.clone())];
    if let Some(token) = &credentials.session_token {
        signed.push((TOKEN, token.clone()));
        outgoing.headers.insert(TOKEN, secret_header(token)?);
    }
    let scope = Scope { time: &time, region, service: SERVICE };
    let canonical = Canonical {
        method: outgoing.method.as_str(),
        path: outgoing.url.path(),
        query: &query,
        headers: &signed,
        body: &outgoing.body,
    };
    let authorization = scope.authorization(credentials, &canonical);
    let date = HeaderValue::try_from(time).map_err(|error| Failure::Failed(error.to_string()))?;
    outgoing.headers.insert(DATE, date);
    outgoing.headers.insert(AUTHORIZATION, secret_header(&authorization)?);
    Ok(())
}

/// As the client sends it.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn canonical_query(url: &Url) -> String {
    let encode = |text: &str| percent_encode(text.as_bytes(), QUERY).to_string();
    let mut pairs: Vec<_> = url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

struct Canonical<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    /// Sorted by name.
    headers: &'a [(HeaderName, String)],
    body: &'a [u8],
}

struct Scope<'a> {
    /// As in `20150830T123600Z`.
    time: &'a str,
    region: &'a str,
    service: &'a str,
}

impl Canonical<'_> {
    fn signed_headers(&self) -> String {
        self.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
    }

    fn text(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let path = percent_encode(self.path.as_bytes(), PATH);
        let (signed, body) = (self.signed_headers(), sha256(self.body));
        format!("{}\n{path}\n{}\n{headers}\n{signed}\n{body}", self.method, self.query)
    }
}

impl Scope<'_> {
    fn authorization(&self, credentials: &Credentials, canonical: &Canonical<'_>) -> String {
        let date = self.time.split('T').next().unwrap_or_default();
        let scope = [date, self.region, self.service, TERMINATOR];
        let scope_text = scope.join("/");
        let text = format!("{ALGORITHM}\n{}\n{scope_text}\n{}", self.time, sha256(canonical.text().as_bytes()));
        let first = format!("AWS4{}", credentials.secret_access_key).into_bytes();
        let key = scope.iter().fold(first, |key, part| hmac_sha256(&key, part.as_bytes()));
        format!(
            "{ALGORITHM} Credential={}/{scope_text}, SignedHeaders={}, Signature={}",
            credentials.access_key_id,
            canonical.signed_headers(),
            hex(&hmac_sha256(&key, text.as_bytes()))
        )
    }
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn sha256(data: &[u8]) -> String {
    hex(digest(&SHA256, data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing into a string does not fail.
        let _written = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::Method;
    use reqwest::header::HeaderMap;

    use super::*;

    fn credentials(session_token: Option<&str>) -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: session_token.map(str::to_owned),
        }
    }

    /// From AWS' published signing test suite (awslabs/aws-c-auth, tests/aws-signing-test-suite/v4), with its names.
    #[test]
    fn signatures_equal_those_of_awss_own_test_suite() {
        const SESSION: &str = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        const UNRESERVED: &str = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let unreserved = format!("{UNRESERVED}={UNRESERVED}");
        // name, method, path, query, headers besides host and date, body, signature
        type Case<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [(&'static str, &'static str)], &'a str, &'a str);
        let cases: [Case<'_>; 7] = [
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "/",
                "Param2=value2&Param1=value1",
                &[],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-query-unreserved",
                "GET",
                "/",
                &unreserved,
                &[],
                "",
                "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
            ),
            (
                "get-vanilla-query-order-encoded",
                "GET",
                "/",
                "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
                &[],
                "",
                "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
            ),
            (
                "get-utf8",
                "GET",
                "/\u{1234}",
                "",
                &[],
                "",
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "get-vanilla-with-session-token",
                "GET",
                "/",
                "",
                &[("x-amz-security-token", SESSION)],
                "",
                "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            ),
            (
                "post-vanilla-query",
                "POST",
                "/",
                "Param1=value1",
                &[],
                "",
                "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "/",
                "",
                &[
                    ("content-length", "13"),
                    ("content-type", "application/x-www-form-urlencoded"),
                    ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
                ],
                "Param1=value1",
                "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
            ),
        ];

        for (name, method, path, query, more, body, signature) in cases {
            let mut headers: Vec<_> = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]
                .iter()
                .chain(more)
                .map(|(name, value)| (HeaderName::from_static(name), (*value).to_owned()))
                .collect();
            headers.sort_unstable_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
            let url = Url::parse(&format!("https://example.amazonaws.com/?{query}")).unwrap();
            let query = canonical_query(&url);
            let canonical = Canonical { method, path, query: &query, headers: &headers, body: body.as_bytes() };
            let scope = Scope { time: "20150830T123600Z", region: "us-east-1", service: "service" };

            let authorization = scope.authorization(&credentials(None), &canonical);

            let start =
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host";
            let begins = authorization.starts_with(start) || more.iter().any(|(name, _)| *name < "host");
            assert!(begins && authorization.ends_with(&format!("Signature={signature}")), "{name}: {authorization}");
        }
    }

    #[test]
    fn a_signed_request_has_its_date_its_token_and_the_query_that_was_signed() {
        let mut outgoing = Outgoing {
            method: Method::GET,
            url: "https://aps.example:8443/api/v1/query?time=1&query=sum(a)+%3E+1".parse().unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            skip_tls_verify: false,
            rights: None,
        };

        sign(&mut outgoing, &credentials(Some("session")), "eu-west-1", "2015-08-30T12:36:00Z".parse().unwrap())
            .unwrap();

        assert_eq!(outgoing.url.query(), Some("query=sum%28a%29%20%3E%201&time=1"));
        let header = |name: &str| outgoing.headers.get(name).unwrap().to_str().unwrap();
        assert_eq!((header("x-amz-date"), header("x-amz-security-token")), ("20150830T123600Z", "session"));
        let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/aps/aws4_request, \
                     SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=";
        assert!(header("authorization").starts_with(start), "{}", header("authorization"));
    }
}
