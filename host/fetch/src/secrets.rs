//! Secrets, and the placeholders that replace them in everything that a plugin can read.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use ring::rand::{SecureRandom, SystemRandom};
use serde::de::IgnoredAny;

use crate::mask::{MASK, Mask, json_escaped};

/// Letters, digits and dashes only, so that a placeholder is not escaped in URLs, forms and JSON.
const PREFIX: &str = "kulta-secret-";
/// Bytes of system randomness: 128 bits cannot be guessed.
const RANDOM: usize = 16;
const LENGTH: usize = PREFIX.len() + RANDOM * 2;
/// Characters that RFC 3986 never encodes.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random bytes for a secret's placeholder")]
pub struct NoRandomness;

/// The secrets of one analysis. A plugin gets placeholders. The values are inserted when a request is sent, and
/// redacted in every answer.
#[derive(Clone, Default)]
pub struct Secrets {
    entries: Vec<Entry>,
    mask: Mask,
}

#[derive(Clone)]
struct Entry {
    placeholder: String,
    value: String,
}

/// How a value is escaped at the place of its placeholder.
#[derive(Clone, Copy)]
pub(crate) enum Spelling {
    Plain,
    Percent,
    Json,
}

/// Prints only the number of secrets.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.entries.len())
    }
}

impl Secrets {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value and returns its placeholder: a fixed prefix and 32 random hexadecimal digits.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn add(&mut self, value: &str) -> Result<String, NoRandomness> {
        let mut random = [0; RANDOM];
        SystemRandom::new().fill(&mut random).map_err(|_| NoRandomness)?;
        let placeholder = format!("{PREFIX}{:032x}", u128::from_be_bytes(random));
        self.mask.add(value);
        self.entries.push(Entry { placeholder: placeholder.clone(), value: value.to_owned() });
        Ok(placeholder)
    }

    /// `text` with each secret value replaced by `***`: the plain value, percent-encoded, escaped for JSON or inside
    /// base64. Values of less than 4 bytes are not replaced: they occur everywhere by chance.
    #[must_use]
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.mask.text(text)
    }

    /// True if the text contains a placeholder.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.entries.iter().any(|entry| text.contains(&entry.placeholder))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn masking(&self) -> &Mask {
        &self.mask
    }

    /// As [`mask`](Self::mask), but also replaces placeholders, so that the text is the same for each run.
    pub(crate) fn hide(&self, text: &str) -> String {
        let hidden = self.entries.iter().fold(Cow::Borrowed(text), |text, entry| {
            if text.contains(&entry.placeholder) { text.replace(&entry.placeholder, MASK).into() } else { text }
        });
        self.mask(&hidden).into_owned()
    }

    pub(crate) fn fill(&self, text: &str) -> String {
        self.fill_as(text, Spelling::Plain)
    }

    /// Before the `?` values are inserted unescaped, because a secret may be (the beginning of) the URL itself; after
    /// it they are percent-encoded.
    pub(crate) fn fill_url(&self, url: &str) -> String {
        match url.split_once('?') {
            Some((head, query)) => format!("{}?{}", self.fill(head), self.fill_as(query, Spelling::Percent)),
            None => self.fill(url),
        }
    }

    /// A value is escaped as the body needs it: in a JSON body inside a string as JSON, in a form percent-encoded,
    /// otherwise not at all. `None` if there is no placeholder.
    pub(crate) fn fill_body(&self, body: &Bytes, is_form: bool) -> Option<Bytes> {
        let spelling = if is_form {
            Spelling::Percent
        } else if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            Spelling::Json
        } else {
            Spelling::Plain
        };
        self.replace(body, spelling).map(Bytes::from)
    }

    fn fill_as(&self, text: &str, spelling: Spelling) -> String {
        match self.replace(text.as_bytes(), spelling) {
            // Text in text is text.
            Some(filled) => String::from_utf8_lossy(&filled).into_owned(),
            None => text.to_owned(),
        }
    }

    /// One scan, so that a value that looks like a placeholder is not replaced. `None` if there is nothing to insert.
    fn replace(&self, text: &[u8], spelling: Spelling) -> Option<Vec<u8>> {
        if self.entries.is_empty() {
            return None;
        }
        let (mut filled, mut found, mut rest) = (Vec::new(), false, text);
        while let Some((first, after)) = rest.split_first() {
            let entry = rest
                .get(..LENGTH)
                .filter(|_| *first == b'k')
                .and_then(|here| self.entries.iter().find(|entry| entry.placeholder.as_bytes() == here));
            match entry {
                Some(entry) => {
                    found = true;
                    filled.extend(spelling.write(&entry.value).as_bytes());
                    rest = rest.get(LENGTH..).unwrap_or_default();
                }
                None => {
                    filled.push(*first);
                    rest = after;
                }
            }
        }
        found.then_some(filled)
    }
}

