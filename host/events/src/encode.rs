//! Percent-encoding, for package URLs.

/// `value` with each byte of its UTF-8 form that `keep` does not accept written as `%XX`.
pub(crate) fn percent(value: &str, keep: impl Fn(u8) -> bool) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut encoded, byte| {
        if byte.is_ascii() && keep(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
