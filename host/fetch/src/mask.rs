//! Redacts secret values in foreign texts, in the spellings of HTTP, JSON and base64.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::request::{Failure, Response};

pub(crate) const MASK: &str = "***";
/// Bytes. A shorter value occurs everywhere by chance, and redacting digits of a metric's value would change a verdict.
const SHORTEST: usize = 4;

/// Replaces values by `***`.
#[derive(Clone)]
pub(crate) struct Mask {
    needles: Vec<Needle>,
    /// True for each byte that a needle can begin with: a fast filter for most of an answer.
    firsts: [bool; 256],
}

#[derive(Clone, PartialEq, Eq)]
enum Needle {
    /// Unescaped.
    Exact(Vec<u8>),
    /// Each byte plain or percent-encoded, a space also as `+`.
    Percent(Vec<u8>),
    /// As part of a JSON string, with any choice of escapes.
    Json(Vec<char>),
}

impl Default for Mask {
    fn default() -> Self {
        Self { needles: Vec::new(), firsts: [false; 256] }
    }
}

impl Mask {
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut mask = Self::default();
        values.into_iter().for_each(|value| mask.add(value));
        mask
    }

    /// Whitespace around the value (the line break at the end of a file) is ignored. The secret parts of a secret URL are
    /// redacted too, because servers and errors may name the path alone.
    pub fn add(&mut self, value: &str) {
        let value = value.trim();
        self.add_text(value);
        if let Ok(url) = Url::parse(value)
            && url.has_host()
        {
            let password = percent_decode_str(url.password().unwrap_or_default()).decode_utf8_lossy();
            self.add_text(&password);
            self.add_text(url.path().trim_matches('/'));
            url.query_pairs().for_each(|(_, value)| self.add_text(&value));
        }
    }

    fn add_text(&mut self, value: &str) {
        if value.len() < SHORTEST {
            return;
        }
        self.push(Needle::Exact(value.into()));
        // In the spelling of a host in a URL.
        self.push(Needle::Exact(value.to_ascii_lowercase().into()));
        self.push(Needle::Percent(value.into()));
        self.push(Needle::Json(value.chars().collect()));
        // JSON in a form, or as a string in other JSON.
        let escaped = json_escaped(value);
        self.push(Needle::Percent(escaped.as_str().into()));
        self.push(Needle::Json(escaped.chars().collect()));
        for form in base64_forms(value.as_bytes()) {
            self.push(Needle::Exact(form));
        }
    }

    fn push(&mut self, needle: Needle) {
        if self.needles.contains(&needle) {
            return;
        }
        let (first, escapes): (_, &[u8]) = match &needle {
            Needle::Exact(bytes) => (bytes.first().copied(), &[]),
            Needle::Percent(bytes) => (bytes.first().copied(), b"%+"),
            Needle::Json(chars) => (chars.first().and_then(|c| utf8(*c, &mut [0; 4]).first().copied()), b"\\"),
        };
        for byte in first.iter().chain(escapes) {
            if let Some(known) = self.firsts.get_mut(usize::from(*byte)) {
                *known = true;
            }
        }
        self.needles.push(needle);
    }

    /// `None` if there is nothing to replace.
    fn replace(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut replaced: Option<Vec<u8>> = None;
        let (mut copied, mut at) = (0, 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            match self.longest(rest) {
                Some(length) => {
                    let out = replaced.get_or_insert_with(|| Vec::with_capacity(text.len()));
                    out.extend(text.get(copied..at).unwrap_or_default());
                    out.extend(MASK.as_bytes());
                    at += length;
                    copied = at;
                }
                None => at += 1,
            }
        }
        if let Some(out) = &mut replaced {
            out.extend(text.get(copied..).unwrap_or_default());
        }
        replaced
    }

    /// The length of the longest needle that `text` begins with; never 0.
    fn longest(&self, text: &[u8]) -> Option<usize> {
        let first = usize::from(*text.first()?);
        if !*self.firsts.get(first)? {
            return None;
        }
        self.needles.iter().filter_map(|needle| needle.length_in(text)).max()
    }

    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.replace(text.as_bytes()) {
            Some(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    pub fn bytes(&self, bytes: &Bytes) -> Bytes {
        self.replace(bytes).map_or_else(|| bytes.clone(), Bytes::from)
    }

    /// Both parts of a result.
    pub fn outcome(&self, outcome: Result<Response, Failure>) -> Result<Response, Failure> {
        match outcome {
            Ok(response) => Ok(Response {
                status: response.status,
                headers: response
                    .headers
                    .into_iter()
                    .map(|(name, value)| (self.text(&name).into_owned(), self.text(&value).into_owned()))
                    .collect(),
                body: self.bytes(&response.body),
            }),
            Err(Failure::Denied(why)) => Err(Failure::Denied(self.text(&why).into_owned())),
            Err(Failure::Failed(why)) => Err(Failure::Failed(self.text(&why).into_owned())),
            Err(failure @ (Failure::Timeout | Failure::TooLarge(_))) => Err(failure),
        }
    }
}

impl Needle {
    /// Number of bytes of `text` that the needle matches at its beginning.
    fn length_in(&self, text: &[u8]) -> Option<usize> {
        let mut rest = text;
        match self {
            Self::Exact(bytes) => rest = rest.strip_prefix(bytes.as_slice())?,
            Self::Percent(bytes) => {
                for byte in bytes {
                    rest = after_percent(rest, *byte)?;
                }
            }
            Self::Json(chars) => {
                for c in chars {
                    rest = after_json(rest, *c)?;
                }
            }
        }
        Some(text.len() - rest.len())
    }
}

fn after_percent(text: &[u8], byte: u8) -> Option<&[u8]> {
    if let [b'%', high, low, rest @ ..] = text
        && hex(&[*high, *low]) == Some(u32::from(byte))
    {
        return Some(rest);
    }
    match text {
        [b'+', rest @ ..] if byte == b' ' => Some(rest),
        [first, rest @ ..] if *first == byte => Some(rest),
        _ => None,
    }
}

fn after_json(text: &[u8], c: char) -> Option<&[u8]> {
    let short = match c {
        '"' | '\\' | '/' => Some(c),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        _ => None,
    };
    if let [b'\\', escape, rest @ ..] = text {
        if short.is_some_and(|short| u32::from(short) == u32::from(*escape)) {
            return Some(rest);
        }
        let mut rest = text;
        for unit in c.encode_utf16(&mut [0; 2]) {
            let [b'\\', b'u', a, b, c, d, after @ ..] = rest else { return None };
            if hex(&[*a, *b, *c, *d]) != Some(u32::from(*unit)) {
                return None;
            }
            rest = after;
        }
        return Some(rest);
    }
    text.strip_prefix(utf8(c, &mut [0; 4]))
}

/// `value` as it is between the quotes of a JSON string.
pub(crate) fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted).to_owned()
}