impl Spelling {
    fn write(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => value.into(),
            Self::Percent => percent_encode(value.as_bytes(), RESERVED).into(),
            Self::Json => json_escaped(value).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &str) -> (Secrets, String) {
        let mut secrets = Secrets::new();
        let placeholder = secrets.add(value).unwrap();
        (secrets, placeholder)
    }

    #[test]
    fn placeholders_are_long_random_and_need_no_escaping() {
        let mut secrets = Secrets::new();

        let (first, second) = (secrets.add("same").unwrap(), secrets.add("same").unwrap());

        assert_ne!(first, second);
        assert_eq!(first.len(), LENGTH);
        assert!(
            first.starts_with(PREFIX) && first.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')),
            "{first}"
        );
    }

    #[test]
    fn a_value_replaces_its_placeholder() {
        let (mut secrets, a) = one("A1");
        let b = secrets.add("B2").unwrap();

        assert_eq!(secrets.fill(&format!("k{a}{b}-{a}ku")), "kA1B2-A1ku");
    }

    #[test]
    fn a_placeholder_is_found_in_a_text() {
        let (secrets, placeholder) = one("s3cret");

        assert_eq!([secrets.is_in(&format!("Bearer {placeholder}")), secrets.is_in("Bearer s3cret")], [true, false]);
    }

    #[test]
    fn an_unknown_placeholder_is_not_replaced() {
        let (secrets, _) = one("A1");
        let guess = format!("{PREFIX}{:032x}", 7);

        assert_eq!(secrets.fill(&guess), guess);
    }

    #[test]
    fn a_value_that_is_another_placeholder_is_not_replaced() {
        let (mut secrets, a) = one("A1");
        let b = secrets.add(&a).unwrap();

        assert_eq!(secrets.fill(&b), a);
    }

    #[test]
    fn a_secret_can_be_the_url_and_is_encoded_in_a_query() {
        let (mut secrets, url) = one("https://hooks.example/T/1?key=a&b");
        let token = secrets.add("a+b&c d").unwrap();

        assert_eq!(secrets.fill_url(&url), "https://hooks.example/T/1?key=a&b");
        assert_eq!(secrets.fill_url(&format!("http://h/{token}?t={token}")), "http://h/a+b&c d?t=a%2Bb%26c%20d");
    }

    #[test]
    fn a_value_is_escaped_as_its_body_needs_it() {
        let (secrets, p) = one("a\"b&c");
        let fill = |body: String, is_form| secrets.fill_body(&Bytes::from(body), is_form).unwrap();

        assert_eq!(fill(format!("{{\"a\":\"{p}\"}}"), false), "{\"a\":\"a\\\"b&c\"}");
        assert_eq!(fill(format!("q={p}&r=1"), true), "q=a%22b%26c&r=1");
        assert_eq!(fill(format!("plain {p}"), false), "plain a\"b&c");
        assert_eq!(fill(p.clone(), false), "a\"b&c");
        assert_eq!(secrets.fill_body(&Bytes::from("none"), false), None);
    }

    #[test]
    fn hidden_text_contains_neither_values_nor_placeholders() {
        let (secrets, p) = one("hunter2");

        assert_eq!(secrets.hide(&format!("{p} hunter2")), "*** ***");
    }

    #[test]
    fn the_debug_output_of_secrets_is_their_number() {
        let (secrets, _) = one("hunter2");

        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
    }
}
