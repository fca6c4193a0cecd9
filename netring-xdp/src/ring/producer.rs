//! The half that writes entries: fill and transmit.

use std::marker::PhantomData;

use netring_sys::kernel::xdp::XDP_RING_NEED_WAKEUP;

use super::{Entry, Memory, at, run_from, split};
use crate::sync::{AtomicU32, Ordering, fence};

/// The producing half of a ring.
#[derive(Debug)]
pub(crate) struct Producer<E> {
    memory: Memory,
    size: u32,
    /// The position of the next entry to write; published by each [`Writer`], and by
    /// [`publish`](Self::publish).
    next: u32,
    /// The position that was published.
    published: u32,
    /// The end of the free entries when the consumer's position was last read.
    limit: u32,
    entry: PhantomData<E>,
}

/// Writes entries, and publishes them when it is dropped.
#[derive(Debug)]
pub(crate) struct Writer<'a, E: Entry> {
    entries: &'a [E::Words],
    shared: &'a AtomicU32,
    next: &'a mut u32,
    published: &'a mut u32,
    room: u32,
}

impl<E: Entry> Producer<E> {
    /// A half over the memory of a ring, whose entries are a power of two.
    pub(crate) fn new(memory: Memory) -> Self {
        let size = E::all(memory.entries()).len() as u32;
        assert!(size.is_power_of_two(), "as the kernel requires");
        // Relaxed: this half is the position's only writer, and the ring is not in use yet.
        let next = memory.producer().load(Ordering::Relaxed);
        let mut producer = Self {
            next,
            published: next,
            limit: next,
            memory,
            size,
            entry: PhantomData,
        };
        producer.look();
        producer
    }

    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// How many entries can be written; the figure is exact up to `wanted`.
    #[inline]
    pub(crate) fn room(&mut self, wanted: u32) -> u32 {
        let room = self.limit.wrapping_sub(self.next);
        if room >= wanted {
            return room;
        }
        self.size - self.look()
    }

    /// Whether an entry can be written, as far as is known without reading the consumer's position.
    #[inline]
    pub(crate) const fn has_room(&self) -> bool {
        self.next != self.limit
    }

    /// Room for up to `wanted` entries.
    #[inline]
    pub(crate) fn writer(&mut self, wanted: u32) -> Writer<'_, E> {
        let room = self.room(wanted).min(wanted);
        Writer {
            entries: E::all(self.memory.entries()),
            shared: self.memory.producer(),
            next: &mut self.next,
            published: &mut self.published,
            room,
        }
    }

    /// Writes one entry without publishing it. Returns false if none fits.
    #[inline]
    pub(crate) fn stage(&mut self, entry: E) -> bool {
        if self.next == self.limit && self.room(1) == 0 {
            return false;
        }
        self.put(entry);
        true
    }

    /// As [`stage`](Self::stage), if it is known that one fits.
    #[inline]
    pub(crate) fn put(&mut self, entry: E) {
        debug_assert!(self.next != self.limit);
        entry.store(E::of(&self.memory, self.next));
        self.next = self.next.wrapping_add(1);
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

    /// Up to `wanted` free entries before the ring wraps, to be written and then
    /// [staged](Self::stage_run).
    #[inline]
    pub(crate) fn run(&self, wanted: u32) -> &[E::Words] {
        let (_, rest) = split(E::all(self.memory.entries()), self.next);
        let count = wanted.min(self.limit.wrapping_sub(self.next)) as usize;
        rest.get(..count).unwrap_or(rest)
    }

    /// Stages the first `count` entries of a [`run`](Self::run), which are written.
    #[inline]
    pub(crate) fn stage_run(&mut self, count: u32) {
        debug_assert!(count <= self.limit.wrapping_sub(self.next));
        self.next = self.next.wrapping_add(count);
    }

    /// How many entries are written and not yet published.
    #[inline]
    pub(crate) const fn staged(&self) -> u32 {
        self.next.wrapping_sub(self.published)
    }

    /// Publishes what was staged.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.published = self.next;
        // Release: as in `Writer`.
        self.memory.producer().store(self.next, Ordering::Release);
    }

    /// Whether the kernel waits for a system call before it reads what was published.
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        // SeqCst: the position is stored before the flag is read. Otherwise the kernel could find
        // the ring empty and set the flag while this side misses the flag. Partner: the kernel sets
        // the flag and then reads the ring again.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L38
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L48
        fence(Ordering::SeqCst);
        // Relaxed: the flag orders no other memory.
        self.memory.flags().load(Ordering::Relaxed) & XDP_RING_NEED_WAKEUP != 0
    }

    /// How many entries the consumer has not taken yet.
    #[inline]
    pub(crate) fn outstanding(&mut self) -> u32 {
        self.look()
    }

    /// Reads the consumer's position. Returns how many entries are in use; if it is ahead of what
    /// was produced, the ring counts as full.
    #[inline]
    fn look(&mut self) -> u32 {
        // Acquire: the consumer has read the entries that it released before they are written
        // again. Partner: the release of the consumer's position, in the kernel
        // __xskq_cons_release.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk_queue.h#L335
        let consumer = self.memory.consumer().load(Ordering::Acquire);
        let used = self.next.wrapping_sub(consumer).min(self.size);
        self.limit = self.next.wrapping_add(self.size - used);
        used
    }
}

impl<E: Entry> Writer<'_, E> {
    /// How many entries still fit.
    #[inline]
    pub(crate) const fn room(&self) -> u32 {
        self.room
    }

    /// Writes one entry. Returns false if none fits.
    #[inline]
    pub(crate) fn push(&mut self, entry: E) -> bool {
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        entry.store(at(self.entries, *self.next));
        *self.next = self.next.wrapping_add(1);
        true
    }

    /// Writes what `f` makes of each item, as long as it fits.
    #[inline]
    pub(crate) fn extend<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut f: impl FnMut(T) -> Option<E>,
    ) {
        // In registers: otherwise the compiler has to assume that a store changes the position.
        let (all, start) = (self.entries, *self.next);
        let (mut next, end) = (start, start.wrapping_add(self.room));
        for item in items {
            let Some(entry) = f(item) else { continue };
            if next == end {
                break;
            }
            entry.store(at(all, next));
            next = next.wrapping_add(1);
        }
        self.room -= next.wrapping_sub(start);
        *self.next = next;
    }
}

impl<E: Entry> Drop for Writer<'_, E> {
    #[inline]
    fn drop(&mut self) {
        // Release: the entries, and the packets that they point to, are written before they can be
        // seen. Partner: the acquire of the producer's position, in the kernel
        // __xskq_cons_peek.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk_queue.h#L341
        self.shared.store(*self.next, Ordering::Release);
        *self.published = *self.next;
    }
}
