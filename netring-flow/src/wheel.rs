//! When to look at a flow again: a timer wheel, whose one hand goes forward with packet time.
//!
//! A flow hangs at the place of the time when it could be due, and stays there while packets come: only when the hand
//! gets to it is its time-out looked at, and the flow hung up anew if it has longer to live. So a packet costs no timer work.
//! A place is a hint, not a promise: what is hung up further than the wheel is long is looked at sooner, and after a
//! jump of time each flow is looked at within one revolution.

use crate::table::{Lists, Slot, Table, WHEEL};

/// A place stands for 2²⁷ ns: 0.13 s.
const SHIFT: u32 = 27;
/// One revolution is 550 s.
const PLACES: i64 = 1 << 12;
/// Empty places that cost as much of a budget as one flow.
const EMPTY_PER_STEP: u32 = 32;

#[derive(Debug)]
pub(crate) struct Wheel {
    places: Lists<WHEEL>,
    /// The place that is looked at next; its time is over when time is in a later one.
    hand: i64,
}

/// What a turn of the hand came upon.
pub(crate) enum Turn {
    /// This flow could be due; it does not hang in the wheel any more.
    Flow(Slot),
    /// The budget is used up.
    Spent,
    /// The hand is where time is.
    Caught,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            places: Lists::new(PLACES as usize),
            hand: 0,
        }
    }

    /// The place of a time, in nanoseconds; also a coarse clock.
    #[inline]
    pub(crate) const fn place(time: i64) -> i64 {
        time >> SHIFT
    }

    /// When the time of a place begins, in nanoseconds.
    #[inline]
    pub(crate) const fn start(place: i64) -> i64 {
        // Back by the same number of bits: it cannot overflow but for a place that no time has.
        place.saturating_mul(1 << SHIFT)
    }

    /// Puts the hand to a time that is not the one after the last.
    pub(crate) const fn set(&mut self, time: i64) {
        self.hand = Self::place(time);
    }

    /// Whether there is anything to look at.
    #[inline]
    pub(crate) const fn is_behind(&self, time: i64) -> bool {
        self.hand < Self::place(time)
    }

    /// Hangs a flow up that does not hang yet, to be looked at after `due`; never, where that is the end of time.
    pub(crate) fn hang<K: Eq + std::hash::Hash>(
        &mut self,
        table: &mut Table<K>,
        slot: Slot,
        due: i64,
    ) {
        if due == i64::MAX {
            return;
        }
        let place = Self::place(due).clamp(self.hand + 1, self.hand + PLACES - 1);
        self.places
            .push(table.links(), (place & (PLACES - 1)) as usize, slot);
    }

    /// Takes a flow down, where it hangs.
    pub(crate) fn take<K: Eq + std::hash::Hash>(&mut self, table: &mut Table<K>, slot: Slot) {
        self.places.unlink(table.links(), slot);
    }

    /// Moves the hand on to the next flow that may be due at `time`.
    pub(crate) fn turn<K: Eq + std::hash::Hash>(
        &mut self,
        table: &mut Table<K>,
        time: i64,
        budget: &mut u32,
    ) -> Turn {
        let end = Self::place(time);
        // Time that jumped by more than a revolution: one revolution meets every flow.
        self.hand = self.hand.max(end.saturating_sub(PLACES));
        let mut empty = 0;
        while self.hand < end {
            if *budget == 0 {
                return Turn::Spent;
            }
            let place = (self.hand & (PLACES - 1)) as usize;
            if let Some(slot) = self.places.first(place) {
                *budget -= 1;
                self.places.unlink(table.links(), slot);
                return Turn::Flow(slot);
            }
            self.hand += 1;
            empty += 1;
            if empty == EMPTY_PER_STEP {
                empty = 0;
                *budget -= 1;
            }
        }
        Turn::Caught
    }
}
