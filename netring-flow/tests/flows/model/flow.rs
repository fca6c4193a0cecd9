//! A flow as the model sees it.

use netring_flow::{EndReason, FlowStats};
use proptest::prelude::*;

use crate::common::{ACK, Ended, FIN, RST, SYN, at, side};

/// Timeouts in seconds. Packets come at whole seconds, so none is near the half one.
pub(super) const OPENING: f64 = 4.5;
pub(super) const ESTABLISHED: f64 = 30.5;
pub(super) const CLOSING: f64 = 3.5;
pub(super) const OF_UDP: f64 = 9.5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Opening,
    Established,
    /// Both ends have sent their FIN.
    Closing,
    Finished,
    Reset,
    Udp,
}

impl State {
    pub(super) fn is_closed(self) -> bool {
        matches!(self, Self::Closing | Self::Finished | Self::Reset)
    }

    pub(super) fn timeout(self) -> f64 {
        match self {
            Self::Opening => OPENING,
            Self::Established => ESTABLISHED,
            Self::Closing | Self::Finished | Self::Reset => CLOSING,
            Self::Udp => OF_UDP,
        }
    }

    pub(super) fn reason(self, otherwise: EndReason) -> EndReason {
        match self {
            Self::Closing | Self::Finished => EndReason::Finished,
            Self::Reset => EndReason::Reset,
            _ => otherwise,
        }
    }
}

/// A flow as the model sees it. The first of two is always the client.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) state: State,
    pub(super) established: bool,
    pub(super) answered: bool,
    /// The end that began.
    initiator: usize,
    first: [Option<f64>; 2],
    pub(super) last: [Option<f64>; 2],
    counts: [[u64; 7]; 2],
    history: String,
    pub(super) fin: [bool; 2],
    /// The highest acknowledgement of each.
    acked: [Option<u32>; 2],
    /// The last bytes of each in this flow: where, and how many.
    pub(super) sent: [Option<(u32, u16)>; 2],
}

/// Places of [`Flow::counts`].
const PACKETS: usize = 0;
const BYTES: usize = 1;
const PAYLOAD: usize = 2;
const SYNS: usize = 3;
const FINS: usize = 4;
const RSTS: usize = 5;
const AGAIN: usize = 6;

impl Flow {
    fn happened(&mut self, letter: char, from: usize) {
        let letter = if from == self.initiator {
            letter
        } else {
            letter.to_ascii_lowercase()
        };
        if !self.history.contains(letter) {
            self.history.push(letter);
        }
    }

    pub(super) fn new(sent: Sent) -> Self {
        let state = match sent.flags {
            0 => State::Udp,
            SYN => State::Opening,
            _ => State::Established,
        };
        Self {
            state,
            established: false,
            answered: false,
            initiator: sent.from,
            first: [None; 2],
            last: [None; 2],
            counts: [[0; 7]; 2],
            history: String::new(),
            fin: [false; 2],
            acked: [None; 2],
            sent: [None; 2],
        }
    }

    /// Counts a packet, and returns the names of the events that it causes, in order.
    pub(super) fn take(
        &mut self,
        sent: Sent,
        bytes: usize,
        next: [u32; 2],
        now: f64,
    ) -> Vec<&'static str> {
        let Sent { from, flags, .. } = sent;
        self.first[from].get_or_insert(now);
        self.last[from] = Some(now);
        let counts = &mut self.counts[from];
        counts[PACKETS] += 1;
        counts[BYTES] += bytes as u64;
        counts[PAYLOAD] += u64::from(sent.len);
        for (flag, place) in [(SYN, SYNS), (FIN, FINS), (RST, RSTS)] {
            counts[place] += u64::from(flags & flag != 0);
        }
        counts[AGAIN] += u64::from(sent.again);
        if flags == 0 {
            return Vec::new();
        }
        if sent.outside {
            return vec!["out of window"];
        }
        if sent.again {
            self.happened('T', from);
        }
        for (flag, letter) in [(SYN, 'S'), (FIN, 'F'), (RST, 'R')] {
            if flags & flag != 0 {
                let answers = flags == SYN | ACK;
                self.happened(if answers { 'H' } else { letter }, from);
            }
        }
        if sent.len != 0 {
            self.happened('D', from);
            self.sent[from] = Some((sent.sequence, sent.len));
        } else if flags == ACK {
            self.happened('A', from);
        }
        let mut events = Vec::new();
        if flags & (ACK | RST) == ACK {
            let before = self.acked[from].unwrap_or(sent.ack);
            let is_higher = sent.ack.wrapping_sub(before).cast_signed() > 0;
            self.acked[from] = Some(if is_higher { sent.ack } else { before });
        }
        if flags == SYN | ACK {
            self.answered = true;
        } else if self.state == State::Opening && flags & (SYN | RST) == 0 {
            self.state = State::Established;
            self.established = true;
            events.push("established");
        }
        let before = self.state;
        if flags & FIN != 0 {
            self.fin[from] = true;
        }
        self.state = match self.state {
            State::Closing if flags & RST != 0 => State::Finished,
            open @ (State::Opening | State::Established) if flags & RST != 0 => {
                assert_ne!(open, State::Reset);
                State::Reset
            }
            State::Established if self.fin == [true; 2] => State::Closing,
            other => other,
        };
        let is_acked = |end: usize| self.acked[1 - end] == Some(next[end]);
        if self.state == State::Closing && is_acked(0) && is_acked(1) {
            self.state = State::Finished;
        }
        if self.state != before && matches!(self.state, State::Finished | State::Reset) {
            events.push("closed");
        }
        events
    }

    pub(super) fn silent_since(&self) -> f64 {
        let [a, b] = self.last.map(|time| time.unwrap_or(f64::MIN));
        a.max(b)
    }

    /// How valuable it is when there is no room.
    pub(super) fn value(&self) -> u8 {
        match self.state {
            state if state.is_closed() => 0,
            State::Opening => 1,
            _ if self.last.iter().all(Option::is_some) => 3,
            _ => 2,
        }
    }

    pub(super) fn check(&self, ended: &Ended, client: &str, now: f64) -> Result<(), TestCaseError> {
        let stats: &FlowStats = &ended.stats;
        let orientation = side(ended.key, client);
        prop_assert_eq!(ended.time, at(now));
        prop_assert_eq!(&ended.history, &self.history);
        prop_assert_eq!(stats.established, self.established);
        let initiator = [orientation, orientation.flipped()][self.initiator];
        prop_assert_eq!(stats.initiator, initiator);
        prop_assert!(!stats.cut && !stats.malformed);
        for (end, of) in [orientation, orientation.flipped()].into_iter().enumerate() {
            let sent = stats.sent(of);
            let counts = [
                sent.packets,
                sent.bytes,
                sent.payload_bytes,
                sent.syn,
                sent.fin,
                sent.rst,
                sent.retransmitted,
            ];
            prop_assert_eq!(counts, self.counts[end], "{:?}", self);
            prop_assert_eq!((sent.out_of_order, sent.zero_windows), (0, 0));
            prop_assert_eq!(sent.first, self.first[end].map(at));
            prop_assert_eq!(sent.last, self.last[end].map(at));
        }
        Ok(())
    }
}

/// A segment, or a datagram if it has no flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) from: usize,
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) ack: u32,
    pub(super) len: u16,
    /// Its bytes, or its SYN, were sent before.
    pub(super) again: bool,
    /// Its number is outside the window.
    pub(super) outside: bool,
}
