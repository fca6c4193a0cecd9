//! Whether the other end would accept a segment that closes the connection.
//!
//! RFC 9293 (3.10.7.4) and RFC 5961: a RST or FIN counts only inside the receiver's window. The
//! window starts at what the receiver acknowledged last, and is as wide as it advertised, scaled if
//! both SYNs offered that. The tracker may know less than the receiver, so everything that the
//! sender was seen to send is inside as well. If the window is unknown because a SYN or its options
//! were not seen, everything is accepted.

use super::{ACK, FIN, RST};
use crate::event::Letter;
use crate::extract::{Orientation, TcpSegment, WindowScale};
use crate::table::{Direction, Flags, Record, State};

/// The widest window without scale.
const UNSCALED: u32 = 65_535;

/// Whether the receiver of this RST or FIN would accept it.
pub(super) fn accepts<K>(
    flow: &Record<K>,
    segment: TcpSegment,
    payload: u32,
    from: Orientation,
) -> bool {
    if flow.state.is_closed() {
        return true;
    }
    let waits = from != flow.initiator()
        && flow.flags.has(Flags::ISN_KNOWN)
        && flow.state == State::TcpOpening
        && !flow.directions[from.flipped() as usize].has_acked();
    if segment.has(RST) && waits {
        // An end that waits for an answer to its SYN accepts it by its acknowledgement number.
        if segment.has(ACK) && answers(flow, segment.acknowledgement) {
            return true;
        }
        if !flow.has_happened(Letter::SynAck, from) {
            return false;
        }
    }
    let at = if segment.has(RST) {
        segment.sequence
    } else {
        segment.sequence.wrapping_add(payload)
    };
    is_inside(flow, segment, at, from)
}

/// Whether this acknowledges the SYN, with or without its data.
pub(super) fn answers<K>(flow: &Record<K>, acknowledgement: u32) -> bool {
    let behind = acknowledgement.wrapping_sub(flow.isn()).wrapping_sub(1);
    let sent = flow.directions[flow.initiator() as usize].payload;
    !flow.flags.has(Flags::ISN_KNOWN) || u64::from(behind) <= sent
}

/// Whether a sequence number is inside the receiver's window.
pub(super) fn is_inside<K>(
    flow: &Record<K>,
    segment: TcpSegment,
    at: u32,
    from: Orientation,
) -> bool {
    let sender = &flow.directions[from as usize];
    let receiver = &flow.directions[from.flipped() as usize];
    if !receiver.has_acked() {
        // Only the sender's numbers are known, if any: what it sent counts as inside, plus the
        // widest window after it.
        let began = flow.has_happened(Letter::Syn, from) || flow.has_happened(Letter::SynAck, from);
        let sent = sender.payload.min(1 << 30) as u32;
        let first = sender.next_sequence.wrapping_sub(sent);
        return !began || at.wrapping_sub(first) <= sent + UNSCALED;
    }
    let Some(window) = window(sender, receiver) else {
        return true;
    };
    let sent = sender.next_sequence.wrapping_sub(receiver.acked);
    let wide = if sent.cast_signed() > 0 {
        window.max(sent)
    } else {
        window
    };
    // An acknowledged FIN may be retransmitted, and so may a RST whose sender did not count its own
    // FIN.
    let again = segment.has(FIN) || flow.has_happened(Letter::Fin, from);
    at.wrapping_sub(receiver.acked) <= wide || again && at.wrapping_add(1) == receiver.acked
}

/// The number of bytes that the receiver accepts; `None` if unknown.
fn window(sender: &Direction, receiver: &Direction) -> Option<u32> {
    let (theirs, own) = (sender.scale(), receiver.scale());
    if theirs == WindowScale::UNKNOWN || own == WindowScale::UNKNOWN {
        return None;
    }
    let shift = theirs.bits().and(own.bits()).unwrap_or(0);
    Some(receiver.window() << shift)
}
