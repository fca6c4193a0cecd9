//! How TCP segments change a flow.

mod doubt;
mod sequence;
mod window;

pub(crate) use doubt::Doubts;
pub(crate) use sequence::{behind, follow};

use crate::event::Letter;
use crate::extract::{Orientation, TcpSegment, WindowScale};
use crate::table::{Flags, Rare, Record, State};

const FIN: u8 = TcpSegment::FIN;
const SYN: u8 = TcpSegment::SYN;
const RST: u8 = TcpSegment::RST;
const ACK: u8 = TcpSegment::ACK;

/// How long a connection must be idle before a SYN alone counts as a new connection, in
/// nanoseconds: 1 s. A SYN that was overtaken by its own successors is not that late.
pub(crate) const SILENT: i64 = 1_000_000_000;

/// A segment that arrives at a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) segment: TcpSegment,
    pub(crate) payload: u32,
    pub(crate) from: Orientation,
    /// The window scale that it offers, if it is a SYN.
    pub(crate) scale: WindowScale,
    /// The time since the previous packet of the same end, in nanoseconds; 0 for the first.
    pub(crate) gap: i64,
}

/// What one segment changed in a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The handshake is complete.
    pub(crate) established: bool,
    /// Its flags are mutually exclusive, for the first time in this flow.
    pub(crate) inconsistent: bool,
    /// It would close the flow, but its receiver would not accept it.
    pub(crate) out_of_window: bool,
}

/// The state of a flow that starts with this segment, and its initiator.
pub(crate) const fn begin(segment: TcpSegment, from: Orientation) -> (State, Orientation) {
    if segment.has(RST) || !segment.has(SYN) {
        // A RST closes the flow when it is counted.
        return (State::TcpEstablished, from);
    }
    let initiator = if segment.has(ACK) {
        from.flipped()
    } else {
        from
    };
    (State::TcpOpening, initiator)
}

/// Whether a segment starts no flow if its connection closed recently: it has neither SYN nor data.
pub(crate) const fn is_trailing(segment: TcpSegment, payload: u32) -> bool {
    !segment.has(SYN) && payload == 0
}

/// Whether this segment belongs to a new connection that reuses the flow's ports. `silent` is how
/// long the flow was idle.
pub(crate) fn is_another<K>(
    flow: &Record<K>,
    segment: TcpSegment,
    from: Orientation,
    silent: i64,
) -> bool {
    if !segment.has(SYN) || segment.has(FIN | RST) {
        return false;
    }
    let candidate = flow.flags.has(Flags::CANDIDATE);
    let known = flow.flags.has(Flags::ISN_KNOWN) && !candidate;
    if segment.has(ACK) {
        let answered = segment.acknowledgement.wrapping_sub(1);
        // It answers a SYN that looked like a stray, or one that was not seen.
        return candidate && answered == flow.isn()
            || flow.state.is_closed() && known && answered != flow.isn();
    }
    let could_be = match flow.state {
        closed if closed.is_closed() => true,
        State::TcpEstablished | State::TcpDoubtful => silent >= SILENT,
        _ => false,
    };
    could_be
        && if known {
            segment.sequence != flow.isn()
        } else {
            !is_behind(flow, segment, from)
        }
}

/// Whether this SYN restarts the handshake of a half-open flow with another number.
pub(crate) fn begins_again<K>(flow: &Record<K>, segment: TcpSegment, from: Orientation) -> bool {
    flow.state == State::TcpOpening
        && segment.has(SYN)
        && !segment.has(ACK | FIN | RST)
        && flow.initiator() == from
        && flow.flags.has(Flags::ISN_KNOWN)
        && segment.sequence != flow.isn()
}

/// Whether a SYN has a sequence number that this end's own SYN may have had.
fn is_behind<K>(flow: &Record<K>, segment: TcpSegment, from: Orientation) -> bool {
    let direction = &flow.directions[from as usize];
    let sent = direction.next_sequence.wrapping_sub(segment.sequence);
    // SYN, FIN and a keep-alive byte each take one number.
    flow.has_sent_segments(from)
        && sent != 0
        && u64::from(sent) <= direction.payload.saturating_add(3)
}

/// Whether this segment changes more of the flow than its counters.
#[inline]
pub(crate) fn changes_state<K>(
    flow: &Record<K>,
    segment: &TcpSegment,
    payload: u32,
    from: Orientation,
) -> bool {
    let letter = if payload == 0 {
        Letter::Ack
    } else {
        Letter::Data
    };
    segment.has(SYN | FIN | RST)
        || matches!(
            flow.state,
            State::TcpOpening | State::TcpClosing | State::TcpDoubtful
        )
        || !flow.has_happened(letter, from)
}

/// Applies a segment to the flow; its packet is already counted.
#[inline]
pub(crate) fn take<K>(flow: &mut Record<K>, rare: &mut Rare, arrival: &Arrival) -> Outcome {
    if arrival.segment.flags & (SYN | FIN | RST | ACK) == SYN && flow.has_no_history() {
        open(flow, arrival);
        return Outcome::default();
    }
    take_any(flow, rare, arrival)
}

