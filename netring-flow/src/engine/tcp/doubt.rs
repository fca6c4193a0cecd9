//! FINs outside of their receiver's window, until the receiver acknowledges them or shows that they
//! were forged.
//!
//! If the capture loses many packets, the last acknowledgement that it has may be far behind, and a
//! genuine FIN is beyond the window. Its receiver acknowledges it, which it does not do with a
//! forged one. So such a FIN counts once an acknowledgement takes in exactly its own number, is
//! itself inside the window of the other end, and no data was seen in the FIN's place.

use super::{ACK, window};
use crate::FlowId;
use crate::event::Letter;
use crate::extract::{Orientation, TcpSegment};
use crate::table::{Record, State};

/// FINs that are kept at the same time: 8 KiB.
const PLACES: usize = 512;

/// The FINs, in a table in which newer ones replace older ones. What is replaced is not accepted.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// Empty until the first one.
    places: Box<[Option<(FlowId, u32)>]>,
}

impl Doubts {
    /// Keeps a FIN that was out of the window; `end` is its own number.
    #[cold]
    pub(crate) fn keep<K>(&mut self, flow: &mut Record<K>, from: Orientation, end: u32) {
        if flow.state != State::TcpEstablished && flow.state != State::TcpDoubtful {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![None; PLACES].into();
        }
        self.places[place(flow.id(), from)] = Some((flow.id(), end));
        flow.state = State::TcpDoubtful;
    }

    /// Looks at a segment of a flow of which a FIN is kept, before it is applied. Returns true if
    /// it proves that of the other end, which then counts.
    #[cold]
    pub(crate) fn settle<K>(
        &mut self,
        flow: &mut Record<K>,
        segment: TcpSegment,
        from: Orientation,
    ) -> bool {
        let other = from.flipped();
        let sender = &flow.directions[other as usize];
        let is_proof = |end: u32| {
            segment.has(ACK)
                && segment.acknowledgement == end.wrapping_add(1)
                && sender.next_sequence.wrapping_sub(end).cast_signed() <= 0
                && window::is_inside(flow, segment, segment.sequence, from)
        };
        let proven = self.get(flow.id(), other).filter(|end| is_proof(*end));
        if let Some(end) = proven {
            self.places[place(flow.id(), other)] = None;
            accept(flow, other, end);
        } else {
            for from in [Orientation::Forward, Orientation::Reverse] {
                self.refute(flow, from);
            }
        }
        let is_left = [from, other].map(|from| self.get(flow.id(), from).is_some());
        if flow.state == State::TcpDoubtful && is_left == [false; 2] {
            flow.state = State::TcpEstablished;
        }
        proven.is_some()
    }

    /// Forgets a FIN if data came in its place, or its receiver acknowledged more.
    fn refute<K>(&mut self, flow: &Record<K>, from: Orientation) {
        let (sender, receiver) = (
            &flow.directions[from as usize],
            &flow.directions[from.flipped() as usize],
        );
        let is_past = |number: u32, end: u32| number.wrapping_sub(end).cast_signed() > 0;
        if self.get(flow.id(), from).is_some_and(|end| {
            is_past(sender.next_sequence, end)
                || receiver.has_acked() && is_past(receiver.acked, end.wrapping_add(1))
        }) {
            self.places[place(flow.id(), from)] = None;
        }
    }

    fn get(&self, flow: FlowId, from: Orientation) -> Option<u32> {
        let (kept, end) = (*self.places.get(place(flow, from))?)?;
        (kept == flow).then_some(end)
    }
}

const fn place(flow: FlowId, from: Orientation) -> usize {
    (flow.get() as usize * 2 + from as usize) % PLACES
}

/// Applies a FIN that was out of the window when it came.
fn accept<K>(flow: &mut Record<K>, from: Orientation, end: u32) {
    let sender = flow.direction(from);
    let ahead = end.wrapping_sub(sender.next_sequence);
    if ahead != 0 {
        sender.miss(ahead);
    }
    sender.next_sequence = end.wrapping_add(1);
    flow.happened(Letter::Fin, from);
    if flow.has_happened(Letter::Fin, from.flipped()) {
        flow.state = State::TcpClosing;
    }
}
