//! The bytes of one direction that are held, because earlier ones are missing.

use std::collections::BTreeMap;
use std::ops::Range;

use netring_sys::Timestamp;

use super::OverlapPolicy;

/// What a held segment costs besides its bytes: its node in the tree and its allocation.
const OVERHEAD: usize = 96;
/// The smallest allocation for the bytes of a segment. glibc keeps freed blocks of up to 128 bytes
/// apart and merges all of them at once now and then, which stops the loop for milliseconds if
/// there are a million.
const SMALLEST: usize = 136;

/// Segments that do not overlap, by the place of their first byte.
#[derive(Debug, Default)]
pub(super) struct Segments {
    nodes: BTreeMap<u64, Node>,
    /// The sum of their bytes.
    len: usize,
    /// The sum of what was allocated for them.
    allocated: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) bytes: Vec<u8>,
    /// Bytes behind them that a snap length cut off.
    pub(super) cut: u32,
    pub(super) time: Timestamp,
}

/// A segment that arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving<'a> {
    pub(super) start: u64,
    /// Not empty.
    pub(super) bytes: &'a [u8],
    /// Bytes behind them that a snap length cut off.
    pub(super) cut: u32,
    pub(super) time: Timestamp,
}

impl Arriving<'_> {
    pub(super) const fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// What held bytes need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// As it counts for the bounds.
    pub(super) memory: usize,
    pub(super) segments: usize,
}

/// What became of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inserted {
    /// Bytes for places that had some, whichever of the two won.
    pub(super) duplicate: usize,
    /// From the first to the last of these places where the bytes differ.
    pub(super) differs: Option<Range<u64>>,
}

impl Segments {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number of bytes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The memory, as it counts for the bounds.
    pub(super) fn memory(&self) -> usize {
        self.allocated + self.nodes.len() * OVERHEAD
    }

    /// The number of segments.
    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// What a segment can need at most if it is held.
    pub(super) fn cost(&self, arriving: &Arriving<'_>) -> Cost {
        // It may be cut into pieces by those it overlaps; each byte between two of them is new.
        let segments = if self.is_empty() {
            1
        } else {
            let overlapped = self.nodes.range(arriving.start..arriving.end());
            1 + overlapped.take(arriving.bytes.len()).count()
        };
        Cost {
            memory: arriving.bytes.len().max(SMALLEST)
                + (segments - 1) * SMALLEST
                + segments * OVERHEAD,
            segments,
        }
    }

    /// The place of the first byte.
    pub(super) fn first(&self) -> Option<u64> {
        self.nodes.first_key_value().map(|(&start, _)| start)
    }

    /// The place behind the last byte.
    pub(super) fn end(&self) -> Option<u64> {
        let (start, node) = self.nodes.last_key_value()?;
        Some(start + node.bytes.len() as u64)
    }

    /// When the first segment arrived.
    pub(super) fn first_time(&self) -> Option<Timestamp> {
        self.nodes.first_key_value().map(|(_, node)| node.time)
    }

    /// Whether a segment is held from this place on, and its bytes.
    pub(super) fn starting_at(&self, place: u64) -> Option<&Node> {
        self.nodes.get(&place)
    }

    /// Removes the segment that is held from this place on.
    pub(super) fn take(&mut self, place: u64) -> Option<Node> {
        let node = self.nodes.remove(&place)?;
        self.len -= node.bytes.len();
        self.allocated -= node.bytes.capacity();
        Some(node)
    }

    /// Removes all segments, and returns the number of their bytes.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(self).len
    }

    /// Whether all bytes of a range are held.
    pub(super) fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        let before = self.nodes.range(..=range.start).next_back();
        let rest = self
            .nodes
            .range(range.start + 1..range.end.max(range.start + 1));
        for (&start, node) in before.into_iter().chain(rest) {
            if start > at {
                return false;
            }
            at = at.max(start + node.bytes.len() as u64);
        }
        at >= range.end
    }

    /// Holds a segment. Bytes of those that it overlaps are replaced as the policy says; they keep
    /// their boundaries. It costs a number of steps that its length bounds.
    pub(super) fn insert(&mut self, arriving: &Arriving<'_>, policy: OverlapPolicy) -> Inserted {
        let mut inserted = Inserted::default();
        let (end, mut at) = (arriving.end(), arriving.start);
        if let Some((&start, node)) = self.nodes.range_mut(..at).next_back() {
            at = at.max(inserted.settle(start, node, arriving, policy));
        }
        while at < end {
            let next = self.nodes.range_mut(at..end).next();
            let (until, behind) = match next {
                Some((&start, node)) => (start, inserted.settle(start, node, arriving, policy)),
                None => (end, end),
            };
            if at < until {
                self.put(at..until, arriving);
            }
            at = behind;
        }
        inserted
    }

    /// Holds a piece of a segment, for places that have no bytes.
    fn put(&mut self, piece: Range<u64>, arriving: &Arriving<'_>) {
        let offset = |place| (place - arriving.start) as usize;
        let bytes = &arriving.bytes[offset(piece.start)..offset(piece.end)];
        let cut = if piece.end == arriving.end() {
            arriving.cut
        } else {
            0
        };
        let mut copy = Vec::with_capacity(bytes.len().max(SMALLEST));
        copy.extend_from_slice(bytes);
        self.len += copy.len();
        self.allocated += copy.capacity();
        let node = Node {
            bytes: copy,
            cut,
            time: arriving.time,
        };
        self.nodes.insert(piece.start, node);
    }
}