/// Applies the SYN that starts a flow. [`take_any`] has the same result; this costs a fraction, and
/// a SYN flood consists of nothing else.
fn open<K>(flow: &mut Record<K>, arrival: &Arrival) {
    let Arrival { segment, from, .. } = *arrival;
    flow.direction(from).count_flag(0);
    sequence::start(flow, arrival);
    flow.set_initiator(from);
    flow.set_isn(segment.sequence);
    flow.flags.set(Flags::ISN_KNOWN);
    write(flow, segment, arrival.payload, from);
}

/// Applies any segment.
fn take_any<K>(flow: &mut Record<K>, rare: &mut Rare, arrival: &Arrival) -> Outcome {
    let Arrival {
        segment,
        payload,
        from,
        ..
    } = *arrival;
    let mut outcome = Outcome::default();
    let controls = segment.has(SYN | FIN | RST);
    if controls {
        count_flags(flow, segment, from);
        if segment.has(FIN | RST) && !window::accepts(flow, segment, payload, from) {
            outcome.out_of_window = true;
            return outcome;
        }
        outcome.inconsistent = is_inconsistent(flow, segment, from);
    }
    // A RST takes no sequence number, and what it acknowledges no longer matters.
    if segment.has(SYN) {
        syn(flow, rare, arrival);
    } else if !segment.has(RST) {
        sequence::take(flow, rare, segment, payload, from);
    }
    write(flow, segment, payload, from);
    if flow.state == State::TcpOpening && segment.has(ACK) && !segment.has(SYN | RST) {
        outcome.established = establish(flow, segment, payload, from);
    }
    if segment.has(FIN | RST) {
        close(flow, segment, from);
    }
    if flow.state == State::TcpClosing && are_fins_acknowledged(flow) {
        flow.state = State::TcpFinished;
    }
    outcome
}

fn count_flags<K>(flow: &mut Record<K>, segment: TcpSegment, from: Orientation) {
    for (flag, number) in [(SYN, 0), (FIN, 1), (RST, 2)] {
        if segment.has(flag) {
            flow.direction(from).count_flag(number);
        }
    }
}

/// Records a segment in the history.
fn write<K>(flow: &mut Record<K>, segment: TcpSegment, payload: u32, from: Orientation) {
    let syn = if segment.has(ACK) {
        Letter::SynAck
    } else {
        Letter::Syn
    };
    for (flag, letter) in [(SYN, syn), (FIN, Letter::Fin), (RST, Letter::Rst)] {
        if segment.has(flag) {
            flow.happened(letter, from);
        }
    }
    if payload != 0 {
        flow.happened(Letter::Data, from);
    } else if segment.has(ACK) && !segment.has(SYN | FIN | RST) {
        flow.happened(Letter::Ack, from);
    }
}

/// Whether two of SYN, FIN and RST are set, for the first time in this flow.
fn is_inconsistent<K>(flow: &mut Record<K>, segment: TcpSegment, from: Orientation) -> bool {
    if (segment.flags & (SYN | FIN | RST)).count_ones() < 2 {
        return false;
    }
    let before = flow.has_happened(Letter::Inconsistent, Orientation::Forward)
        || flow.has_happened(Letter::Inconsistent, Orientation::Reverse);
    flow.happened(Letter::Inconsistent, from);
    !before
}

/// Applies a SYN: the initiator, its numbers, and whether it was sent before.
fn syn<K>(flow: &mut Record<K>, rare: &mut Rare, arrival: &Arrival) {
    let Arrival { segment, from, .. } = *arrival;
    if segment.has(FIN | RST) {
        if !flow.has_sent_segments(from) {
            sequence::start(flow, arrival);
        }
        return;
    }
    let sent_before =
        flow.has_happened(Letter::Syn, from) || flow.has_happened(Letter::SynAck, from);
    if is_behind(flow, segment, from) && !sent_before {
        // Overtaken by the segments that it precedes.
        flow.direction(from).set_scale(arrival.scale);
        sequence::late(rare, from);
    } else if is_behind(flow, segment, from) {
        // Retransmitted. The next one may come after twice the time.
        flow.direction(from).set_retry(arrival.gap);
        sequence::again(flow, rare, segment, arrival.payload, from);
    } else if flow.state != State::TcpOpening && flow.has_sent_segments(from) {
        // From another connection, or a stray: the answer will show. Until then nothing changes.
        if !segment.has(ACK) {
            flow.set_isn(segment.sequence);
            flow.flags.set(Flags::ISN_KNOWN | Flags::CANDIDATE);
        }
        return;
    } else if !flow.has_sent_segments(from)
        || !segment.has(ACK)
        || window::answers(flow, segment.acknowledgement)
    {
        sequence::start(flow, arrival);
    }
    begun(flow, segment, from);
}

