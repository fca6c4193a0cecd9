//! Base64 with padding (RFC 4648, section 4).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes `bytes` to `text`, which has four bytes for each three.
pub(super) fn encode(bytes: &[u8], text: &mut [u8]) {
    for (three, four) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, digit) in four.iter_mut().enumerate() {
            let value = bits >> (18 - 6 * at) & 0x3f;
            *digit = if at <= three.len() {
                ALPHABET[value as usize]
            } else {
                b'='
            };
        }
    }
}

/// Decodes the output of [`encode`] for this many bytes; false if the text is anything else.
pub(super) fn decode(text: &[u8], bytes: &mut [u8]) -> bool {
    let len = bytes.len().div_ceil(3) * 4;
    for (four, three) in text.chunks(4).zip(bytes.chunks_mut(3)) {
        let value = |digit: &u8| ALPHABET.iter().position(|known| known == digit);
        let digits = four.iter().take(three.len() + 1);
        let bits = digits.fold(0, |bits, digit| {
            bits << 6 | value(digit).unwrap_or_default() as u32
        });
        let bits = bits << (6 * (3 - three.len()));
        three.copy_from_slice(&bits.to_be_bytes()[1..=three.len()]);
    }
    // Only the canonical encoding is accepted.
    let mut written = vec![0; len];
    encode(bytes, &mut written);
    written == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut text = vec![0; expected.len()];
            encode(bytes.as_bytes(), &mut text);
            assert_eq!(text, expected.as_bytes());
            let mut read = vec![0; bytes.len()];
            assert!(decode(&text, &mut read));
            assert_eq!(read, bytes.as_bytes());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["Zm8", "Zm8=x", "Zm9v", "Zm9=", "Z-8=", "", "Zm8=Zm8="] {
            assert!(!decode(text.as_bytes(), &mut [0; 2]), "{text}");
        }
    }
}
