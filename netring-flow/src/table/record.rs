//! The record of a flow: three cache lines for the built-in key, of which a packet uses two.

use netring_sys::Clock;

use super::direction::Direction;
use super::prefetch::prefetch;
use super::rare::Rare;
use crate::event::{self, Letter};
use crate::extract::Orientation;
use crate::{EndReason, FlowId, FlowState, FlowStats, History, LiveFlow};

/// A flow. The first cache line holds the key and the state, the other two hold a direction each.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Record<K> {
    pub(crate) key: K,
    /// In this line because a visitor of segments reads it with each packet.
    id: FlowId,
    /// When the last packet arrived, by the wheel's coarse clock; the packet's own timestamp may be
    /// earlier.
    pub(crate) seen_at: u32,
    /// What happened, as bits; see [`History`].
    seen: event::Seen,
    pub(crate) state: State,
    pub(crate) flags: Flags,
    pub(crate) directions: [Direction; 2],
}

/// The state, as far as it determines the timeout. A TCP connection that one end has closed is
/// established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    TcpOpening,
    /// Both ends sent FIN, and not both are acknowledged. Next to `TcpOpening`, as the next one is,
    /// so that one comparison tells the three from the others.
    TcpClosing,
    /// As established, and a FIN came that is outside of its receiver's window.
    TcpDoubtful,
    TcpEstablished,
    /// Both ends sent FIN, and both are acknowledged.
    TcpFinished,
    TcpReset,
    Udp,
    Other,
}

/// Boolean facts about a flow.
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
    /// A packet was malformed.
    pub(crate) const MALFORMED: u8 = 32;
    /// A SYN-ACK acknowledged the SYN.
    pub(crate) const ANSWERED: u8 = 64;
    /// `isn` is that of a later SYN, which may belong to another connection.
    pub(crate) const CANDIDATE: u8 = 128;

    pub(crate) const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    pub(crate) const fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }

    pub(crate) const fn clear(&mut self, flag: u8) {
        self.0 &= !flag;
    }
}

impl State {
    /// The public form of the state.
    const fn public(self) -> FlowState {
        match self {
            Self::TcpOpening => FlowState::TcpOpening,
            Self::TcpEstablished | Self::TcpDoubtful => FlowState::TcpEstablished,
            Self::TcpClosing | Self::TcpFinished | Self::TcpReset => FlowState::TcpClosing,
            Self::Udp => FlowState::Udp,
            Self::Other => FlowState::Other,
        }
    }

    /// Whether neither end sends data any more.
    pub(crate) const fn is_closed(self) -> bool {
        matches!(self, Self::TcpClosing) || self.is_acknowledged()
    }

    /// Whether it is closed and both ends know.
    pub(crate) const fn is_acknowledged(self) -> bool {
        matches!(self, Self::TcpFinished | Self::TcpReset)
    }

    /// Why a flow that is in this state ended, if `otherwise` is the reason to end it now.
    pub(crate) const fn reason(self, otherwise: EndReason) -> EndReason {
        match self {
            Self::TcpClosing | Self::TcpFinished => EndReason::Finished,
            Self::TcpReset => EndReason::Reset,
            _ => otherwise,
        }
    }
}

impl<K> Record<K> {
    pub(crate) fn new(
        key: K,
        id: FlowId,
        state: State,
        initiator: Orientation,
        now: u32,
        reported: u32,
    ) -> Self {
        let mut directions = [Direction::SILENT; 2];
        directions[0].word = u64::from(reported);
        Self {
            key,
            id,
            seen_at: now,
            seen: [0, 0],
            state,
            flags: Flags(initiator as u8),
            directions,
        }
    }

    /// Prefetches the lines that a packet of this direction uses.
    #[inline]
    pub(super) fn prefetch(&self, from: Orientation) {
        prefetch(self);
        prefetch(&self.directions[from as usize]);
    }

    pub(crate) const fn id(&self) -> FlowId {
        self.id
    }

    /// The sequence number of the SYN, if [`Flags::ISN_KNOWN`].
    pub(crate) const fn isn(&self) -> u32 {
        (self.directions[0].word >> 32) as u32
    }

    pub(crate) const fn set_isn(&mut self, isn: u32) {
        self.directions[0].word = (isn as u64) << 32 | self.reported() as u64;
    }

    /// When the last report was due, by the clock of ticks; the start counts as the first. See
    /// [`expire`](crate::engine).
    pub(crate) const fn reported(&self) -> u32 {
        self.directions[0].word as u32
    }

    pub(crate) const fn set_reported(&mut self, reported: u32) {
        self.directions[0].word = (self.isn() as u64) << 32 | reported as u64;
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

    /// This end, and the other.
    pub(crate) const fn ends(&mut self, from: Orientation) -> [&mut Direction; 2] {
        let [forward, reverse] = &mut self.directions;
        match from {
            Orientation::Forward => [forward, reverse],
            Orientation::Reverse => [reverse, forward],
        }
    }

    /// Whether this end has sent.
    #[inline]
    pub(crate) const fn has_sent(&self, from: Orientation) -> bool {
        self.directions[from as usize].packets() != 0
    }

    /// Whether both ends have sent.
    pub(crate) const fn is_answered(&self) -> bool {
        self.has_sent(Orientation::Forward) && self.has_sent(Orientation::Reverse)
    }

    /// Whether its handshake is incomplete or was refused.
    pub(crate) const fn is_attempt(&self) -> bool {
        self.state.is_closed() || matches!(self.state, State::TcpOpening)
    }

    /// The latest packet time.
    pub(crate) fn last(&self) -> i64 {
        self.directions[0].last.max(self.directions[1].last)
    }

    #[inline]
    pub(crate) fn happened(&mut self, letter: Letter, from: Orientation) {
        event::push(&mut self.directions[1].word, &mut self.seen, letter, from);
    }

    #[inline]
    pub(crate) const fn has_happened(&self, letter: Letter, from: Orientation) -> bool {
        self.seen[from as usize] & event::bit(letter) != 0
    }

    /// Whether no segment was read.
    #[inline]
    pub(crate) const fn has_no_history(&self) -> bool {
        matches!(self.seen, [0, 0])
    }

    /// Whether any segment of this end was read.
    #[inline]
    pub(crate) const fn has_sent_segments(&self, from: Orientation) -> bool {
        self.seen[from as usize] != 0
    }

    pub(crate) fn history(&self) -> History {
        History::new(
            self.directions[1].word,
            self.seen,
            self.initiator(),
            self.flags.has(Flags::FLIPPED),
        )
    }

    /// Bytes on the wire of both directions.
    pub(crate) const fn bytes(&self) -> u64 {
        self.directions[0].bytes() + self.directions[1].bytes()
    }

    pub(super) fn live(&self, rare: &Rare, clock: Clock) -> LiveFlow<K>
    where
        K: Clone,
    {
        LiveFlow {
            key: self.key.clone(),
            flow: self.id(),
            state: self.state.public(),
            history: self.history(),
            stats: self.stats(rare, clock),
        }
    }

    pub(super) fn stats(&self, rare: &Rare, clock: Clock) -> FlowStats {
        FlowStats {
            initiator: self.initiator(),
            established: self.flags.has(Flags::ESTABLISHED),
            cut: self.flags.has(Flags::CUT),
            malformed: self.flags.has(Flags::MALFORMED),
            forward: self.directions[0].stats(rare, Orientation::Forward, clock),
            reverse: self.directions[1].stats(rare, Orientation::Reverse, clock),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::FiveTupleKey;

    const _: () = assert!(size_of::<Record<FiveTupleKey>>() == 192);
}
