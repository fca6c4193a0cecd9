//! When to check a flow again: a timer wheel whose single hand advances with packet time.
//!
//! A flow is scheduled at the place of the time when it could be due, and stays there while packets
//! arrive. Only when the hand reaches it is its timeout checked, and the flow scheduled again if it
//! has longer to live, so a packet costs no timer work. A place is a hint: a flow that is due later
//! than one revolution is checked earlier, and if time goes back every flow is checked again. Empty
//! places cost no budget: a bit for each shows whether flows may be there.

use super::{Lists, Slot, Table, WHEEL};

/// A place covers 2²⁷ ns: 0.13 s.
const SHIFT: u32 = 27;
/// One revolution is 550 s.
const PLACES: i64 = 1 << 12;
/// Bits of a word.
const BITS: i64 = u64::BITS as i64;

#[derive(Debug)]
pub(crate) struct Wheel {
    places: Lists<WHEEL>,
    /// A bit for each place, set if flows are or were there.
    used: [u64; (PLACES / BITS) as usize],
    /// The place that is checked next; its time is over once time is in a later one.
    hand: i64,
}

/// What the hand found.
pub(crate) enum Turn {
    /// This flow could be due. It is no longer in the wheel.
    Flow(Slot),
    /// The budget is used up.
    Spent,
    /// The hand has reached the current time.
    CaughtUp,
}

impl Wheel {
    /// A place covers two to this power of nanoseconds.
    pub(crate) const SHIFT: u32 = SHIFT;

    pub(crate) fn new() -> Self {
        Self {
            places: Lists::new(PLACES as usize),
            used: [0; (PLACES / BITS) as usize],
            hand: Self::place(i64::MIN),
        }
    }

    /// The place of a time, in nanoseconds; also a coarse clock.
    #[inline]
    pub(crate) const fn place(time: i64) -> i64 {
        time >> SHIFT
    }

    /// When the time of a place starts, in nanoseconds.
    #[inline]
    pub(crate) const fn start(place: i64) -> i64 {
        // The inverse shift: it cannot overflow for the place of any time.
        place.saturating_mul(1 << SHIFT)
    }

    /// Sets the hand to the first time; the wheel is still empty.
    pub(crate) const fn set(&mut self, time: i64) {
        self.hand = Self::place(time);
    }

    /// Moves the hand back: one revolution before the time, so that each flow is checked.
    pub(crate) const fn rewind(&mut self, time: i64) {
        self.hand = Self::place(time) - PLACES;
    }

    /// Whether any place is to be checked.
    #[inline]
    pub(crate) const fn is_behind(&self, time: i64) -> bool {
        self.hand < Self::place(time)
    }

    /// Schedules a flow that is not in the wheel to be checked after `due`; never if that is the
    /// end of time.
    pub(crate) fn schedule<K: Eq + std::hash::Hash>(
        &mut self,
        table: &mut Table<K>,
        slot: Slot,
        due: i64,
    ) {
        if due == i64::MAX {
            return;
        }
        let place = Self::place(due).clamp(self.hand + 1, self.hand + PLACES - 1);
        let place = (place & (PLACES - 1)) as usize;
        self.used[place / BITS as usize] |= 1 << (place % BITS as usize);
        self.places.push(table.links(), place, slot);
    }

    /// Removes a flow, if it is in the wheel.
    pub(crate) fn cancel<K: Eq + std::hash::Hash>(&mut self, table: &mut Table<K>, slot: Slot) {
        self.places.unlink(table.links(), slot);
    }

    /// Advances the hand to the next flow that may be due at `time`.
    pub(crate) fn turn<K: Eq + std::hash::Hash>(
        &mut self,
        table: &mut Table<K>,
        time: i64,
        budget: &mut u32,
    ) -> Turn {
        let end = Self::place(time);
        // If time jumped by more than a revolution, one revolution reaches every flow.
        self.hand = self.hand.max(end.saturating_sub(PLACES));
        while self.hand < end {
            let place = (self.hand & (PLACES - 1)) as usize;
            if let Some(slot) = self.places.first(place) {
                if *budget == 0 {
                    return Turn::Spent;
                }
                *budget -= 1;
                self.places.unlink(table.links(), slot);
                return Turn::Flow(slot);
            }
            self.used[place / BITS as usize] &= !(1 << (place % BITS as usize));
            self.hand = self.next(self.hand + 1, end);
        }
        Turn::CaughtUp
    }

    /// The next place where flows may be, or `end`. Reads at most 64 words.
    fn next(&self, mut place: i64, end: i64) -> i64 {
        while place < end {
            let bit = place & (BITS - 1);
            let word = self.used[((place & (PLACES - 1)) / BITS) as usize] >> bit;
            if word != 0 {
                return end.min(place + i64::from(word.trailing_zeros()));
            }
            place += BITS - bit;
        }
        end
    }
}
