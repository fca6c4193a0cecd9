//! The packets that were delivered last, found by their hash.

use std::hint::black_box;

use super::batch::Marks;
use super::print::Print;

/// A ring of packets in the order of their delivery, and chains through it by hash. Nothing is ever
/// removed from a chain's end: a link to a packet that the ring has overwritten is recognised by
/// its number. So a packet costs one look at the start of a chain, and one at each packet in it.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two. The packet with number `n` is at `n` modulo the length.
    ring: Box<[Entry]>,
    /// The numbers of the newest packets of the chains, twice as many as packets; 0 is none.
    chains: Box<[u64]>,
    /// The number of the next packet; the first has 1.
    next: u64,
    window: u64,
    /// Repetitions of a packet that are left out.
    repetitions: u32,
    forgotten: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u64,
    /// Nanoseconds.
    time: i64,
    /// The number of the next older packet of the chain.
    older: u64,
    len: u32,
    /// Repetitions that will still be left out.
    left: u32,
}

impl Table {
    pub(super) fn new(packets: usize, window: u64, repetitions: u32) -> Self {
        let packets = packets.next_power_of_two();
        Self {
            ring: vec![Entry::default(); packets].into(),
            chains: vec![0; 2 * packets].into(),
            next: 1,
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
    /// The memory of all is read first, without a branch that depends on it, so that the processor
    /// waits for the caches once and not for each packet.
    pub(super) fn mark(&mut self, group: &[(Print, i64)], marks: &mut Marks) {
        let seen = group.iter().fold(0, |seen, (print, _)| {
            let newest = self.chains[self.chain(*print)];
            seen ^ self.ring[self.at(newest)].hash
        });
        black_box(seen);
        for (print, time) in group {
            marks.push(self.has(*print, *time));
        }
    }

    /// Whether the packet repeats the last one with this print; if not, it is remembered.
    #[inline]
    fn has(&mut self, print: Print, time: i64) -> bool {
        let chain = self.chain(print);
        let (mut newer, mut number) = (None::<usize>, self.chains[chain]);
        while self.is_there(number) {
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
                    None => self.chains[chain] = older,
                }
                break;
            }
            (newer, number) = (Some(at), entry.older);
        }
        self.remember(print, time, chain);
        false
    }

    fn remember(&mut self, print: Print, time: i64, chain: usize) {
        let at = self.at(self.next);
        let entry = &mut self.ring[at];
        // One that was never used has nothing left.
        let is_awaited = entry.left > 0 && entry.time.abs_diff(time) <= self.window;
        self.forgotten += u64::from(is_awaited);
        *entry = Entry {
            hash: print.hash,
            time,
            older: self.chains[chain],
            len: print.len,
            left: self.repetitions,
        };
        self.chains[chain] = self.next;
        self.next += 1;
    }

    /// Whether the ring still has the packet with this number.
    #[inline]
    const fn is_there(&self, number: u64) -> bool {
        number != 0 && self.next - number <= self.ring.len() as u64
    }

    #[inline]
    const fn at(&self, number: u64) -> usize {
        number as usize & (self.ring.len() - 1)
    }

    #[inline]
    const fn chain(&self, print: Print) -> usize {
        print.place as usize & (self.chains.len() - 1)
    }
}
