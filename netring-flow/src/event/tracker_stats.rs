//! The statistics of a tracker.

use std::fmt;

use netring_sys::Count;

use crate::extract::Skip;
use crate::{EndReason, FragmentStats};

/// The outcome of every packet and every flow.
///
/// `packets = tracked + icmp_errors + untracked.total()`, and `flows_started = ended.total() + `
/// [`active_flows`](crate::FlowTracker::active_flows), at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TrackerStats {
    /// Packets given to the tracker.
    pub packets: u64,
    /// Packets that count in a flow.
    pub tracked: u64,
    /// Tracked packets that a snap length cut.
    pub cut: u64,
    /// Tracked packets that were malformed on the wire; see
    /// [`FlowStats::malformed`](crate::FlowStats::malformed).
    pub malformed: u64,
    /// Bytes on the wire of the tracked packets.
    pub tracked_bytes: u64,
    /// ICMP errors that quote a flow in the table. Each was reported, and none counts in a flow.
    pub icmp_errors: u64,
    /// Packets that count in no flow, by cause.
    pub untracked: UntrackedStats,
    /// Packets with more tunnels than
    /// [`Tunnels::max_depth`](crate::extract::Tunnels::max_depth). Each counts in the flow of the
    /// innermost tunnel that was reached.
    pub too_deep: u64,
    /// Fragments of IP packets.
    pub fragments: FragmentStats,
    /// Flows started.
    pub flows_started: u64,
    /// TCP handshakes completed.
    pub flows_established: u64,
    /// TCP connections closed. Each was reported as
    /// [`FlowEvent::Closed`](crate::FlowEvent::Closed), and also counts in [`ended`](Self::ended)
    /// once it has lingered.
    pub flows_closed: u64,
    /// TCP segments with RST or FIN outside their receiver's window, which closed nothing. Each was
    /// reported as [`Anomaly::OutOfWindow`](crate::Anomaly::OutOfWindow).
    pub out_of_window: u64,
    /// Flows ended, by reason.
    pub ended: EndedStats,
    /// Reports of flows that lived for longer than the active timeout.
    pub ticks: u64,
    /// How often the table came close to its bound.
    pub emergencies: u64,
    /// How often packet time went back by more than a minute.
    pub time_went_back: u64,
}

/// One line: packets and flows, then every other counter that is not zero.
impl fmt::Display for TrackerStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [
            packets,
            tracked,
            bytes,
            untracked,
            started,
            established,
            closed,
            ended,
        ] = [
            self.packets,
            self.tracked,
            self.tracked_bytes,
            self.untracked.total(),
            self.flows_started,
            self.flows_established,
            self.flows_closed,
            self.ended.total(),
        ]
        .map(Count::Exact);
        write!(
            f,
            "{packets:#} packets, {tracked:#} tracked ({bytes:#} bytes), {untracked:#} untracked"
        )?;
        for (count, what) in [
            (self.icmp_errors, "ICMP errors"),
            (self.cut, "cut"),
            (self.malformed, "malformed"),
            (self.out_of_window, "out of window"),
            (self.fragments.tiny, "tiny fragments"),
            (self.fragments.overlapping, "overlapping fragments"),
            (self.fragments.defragment.reassembled, "packets reassembled"),
            (
                self.fragments.defragment.incomplete.total(),
                "incomplete packets",
            ),
        ] {
            if count != 0 {
                write!(f, ", {:#} {what}", Count::Exact(count))?;
            }
        }
        write!(
            f,
            "; {started:#} flows started, {established:#} established, {closed:#} closed, {ended:#} ended"
        )?;
        let evicted = self.ended.emergency + self.ended.table_full;
        if evicted != 0 {
            let percent = 100.0 * evicted as f64 / self.ended.total() as f64;
            write!(f, ", {:#} evicted ({percent:.2}%)", Count::Exact(evicted))?;
        }
        if self.time_went_back != 0 {
            write!(
                f,
                "; time went back: {:#}",
                Count::Exact(self.time_went_back)
            )?;
        }
        Ok(())
    }
}

