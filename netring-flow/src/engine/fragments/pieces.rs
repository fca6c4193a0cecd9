//! Which bytes of a fragmented packet have been seen.

use crate::extract::Fragment;

/// Separate ranges of bytes that are remembered. Fragments in order need one.
const RANGES: usize = 4;
/// Fragments whose bounds are remembered, to tell a repetition from an overlap.
const RECENT: usize = 8;

/// A range of units of eight bytes. The first is below the second; both are 0 for none.
type Range = (u16, u16);

/// The parts of one packet that have been seen, in constant space. An overlap with a fragment that
/// did not fit goes unnoticed; no false overlap is reported.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pieces {
    ranges: [Range; RANGES],
    recent: [Range; RECENT],
    next: u8,
    /// Where the packet ends, once its last fragment has been seen.
    end: Option<u16>,
}

/// How a fragment relates to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    New,
    /// One of the last [`RECENT`] fragments had the same bounds.
    Again,
    /// Some of its bytes were in another fragment.
    Overlaps,
}

impl Pieces {
    /// Adds a fragment.
    pub(super) fn add(&mut self, fragment: &Fragment) -> Seen {
        let start = fragment.offset / 8;
        // Only the last may end within a unit. No fragment ends beyond 64 KiB.
        let end = fragment.offset.saturating_add(fragment.len).div_ceil(8);
        let bound = |unit: u32| u16::try_from(unit).unwrap_or(u16::MAX);
        let range = (bound(start), bound(end));
        if !fragment.more {
            self.end = Some(range.1);
        }
        if range.0 >= range.1 {
            return Seen::New;
        }
        if self.recent.contains(&range) {
            return Seen::Again;
        }
        self.recent[usize::from(self.next)] = range;
        self.next = (self.next + 1) % RECENT as u8;
        let overlaps = self
            .ranges
            .iter()
            .any(|known| range.0 < known.1 && known.0 < range.1);
        self.join(range);
        if overlaps { Seen::Overlaps } else { Seen::New }
    }

    /// Whether all of the packet has been seen.
    pub(super) fn are_complete(&self) -> bool {
        self.end.is_some_and(|end| {
            self.ranges
                .iter()
                .any(|known| known.0 == 0 && known.1 >= end)
        })
    }

    /// Merges a range with those that it touches.
    fn join(&mut self, (mut start, mut end): Range) {
        for known in &mut self.ranges {
            if *known != (0, 0) && start <= known.1 && known.0 <= end {
                (start, end) = (start.min(known.0), end.max(known.1));
                *known = (0, 0);
            }
        }
        if let Some(free) = self.ranges.iter_mut().find(|known| **known == (0, 0)) {
            *free = (start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::extract::Datagram;

    fn fragment(start: u32, len: u32, more: bool) -> Fragment {
        let any = Ipv4Addr::UNSPECIFIED;
        Fragment {
            datagram: Datagram::v4(any, any, 17, 1),
            protocol: 17,
            offset: start * 8,
            len,
            start: 0,
            more,
            tiny: false,
            malformed: false,
        }
    }

    #[test]
    fn a_repetition_is_no_overlap_and_a_fragment_inside_another_is_one() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.add(&fragment(0, 40, true)), Seen::New);
        assert_eq!(pieces.add(&fragment(5, 40, true)), Seen::New);
        assert_eq!(pieces.add(&fragment(5, 40, true)), Seen::Again);
        assert_eq!(pieces.add(&fragment(6, 8, true)), Seen::Overlaps);
        assert_eq!(pieces.add(&fragment(9, 16, true)), Seen::Overlaps);
        assert!(!pieces.are_complete());
        assert_eq!(pieces.add(&fragment(11, 3, false)), Seen::New);
        assert!(pieces.are_complete());
    }

    proptest! {
        /// Compares with a map of every unit, while there are at most four separate ranges.
        #[test]
        fn overlaps_are_those_of_a_map(
            fragments in prop::collection::vec((0_u32..64, 1_u32..24), 1..12),
        ) {
            let mut pieces = Pieces::default();
            let mut map = [false; 128];
            let mut bounds: Vec<(u32, u32)> = Vec::new();
            for (start, units) in fragments {
                let mut apart = 0;
                for at in 0..128 {
                    apart += usize::from(map[at] && (at == 0 || !map[at - 1]));
                }
                if apart >= RANGES {
                    break;
                }
                let range = start as usize..(start + units) as usize;
                let expected = if bounds.iter().rev().take(RECENT).any(|b| *b == (start, units)) {
                    Seen::Again
                } else if map[range.clone()].iter().any(|seen| *seen) {
                    Seen::Overlaps
                } else {
                    Seen::New
                };
                prop_assert_eq!(pieces.add(&fragment(start, units * 8, true)), expected);
                if expected != Seen::Again {
                    bounds.push((start, units));
                }
                map[range].fill(true);
            }
        }
    }
}
