//! What a packet does to the flows: look-up, begin, count, end.

mod evict;
mod expire;
mod limits;
mod tcp;

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use netring_sys::{Clock, Timestamp};

use crate::extract::{Extracted, IcmpError, TcpSegment, Transport, WindowScale};
use crate::table::{Closed, Flags, Lists, QUEUE, Record, Slot, State, Table, Tag, Wheel};
use crate::{Anomaly, EndReason, FlowEvent, FlowId, TrackerConfig, TrackerStats};
use limits::Limits;
use tcp::{Arrival, Outcome};

/// Packet time may go back by as much, in nanoseconds, before the clock follows it: 60 s.
const TOLERANCE: i64 = 60_000_000_000;

/// By how much an attempt that is made again and again may be silent for longer at the most, in
/// nanoseconds: 96 s. The longest gap of Linux is 64 s, and 96 s if the SYN before that was lost.
const LONGEST_RETRY: i64 = 96_000_000_000;

/// The most flows that are looked at in one go.
pub(crate) const BUDGET: u32 = 1024;

/// The flows, and what is due to happen to them.
#[derive(Debug)]
pub(crate) struct Engine<K> {
    pub(crate) table: Table<K>,
    wheel: Wheel,
    /// By what can best be spared; see [`evict`].
    queues: Lists<QUEUE>,
    /// The keys of connections that closed lately.
    closed: Closed,
    limits: Limits,
    pub(crate) by_key: ByKey<K>,
    /// In an emergency time-outs are shortened.
    emergency: bool,
    /// The tracker's time: the newest of packets and of what the caller said, in nanoseconds.
    now: i64,
    /// The place of the wheel that `now` is in: a coarse clock, of which 32 bits are kept.
    place: u32,
    /// The last nanosecond of that place.
    place_end: i64,
    /// The clock of ticks, at the beginning of the place of the wheel that `now` is in.
    ticking: u32,
    /// The newest packet time, in nanoseconds; the start of time before the first packet.
    latest: i64,
    /// The clock of the last packet.
    clock: Clock,
    /// `tracked` is what is left of `packets`, and not counted.
    pub(crate) stats: TrackerStats,
}

/// The time-outs of single flows, where the caller has any.
pub(crate) struct ByKey<K>(pub(crate) Option<Box<KeyTimeout<K>>>);

type KeyTimeout<K> = dyn Fn(&K) -> Option<Duration> + Send;

impl<K> fmt::Debug for ByKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "ByKey(…)"
        } else {
            "None"
        })
    }
}

impl<K> ByKey<K> {
    /// For how long this flow may be silent.
    #[inline]
    fn timeout(&self, flow: &Record<K>, limits: &Limits) -> i64 {
        let usual = limits.timeout(flow.state);
        match (&self.0, flow.state) {
            (Some(by_key), State::TcpEstablished | State::Udp | State::Other) => {
                by_key(&flow.key).map_or(usual, limits::nanos)
            }
            _ => usual,
        }
    }

    /// The same, and longer for an attempt that is made again and again: six times the last gap
    /// between two SYNs or SYN-ACKs, which is more than the next gap, also if one of them was
    /// lost.
    #[inline]
    fn patience(&self, flow: &Record<K>, limits: &Limits) -> i64 {
        let usual = self.timeout(flow, limits);
        let gap = flow.directions[0].retry().max(flow.directions[1].retry());
        if gap == 0 || flow.flags.has(Flags::ESTABLISHED) || !flow.is_attempt() {
            return usual;
        }
        usual.saturating_add(gap.saturating_mul(6).min(LONGEST_RETRY))
    }
}

/// A packet that was read.
#[derive(Debug)]
pub(crate) struct Item<K> {
    pub(crate) found: Extracted<K>,
    pub(crate) tag: Tag,
    /// What it offers as its window scale, if it is a SYN.
    pub(crate) scale: WindowScale,
    pub(crate) time: Timestamp,
    pub(crate) wire_len: u32,
    pub(crate) cut: bool,
}

impl<K> Item<K> {
    #[inline]
    pub(crate) fn is_syn(&self) -> bool {
        self.segment()
            .is_some_and(|segment| segment.has(TcpSegment::SYN))
    }

    #[inline]
    const fn segment(&self) -> Option<&TcpSegment> {
        match &self.found.transport {
            Transport::Tcp(segment) => segment.as_ref(),
            Transport::Udp | Transport::Other => None,
        }
    }

