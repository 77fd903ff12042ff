//! Texts within the host's limits.

use crate::Error;

/// Of a reason or message; the host rejects an answer with a longer one.
pub const MAX_REASON_BYTES: usize = 1 << 10;
const ELLIPSIS: &str = "…";

/// The text, or as much of its beginning as fits into `bytes` with an ellipsis.
pub fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes.saturating_sub(ELLIPSIS.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match text.get(..end) {
        Some(start) if bytes >= ELLIPSIS.len() => format!("{start}{ELLIPSIS}"),
        _ => String::new(),
    }
}

/// The error with a shortened message: a message may quote external text of any length.
pub(crate) fn brief(error: Error) -> Error {
    let brief = |message: String| shortened(&message, MAX_REASON_BYTES);
    match error {
        Error::InvalidConfig(message) => Error::InvalidConfig(brief(message)),
        Error::Unavailable(message) => Error::Unavailable(brief(message)),
        Error::Internal(message) => Error::Internal(brief(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_unchanged() {
        assert_eq!(shortened("four", 4), "four");
    }

    #[test]
    fn an_error_of_any_length_is_accepted_by_the_host() {
        let long = "x".repeat(1 << 20);
        for error in [Error::InvalidConfig(long.clone()), Error::Unavailable(long.clone()), Error::Internal(long)] {
            let kind = std::mem::discriminant(&error);

            let brief = brief(error);

            assert_eq!(std::mem::discriminant(&brief), kind);
            assert!(format!("{brief:?}").len() < 2 * MAX_REASON_BYTES);
        }
    }

    #[test]
    fn a_longer_text_ends_in_an_ellipsis_within_the_limit() {
        assert_eq!(shortened("ääääää", 8), "ää…");
        assert_eq!(shortened("abcdef", 5), "ab…");
        assert_eq!(shortened("abcdef", 2), "");
    }
}
