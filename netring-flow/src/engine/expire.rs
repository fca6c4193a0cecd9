//! What time does to the flows.

use std::hash::Hash;

use netring_sys::Timestamp;

use super::limits::shortened;
use super::{Engine, evict};
use crate::table::Slot;
use crate::wheel::{Turn, Wheel};
use crate::{EndReason, FlowEvent};

impl<K: Clone + Eq + Hash> Engine<K> {
    /// Moves the time on where nothing is received; it never goes back by this.
    pub(crate) fn wait(&mut self, now: Timestamp) {
        if self.latest != i64::MIN {
            self.now = self.now.max(now.as_nanos());
        }
    }

    /// Looks at flows that may be due, at most `budget`. True: there are more.
    #[inline]
    pub(crate) fn expire(&mut self, mut budget: u32, events: &mut Vec<FlowEvent<K>>) -> bool {
        if !self.wheel.is_behind(self.now) {
            return false;
        }
        loop {
            match self.wheel.turn(&mut self.table, self.now, &mut budget) {
                Turn::Flow(slot) => self.look_at(slot, events),
                Turn::Spent => return true,
                Turn::Caught => return false,
            }
        }
    }

    /// Ends flows because the source is at its end, at most `budget`. True: there are more.
    pub(crate) fn finish(&mut self, budget: u32, events: &mut Vec<FlowEvent<K>>) -> bool {
        for _ in 0..budget {
            let Some(slot) = (0..evict::QUEUES).find_map(|queue| self.queues.first(queue)) else {
                return false;
            };
            let state = self.table.get(slot).state;
            let timeout = self.timeout(slot);
            let reason = if self.is_idle(slot, timeout) {
                EndReason::IdleTimeout
            } else {
                EndReason::SourceEnded
            };
            self.end(slot, state.reason(reason), events);
        }
        self.table.len() != 0
    }

    /// Ends a flow that was silent for too long, reports one that lives for long, and hangs it up again. It is not in the wheel.
    fn look_at(&mut self, slot: Slot, events: &mut Vec<FlowEvent<K>>) {
        let state = self.table.get(slot).state;
        let full = self.timeout(slot);
        let timeout = if self.emergency {
            shortened(full)
        } else {
            full
        };
        if self.is_idle(slot, timeout) {
            let reason = if self.is_idle(slot, full) {
                EndReason::IdleTimeout
            } else {
                EndReason::Emergency
            };
            return self.end(slot, state.reason(reason), events);
        }
        let due = self.idle_due(slot, timeout).min(self.report(slot, events));
        self.wheel.hang(&mut self.table, slot, due);
        // Those at the front of a queue are the ones that were not looked at for longest.
        self.queue(slot);
    }

    /// For how long a flow may be silent.
    pub(super) fn timeout(&self, slot: Slot) -> i64 {
        self.by_key.timeout(self.table.get(slot), &self.limits)
    }

    /// Whether a flow was silent for as long.
    pub(super) fn is_idle(&mut self, slot: Slot, timeout: i64) -> bool {
        // Never is never, also at the end of time.
        timeout != i64::MAX && self.idle_due(slot, timeout) <= self.now
    }

    /// When a flow is due that stays silent.
    fn idle_due(&mut self, slot: Slot, timeout: i64) -> i64 {
        let now = self.now;
        let place = Wheel::place(now);
        let flow = self.table.get_mut(slot);
        let ago = since(place, flow.seen_at);
        if ago < 0 {
            // Time went back since. It has its time-out once more.
            flow.seen_at = place as u32;
        }
        if timeout == i64::MAX {
            return i64::MAX;
        }
        // The coarse clock counts where packets come late, or where time went back; else it is a little behind the packet.
        let seen = Wheel::start(place - ago.max(0));
        let last = flow.last();
        let base = if last <= now { last.max(seen) } else { seen };
        base.saturating_add(timeout)
    }

    /// Reports a flow for which this is due, and tells when it is due next.
    fn report(&mut self, slot: Slot, events: &mut Vec<FlowEvent<K>>) -> i64 {
        if self.limits.active == i64::MAX {
            return i64::MAX;
        }
        let place = Wheel::place(self.now);
        let time = self.time();
        let flow = self.table.get_mut(slot);
        let ago = since(place, flow.reported);
        let due = Wheel::start(place - ago.max(0)).saturating_add(self.limits.active);
        if ago >= 0 && due > self.now {
            return due;
        }
        flow.reported = place as u32;
        if ago >= 0 {
            self.stats.ticks += 1;
            events.push(FlowEvent::Tick {
                key: flow.key.clone(),
                flow: flow.id(),
                time,
                stats: Box::new(flow.stats(self.clock)),
            });
        }
        self.now.saturating_add(self.limits.active)
    }
}

/// How long ago a coarse time was, of which 32 bits are kept: they go round in 18 years.
const fn since(place: i64, then: u32) -> i64 {
    (place as u32).wrapping_sub(then).cast_signed() as i64
}
