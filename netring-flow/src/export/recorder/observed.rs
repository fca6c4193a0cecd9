//! Facts from the segments of one flow.

use super::super::conn_state::{Ends, INITIATOR};
use super::super::record::index;
use super::super::{FlowRecord, IcmpKind, Letters, MplsRecord};
use super::stream::Stream;
use crate::extract::{FiveTupleKey, Orientation, Piece, TcpSegment};
use crate::parse;
use crate::visitor::{EarlyFragments, Segment};

/// Letters that occur once per end, as bits.
const ACK: u8 = 1;
const DATA: u8 = 2;
const FIN_RST: u8 = 4;
const MULTI_FLAG: u8 = 8;

/// A flow as an analyst sees it.
#[derive(Debug)]
pub(super) struct Observed {
    initiator: Orientation,
    /// By role.
    ends: Ends,
    /// Upper case is the key's first end.
    letters: Letters,
    /// By orientation, like all fields below.
    sides: [Side; 2],
    /// The time of the last packet that did not arrive after both ends had closed.
    productive_end: i64,
    icmp: Option<IcmpKind>,
    handshake: Handshake,
    /// The last record, if records cover intervals.
    pub(super) reported: Option<Box<FlowRecord>>,
}

/// The traffic of one end.
#[derive(Debug, Default)]
struct Side {
    stream: Stream,
    seen: u8,
    flags: u8,
    /// The positions of the last SYN, FIN and RST.
    last: [Option<u64>; 3],
    repeated: Scaled,
    holes: Scaled,
    zero_windows: Scaled,
    packets: u64,
    ip_bytes: u64,
    /// Packets with an unknown IP length.
    unknown_lengths: u64,
    /// Its last FIN that was out of the other end's window, and its bytes of data.
    refused: Option<(TcpSegment, u32)>,
    /// The top label of its first packet.
    mpls: Option<MplsRecord>,
}

/// A count that adds a letter at 1, 10, 100 …
#[derive(Debug)]
struct Scaled {
    count: u64,
    next: u64,
}

impl Default for Scaled {
    fn default() -> Self {
        Self { count: 0, next: 1 }
    }
}

impl Scaled {
    /// Counts one, and returns whether it adds a letter.
    fn counts(&mut self) -> bool {
        self.count += 1;
        let is_due = self.count == self.next;
        if is_due {
            self.next = self.next.saturating_mul(10);
        }
        is_due
    }
}

/// The times of the handshake.
#[derive(Clone, Copy, Debug)]
enum Handshake {
    Silent,
    Syn(i64),
    Answered(i64),
    Complete(u64),
    /// A SYN or SYN-ACK was retransmitted, or the connection was picked up later.
    Unknown,
}

impl Observed {
    pub(super) fn new(first: &Segment<'_, FiveTupleKey>) -> Self {
        Self {
            initiator: first.initiator,
            ends: Ends::NEW,
            letters: Letters::EMPTY,
            sides: Default::default(),
            productive_end: i64::MIN,
            icmp: None,
            handshake: Handshake::Silent,
            reported: None,
        }
    }

