//! The ends of streams and flows.

use netring_sys::Timestamp;

use super::Reassembler;
use super::direction::{Direction, ENDED};
use super::flow::Flow;
use super::visitor::{ClosedFlow, Interest, StreamEnd, StreamVisitor};
use crate::extract::{Orientation, TcpSegment};
use crate::{EndReason, FlowId, Segment};

impl<K: Clone, V: StreamVisitor<K>> Reassembler<K, V> {
    /// Ends one of the streams, and closes the flow if it is the last.
    pub(super) fn end_stream(
        &mut self,
        place: u32,
        from: Orientation,
        now: Timestamp,
        reason: StreamEnd,
    ) {
        let hot = &mut self.flows[place as usize].hot;
        if hot.undecided || hot.directions[from as usize].has(ENDED) {
            return;
        }
        // Everything before the end was reported; bytes behind a FIN never will be.
        let held = hot.directions[from as usize].held() as u64;
        self.stats.discarded.after_end += held;
        self.with(place, from, now, |direction, _, out| {
            direction.end();
            let mut at = out.point;
            at.offset = direction.position;
            out.visitor.end(at, out.state, reason);
        });
        if self.flows[place as usize].hot.are_both_ended() {
            self.close(place, now, reason);
        }
    }

    /// Ends both streams of a flow, and closes it.
    pub(super) fn end_flow(&mut self, place: u32, now: Timestamp, reason: StreamEnd) {
        let flow = self.flows[place as usize].hot.flow;
        if self.flows[place as usize].hot.undecided {
            return self.forget(place);
        }
        if self.flows[place as usize].hot.datagrams {
            return self.close(place, now, reason);
        }
        let initiator = self.flows[place as usize].hot.initiator;
        for from in [initiator, initiator.flipped()] {
            let direction = &self.flows[place as usize].hot.directions[from as usize];
            if !self.is_at(place, flow) || direction.has(ENDED) {
                continue;
            }
            self.with(place, from, now, |direction, config, out| {
                direction.flush(now, config, out);
            });
            if self.is_at(place, flow) {
                let direction = &self.flows[place as usize].hot.directions[from as usize];
                let reason = direction.end_reason(reason);
                self.end_stream(place, from, now, reason);
            }
        }
    }

    /// Hands the state of a flow back to the visitor.
    fn close(&mut self, place: u32, time: Timestamp, reason: StreamEnd) {
        let flow = self.flows[place as usize].hot.flow;
        if let Some(cold) = &mut self.flows[place as usize].cold
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
        let hot = &mut self.flows[place as usize].hot;
        self.by_flow.remove(&hot.flow);
        for (direction, number) in hot.directions.iter_mut().zip(0..) {
            self.stats.discarded.unwanted += direction.held() as u64;
            self.stats.memory = self.stats.memory.saturating_sub(direction.memory());
            self.timers.set(direction, (place, number), [None; 2]);
            *direction = Direction::default();
        }
        let index = hot.index as usize;
        if self.flows[place as usize].cold.take().is_some() {
            if self.places[index] == place + 1 {
                self.places[index] = 0;
            }
            self.flows.free(place);
        }
    }

    /// Whether a connection ended without any data.
    pub(super) fn was_refused(&self, place: u32) -> bool {
        let directions = &self.flows[place as usize].hot.directions;
        let is_empty = |direction: &Direction| direction.position == 0;
        self.is_closed(place) && directions.iter().all(is_empty)
    }

    /// Whether an end sends new data although it has reset the connection: the RST was forged, and
    /// its receiver did not accept it.
    pub(super) fn goes_on(&self, place: u32, segment: &Segment<'_, K>, tcp: TcpSegment) -> bool {
        let hot = &self.flows[place as usize].hot;
        let next = hot.directions[segment.orientation as usize].next;
        hot.reset_by == Some(segment.orientation)
            && !tcp.has(TcpSegment::RST | TcpSegment::SYN)
            && segment.payload_len != 0
            && tcp.sequence == next
    }

    /// Subscribes again to a connection that continues.
    pub(super) fn revive(&mut self, place: u32, segment: &Segment<'_, K>) {
        let (state, undecided) = match self.visitor.subscribe(segment) {
            Interest::No => return,
            Interest::Yes(state) => (state, false),
            Interest::FirstBytes(state) => (state, true),
        };
        self.stats.subscribed += 1;
        let Flow { hot, cold } = &mut self.flows[place as usize];
        hot.reset_by = None;
        hot.undecided = undecided;
        hot.directions.iter_mut().for_each(Direction::reopen);
        if let Some(cold) = cold {
            cold.state = Some(state);
        }
    }

    /// Whether a place still has this flow.
    pub(super) fn is_at(&self, place: u32, flow: FlowId) -> bool {
        self.flows[place as usize].hot.flow == flow && self.flows[place as usize].cold.is_some()
    }

    /// Whether all streams of a flow have ended.
    pub(super) fn is_closed(&self, place: u32) -> bool {
        let cold = self.flows[place as usize].cold.as_ref();
        cold.is_none_or(|cold| cold.state.is_none())
    }
}