/// Learns from a SYN which end is the initiator, its number, and whether it was answered.
fn begun<K>(flow: &mut Record<K>, segment: TcpSegment, from: Orientation) {
    let other = from.flipped();
    let (began, isn) = if segment.has(ACK) {
        (other, segment.acknowledgement.wrapping_sub(1))
    } else {
        (from, segment.sequence)
    };
    // The first SYN decides; a simultaneous open changes nothing.
    let is_known = flow.has_happened(Letter::Syn, from) || flow.has_happened(Letter::Syn, other);
    if !is_known {
        flow.set_initiator(began);
    }
    if !flow.flags.has(Flags::ISN_KNOWN) || begins_again(flow, segment, from) {
        flow.set_isn(isn);
        flow.flags.set(Flags::ISN_KNOWN);
        flow.flags.clear(Flags::ANSWERED);
    }
    if segment.has(ACK)
        && flow.initiator() == other
        && window::answers(flow, segment.acknowledgement)
    {
        flow.flags.set(Flags::ANSWERED);
    }
}

/// Whether this segment completes the handshake: it acknowledges a SYN-ACK that acknowledges the
/// SYN.
///
/// A connection of which too little is seen is treated as established without a report, so that it
/// gets the right timeout.
fn establish<K>(
    flow: &mut Record<K>,
    segment: TcpSegment,
    payload: u32,
    from: Orientation,
) -> bool {
    let initiator = flow.initiator();
    let peer = &flow.directions[initiator.flipped() as usize];
    if from != initiator {
        // The initiator is not seen at all.
        if !flow.has_sent(initiator) {
            flow.state = State::TcpEstablished;
        }
        return false;
    }
    let ahead = segment.sequence.wrapping_sub(flow.isn().wrapping_add(1));
    let sent = flow.directions[from as usize].payload;
    if u64::from(ahead) > sent.saturating_add(u16::MAX.into()) {
        return false;
    }
    let unseen = peer.next_sequence.wrapping_sub(segment.acknowledgement);
    if flow.flags.has(Flags::ANSWERED) && u64::from(unseen) <= peer.payload {
        flow.state = State::TcpEstablished;
        flow.flags.set(Flags::ESTABLISHED);
        return true;
    }
    if payload != 0 || peer.packets() == 0 {
        flow.state = State::TcpEstablished;
    }
    false
}

fn close<K>(flow: &mut Record<K>, segment: TcpSegment, from: Orientation) {
    let both = flow.has_happened(Letter::Fin, Orientation::Forward)
        && flow.has_happened(Letter::Fin, Orientation::Reverse);
    flow.state = match flow.state {
        // An end that is gone answers the last FIN with a RST.
        State::TcpClosing
            if segment.has(RST) && window::is_inside(flow, segment, segment.sequence, from) =>
        {
            State::TcpFinished
        }
        closed if closed.is_closed() => closed,
        _ if segment.has(RST) => State::TcpReset,
        _ if both => State::TcpClosing,
        open => open,
    };
}

/// Whether each end acknowledged all that the other sent, which ends with its FIN.
fn are_fins_acknowledged<K>(flow: &Record<K>) -> bool {
    let [forward, reverse] = &flow.directions;
    [(forward, reverse), (reverse, forward)]
        .into_iter()
        .all(|(sender, receiver)| {
            let ahead = receiver.acked.wrapping_sub(sender.next_sequence);
            receiver.has_acked() && ahead.cast_signed() >= 0
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FlowId;
    use crate::table::Time;
    use Orientation::{Forward, Reverse};

    proptest! {
        #[test]
        fn the_short_way_of_a_first_syn_comes_to_the_same(
            [sequence, payload] in any::<[u32; 2]>(),
            (window, other_flags, scale) in (any::<u16>(), any::<u8>(), 0_u8..17),
            [from_reverse, begun_by_other, came_before] in any::<[bool; 3]>(),
        ) {
            let from = if from_reverse { Reverse } else { Forward };
            let initiator = if begun_by_other { from.flipped() } else { from };
            let arrival = Arrival {
                segment: TcpSegment {
                    flags: SYN | other_flags & !(FIN | RST | ACK),
                    sequence,
                    acknowledgement: 7,
                    window,
                },
                payload,
                from,
                scale: WindowScale::from_bits(scale),
                gap: 5,
            };
            // A packet without a readable segment may come first, which makes the flow established.
            let state = if came_before { State::TcpEstablished } else { State::TcpOpening };
            let after = |take: fn(&mut Record<()>, &mut Rare, &Arrival) -> Outcome| {
                let mut flow = Record::new((), FlowId::new(1), state, initiator, 3, 4);
                if came_before {
                    flow.direction(initiator).count(1, 60, 0);
                }
                flow.direction(from).count(2, 74, payload);
                let mut rare = Rare {
                    first: [Time::new(1); 2],
                    out_of_order: [0; 2],
                    zero_windows: [0; 2],
                };
                let outcome = take(&mut flow, &mut rare, &arrival);
                (outcome, format!("{flow:?} {rare:?}"))
            };
            prop_assert_eq!(after(take), after(take_any));
        }
    }
}
