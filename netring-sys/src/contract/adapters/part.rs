//! A part of the packets of a batch.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::contract::{Count, PacketBatch, Stats};
use crate::{Error, Matcher, Packet};

/// The packets of a batch that a [`Filtered`](super::Filtered) or [`Limit`](super::Limit) source
/// lends. It may have none.
#[derive(Debug)]
pub struct Part<'a, B: PacketBatch> {
    /// `None` after the end of a [`Limit`](super::Limit): nothing more is taken from the inner
    /// source.
    batch: Option<B>,
    chooser: Option<Chooser<'a>>,
    /// The maximum number of packets to lend.
    most: u64,
    /// The packets that the adapter has lent; the packets of this part are added when it is
    /// dropped.
    lent: &'a mut u64,
    /// The packets of this part, once an iteration has reached the end, so they are not counted
    /// twice.
    counted: Cell<Option<u64>>,
}

/// Chooses packets, and keeps the error for the first one that cannot be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chooser<'a> {
    pub(super) matcher: &'a Matcher,
    pub(super) refusal: &'a OnceLock<Error>,
}

impl Chooser<'_> {
    #[inline]
    fn chooses(self, packet: &Packet<'_>) -> bool {
        self.matcher.verdict(packet).unwrap_or_else(|| {
            self.refusal.get_or_init(|| self.matcher.refusal(packet));
            false
        })
    }
}

impl<'a, B: PacketBatch> Part<'a, B> {
    pub(super) const fn chosen_by(chooser: Chooser<'a>, batch: B, lent: &'a mut u64) -> Self {
        Self {
            batch: Some(batch),
            chooser: Some(chooser),
            most: u64::MAX,
            lent,
            counted: Cell::new(None),
        }
    }

    pub(super) const fn up_to(most: u64, batch: Option<B>, lent: &'a mut u64) -> Self {
        Self {
            batch,
            chooser: None,
            most,
            lent,
            counted: Cell::new(None),
        }
    }
}

impl<B: PacketBatch> PacketBatch for Part<'_, B> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        Walk {
            packets: self.batch.as_ref().map(PacketBatch::packets),
            chooser: self.chooser,
            most: self.most,
            lent: 0,
            counted: &self.counted,
        }
    }
}

/// All packets of a batch count as lent, whether they were iterated or not.
impl<B: PacketBatch> Drop for Part<'_, B> {
    fn drop(&mut self) {
        let count = self.counted.get();
        *self.lent += count.unwrap_or_else(|| self.packets().count() as u64);
    }
}

struct Walk<'a, I> {
    packets: Option<I>,
    chooser: Option<Chooser<'a>>,
    most: u64,
    lent: u64,
    counted: &'a Cell<Option<u64>>,
}

impl<'p, I: Iterator<Item = Packet<'p>>> Iterator for Walk<'_, I> {
    type Item = Packet<'p>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'p>> {
        while self.lent < self.most {
            let Some(packet) = self.packets.as_mut().and_then(Iterator::next) else {
                break;
            };
            if self.chooser.is_none_or(|chooser| chooser.chooses(&packet)) {
                self.lent += 1;
                return Some(packet);
            }
        }
        self.counted.set(Some(self.lent));
        None
    }
}

/// The statistics of an adapter that has lent `lent` of the packets that the inner source
/// delivered.
pub(super) fn stats(inside: Stats, lent: u64) -> Stats {
    let here = match inside.delivered {
        Count::Exact(all) => Count::Exact(all.saturating_sub(lent)),
        Count::AtLeast(all) => Count::AtLeast(all.saturating_sub(lent)),
        Count::Unavailable => Count::Unavailable,
    };
    let mut stats = inside;
    stats.delivered = Count::Exact(lent);
    stats.left_out = match (inside.left_out, here) {
        (Count::Exact(a), Count::Exact(b)) => Count::Exact(a + b),
        (a, b) => match (a.value(), b.value()) {
            (Some(a), Some(b)) => Count::AtLeast(a + b),
            _ => Count::Unavailable,
        },
    };
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_exact_as_what_is_known_inside() {
        let figures = |inside: Stats| {
            let stats = stats(inside, 3);
            (stats.delivered, stats.left_out, stats.pending())
        };
        let mut inside = Stats::counted(10);
        inside.offered = Count::Exact(12);
        let exact = (Count::Exact(3), Count::Exact(7), Some(2));
        assert_eq!(figures(inside), exact);
        inside.left_out = Count::Exact(2);
        assert_eq!(figures(inside).1, Count::Exact(9));
        inside.delivered = Count::AtLeast(10);
        let at_least = (Count::Exact(3), Count::AtLeast(9), None);
        assert_eq!(figures(inside), at_least);
        inside.delivered = Count::Unavailable;
        assert_eq!(figures(inside).1, Count::Unavailable);
    }
}
