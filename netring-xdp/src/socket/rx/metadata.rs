//! The driver's metadata of packets, written before them by the program.
//!
//! ```text
//! ┌────────────────────────────── chunk ──────────────────────────────┐
//! │ 256 bytes and the headroom    … │ metadata  mark │ packet │ free  │
//! └─────────────────────────────────┴────────────────┴────────┴───────┘
//! ```
//! In copy mode the kernel copies both together, so the packet starts where it always does.
//! The mark is cleared before a chunk goes into the fill ring, out of the pool ([`RxHalf::top_up`])
//! or out of the receive ring ([`RxHalf::clear_marks`]): a packet that nothing was written before
//! has no mark, whatever its chunk held earlier.
//!
//! # Safety
//! The invariant of this file is that of its parent: entries that are lent are not released while a
//! [`Described`] borrows their [`RxBatch`], and until then nobody writes to their chunks.
#![expect(
    unsafe_code,
    reason = "lends packets in mapped memory; the invariant stands above"
)]

use std::num::NonZeroU32;

use netring_sys::kernel::xdp::xdp_desc;

use super::iter::{PacketMapper, RawIter};
use super::{RxBatch, RxHalf};
use crate::memory::geometry::{ByteRange, Geometry};
use crate::memory::region::View;
use crate::program::Metadata;

/// Bytes of the mark.
pub(super) const MARK: u32 = Metadata::MARK as u32;

/// The packets before which metadata is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetadataPlacement {
    /// Those that start where the mark was cleared. If a program moved the front of a packet, its
    /// sender may have written the bytes before it.
    Default,
    /// All: the program moves no fronts, and writes before each packet. A driver may put words of
    /// its own there (igc its timestamps), so that the packet starts later.
    Anywhere,
}

/// Received packets, oldest first: the bytes of each, and the driver's metadata.
///
/// `None` if no program [with metadata](crate::program::Redirect::metadata) wrote something before
/// the packet.
#[derive(Debug)]
pub struct Described<'a>(RawIter<'a, RawMetadata>);

/// Maps a packet to its bytes, and to those before it that may be metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawMetadata {
    /// `None`: none.
    placement: Option<MetadataPlacement>,
    expected_offset: u64,
    offset_mask: u64,
}

impl Geometry {
    /// Where in its chunk a packet starts.
    #[inline]
    const fn expected_offset(&self) -> u32 {
        self.chunk_size() - self.payload()
    }

    /// Where in its chunk the mark of its metadata is.
    #[inline]
    pub(super) const fn mark(&self) -> u32 {
        self.expected_offset() - MARK
    }
}

impl RxHalf {
    /// Reads metadata from now on. No chunk has a mark yet: so far the program wrote none, or
    /// nothing was received.
    pub(crate) const fn describe(&mut self, placement: MetadataPlacement) {
        self.metadata = Some(placement);
    }

    /// Clears the marks in the chunks of the next `count` entries.
    pub(super) fn clear_marks(&mut self, count: u32) {
        let region = self.shared.region();
        let geometry = *region.geometry();
        for desc in self.rx.entries(count) {
            if let Some(base) = geometry.base_of(desc.addr) {
                // SAFETY: the chunk is that of an entry that is not released; no slice of it lives,
                // because a batch borrows `self`; the mark is inside every chunk.
                unsafe { region.clear::<{ Metadata::MARK }>(base + u64::from(geometry.mark())) };
            }
        }
    }

    /// Where in its chunk a packet starts, if it may have metadata before it.
    #[inline]
    pub(super) fn described_start(&self, range: &ByteRange) -> Option<NonZeroU32> {
        let placement = self.metadata?;
        let geometry = self.shared.geometry();
        // The chunk is smaller than 2³², and the range is inside.
        let offset = (range.start - geometry.base(range.chunk)) as u32;
        let read = match placement {
            MetadataPlacement::Default => offset == geometry.expected_offset(),
            MetadataPlacement::Anywhere => offset >= Metadata::LEN as u32,
        };
        NonZeroU32::new(offset).filter(|_| read)
    }

    /// The bytes before a packet, if they may be metadata.
    ///
    /// # Safety
    /// Those of [`View::received`], for the entry of the packet's first chunk.
    #[inline]
    unsafe fn before(&self, first: &ByteRange) -> Option<&[u8; Metadata::LEN]> {
        self.described_start(first)?;
        let before = ByteRange {
            start: first.start - Metadata::LEN as u64,
            len: Metadata::LEN as u32,
            ..*first
        };
        // SAFETY: the caller guarantees that the entry is lent, and that nobody writes to its
        // chunk; the packet starts at least as far inside the chunk.
        unsafe { self.shared.region().received(&before) }.first_chunk()
    }
}

impl RxBatch<'_> {
    /// The packets that are still lent, with their metadata.
    #[inline]
    pub(crate) fn described(&self) -> Described<'_> {
        Described(self.raw_metadata())
    }

    /// The packets that are still lent, with the bytes before them.
    #[inline]
    pub(crate) fn raw_metadata(&self) -> RawIter<'_, RawMetadata> {
        let geometry = self.half.shared.geometry();
        self.raw_iter(RawMetadata {
            placement: self.half.metadata,
            expected_offset: u64::from(geometry.expected_offset()),
            offset_mask: u64::from(geometry.chunk_size()) - 1,
        })
    }
}

impl<'a> PacketMapper<'a> for RawMetadata {
    type Item = (&'a [u8], Option<&'a [u8; Metadata::LEN]>);

    #[inline]
    unsafe fn fast(self, view: &View<'a>, desc: &xdp_desc) -> Option<Self::Item> {
        // SAFETY: the caller guarantees it.
        let bytes = unsafe { view.received(desc) }?;
        let offset = desc.addr & self.offset_mask;
        let read = match self.placement {
            Some(MetadataPlacement::Default) => offset == self.expected_offset,
            Some(MetadataPlacement::Anywhere) => true,
            None => false,
        };
        // SAFETY: the caller guarantees it.
        let before = read.then(|| unsafe { view.before(desc) });
        Some((bytes, before.flatten()))
    }

    #[inline(never)]
    fn slow(self, lent: &'a RxBatch<'a>, at: u32) -> (Option<Self::Item>, u32) {
        let (packet, at) = lent.slow(at);
        // SAFETY: the range is that of a lent entry, which is not released while `lent` is
        // borrowed; nobody else writes to its chunk; it is of this region's geometry.
        let item = packet.map(|(bytes, first)| (bytes, unsafe { lent.half.before(&first) }));
        (item, at)
    }
}

impl<'a> Iterator for Described<'a> {
    type Item = (&'a [u8], Option<Metadata>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, before) = self.0.next()?;
        Some((bytes, before.and_then(Metadata::read)))
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        self.0.fold(init, |folded, (bytes, before)| {
            f(folded, (bytes, before.and_then(Metadata::read)))
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
