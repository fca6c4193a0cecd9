//! Sequence numbers: what was sent before, and what merely arrives late.
//!
//! The tracker knows how many of the numbers below the highest one sent were not seen, but not
//! which. Data below the highest is late (*out of order*) while at least that much is missing;
//! otherwise it was sent before: a *retransmission*. Data that the other end has already
//! acknowledged, or requests with three duplicate acknowledgements, is also a retransmission.

use super::{ACK, Arrival, FIN, SYN};
use crate::event::Letter;
use crate::extract::{Orientation, TcpSegment};
use crate::table::{Rare, Record};

/// Starts the count with a SYN, or restarts it with a SYN that replaces the first.
pub(super) fn start<K>(flow: &mut Record<K>, arrival: &Arrival) {
    let segment = arrival.segment;
    let direction = flow.direction(arrival.from);
    direction.next_sequence = segment
        .sequence
        .wrapping_add(arrival.payload)
        .wrapping_add(1);
    direction.set_scale(arrival.scale);
    if segment.has(ACK) {
        direction.acknowledge(segment.acknowledgement, segment.window, 1);
    } else {
        direction.set_window(segment.window);
    }
}

/// Applies the numbers of a segment without SYN and RST.
pub(super) fn take<K>(
    flow: &mut Record<K>,
    rare: &mut Rare,
    segment: TcpSegment,
    payload: u32,
    from: Orientation,
) {
    if !flow.has_sent_segments(from) {
        flow.direction(from).next_sequence = segment.sequence;
    }
    let late = follow(flow, &segment, payload, from);
    let end = segment.sequence.wrapping_add(payload);
    let mut again = late;
    if segment.has(FIN) {
        let direction = flow.direction(from);
        if direction.next_sequence == end {
            direction.next_sequence = end.wrapping_add(1);
        } else {
            again |= flow.has_happened(Letter::Fin, from);
        }
    }
    if again {
        self::again(flow, rare, segment, payload, from);
    }
}

/// Updates the highest sequence number and the acknowledgement. Returns true if the data is below
/// the highest number.
#[inline(always)]
pub(crate) fn follow<K>(
    flow: &mut Record<K>,
    segment: &TcpSegment,
    payload: u32,
    from: Orientation,
) -> bool {
    let direction = flow.direction(from);
    if segment.has(ACK) {
        // A FIN does not show what is missing.
        let carries = payload | u32::from(segment.has(FIN));
        direction.acknowledge(segment.acknowledgement, segment.window, carries);
    }
    let ahead = segment.sequence.wrapping_sub(direction.next_sequence);
    if ahead.cast_signed() < 0 {
        return payload != 0;
    }
    if ahead != 0 {
        direction.miss(ahead);
    }
    direction.next_sequence = segment.sequence.wrapping_add(payload);
    false
}

/// Applies data below the highest sequence number, for which [`follow`] returned true.
#[cold]
pub(crate) fn behind<K>(
    flow: &mut Record<K>,
    rare: &mut Rare,
    segment: &TcpSegment,
    payload: u32,
    from: Orientation,
) {
    again(flow, rare, *segment, payload, from);
}

/// Counts data below the highest sequence number as sent before, as late, or as neither.
pub(super) fn again<K>(
    flow: &mut Record<K>,
    rare: &mut Rare,
    segment: TcpSegment,
    payload: u32,
    from: Orientation,
) {
    let [direction, other] = flow.ends(from);
    let end = segment.sequence.wrapping_add(payload);
    // These read the other end's cache line. Nothing else here does, so they are evaluated last.
    let is_acked =
        || payload != 0 && other.has_acked() && other.acked.wrapping_sub(end).cast_signed() >= 0;
    let is_asked_for = || other.asks() && other.acked == segment.sequence;

    let next = direction.next_sequence;
    let ahead = end.wrapping_sub(next).cast_signed() > 0;
    if ahead {
        direction.next_sequence = end;
    }
    if segment.sequence.wrapping_add(1) == next && !segment.has(SYN | FIN) {
        // A keep-alive or a zero-window probe, or the data that starts with the byte of such a
        // probe.
        if payload <= 1 || ahead && !is_acked() {
            return;
        }
    }
    let below = if ahead {
        next.wrapping_sub(segment.sequence)
    } else {
        payload
    };
    let could_miss = below != 0 && below <= direction.missing();
    let was_missing = could_miss && !is_acked();
    if was_missing {
        direction.find(below);
    }
    if was_missing && !is_asked_for() {
        late(rare, from);
    } else {
        direction.count_retransmission();
        flow.happened(Letter::Retransmission, from);
    }
}

/// Counts an overtaken segment.
pub(super) const fn late(rare: &mut Rare, from: Orientation) {
    let late = &mut rare.out_of_order[from as usize];
    *late = late.saturating_add(1);
}
