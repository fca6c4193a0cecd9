//! A packet as the engine takes it in, and where it was counted.

use netring_sys::Timestamp;

use crate::TrackerStats;
use crate::extract::{Extracted, TcpSegment, Transport, WindowScale};
use crate::table::{Flags, Slot, Tag};

/// A packet that was read.
#[derive(Debug)]
pub(crate) struct Item<K> {
    pub(crate) found: Extracted<K>,
    pub(crate) tag: Tag,
    /// The window scale that it offers, if it is a SYN.
    pub(crate) scale: WindowScale,
    pub(crate) time: Timestamp,
    pub(crate) wire_len: u32,
    pub(crate) cut: bool,
}

/// Where a packet was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) slot: Slot,
    pub(crate) out_of_window: bool,
    pub(crate) proves_fin: bool,
}

impl Counted {
    #[inline]
    pub(super) const fn at(slot: Slot) -> Self {
        Self {
            slot,
            out_of_window: false,
            proves_fin: false,
        }
    }
}

impl<K> Item<K> {
    #[inline]
    pub(crate) fn is_syn(&self) -> bool {
        self.segment()
            .is_some_and(|segment| segment.has(TcpSegment::SYN))
    }

    #[inline]
    pub(super) const fn segment(&self) -> Option<&TcpSegment> {
        match &self.found.transport {
            Transport::Tcp(segment) => segment.as_ref(),
            Transport::Udp | Transport::Other => None,
        }
    }

    /// Counts a packet that is cut or malformed if its flow is already marked accordingly. Returns
    /// false, and counts nothing, if it is not.
    #[inline(never)]
    pub(super) fn count_marks(&self, flow: Flags, stats: &mut TrackerStats) -> bool {
        let (cut, malformed) = (self.cut, self.found.malformed);
        let known = (!cut || flow.has(Flags::CUT)) && (!malformed || flow.has(Flags::MALFORMED));
        stats.cut += u64::from(cut & known);
        stats.malformed += u64::from(malformed & known);
        known
    }
}
