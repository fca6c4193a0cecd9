//! Bounds of memory.

use netring_sys::Timestamp;

use super::direction::Incoming;
use super::steps::BOTH;
use super::visitor::{StreamEnd, StreamVisitor};
use super::{Reassembler, WhenFull};
use crate::extract::Orientation;

impl<K: Clone, V: StreamVisitor<K>> Reassembler<K, V> {
    /// Makes room for a segment, if it has to be held.
    pub(super) fn make_room(&mut self, place: u32, from: Orientation, incoming: &Incoming<'_>) {
        let flow = self.flows[place as usize].hot.flow;
        loop {
            let hot = &self.flows[place as usize].hot;
            let Some(cost) = hot.directions[from as usize].cost(incoming, hot.undecided) else {
                return;
            };
            let over_flow = hot.memory() + cost.memory > self.config.max_held_per_flow
                || hot.held_segments() + cost.segments > self.config.max_segments_per_flow();
            if !over_flow && self.stats.memory + cost.memory <= self.config.max_held {
                return;
            }
            let longest = self.timers.longest().filter(|_| !over_flow);
            let (victim, _) = longest.unwrap_or((place, 0));
            if !self.relieve(victim, incoming.time) {
                // Nothing is held: the segment alone is too large.
                self.with(place, from, incoming.time, |direction, _, out| {
                    direction.jump(incoming, out);
                });
            }
            if !self.is_at(place, flow) || self.is_closed(place) {
                return;
            }
        }
    }

    /// Frees memory of a flow. Returns false if it has none.
    fn relieve(&mut self, place: u32, now: Timestamp) -> bool {
        let hot = &mut self.flows[place as usize].hot;
        let compared = hot.directions.iter_mut().any(|direction| {
            let extra = direction.extra.as_mut();
            extra.is_some_and(|extra| !extra.delivered.is_empty())
        });
        if compared {
            for from in BOTH {
                self.with(place, from, now, |direction, _, _| {
                    if let Some(extra) = &mut direction.extra {
                        extra.delivered.clear();
                    }
                });
            }
            return true;
        }
        let since = |from: &Orientation| hot.directions[*from as usize].hole_since();
        let waits = |from: &Orientation| since(from).is_some();
        let oldest = BOTH.into_iter().filter(waits).min_by_key(since);
        if hot.undecided {
            self.forget(place);
            return true;
        }
        let Some(from) = oldest else {
            return false;
        };
        match self.config.when_full {
            WhenFull::Gap => {
                self.stats.forced_gaps += 1;
                self.with(place, from, now, |direction, config, out| {
                    direction.give_up_hole(now, config, out);
                });
            }
            WhenFull::GiveUp => {
                self.stats.given_up += 1;
                for from in BOTH {
                    let direction = &mut self.flows[place as usize].hot.directions[from as usize];
                    self.stats.discarded.given_up += direction.held() as u64;
                    self.with(place, from, now, |direction, _, _| direction.discard());
                }
                self.end_flow(place, now, StreamEnd::MemoryLimit);
            }
        }
        true
    }
}
