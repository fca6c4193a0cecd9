//! A batch without the packets that are marked.

use crate::{Packet, PacketBatch};

/// The packets of a batch that a [`Dedup`](super::Dedup) lends. It may have none.
#[derive(Debug)]
pub struct DedupBatch<'a, B> {
    batch: B,
    marks: &'a Marks,
}

impl<'a, B> DedupBatch<'a, B> {
    pub(super) const fn new(batch: B, marks: &'a Marks) -> Self {
        Self { batch, marks }
    }
}

impl<B: PacketBatch> PacketBatch for DedupBatch<'_, B> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let packets = self.batch.packets().enumerate();
        packets.filter_map(|(n, packet)| (!self.marks.get(n)).then_some(packet))
    }
}

/// A bit for each packet of a batch.
#[derive(Debug)]
pub(super) struct Marks {
    words: Vec<u64>,
    len: usize,
    set: u64,
}

impl Marks {
    pub(super) const fn new() -> Self {
        Self {
            words: Vec::new(),
            len: 0,
            set: 0,
        }
    }

    /// Keeps the memory for the next batch.
    pub(super) fn clear(&mut self) {
        self.words.clear();
        (self.len, self.set) = (0, 0);
    }

    #[inline]
    pub(super) fn push(&mut self, mark: bool) {
        let bit = self.len % 64;
        if bit == 0 {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= u64::from(mark) << bit;
        }
        self.len += 1;
        self.set += u64::from(mark);
    }

    /// Adds this many marks, up to 64, from the lowest bit on; the bits above are clear.
    #[inline]
    pub(super) fn extend(&mut self, marks: u64, count: usize) {
        let bit = self.len % 64;
        match self.words.last_mut() {
            Some(last) if bit > 0 => {
                *last |= marks << bit;
                if bit + count > 64 {
                    self.words.push(marks >> (64 - bit));
                }
            }
            _ => self.words.push(marks),
        }
        self.len += count;
        self.set += u64::from(marks.count_ones());
    }

    /// How many are set.
    pub(super) const fn set(&self) -> u64 {
        self.set
    }

    #[inline]
    fn get(&self, n: usize) -> bool {
        let word = self.words.get(n / 64).copied().unwrap_or(0);
        word >> (n % 64) & 1 == 1
    }
}
