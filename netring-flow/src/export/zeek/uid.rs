//! Identifiers of connections.

/// 96 bits that no other flow of the same tracker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uid([u64; 2]);

impl Uid {
    pub(super) const fn new(seed: u64, flow: u64, start_ns: i64) -> Self {
        // The first part differs for any two flows: each step is invertible.
        let first = mix(flow ^ mix(seed));
        let second = mix(first ^ start_ns.cast_unsigned()) >> 32;
        Self([first, second])
    }

    /// Appends `C` and both parts in base 62, the lowest digit first.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        out.push(b'C');
        for mut part in self.0 {
            loop {
                out.push(DIGITS[(part % 62) as usize]);
                part /= 62;
                if part == 0 {
                    break;
                }
            }
        }
    }
}

/// The finalizer of SplitMix64, which is a permutation.
const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_flow_has_its_own() {
        let all: HashSet<_> = (1..10_000).map(|flow| Uid::new(0, flow, 5).0).collect();
        assert_eq!(all.len(), 9_999);
        assert_ne!(Uid::new(0, 1, 5), Uid::new(1, 1, 5));
        assert_ne!(Uid::new(0, 1, 5), Uid::new(0, 1, 6));
    }

    #[test]
    fn digits_begin_with_the_lowest() {
        let mut out = Vec::new();
        Uid([62 * 2 + 61, 10]).write(&mut out);
        assert_eq!(out, b"CZ2a");
    }
}
