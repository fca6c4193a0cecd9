//! Which flows to evict when the table is full.
//!
//! Each flow is in one of four queues, the least valuable first: closed flows only absorb late
//! packets, and a flood consists of flows that are half open or seen in one direction only. Flows
//! seen in both directions are evicted last.

use std::hash::Hash;

use netring_sys::{__event, __is_news};

use super::Engine;
use crate::table::Wheel;
use crate::table::{Slot, State};
use crate::visitor::FlowVisitor;
use crate::{Anomaly, EndReason};

pub(super) const QUEUES: usize = 4;
const CLOSED: usize = 0;
const HALF_OPEN: usize = 1;
const UNANSWERED: usize = 2;
const ANSWERED: usize = 3;

/// How many flows of the last queue are compared to find the one that has been idle longest.
const COMPARED: usize = 8;

/// Maximum number of flows shed for each new flow during an emergency.
const SHED: usize = 2;

impl<K: Clone + Eq + Hash> Engine<K> {
    /// Puts a flow at the end of its queue.
    pub(super) fn queue(&mut self, slot: Slot) {
        let flow = self.table.get(slot);
        let queue = match flow.state {
            state if state.is_closed() => CLOSED,
            State::TcpOpening => HALF_OPEN,
            _ if flow.is_answered() => ANSWERED,
            _ => UNANSWERED,
        };
        self.queues.unlink(self.table.links(), slot);
        self.queues.push(self.table.links(), queue, slot);
    }

    /// Makes room for one more flow.
    #[inline]
    pub(super) fn make_room(&mut self, visitor: &mut impl FlowVisitor<K>) {
        if self.emergency || self.table.len() >= self.limits.high {
            self.shed(visitor);
        }
    }

    #[cold]
    fn shed(&mut self, visitor: &mut impl FlowVisitor<K>) {
        if !self.emergency {
            self.emergency = true;
            self.stats.emergencies += 1;
            if __is_news(self.stats.emergencies - 1, self.stats.emergencies) {
                __event!(
                    "flow",
                    WARN,
                    flows = self.table.len(),
                    max_flows = self.limits.max_flows,
                    emergencies = self.stats.emergencies,
                    "the flow table is nearly full"
                );
            }
            self.report_anomaly(Anomaly::EmergencyBegan, None, self.time(), visitor);
        }
        for _ in 0..SHED {
            let Some((slot, reason)) = self.overdue() else {
                break;
            };
            self.end(slot, reason, visitor);
        }
        if self.table.len() >= self.limits.max_flows
            && let Some(slot) = self.least_valuable()
        {
            let state = self.table.get(slot).state;
            self.end(slot, state.reason(EndReason::TableFull), visitor);
            self.fetch_next();
        }
    }

    /// In a flood, each new flow evicts the first of a queue, which has long left the cache. This
    /// prefetches the third of the queue, and the place in the index of the second, whose record
    /// was prefetched last time. Memory takes longer than one eviction, so it is requested two
    /// flows ahead.
    fn fetch_next(&mut self) {
        let Some(queue) = (0..ANSWERED).find(|queue| self.queues.first(*queue).is_some()) else {
            return;
        };
        let first = self.queues.first(queue);
        let behind = |first| self.queues.next(self.table.links(), first);
        let Some(second) = first.and_then(behind) else {
            return;
        };
        self.table.prefetch_removal(second);
        if let Some(third) = self.queues.next(self.table.links(), second) {
            self.table.prefetch_all(third);
        }
    }

    /// Ends the emergency if the table has room again.
    #[inline]
    pub(super) fn end_emergency(&mut self, visitor: &mut impl FlowVisitor<K>) {
        if self.emergency && self.table.len() < self.limits.low {
            self.emergency = false;
            self.report_anomaly(Anomaly::EmergencyOver, None, self.time(), visitor);
        }
    }

    /// A flow at the front of its queue that has been idle for longer than the shortened timeouts
    /// allow.
    fn overdue(&mut self) -> Option<(Slot, EndReason)> {
        for queue in 0..QUEUES {
            let Some(slot) = self.queues.first(queue) else {
                continue;
            };
            let state = self.table.get(slot).state;
            if self.is_overdue(slot) {
                return Some((slot, state.reason(EndReason::Emergency)));
            }
        }
        None
    }

    /// The least valuable flow.
    fn least_valuable(&mut self) -> Option<Slot> {
        let front = (0..ANSWERED).find_map(|queue| self.queues.first(queue));
        front.or_else(|| self.quietest())
    }

    /// Returns the flow at the front of the last queue that has been idle longest; the others go
    /// back to the end.
    fn quietest(&mut self) -> Option<Slot> {
        let now = Wheel::place(self.now) as u32;
        let mut found: Option<(u32, Slot)> = None;
        for _ in 0..COMPARED.min(self.table.len()) {
            let slot = self.queues.first(ANSWERED)?;
            let silent = now.wrapping_sub(self.table.get(slot).seen_at);
            if found.is_none_or(|(longest, _)| silent > longest) {
                found = Some((silent, slot));
            }
            self.queue(slot);
        }
        found.map(|(_, slot)| slot)
    }
}