fn utf8(c: char, buffer: &mut [u8; 4]) -> &[u8] {
    c.encode_utf8(buffer).as_bytes()
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

/// The spelling of a value inside a longer text that is base64-encoded as a whole, such as `user:password`: the
/// characters that encode bits of the value only, for each of the three alignments, in both alphabets.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let mut longer = vec![0; before];
        longer.extend(value);
        // From the first character that has no bits of the text before, to the last one that has none of the text
        // after.
        let (begin, end) = ((before * 8).div_ceil(6), longer.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&longer), URL_SAFE_NO_PAD.encode(&longer)] {
            forms.extend(encoded.get(begin..end).map(|form| form.as_bytes().to_vec()));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "p\u{e4}ss \"w/rd\\ ~&<+1";

    fn masked(text: &str) -> String {
        Mask::of([SECRET]).text(text).into_owned()
    }

    #[test]
    fn a_plain_value_is_redacted() {
        assert_eq!(masked(&format!("a{SECRET}b{SECRET}")), "a***b***");
    }

    #[test]
    fn a_percent_encoded_value_is_redacted() {
        let all: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let form: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let url = reqwest::Url::parse_with_params("http://h/", [("a", SECRET)]).unwrap();
        let lazy = reqwest::Url::parse(&format!("http://h/?{SECRET}")).unwrap();

        let answers = [all.as_str(), &form, url.query().unwrap(), lazy.query().unwrap()].map(masked);

        assert_eq!(answers, ["***", "***", "a=***", "***"]);
    }

    #[test]
    fn a_value_inside_json_is_redacted() {
        let usual = serde_json::json!({ "error": SECRET }).to_string();
        let ascii: String = SECRET.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let slashes = usual.replace('/', "\\/").replace('&', "\\u0026");

        let answers = [usual.as_str(), &ascii, &slashes].map(masked);

        assert_eq!(answers, ["{\"error\":\"***\"}", "***", "{\"error\":\"***\"}"]);
    }

    #[test]
    fn a_value_inside_nested_json_is_redacted() {
        let json = serde_json::json!({ "key": SECRET }).to_string();
        let echoed = serde_json::Value::from(json.as_str()).to_string();
        let form: String = form_urlencoded::byte_serialize(json.as_bytes()).collect();

        let answers = [echoed.as_str(), &form].map(masked);

        assert_eq!(answers, ["\"{\\\"key\\\":\\\"***\\\"}\"", "%7B%22key%22%3A%22***%22%7D"]);
    }

    #[test]
    fn a_value_beyond_the_basic_plane_is_redacted_inside_json() {
        let mask = Mask::of(["key\u{1f511}"]);

        assert_eq!(mask.text("\"key\\ud83d\\udd11!\""), "\"***!\"");
    }

    #[test]
    fn a_secret_with_a_trailing_line_break_is_redacted_without_it() {
        assert_eq!(Mask::of(["hunter2\n"]).text("Bearer hunter2"), "Bearer ***");
    }

    #[test]
    fn the_longer_of_two_values_is_redacted_completely() {
        assert_eq!(Mask::of(["abcd", "abcdef"]).text("abcdefg abcd"), "***g ***");
    }

    #[test]
    fn the_secret_parts_of_a_secret_url_are_redacted_individually() {
        let mask = Mask::of(["https://me:p%40ssword@Hooks.example/T00/B11?key=a%20key"]);
        let said = "GET https://hooks.example/T00/B11: no user me with p@ssword, key=a+key";

        assert_eq!(mask.text(said), "GET https://hooks.example/***: no user me with ***, key=***");
    }

    #[test]
    fn a_value_in_a_host_name_is_redacted() {
        assert_eq!(Mask::of(["Tenant-42"]).text("http://tenant-42.example/"), "http://***.example/");
    }

    #[test]
    fn values_that_are_too_short_are_not_redacted() {
        let mask = Mask::of(["", "1", "999"]);

        assert_eq!(mask.text("{\"value\":[1,\"999\"]}"), "{\"value\":[1,\"999\"]}");
    }

    #[test]
    fn a_binary_body_is_redacted_too() {
        let body = Bytes::from([b"\xff\xfe".as_slice(), b"hunter2", b"\xff"].concat());

        assert_eq!(Mask::of(["hunter2"]).bytes(&body), b"\xff\xfe***\xff".as_slice());
    }

    proptest! {
        #[test]
        fn no_base64_of_a_longer_text_shows_the_value(before in "[a-z]{0,5}", secret in "[!-~]{6,20}", after in "[a-z]{0,5}") {
            let whole = format!("{before}{secret}{after}");

            for encoded in [STANDARD.encode(&whole), URL_SAFE.encode(&whole)] {
                let masked = Mask::of([secret.as_str()]).text(&encoded).into_owned();

                let left = masked.replace("***", "").replace('=', "").len();
                // At most two characters on each side encode bits of both the value and the text around it.
                prop_assert!(left <= (before.len() + after.len()) * 8 / 6 + 4, "{encoded} {masked}");
            }
        }

        #[test]
        fn redacting_any_text_does_not_panic(text in ".*", secret in ".{0,12}") {
            let masked = Mask::of([secret.as_str()]).text(&text).into_owned();

            prop_assert!(secret.trim().len() < SHORTEST || !masked.contains(secret.trim()));
        }
    }
}
