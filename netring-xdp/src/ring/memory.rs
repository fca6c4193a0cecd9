//! Where a ring's words are: in a mapping that the kernel shares, or on the heap of a model.

#[cfg(not(loom))]
pub(crate) use mapped::Memory;
#[cfg(loom)]
pub(crate) use model::Memory;

#[cfg(not(loom))]
mod mapped {
    use std::sync::Arc;

    use netring_sys::Mmap;
    use netring_sys::kernel::xdp::xdp_ring_offset;

    use crate::sync::{AtomicU32, AtomicU64};

    /// The mapping of one ring.
    #[derive(Clone, Debug)]
    pub(crate) struct Memory {
        map: Arc<Mmap>,
        producer: usize,
        consumer: usize,
        flags: usize,
        entries: usize,
        words: usize,
    }

    impl Memory {
        /// Bytes to map for a ring of so many words of entries.
        pub(crate) fn len(offsets: &xdp_ring_offset, words: usize) -> usize {
            offsets.desc as usize + words * 8
        }

        /// A ring of `words` words in a mapping; `None` where the offsets do not lie in it.
        pub(crate) fn new(map: Mmap, offsets: &xdp_ring_offset, words: usize) -> Option<Self> {
            let offset = |of: u64| usize::try_from(of).ok();
            let memory = Self {
                producer: offset(offsets.producer)?,
                consumer: offset(offsets.consumer)?,
                flags: offset(offsets.flags)?,
                entries: offset(offsets.desc)?,
                words,
                map: Arc::new(map),
            };
            memory.map.atomic_u32(memory.producer)?;
            memory.map.atomic_u32(memory.consumer)?;
            memory.map.atomic_u32(memory.flags)?;
            memory.map.atomic_u64s(memory.entries, words)?;
            Some(memory)
        }

        /// A ring that nobody else knows, with both positions at `start`.
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
        pub(crate) fn producer(&self) -> &AtomicU32 {
            self.word(self.producer)
        }

        #[inline]
        pub(crate) fn consumer(&self) -> &AtomicU32 {
            self.word(self.consumer)
        }

        #[inline]
        pub(crate) fn flags(&self) -> &AtomicU32 {
            self.word(self.flags)
        }

        #[inline]
        pub(crate) fn entries(&self) -> &[AtomicU64] {
            let words = self.map.atomic_u64s(self.entries, self.words);
            words.expect("`new` checked that the entries are inside")
        }

        #[inline]
        fn word(&self, offset: usize) -> &AtomicU32 {
            let word = self.map.atomic_u32(offset);
            word.expect("`new` checked that the words are inside")
        }
    }
}

#[cfg(loom)]
mod model {
    use loom::sync::Arc;

    use crate::sync::{AtomicU32, AtomicU64};

    /// A ring of atomics that loom watches.
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
    }
}
