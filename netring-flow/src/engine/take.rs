//! Taking a packet in: lookup, start of a flow, counting.

use std::hash::Hash;

use netring_sys::Timestamp;

use super::tcp::{self, Arrival, Outcome};
use super::{Engine, Item, expire};
use crate::extract::{IcmpError, Transport};
use crate::table::{Flags, Record, Slot, State};
use crate::visitor::{FlowVisitor, Segment};
use crate::{Anomaly, EndReason, FlowEvent, FlowId};

/// Where a packet was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    slot: Slot,
    out_of_window: bool,
}

impl Counted {
    #[inline]
    const fn at(slot: Slot) -> Self {
        Self {
            slot,
            out_of_window: false,
        }
    }
}

impl<K: Clone + Eq + Hash> Engine<K> {
    /// Takes a packet in and returns where it was counted; `None` if it has no flow or is an ICMP
    /// error. `hint` is where its flow was a moment ago, if known.
    #[inline]
    pub(crate) fn packet(
        &mut self,
        packet: &Item<K>,
        hint: Option<Slot>,
        visitor: &mut impl FlowVisitor<K>,
    ) -> Option<Counted> {
        match hint {
            Some(slot) if self.table.get(slot).key == packet.found.key => {
                if self.count_known(slot, packet) {
                    Some(Counted::at(slot))
                } else {
                    self.take(slot, packet, visitor)
                }
            }
            _ => self.look_up(packet, visitor),
        }
    }