/// Packets that count in no flow, by cause: the [`Skip`] of the same name, and `after_close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct UntrackedStats {
    /// Packets of an unsupported link type.
    pub link_type: u64,
    /// Packets without IP.
    pub not_ip: u64,
    /// IP of a version that is neither 4 nor 6, or differs from what the link layer announced.
    pub ip_version: u64,
    /// IPv4 headers shorter than 20 bytes.
    pub ip_header_length: u64,
    /// IPv4 total lengths shorter than the header.
    pub ip_total_length: u64,
    /// Packets whose bytes end before the addresses.
    pub short: u64,
    /// Packets with more than 31 headers before the IP header.
    pub too_deep: u64,
    /// Fragments other than the first, whose first was not seen within
    /// [`TrackerConfig::fragment_timeout`](crate::TrackerConfig::fragment_timeout) before or after
    /// them.
    pub fragments: u64,
    /// Fragments that are waiting for the first of their packet now. If it arrives, they count in
    /// its flow ([`FragmentStats::followed`]), otherwise in [`fragments`](Self::fragments), so this
    /// counter goes up and down. It is 0 when the source has ended.
    pub waiting: u64,
    /// ICMP errors that quote no flow in the table, or nothing readable.
    pub icmp_errors: u64,
    /// Packets for which the extractor has no key.
    pub no_key: u64,
    /// TCP segments without SYN and without data whose connection closed within the last 240 s and
    /// is no longer in the table.
    pub after_close: u64,
}

/// Flows ended, by the [`EndReason`] of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct EndedStats {
    /// TCP, both ends sent FIN.
    pub finished: u64,
    /// TCP, one end sent a RST.
    pub reset: u64,
    /// Idle for too long.
    pub idle_timeout: u64,
    /// A new connection between the same ports replaced it.
    pub port_reuse: u64,
    /// Evicted because the table was nearly full.
    pub emergency: u64,
    /// Evicted because the table was full.
    pub table_full: u64,
    /// The source ended.
    pub source_ended: u64,
}

impl UntrackedStats {
    /// All causes together.
    pub const fn total(&self) -> u64 {
        self.link_type
            + self.not_ip
            + self.ip_version
            + self.ip_header_length
            + self.ip_total_length
            + self.short
            + self.too_deep
            + self.fragments
            + self.waiting
            + self.icmp_errors
            + self.no_key
            + self.after_close
    }

    pub(crate) const fn count(&mut self, cause: Skip) {
        let counter = match cause {
            Skip::LinkType => &mut self.link_type,
            Skip::NotIp => &mut self.not_ip,
            Skip::IpVersion => &mut self.ip_version,
            Skip::IpHeaderLength => &mut self.ip_header_length,
            Skip::IpTotalLength => &mut self.ip_total_length,
            Skip::Short => &mut self.short,
            Skip::TooDeep => &mut self.too_deep,
            Skip::Fragment => &mut self.fragments,
            Skip::IcmpError => &mut self.icmp_errors,
            Skip::NoKey => &mut self.no_key,
        };
        *counter += 1;
    }
}

impl EndedStats {
    /// All reasons together.
    pub const fn total(&self) -> u64 {
        self.finished
            + self.reset
            + self.idle_timeout
            + self.port_reuse
            + self.emergency
            + self.table_full
            + self.source_ended
    }

    pub(crate) const fn count(&mut self, reason: EndReason) {
        let counter = match reason {
            EndReason::Finished => &mut self.finished,
            EndReason::Reset => &mut self.reset,
            EndReason::IdleTimeout => &mut self.idle_timeout,
            EndReason::PortReuse => &mut self.port_reuse,
            EndReason::Emergency => &mut self.emergency,
            EndReason::TableFull => &mut self.table_full,
            EndReason::SourceEnded => &mut self.source_ended,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_there_is_to_say() {
        let mut stats = TrackerStats {
            packets: 12_345,
            tracked: 12_300,
            tracked_bytes: 9_876_543,
            flows_started: 1_200,
            flows_established: 80,
            flows_closed: 70,
            ..TrackerStats::default()
        };
        stats.untracked.not_ip = 45;
        stats.ended.finished = 990;
        assert_eq!(
            stats.to_string(),
            "12,345 packets, 12,300 tracked (9,876,543 bytes), 45 untracked; \
             1,200 flows started, 80 established, 70 closed, 990 ended"
        );
        stats.icmp_errors = 1;
        stats.cut = 2;
        stats.malformed = 3;
        stats.out_of_window = 4;
        stats.fragments.tiny = 5;
        stats.fragments.overlapping = 6;
        stats.fragments.defragment.reassembled = 7;
        stats.fragments.defragment.incomplete.cut = 8;
        stats.ended.emergency = 6;
        stats.ended.table_full = 4;
        stats.time_went_back = 1;
        assert_eq!(
            stats.to_string(),
            "12,345 packets, 12,300 tracked (9,876,543 bytes), 45 untracked, 1 ICMP errors, 2 cut, \
             3 malformed, 4 out of window, 5 tiny fragments, 6 overlapping fragments, \
             7 packets reassembled, 8 incomplete packets; \
             1,200 flows started, 80 established, 70 closed, \
             1,000 ended, 10 evicted (1.00%); time went back: 1"
        );
    }
}
