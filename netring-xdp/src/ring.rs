//! A ring between this process and the kernel: one side produces entries, the other consumes them.
//!
//! ```text
//!            consumer            producer
//!               ▼                   ▼
//! ┌──────┬──────┬──────┬──────┬──────┬──────┐   positions are 32-bit counters that wrap;
//! │ free │ free │ used │ used │ free │ free │   the entry of one is at position & (size − 1);
//! └──────┴──────┴──────┴──────┴──────┴──────┘   used = producer − consumer
//! ```
//!
//! Each position has one writer. Both halves keep a copy of the other's position and read the
//! shared word only if the copy leaves nothing to do. They publish their own position once for many
//! entries. Entries are atomic words, which costs nothing on any processor that Linux supports, and
//! makes this safe code: whatever the other side does with its position, an entry is some number,
//! and its user checks it.

mod consumer;
mod memory;
mod producer;

#[cfg(any(test, loom))]
mod tests;

pub(crate) use consumer::{Consumer, Entries};
pub(crate) use memory::Memory;
pub(crate) use producer::Producer;

use netring_sys::kernel::xdp::xdp_desc;

use crate::sync::{AtomicU64, Ordering};

/// The entries of a ring: one word or two each.
pub(crate) trait Entry: Copy + std::fmt::Debug {
    /// Its words, as they are in the ring.
    type Words;
    /// How many words it has.
    const WORDS: usize;

    fn all(words: &[AtomicU64]) -> &[Self::Words];
    /// The entry of a position.
    fn of(memory: &Memory, position: u32) -> &Self::Words;
    fn load(words: &Self::Words) -> Self;
    fn store(self, words: &Self::Words);
}

/// The address of a chunk: fill and completion.
impl Entry for u64 {
    type Words = AtomicU64;
    const WORDS: usize = 1;

    #[inline]
    fn all(words: &[AtomicU64]) -> &[AtomicU64] {
        words
    }

    #[inline]
    fn of(memory: &Memory, position: u32) -> &AtomicU64 {
        at(memory.entries(), position)
    }

    // Relaxed, here and below: the acquire and release of the positions order the entries.
    #[inline]
    fn load(words: &AtomicU64) -> Self {
        words.load(Ordering::Relaxed)
    }

    #[inline]
    fn store(self, words: &AtomicU64) {
        words.store(self, Ordering::Relaxed);
    }
}

/// A packet: receive and transmit.
impl Entry for xdp_desc {
    type Words = [AtomicU64; 2];
    const WORDS: usize = 2;

    #[inline]
    fn all(words: &[AtomicU64]) -> &[[AtomicU64; 2]] {
        words.as_chunks().0
    }

    #[inline]
    fn of(memory: &Memory, position: u32) -> &[AtomicU64; 2] {
        memory.pair(position)
    }

    #[inline]
    fn load([addr, rest]: &[AtomicU64; 2]) -> Self {
        let rest = rest.load(Ordering::Relaxed);
        let (len, options) = if cfg!(target_endian = "little") {
            (rest as u32, (rest >> 32) as u32)
        } else {
            ((rest >> 32) as u32, rest as u32)
        };
        Self {
            addr: addr.load(Ordering::Relaxed),
            len,
            options,
        }
    }

    #[inline]
    fn store(self, [addr, rest]: &[AtomicU64; 2]) {
        let (first, second) = if cfg!(target_endian = "little") {
            (self.len, self.options)
        } else {
            (self.options, self.len)
        };
        addr.store(self.addr, Ordering::Relaxed);
        rest.store(
            u64::from(first) | u64::from(second) << 32,
            Ordering::Relaxed,
        );
    }
}

/// The entries before a position, and those from it on.
#[inline]
fn split<W>(all: &[W], position: u32) -> (&[W], &[W]) {
    all.split_at(position as usize & (all.len() - 1))
}

/// The `count` entries from a position on, whether they are in use or not; none if they wrap.
#[inline]
fn run_from<W>(all: &[W], position: u32, count: u32) -> &[W] {
    let start = position as usize & (all.len() - 1);
    all.get(start..start + count as usize).unwrap_or_default()
}

/// The entry of a position; `all` has a power of two of them, and at least one.
#[inline]
fn at<W>(all: &[W], position: u32) -> &W {
    // In this form the compiler sees that the index is inside.
    &all[position as usize & (all.len() - 1)]
}