    /// What a visitor sees of a counted packet.
    #[inline]
    pub(crate) fn segment<'a>(
        &'a self,
        counted: Counted,
        packet: &Item<K>,
        payload: &'a [u8],
    ) -> Segment<'a, K> {
        let flow = self.table.get(counted.slot);
        Segment {
            key: &flow.key,
            flow: flow.id(),
            time: packet.time,
            orientation: packet.found.orientation,
            initiator: flow.initiator(),
            transport: packet.found.transport,
            payload,
            payload_len: packet.found.payload_len,
            out_of_window: counted.out_of_window,
        }
    }

    /// Takes in a packet of this flow if it only changes counters, as nearly all do. Returns false,
    /// and does nothing, if it changes more.
    #[inline(always)]
    fn count_known(&mut self, slot: Slot, packet: &Item<K>) -> bool {
        let flow = self.table.get_mut(slot);
        let found = &packet.found;
        let (from, payload) = (found.orientation, found.payload_len);
        let (time, segment) = (packet.time.as_nanos(), packet.segment());
        let timeout = self.by_key.timeout(flow, &self.limits);
        let last = flow.directions[from as usize].last;
        let changes_state = match segment {
            Some(segment) => tcp::changes_state(flow, segment, payload, from),
            None => !flow.has_sent(from),
        };
        if found.icmp_error.is_some()
            || changes_state
            // The packet is late, or time has gone back since.
            || time < last
            // Its sender was idle for too long. If the other end was not, the flow lives on
            // nevertheless. The difference is not negative, so comparing without a sign is exact.
            || time.wrapping_sub(last).cast_unsigned() >= timeout.cast_unsigned()
            // One branch for two marks. It comes last because it counts.
            || (packet.cut | found.malformed) && !packet.count_marks(flow.flags, &mut self.stats)
        {
            return false;
        }
        self.stats.tracked_bytes += u64::from(packet.wire_len);
        flow.seen_at = self.place;
        flow.direction(from)
            .count_next(time, packet.wire_len, payload);
        if let Some(segment) = segment
            && tcp::follow(flow, segment, payload, from)
        {
            let (flow, rare) = self.table.both(slot);
            tcp::behind(flow, rare, segment, payload, from);
        }
        true
    }

    /// Takes in a packet that may or may not have a flow.
    #[inline(never)]
    fn look_up(&mut self, packet: &Item<K>, visitor: &mut impl FlowVisitor<K>) -> Option<Counted> {
        match self.table.find(packet.tag, &packet.found.key) {
            Some(slot) if self.count_known(slot, packet) => Some(Counted::at(slot)),
            Some(slot) => self.take(slot, packet, visitor),
            None if packet.found.icmp_error.is_some() => {
                self.stats.untracked.icmp_errors += 1;
                None
            }
            None => self.take_first(packet, visitor),
        }
    }

    /// Takes in a packet of this flow that [`count_known`](Self::count_known) did not handle.
    #[inline(never)]
    fn take(
        &mut self,
        slot: Slot,
        packet: &Item<K>,
        visitor: &mut impl FlowVisitor<K>,
    ) -> Option<Counted> {
        if let Some(error) = packet.found.icmp_error {
            self.icmp_error(slot, error, packet.time, visitor);
            None
        } else if let Some(reason) = self.is_over(slot, packet) {
            self.end(slot, reason, visitor);
            self.take_first(packet, visitor)
        } else {
            Some(self.count(slot, packet, visitor))
        }
    }

    /// Takes in a packet that has no flow.
    fn take_first(
        &mut self,
        packet: &Item<K>,
        visitor: &mut impl FlowVisitor<K>,
    ) -> Option<Counted> {
        if self.trails(packet) {
            self.stats.untracked.after_close += 1;
            None
        } else {
            let slot = self.begin(packet, visitor);
            Some(self.count(slot, packet, visitor))
        }
    }

    /// Whether a packet without a flow trails a recently closed one and so starts none.
    fn trails(&self, packet: &Item<K>) -> bool {
        packet
            .segment()
            .is_some_and(|segment| tcp::is_trailing(*segment, packet.found.payload_len))
            && self.closed.is_recent(packet.tag, self.place)
    }

    /// Why the packet does not belong to this flow although it has its key.
    fn is_over(&mut self, slot: Slot, packet: &Item<K>) -> Option<EndReason> {
        let flow = self.table.get_mut(slot);
        let since = expire::silent_since(flow, self.now);
        let timeout = self.by_key.extended_timeout(flow, &self.limits);
        // `i64::MAX` means never, so no idle time may reach it.
        let silent = packet.time.as_nanos().saturating_sub(since);
        let silent = silent.min(i64::MAX - 1);
        let (segment, from) = (packet.segment(), packet.found.orientation);
        if silent >= timeout
            || silent >= self.limits.timeout(flow.state)
                && segment.is_some_and(|segment| tcp::begins_again(flow, *segment, from))
        {
            return Some(flow.state.reason(EndReason::IdleTimeout));
        }
        let segment = segment.filter(|_| self.limits.split)?;
        tcp::is_another(flow, *segment, from, silent)
            .then(|| flow.state.reason(EndReason::PortReuse))
    }

    fn begin(&mut self, packet: &Item<K>, visitor: &mut impl FlowVisitor<K>) -> Slot {
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
        slot
    }

    /// Counts a packet in its flow and acts on the consequences.
    fn count(
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
            *earliest = time.min(*earliest);
        }
        let outcome = match packet.segment() {
            Some(&segment) => {
                let scale = packet.scale;
                let arrival = Arrival {
                    segment,
                    payload,
                    from,
                    scale,
                    gap,
                };
                tcp::take(flow, rare, &arrival)
            }
            None => Outcome::default(),
        };
        let state = flow.state;
        if outcome.established {
            let flow = self.table.get(slot);
            self.stats.flows_established += 1;
            visitor.event(FlowEvent::Established {
                key: flow.key.clone(),
                flow: flow.id(),
                time: packet.time,
                initiator: flow.initiator(),
            });
        }
        if outcome.inconsistent {
            self.report_anomaly(Anomaly::TcpFlags, Some(slot), packet.time, visitor);
        }
        if outcome.out_of_window {
            self.stats.out_of_window += 1;
            self.report_anomaly(Anomaly::OutOfWindow, Some(slot), packet.time, visitor);
        }
        if first || state != before {
            self.queue(slot);
        }
        if state != before && (state.is_closed() || self.by_key.0.is_some()) {
            // It may now be due earlier than it is scheduled.
            self.wheel.cancel(&mut self.table, slot);
            self.schedule_expiry(slot);
        }
        Counted {
            slot,
            out_of_window: outcome.out_of_window,
        }
    }

    /// Schedules a flow whose timeout starts now and that is not in the wheel.
    fn schedule_expiry(&mut self, slot: Slot) {
        let timeout = self
            .by_key
            .extended_timeout(self.table.get(slot), &self.limits);
        let due = self.now.saturating_add(timeout.min(self.limits.active));
        self.wheel.schedule(&mut self.table, slot, due);
    }

    fn icmp_error(
        &mut self,
        slot: Slot,
        error: IcmpError,
        time: Timestamp,
        visitor: &mut impl FlowVisitor<K>,
    ) {
        self.stats.icmp_errors += 1;
        let flow = self.table.get(slot);
        visitor.event(FlowEvent::IcmpError {
            key: flow.key.clone(),
            flow: flow.id(),
            time,
            error,
        });
    }
}
