//! What a packet does to the flows: look-up, begin, count, end.

mod evict;
mod expire;
mod limits;

use std::hash::Hash;

use netring_sys::{Clock, Timestamp};

use crate::extract::{Extracted, IcmpError, TcpSegment, Transport};
use crate::table::{Flags, Lists, QUEUE, Record, Slot, State, Table, Tag};
use crate::wheel::Wheel;
use crate::{Anomaly, EndReason, FlowEvent, FlowId, TrackerConfig, TrackerStats, tcp};
use limits::Limits;

/// Packet time may go back by as much, in nanoseconds, before the clock follows it: 60 s.
const TOLERANCE: i64 = 60_000_000_000;

/// The flows, and what is due to happen to them.
#[derive(Debug)]
pub(crate) struct Engine<K> {
    pub(crate) table: Table<K>,
    wheel: Wheel,
    /// By what can best be spared; see [`evict`].
    queues: Lists<QUEUE>,
    limits: Limits,
    /// In an emergency time-outs are shortened.
    emergency: bool,
    /// The tracker's time: the newest of packets and of what the caller said, in nanoseconds.
    now: i64,
    /// The clock of the last packet.
    clock: Clock,
    pub(crate) latest: Option<Timestamp>,
    pub(crate) stats: TrackerStats,
}

/// A packet that was read.
#[derive(Debug)]
pub(crate) struct Item<K> {
    pub(crate) found: Extracted<K>,
    pub(crate) tag: Tag,
    pub(crate) time: Timestamp,
    pub(crate) wire_len: u32,
    pub(crate) cut: bool,
}

impl<K: Clone + Eq + Hash> Engine<K> {
    pub(crate) fn new(config: &TrackerConfig) -> Self {
        Self {
            table: Table::new(),
            wheel: Wheel::new(),
            queues: Lists::new(evict::QUEUES),
            limits: Limits::new(config),
            emergency: false,
            now: 0,
            clock: Clock::Unknown,
            latest: None,
            stats: TrackerStats::default(),
        }
    }

    /// Moves the time on to that of a packet.
    #[inline]
    pub(crate) fn pass(&mut self, time: Timestamp, events: &mut Vec<FlowEvent<K>>) {
        let nanos = time.as_nanos();
        self.clock = time.clock();
        let Some(latest) = self.latest else {
            self.latest = Some(time);
            self.now = nanos;
            self.wheel.set(nanos);
            return;
        };
        if nanos >= self.now {
            self.now = nanos;
        } else if self.now.saturating_sub(nanos) > TOLERANCE {
            self.now = nanos;
            self.latest = Some(time);
            self.wheel.set(nanos);
            self.stats.time_went_back += 1;
            return self.tell(Anomaly::TimeWentBack, None, time, events);
        }
        self.latest = Some(latest.max(time));
    }

    /// Takes a packet in.
    #[inline]
    pub(crate) fn packet(&mut self, item: Item<K>, events: &mut Vec<FlowEvent<K>>) {
        let slot = self.table.find(item.tag, &item.found.key);
        if let Some(error) = item.found.icmp_error {
            return self.icmp_error(slot, error, item.time, events);
        }
        let Item {
            found,
            tag,
            time,
            wire_len,
            cut,
        } = item;
        self.stats.tracked += 1;
        self.stats.tracked_bytes += u64::from(wire_len);
        self.stats.cut += u64::from(cut);

        let packet = Measured {
            time,
            wire_len,
            cut,
            payload: found.payload_len,
            from: found.orientation,
            segment: match found.transport {
                Transport::Tcp(segment) => segment,
                Transport::Udp | Transport::Other => None,
            },
        };
        let slot = match slot {
            Some(slot) => match self.is_over(slot, &packet) {
                None => slot,
                Some(reason) => {
                    self.end(slot, reason, events);
                    self.begin(found, tag, &packet, events)
                }
            },
            None => self.begin(found, tag, &packet, events),
        };
        self.count(slot, &packet, events);
    }

    /// Why the flow of this key is not that of the packet, if it is not.
    #[inline]
    fn is_over(&self, slot: Slot, packet: &Measured) -> Option<EndReason> {
        let flow = self.table.get(slot);
        let time = packet.time.as_nanos();
        let timeout = self.limits.timeout(flow.state);
        let own = flow.directions[packet.from as usize].last;
        let syn = self.limits.split
            && packet
                .segment
                .is_some_and(|segment| segment.has(TcpSegment::SYN));
        // Nearly always the sender itself was not silent for long, and the other direction's line is not read.
        if time.saturating_sub(own) < timeout && !syn {
            return None;
        }
        // The end of time stands for never, so nothing may be as long.
        let silent = time.saturating_sub(flow.last()).min(i64::MAX - 1);
        if silent >= timeout {
            return Some(flow.state.reason(EndReason::IdleTimeout));
        }
        let segment = packet.segment.filter(|_| syn)?;
        tcp::is_another(flow, segment, packet.from, silent)
            .then(|| flow.state.reason(EndReason::PortReuse))
    }

