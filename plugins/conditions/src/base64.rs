//! The standard alphabet with padding.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING: u8 = b'=';
const SIX_BITS: u32 = 0x3F;

pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let all = (0..3).fold(0u32, |all, at| (all << 8) | u32::from(three.get(at).copied().unwrap_or_default()));
        for at in 0..4 {
            let index = (all >> (18 - 6 * at)) & SIX_BITS;
            let letter = ALPHABET.get(index as usize).filter(|_| at <= three.len()).unwrap_or(&PADDING);
            text.push(char::from(*letter));
        }
    }
    text
}

/// Line breaks are ignored, as in Go.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    if !letters.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::new();
    let blocks = letters.len() / 4;
    for (number, four) in letters.chunks(4).enumerate() {
        let padded = four.iter().rev().take_while(|letter| **letter == PADDING).count();
        if padded > 2 || (padded > 0 && number + 1 != blocks) {
            return None;
        }
        let mut all = 0u32;
        for letter in four {
            let value = match ALPHABET.iter().position(|known| known == letter) {
                Some(value) => value as u32,
                None if *letter == PADDING => 0,
                None => return None,
            };
            all = (all << 6) | value;
        }
        // Padding is valid at the end only.
        if four.iter().take(4 - padded).any(|letter| *letter == PADDING) {
            return None;
        }
        bytes.extend((0..3 - padded).map(|at| (all >> (16 - 8 * at)) as u8));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (bytes, text) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("abcd", "YWJjZA==")] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn invalid_base64_is_rejected() {
        for text in ["a", "YQ=", "Y===", "YQ==YQ==", "Y=Q=", "Y Q=", "é==="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
