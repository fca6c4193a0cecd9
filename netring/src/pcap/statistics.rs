//! The statistics of an interface in a pcapng file.

use super::block::{
    ISB_END_TIME, ISB_FILTER_ACCEPT, ISB_IF_DROP, ISB_IF_RECV, ISB_OS_DROP, ISB_START_TIME,
    ISB_USR_DELIV,
};
use super::options;
use crate::{Stats, Timestamp};

/// The statistics of an interface in a pcapng file, since its capture began.
///
/// From the [`Stats`] of a capture, `received` and `accepted` are the offered packets, counted
/// after its filter, since the kernel does not count those before it. `dropped` and `os_dropped`
/// are the dropped packets, and `delivered` the lent ones. A figure that is not available is
/// `None`; one that is a lower bound is written as it is. That is what dumpcap writes too:
/// Wireshark shows `dropped`.
///
/// ```
/// use netring::Stats;
/// use netring::pcap::InterfaceStatistics;
///
/// let statistics = InterfaceStatistics::from(Stats::counted(7));
/// assert_eq!((statistics.received, statistics.os_dropped), (Some(7), Some(0)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "ISB")]
#[non_exhaustive]
pub struct InterfaceStatistics {
    /// When they were read.
    pub time: Timestamp,
    /// When the capture began.
    #[doc(alias = "isb_starttime")]
    pub start: Option<Timestamp>,
    /// When the capture ended.
    #[doc(alias = "isb_endtime")]
    pub end: Option<Timestamp>,
    /// Packets that the interface received.
    #[doc(alias = "isb_ifrecv")]
    pub received: Option<u64>,
    /// Packets that the interface dropped for lack of resources.
    #[doc(alias = "isb_ifdrop")]
    pub dropped: Option<u64>,
    /// Packets that passed the filter.
    #[doc(alias = "isb_filteraccept")]
    pub accepted: Option<u64>,
    /// Packets that the operating system dropped.
    #[doc(alias = "isb_osdrop")]
    pub os_dropped: Option<u64>,
    /// Packets that were delivered to the program.
    #[doc(alias = "isb_usrdeliv")]
    pub delivered: Option<u64>,
}

/// The figures of a capture, now.
impl From<Stats> for InterfaceStatistics {
    fn from(stats: Stats) -> Self {
        let (offered, dropped) = (stats.offered.value(), stats.dropped.value());
        Self {
            time: Timestamp::now(),
            start: None,
            end: None,
            received: offered,
            dropped,
            accepted: offered,
            os_dropped: dropped,
            delivered: stats.delivered.value(),
        }
    }
}

/// The most bytes of a block of statistics.
pub(super) const STATISTICS_BLOCK: usize = 12 + 12 + 7 * 12 + 4;

impl InterfaceStatistics {
    /// Reads the options of a block of statistics; `nanos` converts the ticks of its interface.
    pub(super) fn parse(time: i64, options: options::Iter<'_>, nanos: impl Fn(u64) -> i64) -> Self {
        let order = options.order();
        let stamp = |nanos| Timestamp::from_nanos(nanos, crate::Clock::Unknown);
        let ticks = |value: &[u8]| {
            let (high, low) = (order.u32(value, 0)?, order.u32(value, 4)?);
            Some(u64::from(high) << 32 | u64::from(low))
        };
        let mut read = Self {
            time: stamp(time),
            ..Self::default()
        };
        for (code, value) in options {
            let number = || value.try_into().ok().map(|bytes| order.u64(bytes));
            match code {
                ISB_START_TIME => read.start = ticks(value).map(|it| stamp(nanos(it))),
                ISB_END_TIME => read.end = ticks(value).map(|it| stamp(nanos(it))),
                ISB_IF_RECV => read.received = number(),
                ISB_IF_DROP => read.dropped = number(),
                ISB_FILTER_ACCEPT => read.accepted = number(),
                ISB_OS_DROP => read.os_dropped = number(),
                ISB_USR_DELIV => read.delivered = number(),
                _ => {}
            }
        }
        read
    }

    /// Appends its options; `ticks` converts to those of its interface.
    pub(super) fn encode(&self, to: &mut Vec<u8>, ticks: impl Fn(Timestamp) -> Option<u64>) {
        for (code, time) in [(ISB_START_TIME, self.start), (ISB_END_TIME, self.end)] {
            if let Some(ticks) = time.and_then(&ticks) {
                options::push(to, code, &words(ticks));
            }
        }
        let figures = [
            (ISB_IF_RECV, self.received),
            (ISB_IF_DROP, self.dropped),
            (ISB_FILTER_ACCEPT, self.accepted),
            (ISB_OS_DROP, self.os_dropped),
            (ISB_USR_DELIV, self.delivered),
        ];
        for (code, figure) in figures {
            if let Some(figure) = figure {
                options::push(to, code, &figure.to_le_bytes());
            }
        }
    }
}

/// A time in two words, the upper one first.
pub(super) fn words(ticks: u64) -> [u8; 8] {
    let [high, low] = [(ticks >> 32) as u32, ticks as u32].map(u32::to_le_bytes);
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&high);
    bytes[4..].copy_from_slice(&low);
    bytes
}
