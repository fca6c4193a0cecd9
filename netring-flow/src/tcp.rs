//! What TCP segments make of a flow.

use crate::extract::{Orientation, TcpSegment};
use crate::history::Letter;
use crate::table::{Flags, Record, State};

const FIN: u8 = TcpSegment::FIN;
const SYN: u8 = TcpSegment::SYN;
const RST: u8 = TcpSegment::RST;
const ACK: u8 = TcpSegment::ACK;

/// How long a connection must be silent until a SYN is taken for a new one, in nanoseconds: 1 s. One that was overtaken by its
/// own successors is not that late.
pub(crate) const SILENT: i64 = 1_000_000_000;

/// What became of a flow by one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The handshake is complete.
    pub(crate) established: bool,
    /// Its flags exclude each other, for the first time in this flow.
    pub(crate) inconsistent: bool,
}

/// The state of a flow that begins with this segment, and who began it.
pub(crate) const fn begin(segment: TcpSegment, from: Orientation) -> (State, Orientation) {
    if segment.has(RST) || !segment.has(SYN) {
        // RST closes when it is counted.
        return (State::TcpEstablished, from);
    }
    let initiator = if segment.has(ACK) {
        from.flipped()
    } else {
        from
    };
    (State::TcpOpening, initiator)
}

/// Whether this segment is of a new connection between the ports of the flow. `silent` is for how long nothing was sent.
pub(crate) fn is_another<K>(
    flow: &Record<K>,
    segment: TcpSegment,
    from: Orientation,
    silent: i64,
) -> bool {
    if !segment.has(SYN) || segment.has(FIN | RST) {
        return false;
    }
    let known = flow.flags.has(Flags::ISN_KNOWN);
    if segment.has(ACK) {
        // It answers a SYN that was not seen.
        let answered = segment.acknowledgement.wrapping_sub(1);
        return flow.state.is_closed() && known && answered != flow.isn;
    }
    let could_be = match flow.state {
        State::TcpFinished | State::TcpReset => true,
        State::TcpEstablished => silent >= SILENT,
        _ => false,
    };
    could_be
        && if known {
            segment.sequence != flow.isn
        } else {
            !is_behind(flow, segment, from)
        }
}

/// Whether a SYN has the sequence number that the flow's own SYN, which was not seen, may have had.
fn is_behind<K>(flow: &Record<K>, segment: TcpSegment, from: Orientation) -> bool {
    let direction = &flow.directions[from as usize];
    let sent = direction.next_sequence.wrapping_sub(segment.sequence);
    // SYN, FIN and what a keep-alive may add take a number each.
    flow.has_sent_segments(from) && sent != 0 && u64::from(sent) <= direction.payload + 3
}

/// Whether this segment changes more of the flow than figures.
#[inline]
pub(crate) fn is_news<K>(
    flow: &Record<K>,
    segment: TcpSegment,
    payload: u32,
    from: Orientation,
) -> bool {
    let letter = if payload == 0 {
        Letter::Ack
    } else {
        Letter::Data
    };
    segment.has(SYN | FIN | RST)
        || flow.state == State::TcpOpening
        || !flow.has_happened(letter, from)
}

/// Takes a segment into the flow; its packet is counted already.
pub(crate) fn take<K>(
    flow: &mut Record<K>,
    segment: TcpSegment,
    payload: u32,
    from: Orientation,
) -> Outcome {
    let mut outcome = Outcome::default();
    sequence(flow, segment, payload, from);
    let controls = segment.has(SYN | FIN | RST);
    if controls {
        outcome.inconsistent = control(flow, segment, from);
    }
    if payload != 0 {
        flow.happened(Letter::Data, from);
    } else if segment.has(ACK) && !controls {
        flow.happened(Letter::Ack, from);
    }
    if flow.state == State::TcpOpening && segment.has(ACK) && !segment.has(SYN | RST) {
        flow.state = State::TcpEstablished;
        flow.flags.set(Flags::ESTABLISHED);
        outcome.established = true;
    }
    if segment.has(FIN | RST) {
        close(flow, segment);
    }
    outcome
}

/// Keeps the highest sequence number, and finds what was sent before.
#[inline]
pub(crate) fn sequence<K>(
    flow: &mut Record<K>,
    segment: TcpSegment,
    payload: u32,
    from: Orientation,
) {
    let first = !flow.has_sent_segments(from);
    let takes = payload + u32::from(segment.has(SYN)) + u32::from(segment.has(FIN));
    if takes == 0 && !first {
        return;
    }
    let direction = flow.direction(from);
    let end = segment.sequence.wrapping_add(takes);
    let ahead = end.wrapping_sub(direction.next_sequence).cast_signed();
    let overlaps = direction
        .next_sequence
        .wrapping_sub(segment.sequence)
        .cast_signed()
        > 0;
    if first || ahead > 0 || segment.has(SYN) {
        direction.next_sequence = end;
    }
    if !first && overlaps && payload != 0 && !segment.has(SYN) {
        direction.count_retransmission();
        flow.happened(Letter::Retransmission, from);
    }
}

/// Counts SYN, FIN and RST, and learns from a SYN who began. True: flags exclude each other, for the first time.
fn control<K>(flow: &mut Record<K>, segment: TcpSegment, from: Orientation) -> bool {
    let flags = [
        (
            SYN,
            0,
            if segment.has(ACK) {
                Letter::SynAck
            } else {
                Letter::Syn
            },
        ),
        (FIN, 1, Letter::Fin),
        (RST, 2, Letter::Rst),
    ];
    if segment.has(SYN) && !segment.has(FIN | RST) {
        begun(flow, segment, from);
    }
    for (flag, number, letter) in flags {
        if segment.has(flag) {
            flow.direction(from).count_flag(number);
            flow.happened(letter, from);
        }
    }
    if (segment.flags & (SYN | FIN | RST)).count_ones() < 2 {
        return false;
    }
    flow.happened(Letter::Inconsistent, from);
    let first = !flow.flags.has(Flags::TOLD);
    flow.flags.set(Flags::TOLD);
    first
}

fn begun<K>(flow: &mut Record<K>, segment: TcpSegment, from: Orientation) {
    let other = from.flipped();
    let (began, isn) = if segment.has(ACK) {
        (other, segment.acknowledgement.wrapping_sub(1))
    } else {
        (from, segment.sequence)
    };
    // The first SYN tells; one from each side at once changes nothing.
    let told = flow.has_happened(Letter::Syn, from) || flow.has_happened(Letter::Syn, other);
    let again = flow.state == State::TcpOpening && !segment.has(ACK) && flow.initiator() == from;
    if !told {
        flow.set_initiator(began);
    }
    if !flow.flags.has(Flags::ISN_KNOWN) || again {
        flow.isn = isn;
        flow.flags.set(Flags::ISN_KNOWN);
    }
}

fn close<K>(flow: &mut Record<K>, segment: TcpSegment) {
    let both = flow.has_happened(Letter::Fin, Orientation::Forward)
        && flow.has_happened(Letter::Fin, Orientation::Reverse);
    flow.state = match flow.state {
        closed @ (State::TcpFinished | State::TcpReset) => closed,
        _ if segment.has(RST) => State::TcpReset,
        _ if both => State::TcpFinished,
        open => open,
    };
}
