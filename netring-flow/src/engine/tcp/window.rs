//! Whether the other end would believe a segment that closes.
//!
//! RFC 9293 (3.10.7.4) and RFC 5961: a RST or FIN counts only inside of the receiver's window. That
//! begins with what the receiver acknowledged last, and is as wide as it said, scaled if both SYNs
//! offered that. What is known here may be older than what the receiver knows, so whatever the
//! sender was seen to send is inside as well. Where the window is not known, because a SYN was not
//! seen, or its options were not, all is believed.

use super::{ACK, FIN, RST};
use crate::event::Letter;
use crate::extract::{Orientation, TcpSegment, WindowScale};
use crate::table::{Direction, Flags, Record, State};

/// The widest window without scale.
const UNSCALED: u32 = 65_535;

/// Whether the receiver of this RST or FIN would take it for one of its connection.
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
        // To an end that waits for an answer to its SYN, the acknowledgement number proves it.
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

/// Whether this acknowledges the SYN, with or without the data in it.
pub(super) fn answers<K>(flow: &Record<K>, acknowledgement: u32) -> bool {
    let behind = acknowledgement.wrapping_sub(flow.isn).wrapping_sub(1);
    let sent = flow.directions[flow.initiator() as usize].payload;
    !flow.flags.has(Flags::ISN_KNOWN) || u64::from(behind) <= sent
}

/// Whether a sequence number is inside of the window of who receives it.
fn is_inside<K>(flow: &Record<K>, segment: TcpSegment, at: u32, from: Orientation) -> bool {
    let sender = &flow.directions[from as usize];
    let receiver = &flow.directions[from.flipped() as usize];
    if !receiver.has_acked() {
        // Nothing is known but where the sender began, if that: what it sent, and the widest window
        // behind it.
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
    // A FIN that is acknowledged may come again, and so may a RST whose sender did not count its
    // own FIN.
    let again = segment.has(FIN) || flow.has_happened(Letter::Fin, from);
    at.wrapping_sub(receiver.acked) <= wide || again && at.wrapping_add(1) == receiver.acked
}

/// How many bytes the receiver takes; `None` where that is not known.
fn window(sender: &Direction, receiver: &Direction) -> Option<u32> {
    let (theirs, own) = (sender.scale(), receiver.scale());
    if theirs == WindowScale::UNKNOWN || own == WindowScale::UNKNOWN {
        return None;
    }
    let shift = theirs.bits().and(own.bits()).unwrap_or(0);
    Some(receiver.window() << shift)
}
