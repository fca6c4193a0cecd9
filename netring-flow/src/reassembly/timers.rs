//! Which directions wait for missing bytes, and since when.

use std::collections::BTreeSet;

use super::direction::Direction;

/// A direction of a flow: its place among the flows, and which of the two.
pub(super) type Place = (u32, u8);

/// The waiting directions, ordered by the time since when they wait. Each occurs at most once per
/// kind of timer.
#[derive(Debug)]
pub(super) struct Timers {
    waiting: [BTreeSet<(i64, Place)>; 2],
    /// How long each kind waits, in nanoseconds.
    time: [i64; 2],
    /// When the next of them is due.
    due: i64,
    /// Time went back, and directions may wait since a time that is yet to come.
    restarting: bool,
}

/// Waits for missing bytes.
pub(super) const HOLE: usize = 0;
/// Waits for bytes that were acknowledged.
pub(super) const ACKED: usize = 1;

impl Timers {
    pub(super) const fn new(hole: i64, acked: i64) -> Self {
        Self {
            waiting: [BTreeSet::new(), BTreeSet::new()],
            time: [hole, acked],
            due: i64::MAX,
            restarting: false,
        }
    }

    #[inline]
    pub(super) const fn is_due(&self, now: i64) -> bool {
        now >= self.due
    }

    /// Sets the timers of a direction as its state demands, or removes them.
    pub(super) fn set(&mut self, direction: &mut Direction, place: Place, since: [Option<i64>; 2]) {
        let Some(extra) = &mut direction.extra else {
            return;
        };
        let mut changed = false;
        for (kind, since) in since.into_iter().enumerate() {
            let armed = &mut extra.armed[kind];
            if *armed == since {
                continue;
            }
            changed = true;
            if let Some(before) = armed.take() {
                self.waiting[kind].remove(&(before, place));
            }
            if let Some(since) = since {
                self.waiting[kind].insert((since, place));
            }
            *armed = since;
        }
        if changed {
            self.recompute();
        }
    }

    fn recompute(&mut self) {
        let first = |kind: usize| {
            let since = self.waiting[kind].first().map(|&(since, _)| since);
            // Never means never, even at the end of time.
            let since = since.filter(|_| self.time[kind] != i64::MAX);
            since.map_or(i64::MAX, |since| since.saturating_add(self.time[kind]))
        };
        self.due = match self.restarting {
            true => i64::MIN,
            false => first(HOLE).min(first(ACKED)),
        };
    }

    /// A direction that has waited long enough.
    pub(super) fn next(&self, now: i64) -> Option<(usize, Place)> {
        [ACKED, HOLE].into_iter().find_map(|kind| {
            let &(since, place) = self.waiting[kind].first()?;
            let time = self.time[kind];
            (time != i64::MAX && since.saturating_add(time) <= now).then_some((kind, place))
        })
    }

    /// The direction that has waited longest.
    pub(super) fn longest(&self) -> Option<Place> {
        self.waiting[HOLE].first().map(|&(_, place)| place)
    }

    /// Time went back: directions wait since a time that is yet to come, until they are restarted.
    pub(super) fn went_back(&mut self) {
        self.restarting = true;
        self.recompute();
    }

    /// A direction that has to be restarted. After the last one, `due` is right again.
    pub(super) fn ahead_of(&mut self, now: i64) -> Option<Place> {
        if !self.restarting {
            return None;
        }
        let last = self.waiting.iter().filter_map(BTreeSet::last).max();
        let ahead = last.filter(|(since, _)| *since > now).copied();
        if ahead.is_none() {
            self.restarting = false;
            self.recompute();
        }
        ahead.map(|(_, place)| place)
    }
}
