//! One direction of a connection: from sequence numbers to places in a stream.

mod acked;
mod deliver;
mod holes;

use std::ops::Range;

use netring_sys::Timestamp;

use self::acked::Acked;
use super::held::{Arriving, Cost, Segments};
use super::history::Delivered;
use super::stats::ReassemblyStats;

/// How far a sequence number may be behind: no window is larger (RFC 7323). Any other is ahead.
const FARTHEST_BEHIND: u32 = 1 << 30;

/// Numbers of SYNs, and urgent bytes, that are remembered at once.
const MOST_REMEMBERED: usize = 8;

/// What a direction reports.
pub(super) trait Output {
    fn data(&mut self, at: u64, time: Timestamp, bytes: &[u8]);
    fn gap(&mut self, at: u64, time: Timestamp, missing: u64);
    fn inconsistent(&mut self, range: Range<u64>, time: Timestamp);
    fn stats(&mut self) -> &mut ReassemblyStats;
}

/// One direction. Small, because each packet of a subscribed flow reads it: rarely needed fields
/// are in [`Extra`].
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// The sequence number of the next byte.
    pub(super) next: u32,
    pub(super) flags: u8,
    /// The place of that byte in the stream.
    pub(super) position: u64,
    pub(super) extra: Option<Box<Extra>>,
}

/// `next` is known.
pub(super) const KNOWN: u8 = 1;
/// It is known from a SYN, or from the answer to one.
pub(super) const FROM_SYN: u8 = 2;
/// It was guessed from a segment without data, which may have been a keep-alive.
const GUESSED: u8 = 4;
/// SYNs with several numbers were seen, and nothing else.
const AMBIGUOUS: u8 = 8;
/// All bytes up to the FIN were delivered or are gaps; it is not acknowledged yet.
const FIN: u8 = 16;
/// Nothing more is reported.
pub(super) const ENDED: u8 = 32;

/// Fields that few directions need.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) held: Segments,
    /// When the hole before the held bytes appeared, or the stream advanced to it.
    since: i64,
    /// The position then.
    since_position: u64,
    /// What the receiver has acknowledged beyond the next byte.
    acked: Acked,
    /// When the receiver last acknowledged no more than what was delivered, while there was a hole.
    contradicted: Option<i64>,
    /// When the last segment behind the hole came.
    newest: i64,
    /// The sequence numbers of a gap that may have been none: one acknowledgement showed it, or one
    /// segment far ahead. Empty if there is none.
    doubtful: Range<u32>,
    /// The number within it that the receiver acknowledged last.
    contested: Option<u32>,
    /// The place of a FIN behind the next byte.
    fin: Option<u64>,
    /// The places of urgent bytes that are not part of the stream, in order.
    urgent: Vec<u64>,
    /// Possible first sequence numbers.
    candidates: Vec<u32>,
    /// Delivered bytes to compare retransmissions with.
    pub(super) delivered: Delivered,
    /// The times under which the timers know this direction.
    pub(super) armed: [Option<i64>; 2],
}

/// A segment with data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    pub(super) sequence: u32,
    /// The captured bytes.
    pub(super) bytes: &'a [u8],
    /// The number of bytes on the wire.
    pub(super) wire_len: u32,
    pub(super) time: Timestamp,
}

impl Extra {
    /// The place before which all bytes were acknowledged: a FIN counts like a byte in
    /// acknowledgements, and is none.
    const fn data_before(&self, acked: u64) -> u64 {
        match self.fin {
            Some(fin) if acked == fin + 1 => fin,
            _ => acked,
        }
    }

    /// Notes a gap that may have been none.
    fn suspect(&mut self, gap: Range<u32>) {
        (self.doubtful, self.contested) = (gap, None);
    }

    fn hole_begins(&mut self, position: u64, now: Timestamp) {
        self.since = now.as_nanos();
        self.since_position = position;
        self.contradicted = None;
    }
}

