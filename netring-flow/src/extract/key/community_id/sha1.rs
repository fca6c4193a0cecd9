//! SHA-1 (RFC 3174) of a text that fits in one block, as every Community ID does. It names a flow
//! and protects nothing, so a dependency of eight crates would be out of proportion.

/// The longest text: a block minus the padding and the length.
pub(super) const LONGEST: usize = 55;

/// The digest of at most [`LONGEST`] bytes.
pub(super) fn of_short(text: &[u8]) -> [u8; 20] {
    let mut block = [0; 64];
    block[..text.len()].copy_from_slice(text);
    block[text.len()] = 0x80;
    block[62..].copy_from_slice(&(text.len() as u16 * 8).to_be_bytes());

    let start = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let [mut a, mut b, mut c, mut d, mut e]: [u32; 5] = start;
    for (round, word) in expand(&block).into_iter().enumerate() {
        let (mixed, constant) = match round / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let sum = [mixed, e, constant, word]
            .into_iter()
            .fold(a.rotate_left(5), u32::wrapping_add);
        (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
    }

    let mut digest = [0; 20];
    let sums = start.into_iter().zip([a, b, c, d, e]);
    for (bytes, (start, end)) in digest.chunks_exact_mut(4).zip(sums) {
        bytes.copy_from_slice(&start.wrapping_add(end).to_be_bytes());
    }
    digest
}

/// A word for each round.
fn expand(block: &[u8; 64]) -> [u32; 80] {
    let mut words = [0; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for at in 16..80 {
        let before = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
        words[at] = before.rotate_left(1);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &[u8]) -> String {
        let digest = of_short(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Computed by `sha1sum`.
    #[test]
    fn texts_of_every_kind_of_length() {
        for (text, expected) in [
            (&b""[..], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (&[b'a'; 40], "a56559418dc7908ce5f0b24b05c78e055cb863dc"),
            (&[b'a'; LONGEST], "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
        ] {
            assert_eq!(hex(text), expected);
        }
    }
}
