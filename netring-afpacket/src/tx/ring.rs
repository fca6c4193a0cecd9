//! The mapped transmit ring: which slot is next, which frames the kernel has taken, and which are
//! done.
//!
//! ```text
//!   oldest ─┐                              ┌─ next
//! ┌─────────▼┬─────────┬─────────┬─────────▼┬──────────┐  slot n of a block: n × slot_size
//! │ SENDING  │ SENDING │ REQUEST │ REQUEST  │ AVAILABLE│  frames are taken in this order
//! └──────────┴─────────┴─────────┴──────────┴──────────┘  a frame that is done is AVAILABLE again
//!                      └─ the kernel's head
//! ```
//!
//! # Safety
//! The invariant of this file: bytes of a slot are lent, or written, only while the kernel neither
//! sends the slot nor looks at it. It sends slots with `TP_STATUS_SENDING` only, and looks at those
//! with `TP_STATUS_SEND_REQUEST` only within a call that takes the ring's socket, which is not made
//! while this ring is borrowed. The slot at `next` is free, and only [`Ring::commit`] moves `next`.
#![expect(
    unsafe_code,
    reason = "lends mapped memory; the invariant stands above"
)]

use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

use netring_sys::Mmap;
use netring_sys::kernel::packet::{
    TP_STATUS_AVAILABLE, TP_STATUS_SEND_REQUEST, TP_STATUS_SENDING, TP_STATUS_WRONG_FORMAT,
    TPACKET2_HDRLEN_ALIGNED, tpacket2_hdr, virtio_net_hdr,
};

use crate::rx::RingGeometry;

/// Bytes of the header before each frame of a socket with `PACKET_VNET_HDR`.
pub(crate) const VNET_HEADER: usize = size_of::<virtio_net_hdr>();

/// Slots that the sender fills and the kernel sends, in order.
#[derive(Debug)]
pub(crate) struct Ring {
    map: Mmap,
    block_size: usize,
    slot_size: usize,
    per_block: usize,
    slots: usize,
    /// Bytes from the start of a slot to its frame.
    frame_at: usize,
    next: Place,
    oldest: Place,
    /// Slots from `oldest` to before `next`.
    used: usize,
}

/// A slot, and where it starts.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    slot: usize,
    in_block: usize,
    start: usize,
}

/// A committed frame that the kernel has not taken.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    /// How many wait before it.
    pub(crate) nth: usize,
    pub(crate) frame: &'a [u8],
    /// Whether it is to be segmented.
    pub(crate) is_segmented: bool,
}

impl Ring {
    /// A ring over a mapping of at least its size; with `vnet`, each frame has a header.
    pub(crate) fn new(map: Mmap, geometry: RingGeometry, vnet: bool) -> Self {
        let slot_size = geometry.slot_size.unwrap_or_default();
        let frame_at = TPACKET2_HDRLEN_ALIGNED + if vnet { VNET_HEADER } else { 0 };
        let fits = geometry
            .block_size
            .checked_mul(geometry.block_count)
            .is_some_and(|bytes| bytes <= map.len());
        let holds_frame = slot_size > frame_at && slot_size <= geometry.block_size;
        let aligned = slot_size.is_multiple_of(16) && geometry.block_size.is_multiple_of(16);
        assert!(
            fits && holds_frame && aligned && geometry.block_count > 0,
            "the ring is made for this mapping"
        );
        let per_block = geometry.block_size / slot_size;
        Self {
            map,
            block_size: geometry.block_size,
            slot_size,
            per_block,
            slots: per_block * geometry.block_count,
            frame_at,
            next: Place::default(),
            oldest: Place::default(),
            used: 0,
        }
    }

    /// Bytes of the longest frame that fits a slot.
    #[inline]
    pub(crate) const fn capacity(&self) -> usize {
        self.slot_size - self.frame_at
    }

    /// Free slots, as of the last [`reclaim`](Self::reclaim).
    #[inline]
    pub(crate) const fn room(&self) -> usize {
        self.slots - self.used
    }

    /// The first `len` bytes of the next slot, which is free.
    #[inline]
    pub(crate) fn frame(&self, len: usize) -> &[u8] {
        assert!(
            self.room() > 0 && len <= self.capacity(),
            "inside a free slot"
        );
        let start = self.map.address().as_ptr();
        // SAFETY: the mapping is owned by `self` and borrowed with it; the slot is free, so neither
        // the kernel nor, without `&mut self`, this program writes to it; `new` checked that every
        // slot is inside the mapping, and the assertion that the range is inside the slot.
        unsafe {
            std::slice::from_raw_parts(start.wrapping_add(self.next.start + self.frame_at), len)
        }
    }

