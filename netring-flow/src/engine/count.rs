//! Starting a flow, and counting a packet in it.

use std::hash::Hash;

use netring_sys::Timestamp;

use super::item::Counted;
use super::tcp::{self, Arrival, Outcome};
use super::{Engine, Item, Waited};
use crate::extract::{Orientation, TcpSegment, Transport};
use crate::table::{Flags, Record, Slot, State, Time};
use crate::visitor::FlowVisitor;
use crate::{Anomaly, EndReason, FlowEvent, FlowId};

impl<K: Clone + Eq + Hash> Engine<K> {
    pub(super) fn begin(&mut self, packet: &Item<K>, visitor: &mut impl FlowVisitor<K>) -> Slot {
        self.make_room(visitor);
        let found = &packet.found;
        let (state, initiator) = match found.transport {
            Transport::Tcp(Some(segment)) => tcp::begin(segment, found.orientation),
            Transport::Tcp(None) => (State::TcpEstablished, found.orientation),
            Transport::Udp => (State::Udp, found.orientation),
            Transport::Other => (State::Other, found.orientation),
        };
        self.stats.flows_started += 1;
        let id = FlowId::new(self.stats.flows_started);
        visitor.event(FlowEvent::Started {
            key: found.key.clone(),
            flow: id,
            time: packet.time,
            initiator,
        });
        let place = self.place;
        let mut record = Record::new(found.key.clone(), id, state, initiator, place, self.ticking);
        if initiator != found.orientation {
            record.flags.set(Flags::FLIPPED);
        }
        let slot = self.table.insert(packet.tag, record);
        self.schedule_expiry(slot);
        if let Some(trips) = &mut self.round_trips {
            trips.begin(slot);
        }
        slot
    }

    /// Counts a packet in its flow and acts on the consequences.
    pub(super) fn count(
        &mut self,
        slot: Slot,
        packet: &Item<K>,
        visitor: &mut impl FlowVisitor<K>,
    ) -> Counted {
        let (from, payload) = (packet.found.orientation, packet.found.payload_len);
        let time = packet.time.as_nanos();
        self.stats.tracked_bytes += u64::from(packet.wire_len);
        let (flow, rare) = self.table.both(slot);
        let before = flow.state;
        let first = !flow.has_sent(from);
        let last = flow.direction(from).last;
        let gap = if first { 0 } else { time.saturating_sub(last) };
        flow.seen_at = self.place;
        if packet.cut {
            flow.flags.set(Flags::CUT);
            self.stats.cut += 1;
        }
        if packet.found.malformed {
            flow.flags.set(Flags::MALFORMED);
            self.stats.malformed += 1;
        }
        flow.direction(from).count(time, packet.wire_len, payload);
        if first || time < last {
            let earliest = &mut rare.first[from as usize];
            *earliest = Time::new(time.min(earliest.nanos()));
        }
        let mut proves_fin = false;
        let outcome = match packet.segment() {
            Some(&segment) => {
                if closes_window(segment) {
                    let count = &mut rare.zero_windows[from as usize];
                    *count = count.saturating_add(1);
                }
                let scale = packet.scale;
                let arrival = Arrival {
                    segment,
                    payload,
                    from,
                    scale,
                    gap,
                };
                if before == State::TcpDoubtful {
                    proves_fin = self.doubts.settle(flow, segment, from);
                }
                let outcome = tcp::take(flow, rare, &arrival);
                if outcome.out_of_window && !segment.has(TcpSegment::RST) {
                    let end = segment.sequence.wrapping_add(payload);
                    self.doubts.keep(flow, from, end);
                }
                outcome
            }
            None => Outcome::default(),
        };
        let state = flow.state;
        self.time_segment(slot, packet);
        self.report_outcome(slot, packet.time, outcome, visitor);
        if state != before && state.is_acknowledged() {
            self.report_closed(slot, packet.time, visitor);
        }
        // A closed flow stays in its queue and lingers after its last packet.
        let moved = state != before && !before.is_closed();
        if first || moved {
            self.queue(slot);
        }
        if moved && (state.is_closed() || self.by_key.0.is_some()) {
            // It may now be due earlier than it is scheduled.
            self.wheel.cancel(&mut self.table, slot);
            self.schedule_expiry(slot);
        }
        Counted {
            slot,
            out_of_window: outcome.out_of_window,
            proves_fin,
        }
    }

    /// Counts fragments that arrived before their packet's first fragment in the flow of that
    /// fragment.
    pub(crate) fn count_waited(&mut self, slot: Slot, from: Orientation, waited: &Waited) {
        let stats = &mut self.stats;
        stats.tracked_bytes += waited.bytes;
        stats.cut += waited.cut;
        stats.malformed += waited.malformed;
        stats.fragments.followed += waited.packets;
        let (flow, rare) = self.table.both(slot);
        if waited.cut != 0 {
            flow.flags.set(Flags::CUT);
        }
        if waited.malformed != 0 {
            flow.flags.set(Flags::MALFORMED);
        }
        let direction = flow.direction(from);
        direction.count_waited(waited.packets, waited.bytes, waited.payload, waited.last);
        let earliest = &mut rare.first[from as usize];
        *earliest = Time::new(waited.first.min(earliest.nanos()));
    }

    /// Measures the round-trip time, if enabled.
    fn time_segment(&mut self, slot: Slot, packet: &Item<K>) {
        if let Some(trips) = &mut self.round_trips
            && let Some(segment) = packet.segment()
        {
            let found = &packet.found;
            trips.take(
                slot,
                segment,
                found.payload_len,
                found.orientation,
                packet.time,
            );
        }
    }

    /// Reports what a segment changed in its flow.
    #[inline]
    fn report_outcome(
        &mut self,
        slot: Slot,
        time: Timestamp,
        outcome: Outcome,
        visitor: &mut impl FlowVisitor<K>,
    ) {
        if outcome.established {
            let flow = self.table.get(slot);
            self.stats.flows_established += 1;
            visitor.event(FlowEvent::Established {
                key: flow.key.clone(),
                flow: flow.id(),
                time,
                initiator: flow.initiator(),
            });
        }
        if outcome.inconsistent {
            self.report_anomaly(Anomaly::TcpFlags, Some(slot), time, visitor);
        }
        if outcome.out_of_window {
            self.stats.out_of_window += 1;
            self.report_anomaly(Anomaly::OutOfWindow, Some(slot), time, visitor);
        }
    }

    fn report_closed(&mut self, slot: Slot, time: Timestamp, visitor: &mut impl FlowVisitor<K>) {
        self.stats.flows_closed += 1;
        let flow = self.table.get(slot);
        visitor.event(FlowEvent::Closed {
            key: flow.key.clone(),
            flow: flow.id(),
            time,
            reason: flow.state.reason(EndReason::Finished),
        });
    }

    /// Schedules a flow whose timeout starts now and that is not in the wheel.
    fn schedule_expiry(&mut self, slot: Slot) {
        let timeout = self
            .by_key
            .extended_timeout(self.table.get(slot), &self.limits);
        let due = self.now.saturating_add(timeout.min(self.limits.active));
        self.wheel.schedule(&mut self.table, slot, due);
    }
}

/// Whether a segment closes its sender's receive window. Segments that open or close a connection
/// do not count.
const fn closes_window(segment: TcpSegment) -> bool {
    segment.window == 0 && !segment.has(TcpSegment::SYN | TcpSegment::FIN | TcpSegment::RST)
}