    fn begin(
        &mut self,
        found: Extracted<K>,
        tag: Tag,
        packet: &Measured,
        events: &mut Vec<FlowEvent<K>>,
    ) -> Slot {
        self.make_room(events);
        let (state, initiator) = match found.transport {
            Transport::Tcp(Some(segment)) => tcp::begin(segment, found.orientation),
            Transport::Tcp(None) => (State::TcpEstablished, found.orientation),
            Transport::Udp => (State::Udp, found.orientation),
            Transport::Other => (State::Other, found.orientation),
        };
        self.stats.flows_started += 1;
        let id = FlowId::new(self.stats.flows_started);
        events.push(FlowEvent::Started {
            key: found.key.clone(),
            flow: id,
            time: packet.time,
            initiator,
        });
        let place = Wheel::place(self.now) as u32;
        let mut record = Record::new(found.key, id, state, initiator, place);
        if initiator != found.orientation {
            record.flags.set(Flags::FLIPPED);
        }
        let slot = self.table.insert(tag, record);
        self.wheel.hang(
            &mut self.table,
            slot,
            self.limits.first_due(state, self.now),
        );
        slot
    }

    #[inline]
    fn count(&mut self, slot: Slot, packet: &Measured, events: &mut Vec<FlowEvent<K>>) {
        let place = Wheel::place(self.now) as u32;
        let flow = self.table.get_mut(slot);
        let before = flow.state;
        flow.seen_at = place;
        if packet.cut {
            flow.flags.set(Flags::CUT);
        }
        let first = flow.direction(packet.from).count(
            packet.time.as_nanos(),
            packet.wire_len,
            packet.payload,
        );
        if let Some(segment) = packet.segment {
            let outcome = tcp::take(flow, segment, packet.payload, packet.from);
            if outcome.established {
                self.stats.flows_established += 1;
                events.push(FlowEvent::Established {
                    key: flow.key.clone(),
                    flow: flow.id(),
                    time: packet.time,
                    initiator: flow.initiator(),
                });
            }
            if outcome.inconsistent {
                self.tell(Anomaly::TcpFlags, Some(slot), packet.time, events);
            }
        }
        let after = self.table.get(slot).state;
        if first || after != before {
            self.queue(slot);
        }
        if after != before && after.is_closed() {
            // Sooner than it hangs: it was to live on.
            self.wheel.take(&mut self.table, slot);
            let due = self.limits.first_due(after, self.now);
            self.wheel.hang(&mut self.table, slot, due);
        }
    }

    fn icmp_error(
        &mut self,
        slot: Option<Slot>,
        error: IcmpError,
        time: Timestamp,
        events: &mut Vec<FlowEvent<K>>,
    ) {
        let Some(slot) = slot else {
            self.stats.untracked.icmp_errors += 1;
            return;
        };
        self.stats.icmp_errors += 1;
        let flow = self.table.get(slot);
        events.push(FlowEvent::IcmpError {
            key: flow.key.clone(),
            flow: flow.id(),
            time,
            error,
        });
    }

    fn tell(
        &self,
        kind: Anomaly,
        about: Option<Slot>,
        time: Timestamp,
        events: &mut Vec<FlowEvent<K>>,
    ) {
        let flow = about.map(|slot| self.table.get(slot));
        events.push(FlowEvent::Anomaly {
            key: flow.map(|flow| flow.key.clone()),
            flow: flow.map(Record::id),
            time,
            kind,
        });
    }

    /// Takes a flow out of the table, and tells its figures.
    fn end(&mut self, slot: Slot, reason: EndReason, events: &mut Vec<FlowEvent<K>>) {
        self.wheel.take(&mut self.table, slot);
        self.queues.unlink(self.table.links(), slot);
        self.stats.ended.count(reason);
        let flow = self.table.get(slot);
        events.push(FlowEvent::Ended {
            key: flow.key.clone(),
            flow: flow.id(),
            time: self.time(),
            reason,
            history: flow.history(),
            stats: Box::new(flow.stats(self.clock)),
        });
        self.table.remove(slot);
        self.relax(events);
    }

    /// The tracker's time, as the clock of its packets tells it.
    fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.now, self.clock)
    }
}

/// What of a packet counts in its flow.
#[derive(Clone, Copy)]
struct Measured {
    time: Timestamp,
    wire_len: u32,
    cut: bool,
    payload: u32,
    from: crate::extract::Orientation,
    segment: Option<TcpSegment>,
}