    /// Counts a packet that is cut or malformed, if its flow is marked so already. False: the flow
    /// is not, and nothing was counted.
    #[inline(never)]
    fn count_marks(&self, flow: Flags, stats: &mut TrackerStats) -> bool {
        let (cut, malformed) = (self.cut, self.found.malformed);
        let known = (!cut || flow.has(Flags::CUT)) && (!malformed || flow.has(Flags::MALFORMED));
        stats.cut += u64::from(cut & known);
        stats.malformed += u64::from(malformed & known);
        known
    }
}

impl<K: Clone + Eq + Hash> Engine<K> {
    pub(crate) fn new(config: &TrackerConfig) -> Self {
        Self {
            table: Table::new(),
            wheel: Wheel::new(),
            queues: Lists::new(evict::QUEUES),
            closed: Closed::default(),
            limits: Limits::new(config),
            by_key: ByKey(None),
            emergency: false,
            now: i64::MIN,
            place: 0,
            place_end: i64::MIN,
            ticking: 0,
            latest: i64::MIN,
            clock: Clock::Unknown,
            stats: TrackerStats::default(),
        }
    }

    /// Moves the time on to that of a packet. If that is far enough to matter, it first ends what
    /// is due by then.
    #[inline]
    pub(crate) fn pass(&mut self, time: Timestamp, events: &mut Vec<FlowEvent<K>>) {
        let nanos = time.as_nanos();
        self.clock = time.clock();
        if nanos >= self.now && nanos <= self.place_end {
            self.now = nanos;
            self.latest = nanos;
        } else {
            self.step(time, events);
        }
    }

    /// Whether a time is not in the place of the wheel where the tracker's time is.
    #[inline]
    pub(crate) const fn is_elsewhere(&self, nanos: i64) -> bool {
        Wheel::place(nanos) != Wheel::place(self.now)
    }

    /// Moves the time to another place of the wheel.
    #[inline(never)]
    fn step(&mut self, time: Timestamp, events: &mut Vec<FlowEvent<K>>) {
        let nanos = time.as_nanos();
        if self.latest == i64::MIN {
            self.wheel.set(nanos);
        } else if nanos < self.now {
            if self.now.saturating_sub(nanos) <= TOLERANCE {
                // It is late, and time stays where it is.
                self.latest = self.latest.max(nanos);
                return;
            }
            self.wheel.rewind(nanos);
            self.stats.time_went_back += 1;
            self.tell(Anomaly::TimeWentBack, None, time, events);
        }
        self.set_time(nanos);
        self.latest = nanos;
        self.expire(BUDGET, events);
    }

    /// Sets the tracker's time.
    fn set_time(&mut self, nanos: i64) {
        self.now = nanos;
        self.place = Wheel::place(nanos) as u32;
        self.place_end = nanos | ((1 << Wheel::SHIFT) - 1);
        self.ticking = self.limits.clock(nanos);
    }

