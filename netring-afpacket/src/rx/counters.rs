//! The kernel's 32-bit counters, which reading resets, added up in 64 bits.

use std::ops::AddAssign;

use netring_sys::kernel::packet::tpacket_stats_v3;
use netring_sys::{Count, Stats};

use super::parse::Counts;

/// After this many packets the kernel's counters are read even if no caller asks for them: a
/// quarter of their range.
const READ_EVERY: u64 = 1 << 30;

/// What the kernel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelCounts {
    pub(crate) offered: u64,
    pub(crate) dropped: u64,
    pub(crate) freezes: u64,
}

impl From<tpacket_stats_v3> for KernelCounts {
    fn from(delta: tpacket_stats_v3) -> Self {
        Self {
            // tp_packets includes the drops.
            offered: delta.tp_packets.into(),
            dropped: delta.tp_drops.into(),
            freezes: delta.tp_freeze_q_cnt.into(),
        }
    }
}

impl AddAssign for KernelCounts {
    fn add_assign(&mut self, other: Self) {
        self.offered += other.offered;
        self.dropped += other.dropped;
        self.freezes += other.freezes;
    }
}

/// Everything that a capture counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    kernel: KernelCounts,
    delivered: u64,
    invalid: u64,
    /// `delivered + invalid` when the kernel's counters were last read.
    read_at: u64,
}

impl Counters {
    /// Adds what the kernel counted since its counters were last read.
    pub(crate) fn add_kernel(&mut self, delta: KernelCounts) {
        self.kernel += delta;
        self.read_at = self.read();
    }

    /// Adds the packets of a block that were lent, and those that could not be read.
    #[inline]
    pub(crate) const fn add(&mut self, counts: Counts) {
        self.delivered += counts.delivered;
        self.invalid += counts.invalid;
    }

    /// Packets that the kernel dropped, as far as its counters were read.
    pub(crate) const fn dropped(&self) -> u64 {
        self.kernel.dropped
    }

    /// Packets in the blocks that were given back.
    pub(crate) const fn read(&self) -> u64 {
        self.delivered + self.invalid
    }

    /// Whether it is time to read the kernel's counters, before they can wrap.
    pub(crate) const fn is_due(&self) -> bool {
        self.read() - self.read_at >= READ_EVERY
    }

    /// Packets that were lent, and those that could not be read.
    #[inline]
    pub(crate) const fn taken(&self) -> Counts {
        Counts {
            delivered: self.delivered,
            invalid: self.invalid,
        }
    }

    pub(crate) const fn stats(&self, link_downs: Count) -> Stats {
        let mut stats = Stats::counted(self.delivered);
        stats.offered = Count::Exact(self.kernel.offered);
        stats.dropped = Count::Exact(self.kernel.dropped);
        stats.invalid = Count::Exact(self.invalid);
        stats.freezes = Count::Exact(self.kernel.freezes);
        stats.link_downs = link_downs;
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_counts_go_on_past_what_32_bits_hold() {
        let mut counters = Counters::default();
        let full = tpacket_stats_v3 {
            tp_packets: u32::MAX,
            tp_drops: u32::MAX,
            tp_freeze_q_cnt: u32::MAX,
        };
        for _ in 0..5 {
            counters.add_kernel(full.into());
        }
        let five = 5 * u64::from(u32::MAX);
        let stats = counters.stats(Count::Exact(0));
        assert_eq!(stats.offered, Count::Exact(five));
        assert_eq!(stats.dropped, Count::Exact(five));
        assert_eq!(stats.freezes, Count::Exact(five));
        assert!(five > 1 << 32);
    }

    #[test]
    fn the_counters_are_read_before_they_wrap() {
        let mut counters = Counters::default();
        let block = Counts {
            delivered: READ_EVERY / 2,
            invalid: 0,
        };
        counters.add(block);
        assert!(!counters.is_due());
        counters.add(block);
        assert!(counters.is_due());
        counters.add_kernel(KernelCounts::default());
        assert!(!counters.is_due());
    }
}
