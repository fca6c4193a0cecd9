//! The packets that were delivered last, found by their hash.

use std::hint::black_box;

use super::batch::Marks;
use super::print::Print;

/// Packets that are looked up together.
const TOGETHER: usize = 64;

/// A ring of packets in the order of their delivery, and chains through it by hash. Nothing is ever
/// removed from a chain's end: a link to a packet that the ring has overwritten is recognised by
/// its number. The start of a chain knows a bit of the hash of each packet in it, so nearly all
/// packets without an equal one cost one look at the start of a chain, and none at the ring.
///
/// Numbers wrap. A link that is older than all numbers may seem to lead to a packet of the ring, of
/// which hash and length are compared like those of any other; a chain ends where a link leads to a
/// packet that is not older, so it does end.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two. The packet with number `n` is at `n` modulo the length.
    ring: Box<[Entry]>,
    /// Twice as many as packets.
    chains: Box<[Chain]>,
    /// The number of the next packet.
    next: u32,
    window: u64,
    /// Repetitions of a packet that are left out.
    repetitions: u32,
    forgotten: u64,
}

/// The start of a chain: the number of the newest packet, and above it a bit for each packet that
/// was added since the chain was empty. One word, so that no branch depends on half of it.
#[derive(Clone, Copy, Debug, Default)]
struct Chain(u64);

impl Chain {
    #[inline]
    const fn new(newest: u32, bits: u32) -> Self {
        Self(newest as u64 | (bits as u64) << 32)
    }

    #[inline]
    const fn newest(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    const fn bits(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u64,
    /// Nanoseconds.
    time: i64,
    /// The number of the next older packet of the chain.
    older: u32,
    len: u32,
    /// Repetitions that will still be left out.
    left: u32,
}

impl Table {
    pub(super) fn new(packets: usize, window: u64, repetitions: u32) -> Self {
        let packets = packets.next_power_of_two();
        Self {
            ring: vec![Entry::default(); packets].into(),
            chains: vec![Chain::default(); 2 * packets].into(),
            // A packet with number 0 would have been overwritten.
            next: packets as u32 + 1,
            window,
            repetitions,
            forgotten: 0,
        }
    }

    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Marks the packets that repeat one that was lent; the others are remembered.
    ///
    /// The chains of a few are read first, without a branch that depends on them, so that the
    /// processor waits for the caches once and not for each packet.
    pub(super) fn mark(&mut self, prints: &[(Print, i64)], marks: &mut Marks) {
        for few in prints.chunks(TOGETHER) {
            let seen = few.iter().fold(0, |seen, (print, _)| {
                seen ^ self.chains[self.chain(*print)].0
            });
            black_box(seen);
            let mut repeated = 0;
            for (n, (print, time)) in few.iter().enumerate() {
                repeated |= u64::from(self.has(*print, *time)) << n;
            }
            marks.extend(repeated, few.len());
        }
    }

    /// Whether the packet repeats the last one with this print; if not, it is remembered.
    #[inline]
    fn has(&mut self, print: Print, time: i64) -> bool {
        let chain = self.chain(print);
        let start = self.chains[chain];
        let bit = 1 << (print.hash >> 59);
        // A branch would go either way at random.
        let is_there = self.age(start.newest()) <= self.ring.len() as u32;
        let bits = start.bits() & u32::from(is_there).wrapping_neg();
        if bits & bit != 0 && self.is_repeated(print, time, chain) {
            return true;
        }
        self.remember(print, time, chain, bits | bit);
        false
    }

    /// Looks for the packet in its chain, and takes it out if it is there and not repeated.
    fn is_repeated(&mut self, print: Print, time: i64, chain: usize) -> bool {
        let (mut newer, mut number, mut age) = (None::<usize>, self.chains[chain].newest(), 0);
        while (age + 1..=self.ring.len() as u32).contains(&self.age(number)) {
            age = self.age(number);
            let at = self.at(number);
            let entry = &mut self.ring[at];
            if (entry.hash, entry.len) == (print.hash, print.len) {
                if entry.left > 0 && entry.time.abs_diff(time) <= self.window {
                    entry.left -= 1;
                    return true;
                }
                // The packet takes its place, so a chain has each print once.
                entry.left = 0;
                let older = entry.older;
                match newer {
                    Some(newer) => self.ring[newer].older = older,
                    None => self.chains[chain] = Chain::new(older, self.chains[chain].bits()),
                }
                return false;
            }
            (newer, number) = (Some(at), entry.older);
        }
        false
    }

    #[inline]
    fn remember(&mut self, print: Print, time: i64, chain: usize, bits: u32) {
        let number = self.next;
        let at = self.at(number);
        let (entry, start) = (&mut self.ring[at], &mut self.chains[chain]);
        // An unused entry has none left.
        let is_awaited = entry.left > 0 && entry.time.abs_diff(time) <= self.window;
        self.forgotten += u64::from(is_awaited);
        *entry = Entry {
            hash: print.hash,
            time,
            older: start.newest(),
            len: print.len,
            left: self.repetitions,
        };
        *start = Chain::new(number, bits);
        self.next = number.wrapping_add(1);
    }

    /// How many packets ago the one with this number was; it is in the ring if they fit.
    #[inline]
    const fn age(&self, number: u32) -> u32 {
        self.next.wrapping_sub(number)
    }

    #[inline]
    const fn at(&self, number: u32) -> usize {
        number as usize & (self.ring.len() - 1)
    }

    #[inline]
    const fn chain(&self, print: Print) -> usize {
        print.place as usize & (self.chains.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A table of eight packets whose numbers wrap, beside one whose numbers do not.
        #[test]
        fn numbers_wrap_and_nothing_else_changes(
            packets in prop::collection::vec((0..12_u64, 0..3_i64), 0..200),
            before in 0..100_u32,
        ) {
            let [mut plain, mut wrapping] = [Table::new(8, 10, 2), Table::new(8, 10, 2)];
            wrapping.next = before.wrapping_neg();
            let mut time = 0;
            for (what, step) in packets {
                time += step;
                // Few chains, and few bits in each.
                let print = Print { hash: what << 61 | what, place: what / 3, len: 60 };
                prop_assert_eq!(plain.has(print, time), wrapping.has(print, time));
            }
            prop_assert_eq!(plain.forgotten(), wrapping.forgotten());
        }
    }

    #[test]
    fn a_link_to_a_number_that_came_again_ends_the_chain() {
        let mut table = Table::new(4, 10, 1);
        let of = |what, place| Print {
            hash: what,
            place,
            len: 60,
        };
        assert!(!table.has(of(1, 0), 0));
        let linked = table.next - 1;
        assert!(!table.has(of(2, 0), 0));
        // The older packet of the chain has a number that was used again, by the newest of all.
        table.next = linked.wrapping_add(1);
        for entry in &mut table.ring {
            entry.older = linked;
        }
        table.chains[0] = Chain::new(linked, u32::MAX);
        assert!(!table.has(of(3, 0), 0));
        assert!(table.has(of(3, 0), 0));
    }
}