    /// The newest packet time, if there was a packet.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        (self.latest != i64::MIN).then_some(Timestamp::from_nanos(self.latest, self.clock))
    }

    pub(crate) fn stats(&self) -> TrackerStats {
        let mut stats = self.stats;
        stats.tracked = stats.packets - stats.icmp_errors - stats.untracked.total();
        stats
    }

    /// Takes a packet in. `hint` is where its flow was a moment ago, if that is known.
    #[inline]
    pub(crate) fn packet(
        &mut self,
        packet: &Item<K>,
        hint: Option<Slot>,
        events: &mut Vec<FlowEvent<K>>,
    ) {
        match hint {
            Some(slot) if self.table.get(slot).key == packet.found.key => {
                if !self.take_quietly(slot, packet) {
                    self.take(slot, packet, events);
                }
            }
            _ => self.look_up(packet, events),
        }
    }

    /// Takes in a packet of this flow if it changes only figures, as nearly all do. False: it
    /// changes more, and nothing was done.
    #[inline(always)]
    fn take_quietly(&mut self, slot: Slot, packet: &Item<K>) -> bool {
        let flow = self.table.get_mut(slot);
        let found = &packet.found;
        let (from, payload) = (found.orientation, found.payload_len);
        let (time, segment) = (packet.time.as_nanos(), packet.segment());
        let timeout = self.by_key.timeout(flow, &self.limits);
        let last = flow.directions[from as usize].last;
        let news = match segment {
            Some(segment) => tcp::is_news(flow, segment, payload, from),
            None => !flow.has_sent(from),
        };
        if found.icmp_error.is_some()
            || news
            // It is late, or time went back since.
            || time < last
            // Its sender was silent for too long. If the other end was not, the flow lives on all
            // the same. The
            // difference is exact without a sign, because it is not below zero.
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

    /// Takes in a packet that may have a flow or not.
    #[inline(never)]
    fn look_up(&mut self, packet: &Item<K>, events: &mut Vec<FlowEvent<K>>) {
        match self.table.find(packet.tag, &packet.found.key) {
            Some(slot) if self.take_quietly(slot, packet) => {}
            Some(slot) => self.take(slot, packet, events),
            None if packet.found.icmp_error.is_some() => self.stats.untracked.icmp_errors += 1,
            None => self.take_first(packet, events),
        }
    }

    /// Takes in a packet of this flow that [`take_quietly`](Self::take_quietly) left alone.
    #[inline(never)]
    fn take(&mut self, slot: Slot, packet: &Item<K>, events: &mut Vec<FlowEvent<K>>) {
        if let Some(error) = packet.found.icmp_error {
            self.icmp_error(slot, error, packet.time, events);
        } else if let Some(reason) = self.is_over(slot, packet) {
            self.end(slot, reason, events);
            self.take_first(packet, events);
        } else {
            self.count(slot, packet, events);
        }
    }

    /// Takes in a packet that has no flow.
    fn take_first(&mut self, packet: &Item<K>, events: &mut Vec<FlowEvent<K>>) {
        if self.trails(packet) {
            self.stats.untracked.after_close += 1;
        } else {
            let slot = self.begin(packet, events);
            self.count(slot, packet, events);
        }
    }

    /// Whether a packet that has no flow comes behind one that closed lately, and begins none.
    fn trails(&self, packet: &Item<K>) -> bool {
        packet
            .segment()
            .is_some_and(|segment| tcp::is_trailing(*segment, packet.found.payload_len))
            && self.closed.is_recent(packet.tag, self.place)
    }

    /// Why a flow is not that of the packet, although it has its key.
    fn is_over(&mut self, slot: Slot, packet: &Item<K>) -> Option<EndReason> {
        let flow = self.table.get_mut(slot);
        let since = expire::silent_since(flow, self.now);
        let timeout = self.by_key.patience(flow, &self.limits);
        // The end of time stands for never, so nothing may be as long.
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

    fn begin(&mut self, packet: &Item<K>, events: &mut Vec<FlowEvent<K>>) -> Slot {
        self.make_room(events);
        let found = &packet.found;
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
        let place = self.place;
        let mut record = Record::new(found.key.clone(), id, state, initiator, place, self.ticking);
        if initiator != found.orientation {
            record.flags.set(Flags::FLIPPED);
        }
        let slot = self.table.insert(packet.tag, record);
        self.hang_anew(slot);
        slot
    }

    /// Counts a packet in its flow, and does what follows from it.
    fn count(&mut self, slot: Slot, packet: &Item<K>, events: &mut Vec<FlowEvent<K>>) {
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
        if outcome.out_of_window {
            self.stats.out_of_window += 1;
            self.tell(Anomaly::OutOfWindow, Some(slot), packet.time, events);
        }
        if first || state != before {
            self.queue(slot);
        }
        if state != before && (state.is_closed() || self.by_key.0.is_some()) {
            // It may be due sooner than it hangs, for it was to live on.
            self.wheel.take(&mut self.table, slot);
            self.hang_anew(slot);
        }
    }

    /// Hangs a flow up whose time-out begins now. It is not in the wheel.
    fn hang_anew(&mut self, slot: Slot) {
        let timeout = self.by_key.patience(self.table.get(slot), &self.limits);
        let due = self.now.saturating_add(timeout.min(self.limits.active));
        self.wheel.hang(&mut self.table, slot, due);
    }

    fn icmp_error(
        &mut self,
        slot: Slot,
        error: IcmpError,
        time: Timestamp,
        events: &mut Vec<FlowEvent<K>>,
    ) {
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
            stats: Box::new(self.table.stats(slot, self.clock)),
        });
        let (was_closed, seen_at) = (flow.state.is_closed(), flow.seen_at);
        let tag = self.table.remove(slot);
        if was_closed {
            self.closed.remember(tag, seen_at);
        }
        self.relax(events);
    }

    /// The tracker's time, as the clock of its packets tells it.
    fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.now, self.clock)
    }
}
