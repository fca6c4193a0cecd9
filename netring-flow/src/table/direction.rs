//! The state of one direction of a flow: one cache line.

use netring_sys::{Clock, Timestamp};

use super::rare::Rare;
use crate::DirectionStats;
use crate::extract::{Orientation, WindowScale};

/// The traffic of one end.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Direction {
    /// Packets in the upper 48 bits: 2⁴⁸ last a year at nine million a second. The lower 16 bits
    /// hold the window of the last segment, as in the header.
    packets: u64,
    bytes: u64,
    pub(crate) payload: u64,
    pub(crate) last: i64,
    /// SYN, FIN and RST: 21 bits each.
    counts: u64,
    /// One past the highest sequence number that was sent; meaningless before the first segment.
    pub(crate) next_sequence: u32,
    /// The last acknowledgement number, if there was one.
    pub(crate) acked: u32,
    /// Retransmissions (24 bits), the window scale of the SYN (6), and the number of times the last
    /// acknowledgement number was seen (2).
    again: u32,
    /// Bytes below `next_sequence` that were not seen (24 bits), and the gap before the last
    /// repeated SYN (8).
    missing: u32,
    /// Not part of the direction; it fills the cache line. The first direction holds the
    /// sequence number of the SYN and when the flow was reported last, the second the order of
    /// events.
    pub(super) word: u64,
}

const COUNT_BITS: u32 = 21;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// One packet, above the window bits.
const PACKET: u64 = 1 << 16;
/// The largest 24-bit number.
const WIDE: u32 = (1 << 24) - 1;
const ACKS: u32 = 3;
const SCALE: u32 = 0xfc;

impl Direction {
    pub(super) const SILENT: Self = Self {
        packets: 0,
        bytes: 0,
        payload: 0,
        last: i64::MIN,
        counts: 0,
        next_sequence: 0,
        acked: 0,
        again: 0,
        missing: 0,
        word: 0,
    };

    #[inline]
    pub(crate) const fn packets(&self) -> u64 {
        self.packets / PACKET
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts a packet.
    #[inline]
    pub(crate) fn count(&mut self, time: i64, bytes: u32, payload: u32) {
        self.count_next(self.last.max(time), bytes, payload);
    }

    /// Counts a packet that is not older than the one before it.
    #[inline(always)]
    pub(crate) const fn count_next(&mut self, time: i64, bytes: u32, payload: u32) {
        self.packets = self.packets.wrapping_add(PACKET);
        self.bytes = self.bytes.wrapping_add(bytes as u64);
        self.payload = self.payload.wrapping_add(payload as u64);
        self.last = time;
    }

    /// Counts packets that came before the last one.
    pub(crate) fn count_waited(&mut self, packets: u64, bytes: u64, payload: u64, last: i64) {
        self.packets = self.packets.wrapping_add(packets * PACKET);
        self.bytes = self.bytes.wrapping_add(bytes);
        self.payload = self.payload.wrapping_add(payload);
        self.last = self.last.max(last);
    }

    /// Counts a flag: 0 is SYN, 1 is FIN, 2 is RST.
    pub(crate) const fn count_flag(&mut self, flag: u32) {
        if self.flag(flag) < COUNT_MAX {
            self.counts += 1 << (flag * COUNT_BITS);
        }
    }

    const fn flag(&self, flag: u32) -> u64 {
        (self.counts >> (flag * COUNT_BITS)) & COUNT_MAX
    }

    pub(crate) const fn count_retransmission(&mut self) {
        if self.again >> 8 < WIDE {
            self.again += 1 << 8;
        }
    }

    /// Records the acknowledgement number and the window of a segment.
    #[inline(always)]
    pub(crate) fn acknowledge(&mut self, number: u32, window: u16, payload: u32) {
        let before = self.packets as u16;
        self.set_window(window);
        if number != self.acked {
            self.acked = number;
            self.again = self.again & !ACKS | 1;
        } else if !self.asks() && (!self.has_acked() || payload == 0 && before == window) {
            self.again += 1;
        }
    }

    #[inline]
    pub(crate) const fn set_window(&mut self, window: u16) {
        self.packets = self.packets & !0xffff | window as u64;
    }

    /// Whether this end has acknowledged anything.
    pub(crate) const fn has_acked(&self) -> bool {
        self.again & ACKS != 0
    }

    /// Whether it acknowledged the same number three times and so requests what follows it.
    pub(crate) const fn asks(&self) -> bool {
        self.again & ACKS == ACKS
    }

    /// The window of the last segment, as in the header.
    pub(crate) const fn window(&self) -> u32 {
        self.packets as u16 as u32
    }

    /// Stores the window scale of the SYN.
    pub(crate) const fn set_scale(&mut self, scale: WindowScale) {
        self.again = self.again & !SCALE | (scale.to_bits() as u32) << 2;
    }

    pub(crate) const fn scale(&self) -> WindowScale {
        WindowScale::from_bits(((self.again & SCALE) >> 2) as u8)
    }

    /// Records that `bytes` bytes were not seen.
    pub(crate) const fn miss(&mut self, bytes: u32) {
        let missing = (self.missing >> 8).saturating_add(bytes);
        self.missing = (if missing < WIDE { missing } else { WIDE }) << 8 | self.missing & 0xff;
    }

    /// Bytes that were not seen.
    pub(crate) const fn missing(&self) -> u32 {
        self.missing >> 8
    }

    /// Subtracts bytes from those that were not seen; at most [`missing`](Self::missing).
    pub(crate) const fn find(&mut self, bytes: u32) {
        self.missing -= bytes << 8;
    }

    /// Stores the gap between a SYN and its repetition, in nanoseconds, rounded up by at most an
    /// eighth.
    pub(crate) const fn set_retry(&mut self, gap: i64) {
        self.missing = self.missing & !0xff | retry::encode(gap) as u32;
    }

    /// The gap between a SYN and its repetition, in nanoseconds; 0 if there was none.
    #[inline]
    pub(crate) const fn retry(&self) -> i64 {
        match self.missing as u8 {
            0 => 0,
            code => retry::decode(code),
        }
    }

    /// The statistics of this direction, which is the one that packets `from` this end have.
    pub(super) fn stats(&self, rare: &Rare, from: Orientation, clock: Clock) -> DirectionStats {
        let (first, end) = (rare.first[from as usize].nanos(), from as usize);
        let time = |nanos| (self.packets() != 0).then_some(Timestamp::from_nanos(nanos, clock));
        DirectionStats {
            packets: self.packets(),
            bytes: self.bytes,
            payload_bytes: self.payload,
            first: time(first),
            last: time(self.last),
            syn: self.flag(0),
            fin: self.flag(1),
            rst: self.flag(2),
            retransmitted: u64::from(self.again >> 8),
            out_of_order: u64::from(rare.out_of_order[end]),
            zero_windows: u64::from(rare.zero_windows[end]),
            round_trip: None,
        }
    }
}

/// A time in one byte: the position of the highest bit and the three bits below it, in units of 16
/// ms.
mod retry {
    const UNIT: u32 = 24;