    /// The first `len` bytes of the next slot, which is free, to write to.
    #[inline]
    pub(crate) fn frame_mut(&mut self, len: usize) -> &mut [u8] {
        assert!(
            self.room() > 0 && len <= self.capacity(),
            "inside a free slot"
        );
        let start = self.map.address().as_ptr();
        // SAFETY: the mapping is owned by `self` and borrowed mutably with it; the slot is free, so
        // nobody else uses it; the range is checked as in `frame`.
        unsafe {
            std::slice::from_raw_parts_mut(start.wrapping_add(self.next.start + self.frame_at), len)
        }
    }

    /// Hands the next slot with a frame of `len` bytes to the kernel, which takes it when it is
    /// next called. With a ring that has them, `header` is written before the frame.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize, header: &virtio_net_hdr) {
        debug_assert!(self.room() > 0 && len <= self.capacity(), "a lent slot");
        let before = self.frame_at - TPACKET2_HDRLEN_ALIGNED;
        if before > 0 {
            self.write_header(header);
        }
        let start = self.next.start;
        // Relaxed: the store of the status publishes it. Partner: none of its own.
        self.word(start + offset_of!(tpacket2_hdr, tp_len))
            .store((len + before) as u32, Ordering::Relaxed);
        // Release: the frame is whole before the kernel can see that there is one. Partner: the
        // read of the status in packet_lookup_frame, by tpacket_snd.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L433
        self.word(start)
            .store(TP_STATUS_SEND_REQUEST, Ordering::Release);
        self.next = self.after(self.next);
        self.used += 1;
    }

    /// Frees the slots of frames that are done, in order. Returns how many.
    #[inline]
    pub(crate) fn reclaim(&mut self) -> usize {
        let before = self.used;
        while self.used > 0 && is_done(self.status(self.oldest.start)) {
            self.oldest = self.after(self.oldest);
            self.used -= 1;
        }
        before - self.used
    }

    /// How many committed frames the kernel has not taken: the newest ones, because it takes them
    /// in order.
    pub(crate) fn waiting(&self) -> usize {
        let waits = |nth: usize| is_waiting(self.status(self.nth(nth).start));
        if self.used == 0 || !waits(self.used - 1) {
            return 0;
        }
        // The first that waits: all before it are taken, all from it on are not.
        let (mut taken, mut waiting) = (0, self.used - 1);
        while taken < waiting {
            let middle = taken + (waiting - taken) / 2;
            match waits(middle) {
                true => waiting = middle,
                false => taken = middle + 1,
            }
        }
        self.used - waiting
    }

    /// Hides the frame after the first `count` of those that wait from the kernel, which stops
    /// there; or shows it again.
    pub(crate) fn hide(&self, waiting: usize, count: usize, hidden: bool) {
        if count < waiting {
            let start = self.nth(self.used - waiting + count).start;
            let status = match hidden {
                true => TP_STATUS_AVAILABLE,
                false => TP_STATUS_SEND_REQUEST,
            };
            // Release, as in `commit`, with the same partner.
            self.word(start).store(status, Ordering::Release);
        }
    }

    /// Takes back those of the `waiting` newest frames, which the kernel has not taken, for which
    /// `reject` is true; the others move up. Returns how many. The kernel stays at the slot of a
    /// frame that it refused until there is another in it.
    pub(crate) fn remove(
        &mut self,
        waiting: usize,
        mut reject: impl FnMut(Waiting<'_>) -> bool,
    ) -> usize {
        let first = self.used - waiting.min(self.used);
        let mut to = first;
        for from in first..self.used {
            let place = self.nth(from).start;
            let waits = Waiting {
                nth: from - first,
                frame: self.committed(place),
                is_segmented: self.is_segmented(place),
            };
            if reject(waits) {
                continue;
            }
            let target = self.nth(to).start;
            if target != place {
                self.copy(place, target);
            }
            // Release, as in `commit`, with the same partner.
            self.word(target)
                .store(TP_STATUS_SEND_REQUEST, Ordering::Release);
            to += 1;
        }
        let removed = self.used - to;
        for gone in to..self.used {
            let start = self.nth(gone).start;
            // Release, as in `commit`, with the same partner.
            self.word(start)
                .store(TP_STATUS_AVAILABLE, Ordering::Release);
        }
        self.next = self.nth(to);
        self.used = to;
        removed
    }

    /// The first of the newest frames, which the kernel has not taken.
    pub(crate) fn first_waiting(&self, waiting: usize) -> &[u8] {
        self.committed(self.nth(self.used - waiting.min(self.used)).start)
    }

    /// The frame of a slot that waits.
    fn committed(&self, start: usize) -> &[u8] {
        let len = self.len_at(start);
        let at = self
            .map
            .address()
            .as_ptr()
            .wrapping_add(start + self.frame_at);
        // SAFETY: the mapping is owned by `self` and borrowed with it; the kernel only reads slots
        // that wait, and `self` is borrowed, so nobody writes; the length is limited to the slot.
        unsafe { std::slice::from_raw_parts(at, len) }
    }

    /// Bytes of the frame of a slot, never more than fit it: the word is in shared memory.
    fn len_at(&self, start: usize) -> usize {
        let word = self.word(start + offset_of!(tpacket2_hdr, tp_len));
        // Relaxed: this program wrote it. Partner: none.
        let len = word.load(Ordering::Relaxed) as usize;
        len.saturating_sub(self.frame_at - TPACKET2_HDRLEN_ALIGNED)
            .min(self.capacity())
    }

    fn is_segmented(&self, start: usize) -> bool {
        if self.frame_at == TPACKET2_HDRLEN_ALIGNED {
            return false;
        }
        // Relaxed: this program wrote it. Partner: none.
        let word = self
            .word(start + TPACKET2_HDRLEN_ALIGNED)
            .load(Ordering::Relaxed);
        word.to_ne_bytes()[offset_of!(virtio_net_hdr, gso_type)] != 0
    }

    /// Copies length, header and frame from one slot that waits to another.
    fn copy(&mut self, from: usize, to: usize) {
        let at = offset_of!(tpacket2_hdr, tp_len);
        // Relaxed: this program wrote it, and the store of the status publishes it. Partner: none.
        let len = self.word(from + at).load(Ordering::Relaxed);
        self.word(to + at).store(len, Ordering::Relaxed);
        let bytes = self.frame_at - TPACKET2_HDRLEN_ALIGNED + self.len_at(from);
        let start = self.map.address().as_ptr();
        let at = |slot: usize| start.wrapping_add(slot + TPACKET2_HDRLEN_ALIGNED);
        // SAFETY: the mapping is owned by `self`, borrowed mutably; the kernel does not send slots
        // that wait, so nobody else uses them; the slots are different, and header and frame are
        // inside each.
        unsafe { std::ptr::copy_nonoverlapping(at(from), at(to), bytes) };
    }

    #[inline]
    fn write_header(&mut self, header: &virtio_net_hdr) {
        let at = self.next.start + TPACKET2_HDRLEN_ALIGNED;
        let at = self.map.address().as_ptr().wrapping_add(at);
        // SAFETY: the mapping is owned by `self`, borrowed mutably; the slot is free, so nobody
        // else uses it; `new` checked that a slot holds the header.
        unsafe { at.cast::<virtio_net_hdr>().write_unaligned(*header) };
    }

    #[inline]
    fn status(&self, start: usize) -> u32 {
        // Acquire: the kernel is done with the slot before this program writes to it again.
        // Partner: the store in __packet_set_status, by tpacket_ubuf_complete.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L400
        self.word(start).load(Ordering::Acquire)
    }

    #[inline]
    fn word(&self, at: usize) -> &AtomicU32 {
        let word = self.map.atomic_u32(at);
        word.expect("`new` checked that every slot is inside the mapping")
    }

    #[inline]
    const fn after(&self, place: Place) -> Place {
        let slot = place.slot + 1;
        if slot == self.slots {
            return Place {
                slot: 0,
                in_block: 0,
                start: 0,
            };
        }
        if place.in_block + 1 == self.per_block {
            return Place {
                slot,
                in_block: 0,
                // The remainder of a block that slots do not divide is skipped.
                start: place.start + self.block_size - place.in_block * self.slot_size,
            };
        }
        Place {
            slot,
            in_block: place.in_block + 1,
            start: place.start + self.slot_size,
        }
    }

    /// The `n`th slot from the oldest one.
    const fn nth(&self, n: usize) -> Place {
        let slot = (self.oldest.slot + n) % self.slots;
        let (block, in_block) = (slot / self.per_block, slot % self.per_block);
        Place {
            slot,
            in_block,
            start: block * self.block_size + in_block * self.slot_size,
        }
    }
}

/// Whether the kernel is done with a slot. Further bits say that it left a timestamp there.
#[inline]
const fn is_done(status: u32) -> bool {
    status & (TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING | TP_STATUS_WRONG_FORMAT) == 0
}

/// Whether the kernel has not taken a committed slot, or refused it.
const fn is_waiting(status: u32) -> bool {
    status & (TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT) != 0
}

#[cfg(test)]
mod tests;
