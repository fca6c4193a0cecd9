//! The sequence numbers of one end: how far it sent, how far it was acknowledged, and which bytes
//! were missed.

use crate::extract::TcpSegment;

/// The maximum number of separate ranges above a hole. Beyond it, ranges are joined, and the hole
/// between them counts as seen.
const MAX_RANGES: usize = 32;

/// A jump of more bytes is not trusted in a SYN or RST, or of an acknowledgement number of 0.
const LARGE: i64 = 1 << 20;

/// The stream of one end. Positions are relative to its SYN, which has position 0.
#[derive(Debug, Default)]
pub(super) struct Stream {
    started: bool,
    base: u32,
    /// One past the highest position that was sent.
    sent: u64,
    /// The highest position that the other end acknowledged.
    acked: u64,
    /// Everything below it was seen or counts as missed.
    next: u64,
    /// The ranges seen above `next`, in order.
    above: Vec<(u64, u64)>,
    /// The position after its FIN.
    fin: Option<u64>,
    pub(super) missed: u64,
}

/// The role of a segment in its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its position; `None` if it is before the start.
    pub(super) position: Option<u64>,
    /// It carries data and nothing beyond what was sent before.
    pub(super) repeated: bool,
}

impl Stream {
    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    /// Takes in a segment with this many bytes of data. `trusted` is false once its sender was
    /// reset: later numbers are meaningless.
    pub(super) fn sent(&mut self, segment: &TcpSegment, len: u32, trusted: bool) -> Place {
        let (syn, fin) = (segment.has(TcpSegment::SYN), segment.has(TcpSegment::FIN));
        let rst = segment.has(TcpSegment::RST);
        // The data of a RST is not part of the stream.
        let data = if rst { 0 } else { u64::from(len) };
        let space = data + u64::from(syn) + u64::from(fin);
        let is_first = !self.started || syn && trusted && segment.sequence != self.base;
        if is_first {
            self.start(segment.sequence, syn);
        }
        let Some(position) = self.position(segment.sequence, self.sent) else {
            return Place {
                position: None,
                repeated: false,
            };
        };
        let end = position + space;
        let ahead = end as i64 - self.sent as i64;
        let is_far = (syn || rst) && ahead.abs() > LARGE;
        let repeated = !is_first && !is_far && trusted && ahead <= 0 && data > 0;
        if !is_far && trusted && ahead > 0 {
            self.sent = end;
        }
        if fin {
            self.fin = Some(end);
        }
        if data > 0 {
            let start = position + u64::from(syn);
            self.saw(start, start + data);
        }
        Place {
            position: Some(position),
            repeated,
        }
    }

    fn start(&mut self, sequence: u32, syn: bool) {
        // Without a SYN, positions assume one just before this segment.
        self.base = if syn {
            sequence
        } else {
            sequence.wrapping_sub(1)
        };
        (self.started, self.sent, self.acked, self.next) = (true, 1, 0, 1);
        self.above.clear();
        self.fin = None;
    }

    /// The position of a sequence number, which is near this one.
    fn position(&self, sequence: u32, near: u64) -> Option<u64> {
        let there = self.base.wrapping_add(near as u32);
        let delta = sequence.wrapping_sub(there).cast_signed();
        near.checked_add_signed(delta.into())
    }

    /// Takes in an acknowledgement number of the other end's segment, and returns the number of
    /// holes that it covers. `clean` means that both ends are established or closed normally, so
    /// that holes count.
    pub(super) fn acknowledged(&mut self, segment: &TcpSegment, clean: bool) -> u32 {
        let number = segment.acknowledgement;
        let Some(position) = self.position(number, self.acked.max(1)) else {
            return 0;
        };
        let is_far = number == 0 && position as i64 - self.acked as i64 > LARGE;
        if !segment.has(TcpSegment::RST) && !is_far && position > self.acked {
            self.acked = position;
        }
        // The FIN takes a number and is not data.
        let end = self.fin.map_or(position, |fin| position.min(fin - 1));
        self.cover(end, clean)
    }

    /// Counts the missing bytes below `end`.
    fn cover(&mut self, end: u64, clean: bool) -> u32 {
        let mut holes = 0;
        while self.next < end {
            let first = self.above.first().copied();
            let hole = first.map_or(end, |(start, _)| start.min(end));
            if clean {
                self.missed += hole - self.next;
                holes += 1;
            }
            self.next = hole;
            self.join();
        }
        holes
    }

    /// Adds data that was seen.
    fn saw(&mut self, start: u64, end: u64) {
        if end <= self.next {
            return;
        }
        let start = start.max(self.next);
        if start == self.next && self.above.is_empty() {
            self.next = end;
            return;
        }
        let from = self.above.partition_point(|range| range.1 < start);
        let to = self.above.partition_point(|range| range.0 <= end);
        if from < to {
            // It touches these ranges, which become one.
            let joined = (start.min(self.above[from].0), end.max(self.above[to - 1].1));
            self.above[from] = joined;
            self.above.drain(from + 1..to);
        } else {
            self.above.insert(from, (start, end));
        }
        if self.above.len() > MAX_RANGES {
            let (_, end) = self.above.pop().unwrap_or_default();
            if let Some(last) = self.above.last_mut() {
                last.1 = end;
            }
        }
        self.join();
    }

