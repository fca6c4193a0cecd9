//! The ends of streams and flows.

use netring_sys::Timestamp;

use super::Reassembler;
use super::direction::{Direction, ENDED};
use super::visitor::{ClosedFlow, StreamEnd, StreamVisitor};
use crate::extract::Orientation;
use crate::{EndReason, FlowId};

impl<K: Clone, V: StreamVisitor<K>> Reassembler<K, V> {
    /// Ends one of the streams, and closes the flow if it is the last.
    pub(super) fn end_stream(
        &mut self,
        place: u32,
        from: Orientation,
        now: Timestamp,
        reason: StreamEnd,
    ) {
        let hot = &mut self.hot[place as usize];
        if hot.undecided || hot.directions[from as usize].has(ENDED) {
            return;
        }
        // Nothing is before the end that was not reported; what is behind a FIN never will be.
        let held = hot.directions[from as usize].held() as u64;
        self.stats.discarded.after_end += held;
        self.with(place, from, now, |direction, _, out| {
            direction.end();
            let mut at = out.point;
            at.offset = direction.position;
            out.visitor.end(at, out.state, reason);
        });
        if self.hot[place as usize].are_both_ended() {
            self.close(place, now, reason);
        }
    }

    /// Ends both streams of a flow, and closes it.
    pub(super) fn end_flow(&mut self, place: u32, now: Timestamp, reason: StreamEnd) {
        let flow = self.hot[place as usize].flow;
        if self.hot[place as usize].undecided {
            return self.forget(place);
        }
        if self.hot[place as usize].datagrams {
            return self.close(place, now, reason);
        }
        let initiator = self.hot[place as usize].initiator;
        for from in [initiator, initiator.flipped()] {
            let direction = &self.hot[place as usize].directions[from as usize];
            if !self.is_at(place, flow) || direction.has(ENDED) {
                continue;
            }
            self.with(place, from, now, |direction, config, out| {
                direction.flush(now, config, out);
            });
            if self.is_at(place, flow) {
                let direction = &self.hot[place as usize].directions[from as usize];
                let reason = direction.end_reason(reason);
                self.end_stream(place, from, now, reason);
            }
        }
    }

    /// Hands the state of a flow back to the visitor.
    fn close(&mut self, place: u32, time: Timestamp, reason: StreamEnd) {
        let flow = self.hot[place as usize].flow;
        if let Some(cold) = &mut self.cold[place as usize]
            && let Some(state) = cold.state.take()
        {
            let closed = ClosedFlow {
                key: &cold.key,
                flow,
                time,
                reason,
            };
            self.visitor.close(closed, state);
        }
    }

    /// The tracker has ended a flow.
    pub(super) fn flow_ended(&mut self, flow: FlowId, time: Timestamp, reason: EndReason) {
        let Some(&place) = self.by_flow.get(&flow) else {
            return;
        };
        if !self.is_closed(place) {
            self.end_flow(place, time, StreamEnd::Flow(reason));
        }
        if self.is_at(place, flow) {
            self.forget(place);
        }
    }

    /// Removes a flow without a report.
    #[cold]
    pub(super) fn forget(&mut self, place: u32) {
        let hot = &mut self.hot[place as usize];
        self.by_flow.remove(&hot.flow);
        for (direction, number) in hot.directions.iter_mut().zip(0..) {
            self.stats.discarded.unwanted += direction.held() as u64;
            self.stats.memory = self.stats.memory.saturating_sub(direction.memory());
            self.timers.set(direction, (place, number), [None; 2]);
            *direction = Direction::default();
        }
        if let Some(cold) = self.cold[place as usize].take() {
            if self.places[cold.index] == place + 1 {
                self.places[cold.index] = 0;
            }
            self.free.push(place);
        }
    }

    /// Whether a place still has this flow.
    pub(super) fn is_at(&self, place: u32, flow: FlowId) -> bool {
        self.hot[place as usize].flow == flow && self.cold[place as usize].is_some()
    }

    /// Whether all streams of a flow have ended.
    pub(super) fn is_closed(&self, place: u32) -> bool {
        let cold = self.cold[place as usize].as_ref();
        cold.is_none_or(|cold| cold.state.is_none())
    }
}
