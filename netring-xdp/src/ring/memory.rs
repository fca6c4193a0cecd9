//! The words of a ring: in a mapping that the kernel shares, or on the heap under loom.
//!
//! # Safety
//! The invariant of this file: the addresses in a `Memory` are those of words inside the mapping
//! that it holds, checked when it was made; a mapping does not move. The words are atomics, so
//! another writer does no harm to this process.
#![allow(
    unsafe_code,
    reason = "checking each access again would cost the hot path; under loom there is none"
)]

#[cfg(not(loom))]
pub(crate) use mapped::Memory;
#[cfg(loom)]
pub(crate) use model::Memory;

#[cfg(not(loom))]
mod mapped {
    use std::ptr::NonNull;
    use std::sync::Arc;

    use netring_sys::Mmap;
    use netring_sys::kernel::xdp::xdp_ring_offset;

    use crate::sync::{AtomicU32, AtomicU64};

    /// Words of the larger kind of entries: the mapping of any ring has at least this many.
    const PAIR: usize = 2;

    /// The words of one ring.
    #[derive(Clone, Debug)]
    pub(crate) struct Memory {
        producer: NonNull<AtomicU32>,
        consumer: NonNull<AtomicU32>,
        flags: NonNull<AtomicU32>,
        entries: NonNull<AtomicU64>,
        words: usize,
        /// Bytes before the last pair of words, a multiple of 16.
        last_pair: usize,
        _map: Arc<Mmap>,
    }

    // SAFETY: the addresses belong to the mapping, which the value holds and which may go to any
    // thread; the words are atomic; the ranges were checked when it was made.
    unsafe impl Send for Memory {}
    // SAFETY: the value holds the mapping; `&self` gives access to atomics only; the ranges were
    // checked when it was made.
    unsafe impl Sync for Memory {}

    impl Memory {
        /// Bytes to map for a ring with this many words of entries.
        pub(crate) fn len(offsets: &xdp_ring_offset, words: usize) -> usize {
            offsets.desc as usize + words.max(PAIR) * 8
        }

        /// A ring of `words` words in a mapping; `None` if the offsets are not inside it.
        pub(crate) fn new(map: Mmap, offsets: &xdp_ring_offset, words: usize) -> Option<Self> {
            let word = |of: u64| map.atomic_u32(usize::try_from(of).ok()?).map(NonNull::from);
            let all = words.max(PAIR);
            let entries = map.atomic_u64s(usize::try_from(offsets.desc).ok()?, all)?;
            Some(Self {
                producer: word(offsets.producer)?,
                consumer: word(offsets.consumer)?,
                flags: word(offsets.flags)?,
                entries: NonNull::from(entries).cast(),
                words,
                last_pair: (all / PAIR - 1) * PAIR * 8,
                _map: Arc::new(map),
            })
        }

        /// A ring that the kernel does not know, with both positions at `start`.
        #[cfg(test)]
        pub(crate) fn alone(words: usize, start: u32) -> Self {
            use crate::sync::Ordering;

            let offsets = xdp_ring_offset {
                producer: 0,
                consumer: 64,
                desc: 192,
                flags: 128,
            };
            let map = Mmap::anonymous(Self::len(&offsets, words)).unwrap();
            let memory = Self::new(map, &offsets, words).unwrap();
            memory.producer().store(start, Ordering::Relaxed);
            memory.consumer().store(start, Ordering::Relaxed);
            memory
        }

        #[inline]
        pub(crate) const fn producer(&self) -> &AtomicU32 {
            // SAFETY: `self` holds the mapping; every writer writes the word atomically; it is
            // inside, which was checked when `self` was made.
            unsafe { self.producer.as_ref() }
        }

        #[inline]
        pub(crate) const fn consumer(&self) -> &AtomicU32 {
            // SAFETY: `self` holds the mapping; every writer writes the word atomically; it is
            // inside, which was checked when `self` was made.
            unsafe { self.consumer.as_ref() }
        }

        #[inline]
        pub(crate) const fn flags(&self) -> &AtomicU32 {
            // SAFETY: `self` holds the mapping; every writer writes the word atomically; it is
            // inside, which was checked when `self` was made.
            unsafe { self.flags.as_ref() }
        }

        #[inline]
        pub(crate) const fn entries(&self) -> &[AtomicU64] {
            // SAFETY: `self` holds the mapping; every writer writes the words atomically; all of
            // them are inside, which was checked when `self` was made.
            unsafe { std::slice::from_raw_parts(self.entries.as_ptr(), self.words) }
        }

        /// The entry of a position, in a ring of a power of two entries of two words each.
        #[inline]
        pub(crate) const fn pair(&self, position: u32) -> &[AtomicU64; 2] {
            // Never behind the last pair, so that no comparison is needed.
            let start = (position as usize * PAIR * 8) & self.last_pair;
            // SAFETY: `self` holds the mapping; nothing is written; the last pair is inside, and
            // this is it or an earlier one.
            let pair = unsafe { self.entries.byte_add(start) };
            // SAFETY: `self` holds the mapping; every writer writes the words atomically; the pair
            // is inside.
            unsafe { pair.cast().as_ref() }
        }
    }
}

#[cfg(loom)]
mod model {
    use loom::sync::Arc;

    use crate::sync::{AtomicU32, AtomicU64};

    /// A ring of atomics that loom observes.
    #[derive(Clone, Debug)]
    pub(crate) struct Memory(Arc<Words>);

    #[derive(Debug)]
    struct Words {
        producer: AtomicU32,
        consumer: AtomicU32,
        flags: AtomicU32,
        entries: Vec<AtomicU64>,
    }

    impl Memory {
        pub(crate) fn alone(words: usize, start: u32) -> Self {
            Self(Arc::new(Words {
                producer: AtomicU32::new(start),
                consumer: AtomicU32::new(start),
                flags: AtomicU32::new(0),
                entries: (0..words).map(|_| AtomicU64::new(0)).collect(),
            }))
        }

        pub(crate) fn producer(&self) -> &AtomicU32 {
            &self.0.producer
        }

        pub(crate) fn consumer(&self) -> &AtomicU32 {
            &self.0.consumer
        }

        pub(crate) fn flags(&self) -> &AtomicU32 {
            &self.0.flags
        }

        pub(crate) fn entries(&self) -> &[AtomicU64] {
            &self.0.entries
        }

        pub(crate) fn pair(&self, position: u32) -> &[AtomicU64; 2] {
            let (pairs, _) = self.0.entries.as_chunks();
            &pairs[position as usize & (pairs.len() - 1)]
        }
    }
}