    /// Moves `next` over the ranges that it has reached.
    fn join(&mut self) {
        let reached = self.above.iter().take_while(|range| range.0 <= self.next);
        let count = reached.count();
        if let Some(last) = self.above[..count].last() {
            self.next = self.next.max(last.1);
            self.above.drain(..count);
        }
    }

    /// Whether nothing but the SYN was acknowledged.
    pub(super) const fn is_unacknowledged(&self) -> bool {
        self.acked <= 1
    }

    /// Bytes of data by sequence number.
    pub(super) fn len(&self) -> u64 {
        let end = self.sent.max(self.acked);
        let numbers = 1 + u64::from(self.fin.is_some());
        end.saturating_sub(numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACK: u8 = TcpSegment::ACK;

    fn segment(flags: u8, sequence: u32, acknowledgement: u32) -> TcpSegment {
        TcpSegment {
            flags,
            sequence,
            acknowledgement,
            window: 1000,
        }
    }

    #[test]
    fn bytes_are_counted_by_sequence_number() {
        let mut stream = Stream::default();
        let start = u32::MAX - 5;
        let at = |position: u32| start.wrapping_add(position);
        stream.sent(&segment(TcpSegment::SYN, start, 0), 0, true);
        assert_eq!(stream.len(), 0);
        assert!(!stream.sent(&segment(ACK, at(1), 0), 100, true).repeated);
        assert!(stream.sent(&segment(ACK, at(51), 0), 50, true).repeated);
        assert!(!stream.sent(&segment(ACK, at(51), 0), 60, true).repeated);
        stream.sent(&segment(ACK | TcpSegment::FIN, at(111), 0), 0, true);
        assert_eq!(stream.len(), 110);
        assert_eq!(stream.acknowledged(&segment(ACK, 0, at(112)), true), 0);
        assert_eq!((stream.len(), stream.missed), (110, 0));
    }

    #[test]
    fn acknowledged_holes_are_missed() {
        let mut stream = Stream::default();
        stream.sent(&segment(TcpSegment::SYN, 0, 0), 0, true);
        for at in [1, 21, 41] {
            stream.sent(&segment(ACK, at, 0), 10, true);
        }
        assert_eq!(stream.acknowledged(&segment(ACK, 0, 11), true), 0);
        assert_eq!(stream.acknowledged(&segment(ACK, 0, 51), true), 2);
        assert_eq!(stream.missed, 20);
        // Only the acknowledgement of the last one was seen.
        assert_eq!(stream.acknowledged(&segment(ACK, 0, 61), true), 1);
        assert_eq!((stream.missed, stream.len()), (30, 60));
        assert_eq!(stream.acknowledged(&segment(ACK, 0, 71), false), 0);
        assert_eq!(stream.missed, 30);
    }

    #[test]
    fn many_holes_take_bounded_memory() {
        let mut stream = Stream::default();
        stream.sent(&segment(TcpSegment::SYN, 0, 0), 0, true);
        for n in 0..10_000 {
            stream.sent(&segment(ACK, 10 + 2 * n, 0), 1, true);
        }
        assert!(stream.above.len() <= MAX_RANGES);
        stream.acknowledged(&segment(ACK, 0, 20_000), true);
        assert!(stream.above.is_empty());
    }

    proptest! {
        /// Segments in any order, against a set of the positions that were seen.
        #[test]
        fn what_is_missed_is_what_was_not_seen(
            base: u32,
            pieces in prop::collection::vec((0_u32..200, 1_u32..40), 0..20),
            up_to in 1_u32..240,
        ) {
            let mut stream = Stream::default();
            stream.sent(&segment(TcpSegment::SYN, base, 0), 0, true);
            let mut seen = [false; 300];
            for (start, len) in pieces {
                let sequence = base.wrapping_add(1 + start);
                stream.sent(&segment(ACK, sequence, 0), len, true);
                seen[start as usize..(start + len) as usize].fill(true);
            }
            stream.acknowledged(&segment(ACK, 0, base.wrapping_add(up_to)), true);
            let below = &seen[..up_to as usize - 1];
            let missed = below.iter().filter(|seen| !**seen).count();
            prop_assert_eq!(stream.missed, missed as u64);
        }

        #[test]
        fn no_numbers_cause_a_panic(
            segments in prop::collection::vec(
                (any::<u8>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>()), 0..60,
            ),
        ) {
            let mut stream = Stream::default();
            for (flags, sequence, ack, len, yes) in segments {
                stream.sent(&segment(flags, sequence, ack), len % 70_000, yes);
                if stream.is_started() {
                    stream.acknowledged(&segment(flags, sequence, ack), yes);
                }
                prop_assert!(stream.above.len() <= MAX_RANGES);
                stream.len();
            }
        }
    }
}
