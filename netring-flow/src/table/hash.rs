//! The hash of a key: two words at a time are multiplied to 128 bits and folded, with secret seeds.
//!
//! An attacker that knew the seeds could send packets whose keys all collide in the table. They are
//! random for each tracker, drawn from the operating system through the standard library.

use std::hash::{BuildHasher, Hasher, RandomState};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds([u64; 3]);

impl Seeds {
    pub(crate) fn random() -> Self {
        let source = RandomState::new();
        // Odd, so that no factor is zero.
        Self([1_u64, 2, 3].map(|word| source.hash_one(word) | 1))
    }
}

impl BuildHasher for Seeds {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            state: self.0[0],
            waiting: None,
            seeds: *self,
        }
    }
}

#[derive(Debug)]
pub(crate) struct KeyHasher {
    state: u64,
    waiting: Option<u64>,
    seeds: Seeds,
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

impl Hasher for KeyHasher {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        match self.waiting.take() {
            None => self.waiting = Some(word),
            Some(first) => self.state = fold(first ^ self.state, word ^ self.seeds.0[1]),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length is included: "ab" and "ab\0" differ.
        self.write_u64(u64::from_le_bytes(last) ^ (bytes.len() as u64).rotate_left(56));
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let state = self.state ^ self.waiting.unwrap_or(0);
        fold(state, self.seeds.0[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tracker_hashes_by_seeds_of_its_own() {
        let (one, two) = (Seeds::random(), Seeds::random());
        assert_ne!(one.hash_one(7_u64), two.hash_one(7_u64));
        assert_eq!(one.hash_one("flow"), one.hash_one("flow"));
    }

    #[test]
    fn neighbours_spread_over_the_top_bits() {
        // 65 536 keys into 256 places by the top bits: 256 each on average, within 256 ± 6 × 16
        // almost certainly.
        let seeds = Seeds::random();
        let mut places = [0_u32; 256];
        for low in 0..65_536_u64 {
            let hash = seeds.hash_one([0, 0x0a00_0001, 0, low, low << 48, 0]);
            places[(hash as u32 >> 24) as usize] += 1;
        }
        assert!(places.iter().all(|n| (160..352).contains(n)), "{places:?}");
    }

    #[test]
    fn a_longer_text_with_nothing_behind_is_another() {
        let seeds = Seeds::random();
        assert_ne!(seeds.hash_one("ab"), seeds.hash_one("ab\0"));
        assert_ne!(seeds.hash_one(&b""[..]), seeds.hash_one(&b"\0"[..]));
    }
}
