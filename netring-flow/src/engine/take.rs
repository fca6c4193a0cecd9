//! Taking a packet in: looking up its flow and classifying the packet.

use std::hash::Hash;

use netring_sys::{Packet, Timestamp};

use super::item::Counted;
use super::{Engine, Item, expire, tcp};
use crate::extract::IcmpError;
use crate::table::Slot;
use crate::visitor::{FlowVisitor, Segment};
use crate::{EndReason, FlowEvent};

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

    /// The view of a counted packet for a visitor, with what only the extractor reads.
    #[inline(always)]
    pub(crate) fn segment<'a>(
        &'a self,
        counted: Counted,
        item: &Item<K>,
        packet: &'a Packet<'a>,
        (urgent, ip_len): (u16, Option<u32>),
    ) -> Segment<'a, K> {
        let flow = self.table.get(counted.slot);
        Segment {
            key: &flow.key,
            flow: flow.id(),
            index: counted.slot.index(),
            packet,
            time: item.time,
            orientation: item.found.orientation,
            initiator: flow.initiator(),
            transport: item.found.transport,
            piece: item.found.piece,
            payload: item.found.payload(packet),
            payload_len: item.found.payload_len,
            out_of_window: counted.out_of_window,
            proves_fin: counted.proves_fin,
            urgent,
            ip_len,
        }
    }

    /// Takes in a packet of this flow if it only changes counters, as nearly all do. Otherwise does
    /// nothing and returns false.
    #[inline(always)]
    fn count_known(&mut self, slot: Slot, packet: &Item<K>) -> bool {
        let flow = self.table.get_mut(slot);
        let found = &packet.found;
        let (from, payload) = (found.orientation, found.payload_len);
        let (time, segment) = (packet.time.as_nanos(), packet.segment());
        let timeout = self.by_key.timeout(flow, &self.limits);
        let last = flow.directions[from as usize].last;
        let changes_state = match segment {
            Some(segment) => {
                segment.window <= self.limits.watched
                    || tcp::changes_state(flow, segment, payload, from)
            }
            None => !flow.has_sent(from),
        };
        if found.icmp_error.is_some()
            || changes_state
            // The packet is late, or time has gone back since then.
            || time < last
            // Its sender was idle for too long. The flow lives on if the other end was not. The
            // difference is not negative, so comparing without a sign is exact.
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
