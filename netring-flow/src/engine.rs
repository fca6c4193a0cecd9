//! The effect of packets and time on flows.

mod by_key;
mod count;
mod evict;
mod expire;
mod fragments;
mod item;
mod limits;
mod live;
mod round_trip;
mod take;
mod tcp;

use std::hash::Hash;

use netring_sys::{Clock, Timestamp};

use crate::table::{self, Lists, QUEUE, RecentlyClosed, Record, Slot, Table, Wheel};
use crate::visitor::FlowVisitor;
use crate::{Anomaly, EndReason, FlowEvent, FlowStats, TrackerConfig, TrackerStats};
pub(crate) use by_key::ByKey;
use fragments::Fragments;
pub(crate) use fragments::{Kept, Waited};
pub(crate) use item::{Counted, Item};
use limits::Limits;
use round_trip::RoundTrips;

/// How far packet time may go back, in nanoseconds, before the tracker's time follows it: 60 s.
const TOLERANCE: i64 = 60_000_000_000;

/// The maximum number of flows checked in one call.
pub(crate) const BUDGET: u32 = 256;

/// Bytes that a flow takes with these settings.
pub(crate) const fn bytes_per_flow<K>(config: &TrackerConfig) -> usize {
    let trips = if config.round_trips {
        round_trip::SIZE
    } else {
        0
    };
    table::bytes_per_flow::<K>() + trips
}

/// The flows and their timers.
#[derive(Debug)]
pub(crate) struct Engine<K> {
    pub(crate) table: Table<K>,
    wheel: Wheel,
    /// In order of value; see [`evict`].
    queues: Lists<QUEUE>,
    /// The keys of recently closed connections.
    closed: RecentlyClosed,
    doubts: tcp::Doubts,
    limits: Limits,
    pub(crate) by_key: ByKey<K>,
    pub(crate) fragments: Fragments<K>,
    /// Present if they are measured.
    round_trips: Option<RoundTrips>,
    /// In an emergency, timeouts are shortened.
    emergency: bool,
    /// The tracker's time in nanoseconds: the latest of packet times and of those passed to
    /// `expire`.
    now: i64,
    /// The place of the wheel that contains `now`: a coarse clock, truncated to 32 bits.
    place: u32,
    /// The last nanosecond of that place.
    place_end: i64,
    /// The clock of ticks when the place of the wheel was entered.
    ticking: u32,
    /// The newest packet time in nanoseconds; `i64::MIN` before the first packet.
    latest: i64,
    /// The clock of the last packet.
    clock: Clock,
    /// `tracked` is derived from `packets`, not counted.
    pub(crate) stats: TrackerStats,
}

impl<K: Clone + Eq + Hash> Engine<K> {
    pub(crate) fn new(config: &TrackerConfig) -> Self {
        Self {
            table: Table::new(),
            wheel: Wheel::new(),
            queues: Lists::new(evict::QUEUES),
            closed: RecentlyClosed::default(),
            doubts: tcp::Doubts::default(),
            limits: Limits::new(config, bytes_per_flow::<K>(config)),
            by_key: ByKey(None),
            fragments: Fragments::new(config),
            round_trips: config.round_trips.then(RoundTrips::default),
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

    /// Advances the time to that of a packet. If the step is large enough to matter, first ends the
    /// flows due by then.
    #[inline]
    pub(crate) fn advance(&mut self, time: Timestamp, visitor: &mut impl FlowVisitor<K>) {
        let nanos = time.as_nanos();
        self.clock = time.clock();
        if nanos >= self.now && nanos <= self.place_end {
            self.now = nanos;
            self.latest = nanos;
        } else {
            self.step(time, visitor);
        }
    }

    /// Whether a time is outside the place of the wheel that contains the tracker's time.
    #[inline]
    pub(crate) const fn is_elsewhere(&self, nanos: i64) -> bool {
        Wheel::place(nanos) != Wheel::place(self.now)
    }

    /// Moves the time to another place of the wheel.
    #[inline(never)]
    fn step(&mut self, time: Timestamp, visitor: &mut impl FlowVisitor<K>) {
        let nanos = time.as_nanos();
        if self.latest == i64::MIN {
            self.wheel.set(nanos);
        } else if nanos < self.now {
            if self.now.saturating_sub(nanos) <= TOLERANCE {
                // The packet is late; time stays where it is.
                self.latest = self.latest.max(nanos);
                return;
            }
            self.wheel.rewind(nanos);
            self.stats.time_went_back += 1;
            self.report_anomaly(Anomaly::TimeWentBack, None, time, visitor);
        }
        self.set_time(nanos);
        self.latest = nanos;
        self.expire(BUDGET, visitor);
    }

    /// Sets the tracker's time.
    fn set_time(&mut self, nanos: i64) {
        self.now = nanos;
        self.place = Wheel::place(nanos) as u32;
        self.place_end = nanos | ((1 << Wheel::SHIFT) - 1);
        self.ticking = self.limits.clock(nanos);
        self.fragments.expire(nanos, &mut self.stats);
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

    fn report_anomaly(
        &self,
        kind: Anomaly,
        about: Option<Slot>,
        time: Timestamp,
        visitor: &mut impl FlowVisitor<K>,
    ) {
        let flow = about.map(|slot| self.table.get(slot));
        visitor.event(FlowEvent::Anomaly {
            key: flow.map(|flow| flow.key.clone()),
            flow: flow.map(Record::id),
            time,
            kind,
        });
    }

    /// Removes a flow from the table and reports its statistics.
    fn end(&mut self, slot: Slot, reason: EndReason, visitor: &mut impl FlowVisitor<K>) {
        self.wheel.cancel(&mut self.table, slot);
        self.queues.unlink(self.table.links(), slot);
        self.stats.ended.count(reason);
        let mut stats = Box::new(self.table.stats(slot, self.clock));
        self.add_measured(slot, &mut stats);
        let flow = self.table.get(slot);
        visitor.event(FlowEvent::Ended {
            key: flow.key.clone(),
            flow: flow.id(),
            time: self.time(),
            reason,
            history: flow.history(),
            stats,
        });
        let (was_closed, seen_at) = (flow.state.is_closed(), flow.seen_at);
        let tag = self.table.remove(slot);
        if was_closed {
            self.closed.remember(tag, seen_at);
        }
        self.end_emergency(visitor);
    }

    /// Adds the measurements to a flow's statistics, in place: a copy would cost more than the rest
    /// of ending a flow.
    #[inline]
    fn add_measured(&self, slot: Slot, stats: &mut FlowStats) {
        if let Some(trips) = &self.round_trips {
            [stats.forward.round_trip, stats.reverse.round_trip] = trips.report(slot);
        }
    }

    /// The tracker's time, by the clock of its packets.
    fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.now, self.clock)
    }
}