    pub(super) const fn encode(nanos: i64) -> u8 {
        if nanos <= 0 {
            return 0;
        }
        let units = ((nanos as u64 - 1) >> UNIT) + 1;
        if units < 8 {
            return units as u8;
        }
        let shift = 60 - units.leading_zeros();
        // Rounded up; a carry yields the next power of two by itself.
        let rounded = ((units - 1) >> shift) + 1;
        let code = (shift as u64) * 8 + rounded;
        if code > 255 { 255 } else { code as u8 }
    }

    pub(super) const fn decode(code: u8) -> i64 {
        let (shift, rest) = ((code / 8) as u32, (code % 8) as i64);
        // At most 15 · 2³⁰ units, which fit into 63 bits of nanoseconds.
        let units = if shift == 0 {
            rest
        } else {
            (rest + 8) << (shift - 1)
        };
        units << UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(size_of::<Direction>() == 64);

    #[test]
    fn flags_are_counted_apart_and_stop_at_their_bound() {
        let mut direction = Direction::SILENT;
        for _ in 0..COUNT_MAX + 5 {
            direction.count_flag(1);
        }
        direction.count_flag(0);
        direction.count_flag(2);
        let stats = direction.stats(&Rare::NEW, Orientation::Forward, Clock::Unknown);
        assert_eq!((stats.syn, stats.fin, stats.rst), (1, 2_097_151, 1));
    }

    #[test]
    fn what_shares_a_word_does_not_touch_the_rest() {
        let mut direction = Direction::SILENT;
        direction.set_scale(WindowScale::shift(7));
        direction.set_retry(64_000_000_000);
        direction.count(1, 60, 0);
        direction.count_retransmission();
        direction.miss(u32::MAX);
        for _ in 0..5 {
            direction.acknowledge(77, 65_535, 0);
        }
        assert_eq!(direction.scale(), WindowScale::shift(7));
        assert_eq!((direction.acked, direction.window()), (77, 65_535));
        assert!(direction.asks());
        assert!((64_000_000_000..=72_000_000_000).contains(&direction.retry()));
        assert_eq!(direction.packets(), 1);
        // At most 2²⁴ - 1 are kept.
        assert_eq!(direction.missing(), 16_777_215);
        direction.find(16_777_214);
        assert_eq!(direction.missing(), 1);
        direction.acknowledge(78, 1, 0);
        assert!(!direction.asks());
        let rare = Rare {
            out_of_order: [9, 0],
            zero_windows: [0, 8],
            ..Rare::NEW
        };
        let stats = direction.stats(&rare, Orientation::Forward, Clock::Unknown);
        assert_eq!((stats.packets, stats.retransmitted), (1, 1));
        assert_eq!((stats.out_of_order, stats.zero_windows), (9, 0));
    }

    #[test]
    fn a_gap_in_a_byte_is_no_shorter_and_an_eighth_longer_at_most() {
        let unit = 1 << 24;
        for units in (0..5000).chain([1 << 20, (1 << 20) + 1, 1 << 33]) {
            let mut direction = Direction::SILENT;
            direction.set_retry(units * unit);
            let kept = direction.retry() / unit;
            assert!(kept >= units && kept <= units + units / 8, "{units} {kept}");
        }
        let mut direction = Direction::SILENT;
        direction.set_retry(i64::MAX);
        assert!(direction.retry() > 0);
        direction.set_retry(i64::MIN);
        assert_eq!(direction.retry(), 0);
    }
}
