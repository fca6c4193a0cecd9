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
    /// When the next hole is due.
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
        let first = self.waiting[HOLE].first();
        self.due = match self.restarting {
            true => i64::MIN,
            false => first.map_or(i64::MAX, |&(since, _)| self.end(HOLE, since)),
        };
    }

    /// When a direction that waits since then has waited long enough. Never means never, even at
    /// the end of time.
    const fn end(&self, kind: usize, since: i64) -> i64 {
        match self.time[kind] {
            i64::MAX => i64::MAX,
            time => since.saturating_add(time),
        }
    }

    const fn is_over(&self, kind: usize, since: i64, now: i64) -> bool {
        self.time[kind] != i64::MAX && self.end(kind, since) <= now
    }

    /// Whether a direction has waited long enough for bytes that were acknowledged, by the time of
    /// a packet of the same direction.
    pub(super) fn is_grace_over(&self, direction: &Direction, now: i64) -> bool {
        let extra = direction.extra.as_ref();
        let since = extra.and_then(|extra| extra.armed[ACKED]);
        since.is_some_and(|since| self.is_over(ACKED, since, now))
    }

    /// A direction that has waited long enough, for one of these kinds.
    pub(super) fn next(&self, now: i64, kinds: &[usize]) -> Option<(usize, Place)> {
        kinds.iter().find_map(|&kind| {
            let &(since, place) = self.waiting[kind].first()?;
            self.is_over(kind, since, now).then_some((kind, place))
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
