//! When to look at a flow again: a timer wheel, whose one hand goes forward with packet time.
//!
//! A flow hangs at the place of the time when it could be due, and stays there while packets come:
//! only when the hand gets to it is its time-out looked at, and the flow hung up anew if it has
//! longer to live. So a packet costs no timer work. A place is a hint, not a promise: what is hung
//! up further than the wheel is long is looked at sooner, and when time goes back every flow is
//! looked at again. Empty places cost no budget: a bit for each says whether flows may hang there.

use super::{Lists, Slot, Table, WHEEL};

/// A place stands for 2²⁷ ns: 0.13 s.
const SHIFT: u32 = 27;
/// One revolution is 550 s.
const PLACES: i64 = 1 << 12;
/// Bits of a word.
const BITS: i64 = u64::BITS as i64;

#[derive(Debug)]
pub(crate) struct Wheel {
    places: Lists<WHEEL>,
    /// A bit for each place, set where flows hang or did.
    used: [u64; (PLACES / BITS) as usize],
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
    CaughtUp,
}

impl Wheel {
    /// A place is 2 to this power of nanoseconds.
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

    /// When the time of a place begins, in nanoseconds.
    #[inline]
    pub(crate) const fn start(place: i64) -> i64 {
        // Back by the same number of bits: it cannot overflow but for a place that no time has.
        place.saturating_mul(1 << SHIFT)
    }

    /// Puts the hand to the first time of all; nothing hangs yet.
    pub(crate) const fn set(&mut self, time: i64) {
        self.hand = Self::place(time);
    }

    /// Takes the hand back to a time before: one revolution ahead of it, so that each flow is
    /// looked at.
    pub(crate) const fn rewind(&mut self, time: i64) {
        self.hand = Self::place(time) - PLACES;
    }

    /// Whether there is anything to look at.
    #[inline]
    pub(crate) const fn is_behind(&self, time: i64) -> bool {
        self.hand < Self::place(time)
    }

    /// Hangs a flow up that does not hang yet, to be looked at after `due`; never, where that is
    /// the end of time.
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

    /// Takes a flow down, where it hangs.
    pub(crate) fn cancel<K: Eq + std::hash::Hash>(&mut self, table: &mut Table<K>, slot: Slot) {
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

    /// The next place where flows may hang, or `end`: at most 64 words are read on the way.
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
