//! All that is kept of one flow: three cache lines for the built-in key, of which a packet touches two.

use netring_sys::{Clock, Timestamp};

use crate::extract::Orientation;
use crate::history::{self, Letter};
use crate::prefetch::prefetch;
use crate::{DirectionStats, EndReason, FlowId, FlowStats, History};

/// A flow. The first line has the key and the state, the other two have a direction each.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Record<K> {
    pub(crate) key: K,
    /// The wheel's time, a coarse clock, when the last packet came; the packet itself may tell an earlier time.
    pub(crate) seen_at: u32,
    /// The sequence number of the SYN, if [`Flags::ISN_KNOWN`].
    pub(crate) isn: u32,
    /// The wheel's time of the last report: the start, or a tick.
    pub(crate) reported: u32,
    /// What happened, as bits; see [`history`].
    seen: u16,
    pub(crate) state: State,
    pub(crate) flags: Flags,
    pub(crate) directions: [Direction; 2],
}

/// What one end sent.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Direction {
    packets: u64,
    bytes: u64,
    pub(crate) payload: u64,
    first: i64,
    pub(crate) last: i64,
    /// SYN, FIN and RST: 21 bits each.
    counts: u64,
    /// Behind the highest sequence number that was sent; means nothing before the first segment.
    pub(crate) next_sequence: u32,
    retransmitted: u32,
    /// Not of the direction: it fills the line. In the first the flow's number, in the second the order of what happened.
    word: u64,
}

/// The state, as far as it decides on the time-out. TCP that one end has closed is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    TcpOpening,
    TcpEstablished,
    TcpFinished,
    TcpReset,
    Udp,
    Other,
}

/// Bits that are true of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// The initiator is the key's second end.
    pub(crate) const REVERSE: u8 = 1;
    /// The initiator was recognized later than the first packet.
    pub(crate) const FLIPPED: u8 = 2;
    pub(crate) const ESTABLISHED: u8 = 4;
    pub(crate) const CUT: u8 = 8;
    pub(crate) const ISN_KNOWN: u8 = 16;
    /// Flags that exclude each other were told.
    pub(crate) const TOLD: u8 = 32;
    pub(crate) const MALFORMED: u8 = 128;

    pub(crate) const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    pub(crate) const fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }
}

impl State {
    pub(crate) const fn is_closed(self) -> bool {
        matches!(self, Self::TcpFinished | Self::TcpReset)
    }

    /// Why a flow is over that ends in this state, where `otherwise` is the reason to end it now.
    pub(crate) const fn reason(self, otherwise: EndReason) -> EndReason {
        match self {
            Self::TcpFinished => EndReason::Finished,
            Self::TcpReset => EndReason::Reset,
            _ => otherwise,
        }
    }
}

impl<K> Record<K> {
    pub(crate) fn new(key: K, id: FlowId, state: State, initiator: Orientation, now: u32) -> Self {
        let mut directions = [Direction::SILENT; 2];
        directions[0].word = id.get();
        Self {
            key,
            seen_at: now,
            isn: 0,
            reported: now,
            seen: 0,
            state,
            flags: Flags(initiator as u8),
            directions,
        }
    }

    /// Asks for the lines that a packet of this direction touches.
    #[inline]
    pub(super) fn prefetch(&self, from: Orientation) {
        prefetch(self);
        prefetch(&self.directions[from as usize]);
    }

    pub(crate) fn id(&self) -> FlowId {
        FlowId::new(self.directions[0].word)
    }

    pub(crate) const fn initiator(&self) -> Orientation {
        if self.flags.has(Flags::REVERSE) {
            Orientation::Reverse
        } else {
            Orientation::Forward
        }
    }

    /// Makes this end the initiator, later than the first packet.
    pub(crate) fn set_initiator(&mut self, initiator: Orientation) {
        if self.initiator() != initiator {
            self.flags.0 ^= Flags::REVERSE;
            self.flags.set(Flags::FLIPPED);
        }
    }

    #[inline]
    pub(crate) const fn direction(&mut self, from: Orientation) -> &mut Direction {
        &mut self.directions[from as usize]
    }

