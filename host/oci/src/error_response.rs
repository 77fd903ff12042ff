//! Errors from a registry's unsuccessful answers.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::error::Error;
use crate::transport;

/// Registries write some hundred bytes; a proxy in front of them may send a whole page.
const LONGEST_TEXT: u64 = 64 * 1024;
/// Characters of the text that are shown.
const LONGEST_SAID: usize = 300;

#[derive(Deserialize)]
struct Answer {
    errors: Vec<Said>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    code: String,
    message: String,
}

/// As long as the registry asks for, without a limit.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    kulta_api::retry_after::parse(text(RETRY_AFTER)?, text(DATE), Timestamp::now())
}

/// The error for an unsuccessful answer. `known`: credentials were sent.
pub(crate) async fn error_response(mut response: Response, known: bool, what: &str) -> Error {
    let (status, retry_after) = (response.status(), wait(response.headers()));
    // If the error's text cannot be read, the status is still reported.
    let text = transport::read(&mut response, LONGEST_TEXT, what).await.ok().flatten().unwrap_or_default();
    let (what, said) = (what.to_owned(), said(status, &text));
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Error::Gone { what, said },
        StatusCode::UNAUTHORIZED if known => Error::Unauthorized { what, said },
        StatusCode::UNAUTHORIZED => Error::NoCredentials { what, said },
        StatusCode::FORBIDDEN => Error::Forbidden { what, said },
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { what, said, retry_after },
        StatusCode::REQUEST_TIMEOUT => Error::Unavailable { what, reason: said, retry_after },
        status if status.is_server_error() => Error::Unavailable { what, reason: said, retry_after },
        _ => Error::Malformed { what, reason: format!("the answer was {said}") },
    }
}

/// The status and the registry's message: in the form of the distribution specification, else the text unchanged. A
/// page of HTML is a proxy's, and is left out.
fn said(status: StatusCode, text: &[u8]) -> String {
    let errors = serde_json::from_slice(text).map(|answer: Answer| answer.errors).unwrap_or_default();
    let mut said = status.to_string();
    for Said { code, message } in &errors {
        let words: Vec<&str> =
            [code, message].into_iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
        said.push_str(&format!(", {}", words.join(" ")));
    }
    let text = String::from_utf8_lossy(text);
    if errors.is_empty() && !text.trim().is_empty() && !text.trim_start().starts_with('<') {
        said.push_str(&format!(": {}", text.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    said.chars().filter(|c| !c.is_control()).take(LONGEST_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_message_is_short_and_without_control_characters() {
        let long = format!(r#"{{"errors": [{{"code": "DENIED", "message": "{}"}}]}}"#, "x".repeat(1000));
        let cases = [
            (
                r#"{"errors": [{"code": "DENIED", "message": "no\n\u001b[31mway", "detail": {}}]}"#,
                "403 Forbidden, DENIED no[31mway",
            ),
            (r#"{"errors": [{"code": "A"}, {"message": "b", "code": ""}]}"#, "403 Forbidden, A, b"),
            ("the disk\nis full\n", "403 Forbidden: the disk is full"),
            (r#"{"message": "no"}"#, r#"403 Forbidden: {"message": "no"}"#),
            ("<html>", "403 Forbidden"),
            ("", "403 Forbidden"),
        ];

        for (text, expected) in cases {
            assert_eq!(said(StatusCode::FORBIDDEN, text.as_bytes()), expected);
        }
        assert_eq!(said(StatusCode::FORBIDDEN, long.as_bytes()).chars().count(), LONGEST_SAID);
    }
}
