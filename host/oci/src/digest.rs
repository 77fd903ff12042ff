//! The digest of content: `sha256:` and 64 hex digits.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256:";
const HEX_DIGITS: usize = 64;

/// `sha256:` and 64 lower-case hex digits. Registries also know other algorithms, but none requires them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a digest: expected \"sha256:\" and 64 lower-case hex digits")]
pub struct DigestError {
    pub text: String,
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text.strip_prefix(ALGORITHM).unwrap_or_default();
        if hex.len() == HEX_DIGITS && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(DigestError { text: text.to_owned() })
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Computes a digest incrementally.
#[derive(Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        let mut text = String::with_capacity(ALGORITHM.len() + HEX_DIGITS);
        text.push_str(ALGORITHM);
        for byte in self.0.finalize() {
            text.push_str(&format!("{byte:02x}"));
        }
        Digest(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_of_bytes_is_read_back_as_the_same() {
        assert_eq!(Digest::of(b""), NOTHING.parse().unwrap());
    }

    #[test]
    fn a_digest_in_pieces_equals_the_digest_of_the_whole() {
        let mut hasher = Hasher::default();
        hasher.update(b"a ");
        hasher.update(b"component");

        assert_eq!(hasher.finish(), Digest::of(b"a component"));
    }

    #[test]
    fn an_invalid_digest_is_rejected_with_the_expected_form() {
        let upper = NOTHING.to_uppercase();
        for text in ["", "sha256:", "e3b0", &NOTHING[..70], &upper, "sha512:00"] {
            let error = text.parse::<Digest>().unwrap_err().to_string();

            assert!(error.contains(text) && error.contains("64 lower-case hex digits"), "{error}");
        }
    }
}