impl Direction {
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether a segment with data in order only moves the position.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.flags & !FROM_SYN == KNOWN && self.extra.is_none()
    }

    /// Whether nothing is known about it.
    #[inline]
    pub(super) const fn is_silent(&self) -> bool {
        self.flags == 0 && self.extra.is_none()
    }

    /// The memory that counts for the bounds.
    pub(super) fn memory(&self) -> usize {
        let extra = self.extra.as_ref();
        extra.map_or(0, |extra| extra.held.memory() + extra.delivered.memory())
    }

    /// The number of held bytes.
    pub(super) fn held(&self) -> usize {
        self.extra.as_ref().map_or(0, |extra| extra.held.len())
    }

    /// The number of held segments.
    pub(super) fn held_segments(&self) -> usize {
        self.extra.as_ref().map_or(0, |extra| extra.held.count())
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    #[inline]
    pub(super) const fn advance(&mut self, bytes: u64) {
        self.next = self.next.wrapping_add(bytes as u32);
        self.position += bytes;
    }

    /// Applies a SYN. Returns false if it is not of this connection.
    pub(super) fn syn(&mut self, number: u32) -> bool {
        let first = number.wrapping_add(1);
        let current = self.next.wrapping_sub(self.position as u32);
        let fresh = self.position == 0 && self.held() == 0;
        if !self.has(KNOWN) || self.has(GUESSED) && fresh {
            self.next = first;
        } else if current != first {
            if fresh && self.has(FROM_SYN) && !self.has(FIN | ENDED) {
                self.flags |= AMBIGUOUS;
                let candidates = &mut self.extra().candidates;
                for number in [current, first] {
                    if !candidates.contains(&number) && candidates.len() < MOST_REMEMBERED {
                        candidates.push(number);
                    }
                }
            }
            return false;
        }
        self.flags = self.flags & !GUESSED | KNOWN | FROM_SYN;
        true
    }

    /// Learns the first sequence number from the answer to a SYN that was not captured.
    pub(super) fn answered(&mut self, ack: u32) {
        if !self.has(KNOWN) {
            self.next = ack;
            self.flags |= KNOWN | FROM_SYN;
        }
    }

    /// Learns the first sequence number from a segment without SYN, of which `len` bytes are data.
    pub(super) fn begin(&mut self, sequence: u32, len: u32) {
        if !self.has(KNOWN) {
            self.next = sequence;
            self.flags |= KNOWN | if len == 0 { GUESSED } else { 0 };
        } else if self.has(GUESSED) && len != 0 {
            self.flags &= !GUESSED;
            // The segment without data was a keep-alive, which repeats the last number.
            if sequence == self.next.wrapping_add(1) {
                self.next = sequence;
            }
        }
        if self.has(AMBIGUOUS) && len != 0 {
            self.resolve(sequence);
        }
    }

    /// Decides which of several SYNs counts, by a number that is in the stream.
    fn resolve(&mut self, number: u32) {
        self.flags &= !AMBIGUOUS;
        let candidates = std::mem::take(&mut self.extra().candidates);
        let ahead = |first: &u32| number.wrapping_sub(*first);
        if let Some(first) = candidates.into_iter().min_by_key(ahead) {
            self.next = first;
        }
    }

    /// Whether a receiver that acknowledges this has no byte that is missing here.
    pub(super) const fn lacks(&self, ack: u32) -> bool {
        self.has(KNOWN) && self.next.wrapping_sub(ack) <= FARTHEST_BEHIND
    }

    /// Applies an acknowledgement by the receiver. Returns true if it ends the stream.
    pub(super) fn acknowledge(&mut self, ack: u32, time: Timestamp) -> bool {
        if self.flags & (KNOWN | ENDED) != KNOWN {
            return false;
        }
        if self.has(AMBIGUOUS) {
            self.resolve(ack);
        }
        let behind = self.next.wrapping_sub(ack);
        if behind <= FARTHEST_BEHIND {
            if let Some(extra) = &mut self.extra
                && !extra.held.is_empty()
            {
                extra.contradicted = Some(time.as_nanos());
            }
            self.doubt(ack);
            return false;
        }
        self.doubt(ack);
        let ahead = behind.wrapping_neg();
        if self.has(FIN) && ahead == 1 {
            return true;
        }
        let (place, position) = (self.position + u64::from(ahead), self.position);
        let acked = &mut self.extra().acked;
        acked.note(place, time.as_nanos(), position);
        false
    }

    /// Compares an acknowledgement with a gap that may have been none.
    fn doubt(&mut self, ack: u32) {
        let Some(extra) = &mut self.extra else {
            return;
        };
        if is_in(ack, &extra.doubtful) {
            extra.contested = Some(ack);
        } else if ack.wrapping_sub(extra.doubtful.end) < FARTHEST_BEHIND {
            extra.suspect(0..0);
        }
    }

    /// Goes back into a gap that was none: its receiver lacks bytes of it, and here they come. An
    /// acknowledgement alone may be an older one that was overtaken.
    fn go_back(&mut self, sequence: u32) {
        if let Some(extra) = &mut self.extra
            && extra.contested == Some(sequence)
            && is_in(sequence, &extra.doubtful)
        {
            extra.suspect(0..0);
            self.next = sequence;
        }
    }

    /// Notes where the urgent pointer of a segment points to.
    pub(super) fn urgent(&mut self, sequence: u32, pointer: u16) {
        let ahead = sequence
            .wrapping_add(u32::from(pointer))
            .wrapping_sub(1)
            .wrapping_sub(self.next);
        if pointer == 0 || ahead > FARTHEST_BEHIND {
            return;
        }
        let place = self.position + u64::from(ahead);
        let urgent = &mut self.extra().urgent;
        if let Err(at) = urgent.binary_search(&place) {
            urgent.insert(at, place);
            urgent.truncate(MOST_REMEMBERED);
        }
    }

    /// How many bytes of a segment are behind the next byte, and the place of the first that is
    /// not. `None` if all of them are behind.
    fn locate(&self, sequence: u32, len: u32) -> Option<(u32, u64)> {
        let behind = self.next.wrapping_sub(sequence);
        if behind == 0 || behind > FARTHEST_BEHIND {
            let ahead = behind.wrapping_neg();
            Some((0, self.position + u64::from(ahead)))
        } else if behind < len {
            Some((behind, self.position))
        } else {
            None
        }
    }

    /// What a segment needs at most if bytes before it are missing, or if nothing may be delivered
    /// yet. `None` if it is not held.
    pub(super) fn cost(&self, incoming: &Incoming<'_>, hold: bool) -> Option<Cost> {
        let (skip, start) = self.locate(incoming.sequence, incoming.wire_len)?;
        let bytes = incoming.bytes.get(skip as usize..).unwrap_or_default();
        if bytes.is_empty() || start == self.position && !hold {
            return None;
        }
        let arriving = Arriving {
            start,
            bytes,
            cut: 0,
            time: incoming.time,
        };
        Some(match &self.extra {
            Some(extra) => extra.held.cost(&arriving),
            None => Segments::default().cost(&arriving),
        })
    }

    /// Applies a FIN behind the byte before `sequence`.
    pub(super) fn fin(&mut self, sequence: u32) {
        match self.locate(sequence, 0) {
            Some((_, place)) if place == self.position => self.flags |= FIN,
            Some((_, place)) => self.extra().fin = Some(place),
            None => {}
        }
    }
}

const fn is_in(number: u32, range: &Range<u32>) -> bool {
    number.wrapping_sub(range.start) < range.end.wrapping_sub(range.start)
}