impl Inserted {
    /// Compares a held segment with one that may overlap it, and replaces its bytes if the new ones
    /// win. Returns the place behind it.
    fn settle(
        &mut self,
        start: u64,
        node: &mut Node,
        arriving: &Arriving<'_>,
        policy: OverlapPolicy,
    ) -> u64 {
        let old = start..start + node.bytes.len() as u64;
        let new = arriving.start..arriving.end();
        let both = old.start.max(new.start)..old.end.min(new.end);
        if both.start >= both.end {
            return old.end;
        }
        let of = |range: &Range<u64>, base: u64| {
            (range.start - base) as usize..(range.end - base) as usize
        };
        let kept = &mut node.bytes[of(&both, old.start)];
        let other = &arriving.bytes[of(&both, new.start)];
        self.duplicate += kept.len();
        if let Some(range) = differing(kept, other, both.start) {
            let before = self.differs.take().unwrap_or(range.clone());
            self.differs = Some(before.start.min(range.start)..before.end.max(range.end));
            if policy.replaces(&new, &old) {
                kept.copy_from_slice(other);
            }
        }
        old.end
    }
}

/// From the first to the last place where the bytes differ; `start` is the place of the first byte.
pub(super) fn differing(a: &[u8], b: &[u8], start: u64) -> Option<Range<u64>> {
    if a == b {
        return None;
    }
    let pairs = || a.iter().zip(b).map(|(a, b)| a != b);
    let first = pairs().position(|differs| differs)?;
    let last = pairs().rposition(|differs| differs)?;
    Some(start + first as u64..start + last as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [&str; 18] = [
        "2:AAA", "6:BB", "8:CCC", "12:D", "15:EE", "17:FFF", "20:GG", "22:HH", "24:I", "3:JJJJ",
        "8:KKK", "11:LLL", "14:MMM", "18:N", "21:O", "22:P", "24:QQ", "1:0",
    ];

    fn insert(held: &mut Segments, step: &str, policy: OverlapPolicy) -> Inserted {
        let (start, bytes) = step.split_once(':').unwrap();
        let arriving = Arriving {
            start: start.parse().unwrap(),
            bytes: bytes.as_bytes(),
            cut: 0,
            time: Timestamp::EPOCH,
        };
        held.insert(&arriving, policy)
    }

    /// The stream of Suricata's table of facts, for each of its policies.
    #[test]
    fn eighteen_segments_tell_the_policies_apart() {
        let facts = [
            (OverlapPolicy::First, "0AAAJBBCCCLDLMEEFFFGGHHIQ"),
            (OverlapPolicy::Vista, "0AAAJBBCCCLDLMEEFFFGGHHIQ"),
            (OverlapPolicy::Bsd, "0AAAJJBCCCLLLMMMFFFGGHHIQ"),
            (OverlapPolicy::Windows, "0AAAJJBCCCLLLMMMFFFGGHHIQ"),
            (OverlapPolicy::Linux, "0AAAJJBCCCLLLMMMFFFGGHHQQ"),
            (OverlapPolicy::OldLinux, "0AAAJJBKKKLLLMMMFFFGGHHQQ"),
            (OverlapPolicy::Solaris, "0AJJJBBKKKLLLMMMFFFGGHHQQ"),
            (OverlapPolicy::Last, "0AJJJJBKKKLLLMMMFNFGOPHQQ"),
        ];
        for (policy, expected) in facts {
            let mut held = Segments::default();
            for step in STEPS {
                insert(&mut held, step, policy);
            }
            let mut stream = Vec::new();
            while let Some(first) = held.first() {
                assert_eq!(first, 1 + stream.len() as u64);
                stream.extend_from_slice(&held.take(first).unwrap().bytes);
            }
            assert_eq!(String::from_utf8(stream).unwrap(), expected, "{policy}");
            assert_eq!(held.memory(), 0);
        }
    }

    #[test]
    fn what_differs_has_a_range_and_what_is_equal_has_none() {
        let mut held = Segments::default();
        let policy = OverlapPolicy::First;
        insert(&mut held, "10:abcdef", policy);
        insert(&mut held, "20:uvw", policy);
        assert_eq!(insert(&mut held, "11:bcd", policy).differs, None);
        let inserted = insert(&mut held, "8:xxabXdeXyyyyuvW", policy);
        assert_eq!(
            inserted,
            Inserted {
                duplicate: 9,
                differs: Some(12..23),
            }
        );
        assert!(held.covers(8..23));
        assert!(!held.covers(7..9));
        assert!(!held.covers(22..24));
        assert_eq!((held.first(), held.end()), (Some(8), Some(23)));
    }
}
