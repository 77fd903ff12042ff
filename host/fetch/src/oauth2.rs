//! Tokens by the client credentials grant of RFC 6749.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::{Serializer, byte_serialize};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::call::{FORM, remove_user, shown};
use crate::in_flight::Fetched;
use crate::network::{Network, Outgoing, basic_header};
use crate::request::{Failure, OAuth2, Response};
use crate::rights::Rights;

/// For a token without a lifetime; a 401 ends it sooner.
const LIFE: Duration = Duration::from_mins(5);
/// Longest lifetime of a token, which also prevents overflow in sums of times.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// Characters of an error that are kept: a message, not a page.
const ERROR_CHARS: usize = 200;

/// How the client authenticates. Servers must support the first and many support only the second, so both are tried, as
/// Go's library does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Header,
    Body,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: Option<String>,
    /// Seconds; a number, but a string from some servers.
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

pub(crate) async fn token(
    network: &Network,
    grant: &OAuth2,
    skip_tls_verify: bool,
    rights: Option<&Arc<Rights>>,
) -> Fetched<String> {
    let mut url = Url::parse(&grant.token_url)
        .map_err(|error| Failure::Failed(format!("the token URL cannot be used: {error}")))?;
    remove_user(&mut url);
    let answer = match ask(network, grant, &url, Style::Header, skip_tls_verify, rights).await? {
        refused if (400..500).contains(&refused.status) => {
            ask(network, grant, &url, Style::Body, skip_tls_verify, rights).await?
        }
        answer => answer,
    };
    read(&answer).map_err(|why| Failure::Failed(format!("no token from {}: {why}", shown(&url))))
}

async fn ask(
    network: &Network,
    grant: &OAuth2,
    url: &Url,
    style: Style,
    skip_tls_verify: bool,
    rights: Option<&Arc<Rights>>,
) -> Result<Response, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    if style == Style::Header {
        let [id, secret] = [&grant.client_id, &grant.client_secret].map(|it| byte_serialize(it.as_bytes()).collect());
        let (id, secret): (String, String) = (id, secret);
        headers.insert(AUTHORIZATION, basic_header(&id, &secret)?);
    }
    let body = Bytes::from(form(grant, style));
    let outgoing =
        Outgoing { method: Method::POST, url: url.clone(), headers, body, skip_tls_verify, rights: rights.cloned() };
    network.ask(outgoing).await?.read().await
}

fn form(grant: &OAuth2, style: Style) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !grant.scopes.is_empty() {
        form.append_pair("scope", &grant.scopes.join(" "));
    }
    if style == Style::Body {
        form.append_pair("client_id", &grant.client_id).append_pair("client_secret", &grant.client_secret);
    }
    form.extend_pairs(&grant.parameters);
    form.finish()
}

fn read(answer: &Response) -> Result<(String, Duration), String> {
    if !(200..300).contains(&answer.status) {
        let why = serde_json::from_slice::<Refused>(&answer.body).map_or_else(
            |_| String::new(),
            |refused| format!(": {} {}", refused.error, refused.error_description.unwrap_or_default()),
        );
        let why: String = why.trim_end().chars().filter(|c| !c.is_control()).take(ERROR_CHARS).collect();
        return Err(format!("HTTP {}{why}", answer.status));
    }
    // serde's message may quote the token.
    let granted: Granted = serde_json::from_slice(&answer.body)
        .map_err(|_| "the answer is not a JSON object with an access_token".to_owned())?;
    match granted.token_type {
        Some(kind) if !kind.eq_ignore_ascii_case("bearer") => Err("its type is not Bearer".to_owned()),
        _ => Ok((granted.access_token, granted.expires_in.and_then(seconds).unwrap_or(LIFE).min(LONGEST_LIFE))),
    }
}

fn seconds(value: Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    // Not a number, negative, or too large for a duration.
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<(String, Duration), String> {
        read(&Response { status, headers: vec![], body: Bytes::from_static(body.as_bytes()) })
    }

    #[test]
    fn a_token_lasts_for_its_lifetime_of_at_most_a_day() {
        let cases = [
            (r#"{"access_token":"t","token_type":"bearer","expires_in":60}"#, Duration::from_mins(1)),
            (r#"{"access_token":"t","expires_in":"60"}"#, Duration::from_mins(1)),
            (r#"{"access_token":"t","expires_in":1e300}"#, LIFE),
            (r#"{"access_token":"t","expires_in":-5}"#, LIFE),
            (r#"{"access_token":"t","expires_in":9999999999}"#, LONGEST_LIFE),
            (r#"{"access_token":"t"}"#, LIFE),
        ];

        for (body, life) in cases {
            assert_eq!(answer(200, body), Ok(("t".into(), life)), "{body}");
        }
    }

    #[test]
    fn an_invalid_token_response_is_rejected_with_the_reason() {
        let cases = [
            (200, "<html>", "not a JSON object"),
            (200, "{}", "not a JSON object"),
            (200, r#"{"access_token":"t","token_type":"mac"}"#, "not Bearer"),
            (302, "", "HTTP 302"),
            (401, r#"{"error":"invalid_client","error_description":"who?"}"#, "HTTP 401: invalid_client who?"),
            (503, "down", "HTTP 503"),
        ];

        for (status, body, expected) in cases {
            let error = answer(status, body).unwrap_err();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }
}
