//! The half that reads entries: receive and completion.

use std::marker::PhantomData;

use super::{Entry, Memory, at, run_from, split};
use crate::sync::Ordering;

/// The consuming half of a ring.
#[derive(Debug)]
pub(crate) struct Consumer<E> {
    memory: Memory,
    size: u32,
    /// The position of the next entry to read.
    next: u32,
    /// The producer's position when it was last read.
    producer: u32,
    entry: PhantomData<E>,
}

/// Entries that are produced and not yet released.
#[derive(Debug)]
pub(crate) struct Entries<'a, E: Entry> {
    all: &'a [E::Words],
    next: u32,
    end: u32,
}

impl<E: Entry> Consumer<E> {
    /// A half over the memory of a ring, whose entries are a power of two.
    pub(crate) fn new(memory: Memory) -> Self {
        let size = E::all(memory.entries()).len() as u32;
        assert!(size.is_power_of_two(), "as the kernel requires");
        // Relaxed: this half is the position's only writer, and the ring is not in use yet.
        let next = memory.consumer().load(Ordering::Relaxed);
        Self {
            memory,
            size,
            next,
            producer: next,
            entry: PhantomData,
        }
    }

    /// How many entries can be read. Reads the shared word only if fewer than `wanted` are known.
    #[inline]
    pub(crate) fn available(&mut self, wanted: u32) -> u32 {
        let known = self.known();
        if known >= wanted {
            return known;
        }
        // Acquire: makes the entries, and the packets that they point to, visible as the producer
        // wrote them. Partner: the release of the producer's position, in the kernel
        // __xskq_prod_submit.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk_queue.h#L486
        self.producer = self.memory.producer().load(Ordering::Acquire);
        self.known()
    }

    /// The next `count` entries, of those that are available.
    #[inline]
    pub(crate) fn entries(&self, count: u32) -> Entries<'_, E> {
        Entries {
            all: E::all(self.memory.entries()),
            next: self.next,
            end: self.next.wrapping_add(count.min(self.known())),
        }
    }

    /// The entry behind the next `n`; an arbitrary one if fewer are available.
    #[inline]
    pub(crate) fn entry(&self, n: u32) -> E {
        E::load(at(E::all(self.memory.entries()), self.next.wrapping_add(n)))
    }

    /// The words of the next `count` entries, whether they are in use or not; none if they wrap.
    #[inline]
    pub(crate) fn next_run(&self, count: u32) -> &[E::Words] {
        run_from(E::all(self.memory.entries()), self.next, count)
    }

    /// How many entries there are before the ring wraps.
    #[inline]
    pub(crate) const fn to_end(&self) -> u32 {
        self.size - (self.next & (self.size - 1))
    }

    /// The words of the next `count` entries, of those that are available before the ring wraps.
    #[inline]
    pub(crate) fn run(&self, count: u32) -> &[E::Words] {
        let (_, rest) = split(E::all(self.memory.entries()), self.next);
        let count = count.min(self.known()) as usize;
        rest.get(..count).unwrap_or(rest)
    }

    /// Gives the next `count` entries back to the producer.
    #[inline]
    pub(crate) fn release(&mut self, count: u32) {
        self.next = self.next.wrapping_add(count.min(self.known()));
        // Release: the entries are read before they can be written again. Partner: the acquire of
        // the consumer's position, in the kernel xskq_prod_nb_free.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk_queue.h#L76
        self.memory.consumer().store(self.next, Ordering::Release);
    }

    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// If a producer claims more than the ring holds, this is the whole ring: the entries are
    /// checked one by one.
    #[inline]
    fn known(&self) -> u32 {
        self.producer.wrapping_sub(self.next).min(self.size)
    }
}

impl<E: Entry> Entries<'_, E> {
    /// The first `count` entries, and the others.
    #[inline]
    pub(crate) fn split(self, count: u32) -> (Self, Self) {
        let middle = self
            .next
            .wrapping_add(count.min(self.end.wrapping_sub(self.next)));
        let first = Self {
            end: middle,
            ..self
        };
        let others = Self {
            next: middle,
            ..self
        };
        (first, others)
    }

    /// The first entry, without taking it.
    #[inline]
    pub(crate) fn peek(&self) -> Option<E> {
        (self.next != self.end).then(|| E::load(at(self.all, self.next)))
    }
}

impl<E: Entry> Clone for Entries<'_, E> {
    #[inline]
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<E: Entry> Iterator for Entries<'_, E> {
    type Item = E;

    #[inline]
    fn next(&mut self) -> Option<E> {
        let entry = self.peek()?;
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.wrapping_sub(self.next) as usize;
        (left, Some(left))
    }
}

impl<E: Entry> ExactSizeIterator for Entries<'_, E> {}