    pub(super) fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        if segment.initiator != self.initiator {
            self.initiator = segment.initiator;
            self.ends = self.ends.flipped();
        }
        let side = &mut self.sides[segment.orientation as usize];
        if side.packets == 0 {
            side.mpls = parse::top_label(segment.packet).map(MplsRecord::from_bits);
        }
        side.packets += 1;
        match segment.ip_len {
            Some(len) => side.ip_bytes += u64::from(len),
            None => side.unknown_lengths += 1,
        }
        if !self.ends.are_closed() {
            self.productive_end = self.productive_end.max(segment.time.as_nanos());
        }
        if segment.piece == Piece::Held {
            return;
        }
        match (segment.tcp(), segment.key.protocol()) {
            (Some(header), _) => self.tcp(segment, header),
            (None, 17) => self.once(segment.orientation, DATA, b'D'),
            (None, 1 | 58) => self.icmp(segment.payload),
            (None, _) => {}
        }
    }

    /// Notes fragments that no segment shows.
    pub(super) fn early_fragments(&mut self, fragments: &EarlyFragments<'_, FiveTupleKey>) {
        let side = &mut self.sides[fragments.orientation as usize];
        side.packets += fragments.packets;
        match fragments.ip_bytes {
            Some(bytes) => side.ip_bytes += bytes,
            None => side.unknown_lengths += fragments.packets,
        }
    }

    fn icmp(&mut self, message: &[u8]) {
        if let ([icmp_type, code, ..], None) = (message, self.icmp) {
            self.icmp = Some(IcmpKind {
                icmp_type: *icmp_type,
                code: *code,
            });
        }
    }

    fn tcp(&mut self, segment: &Segment<'_, FiveTupleKey>, header: &TcpSegment) {
        let from = segment.orientation;
        self.sides[from as usize].flags |= header.flags;
        if segment.out_of_window {
            if header.has(TcpSegment::FIN) {
                self.sides[from as usize].refused = Some((*header, segment.payload_len));
            }
            return;
        }
        if segment.proves_fin
            && let Some((fin, len)) = self.sides[from.flipped() as usize].refused.take()
        {
            self.accepted(from.flipped(), &fin, len, segment.time.as_nanos());
        }
        self.accepted(from, header, segment.payload_len, segment.time.as_nanos());
        if header.has(TcpSegment::ACK) {
            self.acknowledges(from, header);
        }
    }

    /// A segment that its receiver would accept, without its acknowledgement.
    fn accepted(&mut self, from: Orientation, header: &TcpSegment, len: u32, time: i64) {
        let of = index(from, self.initiator);
        let trusted = !self.ends.is_reset(of);
        let side = &mut self.sides[from as usize];
        let place = side.stream.sent(header, len, trusted);
        self.flags(from, header, len, place.position);
        self.handshake.segment(header, of, time);
        let boring = self.ends.is_closed(1 - of) || !trusted || header.has(TcpSegment::RST);
        let side = &mut self.sides[from as usize];
        if header.window == 0 && !boring && side.zero_windows.counts() {
            self.push(from, b'W');
        }
        let side = &mut self.sides[from as usize];
        if place.repeated && side.repeated.counts() {
            self.push(from, b'T');
        }
        self.ends.segment(of, header.flags, len != 0);
    }

    /// Applies this end's acknowledgement to the other end.
    fn acknowledges(&mut self, from: Orientation, header: &TcpSegment) {
        let clean = self.ends.are_clean();
        let other = from.flipped();
        let side = &mut self.sides[other as usize];
        if side.stream.is_started() {
            for _ in 0..side.stream.acknowledged(header, clean) {
                if self.sides[other as usize].holes.counts() {
                    self.push(other, b'G');
                }
            }
        }
    }

    /// Adds the letters of the flags.
    fn flags(&mut self, from: Orientation, header: &TcpSegment, len: u32, position: Option<u64>) {
        let [syn, fin, rst] =
            [TcpSegment::SYN, TcpSegment::FIN, TcpSegment::RST].map(|flag| header.has(flag));
        let position = position.unwrap_or_default();
        match (syn, fin, rst) {
            (_, true, true) => self.once(from, FIN_RST, b'I'),
            (true, true, _) | (true, _, true) => self.once(from, MULTI_FLAG, b'Q'),
            (true, ..) if header.has(TcpSegment::ACK) => self.again(from, 0, b'H', position),
            (true, ..) => self.again(from, 0, b'S', position),
            // A FIN is numbered by the end of its segment.
            (_, true, _) => self.again(from, 1, b'F', position + u64::from(len)),
            (_, _, true) => self.again(from, 2, b'R', position),
            _ if len != 0 => self.once(from, DATA, b'D'),
            _ if header.has(TcpSegment::ACK) => self.once(from, ACK, b'A'),
            _ => {}
        }
    }

    fn once(&mut self, from: Orientation, kind: u8, letter: u8) {
        let side = &mut self.sides[from as usize];
        if side.seen & kind == 0 {
            side.seen |= kind;
            self.push(from, letter);
        }
    }

    /// A letter that is repeated if its position differs from the last one.
    fn again(&mut self, from: Orientation, kind: usize, letter: u8, position: u64) {
        let last = &mut self.sides[from as usize].last[kind];
        if *last != Some(position) {
            *last = Some(position);
            self.push(from, letter);
        }
    }

    fn push(&mut self, from: Orientation, letter: u8) {
        self.letters.push(match from {
            Orientation::Forward => letter,
            Orientation::Reverse => letter.to_ascii_lowercase(),
        });
    }

    /// Adds the observed facts to a record. `flipped` means that the initiator was recognized later
    /// than the first packet.
    pub(super) fn complete(&self, record: &mut FlowRecord, flipped: bool) {
        let is_tcp = record.protocol == 6;
        let sides = [&mut record.initiator, &mut record.responder];
        for (role, to) in sides.into_iter().enumerate() {
            let side = &self.sides[role ^ self.initiator as usize];
            let is_complete = side.unknown_lengths == 0 && side.packets == to.packets;
            to.ip_bytes = is_complete.then_some(side.ip_bytes);
            to.mpls = side.mpls;
            if is_tcp {
                to.tcp_flags = side.flags;
                let refused =
                    self.ends.is_aborted_attempt(role) && !side.stream.is_unacknowledged();
                to.stream_bytes = Some(if refused { 0 } else { side.stream.len() });
                to.missed_bytes = Some(side.stream.missed);
                to.zero_windows = Some(side.zero_windows.count);
            }
        }
        record.icmp = self.icmp;
        if is_tcp {
            record.productive_end_ns = Some(self.productive_end.max(record.start_ns));
            record.rtt_ns = self.handshake.round_trip();
            record.history = self.letters.by_role(self.initiator, flipped);
            let streams = self.sides.iter().map(|side| side.stream.len());
            record.state = self.ends.state(streams.sum::<u64>() == 0, &record.history);
        } else if record.protocol == 17 {
            record.history = self.letters.by_role(self.initiator, false);
        }
    }
}

impl Handshake {
    fn segment(&mut self, header: &TcpSegment, of: usize, time: i64) {
        let (syn, ack) = (header.has(TcpSegment::SYN), header.has(TcpSegment::ACK));
        *self = match (*self, syn, ack) {
            (Self::Silent, true, false) if of == INITIATOR => Self::Syn(time),
            (Self::Syn(start), true, true) if of != INITIATOR => Self::Answered(start),
            (Self::Answered(start), false, true) if of == INITIATOR => {
                Self::Complete(u64::try_from(time.saturating_sub(start)).unwrap_or_default())
            }
            (known @ Self::Complete(_), ..) => known,
            (known @ (Self::Syn(_) | Self::Answered(_)), false, _) => known,
            _ => Self::Unknown,
        };
    }

    const fn round_trip(self) -> Option<u64> {
        match self {
            Self::Complete(nanos) => Some(nanos),
            _ => None,
        }
    }
}
