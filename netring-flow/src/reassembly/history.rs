//! Delivered bytes that are kept to compare with retransmissions.

use std::collections::VecDeque;
use std::ops::Range;

use super::held::differing;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    bytes: VecDeque<u8>,
    /// The place behind the last byte.
    end: u64,
}

impl Delivered {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.len()
    }

    /// Frees them all.
    pub(super) fn clear(&mut self) {
        self.bytes = VecDeque::new();
    }

    /// Adds bytes, and keeps at most `most`.
    pub(super) fn push(&mut self, start: u64, bytes: &[u8], most: usize) {
        if start != self.end {
            // A gap has no bytes to compare with.
            self.bytes.clear();
        }
        self.end = start + bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(most)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(most);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(kept);
    }

    /// From the first to the last place where these bytes differ from those that were delivered.
    pub(super) fn differing(&self, start: u64, bytes: &[u8]) -> Option<Range<u64>> {
        let first = self.end - self.bytes.len() as u64;
        let from = start.max(first);
        let to = (start + bytes.len() as u64).min(self.end);
        if from >= to {
            return None;
        }
        let (head, tail) = self.bytes.as_slices();
        let middle = first + head.len() as u64;
        let part = |kept: &[u8], base: u64| {
            let (from, to) = (from.max(base), to.min(base + kept.len() as u64));
            if from >= to {
                return None;
            }
            let kept = &kept[(from - base) as usize..(to - base) as usize];
            let new = &bytes[(from - start) as usize..(to - start) as usize];
            differing(kept, new, from)
        };
        match (part(head, first), part(tail, middle)) {
            (Some(a), Some(b)) => Some(a.start..b.end),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_compared_across_the_wrap() {
        let mut delivered = Delivered::default();
        for n in 0..10_u64 {
            delivered.push(3 * n, b"abc", 8);
        }
        assert_eq!(delivered.memory(), 8);
        assert_eq!(delivered.differing(18, b"abcabcabc"), None);
        assert_eq!(delivered.differing(18, b"XbXabXabXX"), Some(23..28));
        // Bytes that are no longer kept, or not delivered yet, are not compared.
        assert_eq!(delivered.differing(0, b"XXX"), None);
        delivered.push(40, b"abc", 8);
        assert_eq!(delivered.differing(22, b"XXXXXXXX"), None);
        assert_eq!(delivered.differing(38, b"XXaXXX"), Some(41..43));
    }
}