    /// Whether this end has sent.
    #[inline]
    pub(crate) const fn has_sent(&self, from: Orientation) -> bool {
        self.directions[from as usize].packets != 0
    }

    /// Whether both ends have sent.
    pub(crate) const fn is_answered(&self) -> bool {
        self.has_sent(Orientation::Forward) && self.has_sent(Orientation::Reverse)
    }

    /// The latest packet time.
    pub(crate) fn last(&self) -> i64 {
        self.directions[0].last.max(self.directions[1].last)
    }

    #[inline]
    pub(crate) fn happened(&mut self, letter: Letter, from: Orientation) {
        history::push(&mut self.directions[1].word, &mut self.seen, letter, from);
    }

    #[inline]
    pub(crate) const fn has_happened(&self, letter: Letter, from: Orientation) -> bool {
        self.seen & history::bit(letter, from) != 0
    }

    /// Whether any segment of this end was read.
    #[inline]
    pub(crate) const fn has_sent_segments(&self, from: Orientation) -> bool {
        self.seen >> (8 * from as u16) & 0xff != 0
    }

    pub(crate) fn history(&self) -> History {
        History::new(
            self.directions[1].word,
            self.seen,
            self.initiator(),
            self.flags.has(Flags::FLIPPED),
        )
    }

    pub(crate) fn stats(&self, clock: Clock) -> FlowStats {
        FlowStats {
            initiator: self.initiator(),
            established: self.flags.has(Flags::ESTABLISHED),
            cut: self.flags.has(Flags::CUT),
            malformed: self.flags.has(Flags::MALFORMED),
            forward: self.directions[0].stats(clock),
            reverse: self.directions[1].stats(clock),
        }
    }
}

const COUNT_BITS: u32 = 21;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

impl Direction {
    const SILENT: Self = Self {
        packets: 0,
        bytes: 0,
        payload: 0,
        first: i64::MAX,
        last: i64::MIN,
        counts: 0,
        next_sequence: 0,
        retransmitted: 0,
        word: 0,
    };

    /// Counts a packet. True: it is the first.
    #[inline]
    pub(crate) fn count(&mut self, time: i64, bytes: u32, payload: u32) -> bool {
        self.packets += 1;
        self.bytes += u64::from(bytes);
        self.payload += u64::from(payload);
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.packets == 1
    }

    /// Counts a flag: 0 is SYN, 1 is FIN, 2 is RST.
    pub(crate) const fn count_flag(&mut self, flag: u32) {
        if self.flag(flag) < COUNT_MAX {
            self.counts += 1 << (flag * COUNT_BITS);
        }
    }

    const fn flag(&self, flag: u32) -> u64 {
        (self.counts >> (flag * COUNT_BITS)) & COUNT_MAX
    }

    pub(crate) const fn count_retransmission(&mut self) {
        self.retransmitted = self.retransmitted.saturating_add(1);
    }

    fn stats(&self, clock: Clock) -> DirectionStats {
        let time = |nanos| (self.packets != 0).then_some(Timestamp::from_nanos(nanos, clock));
        DirectionStats {
            packets: self.packets,
            bytes: self.bytes,
            payload_bytes: self.payload,
            first: time(self.first),
            last: time(self.last),
            syn: self.flag(0),
            fin: self.flag(1),
            rst: self.flag(2),
            retransmitted: self.retransmitted.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::FiveTupleKey;

    const _: () = assert!(size_of::<Record<FiveTupleKey>>() == 192);
    const _: () = assert!(size_of::<Direction>() == 64);

    #[test]
    fn flags_are_counted_apart_and_stop_at_their_bound() {
        let mut direction = Direction::SILENT;
        for _ in 0..COUNT_MAX + 5 {
            direction.count_flag(1);
        }
        direction.count_flag(0);
        direction.count_flag(2);
        let stats = direction.stats(Clock::Unknown);
        assert_eq!((stats.syn, stats.fin, stats.rst), (1, 2_097_151, 1));
    }
}
