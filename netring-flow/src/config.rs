//! The settings of a tracker.

use std::time::Duration;

use netring_sys::Error;

use crate::reassembly::OverlapPolicy;

/// The settings of a [`FlowTracker`](crate::FlowTracker).
///
/// ```
/// use netring_flow::{Timeouts, TrackerConfig};
/// use std::time::Duration;
///
/// let config = TrackerConfig::new()
///     .max_flows(100_000)
///     .timeouts(Timeouts::default().udp(Duration::from_secs(20)));
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    pub(crate) max_flows: usize,
    pub(crate) timeouts: Timeouts,
    pub(crate) split_port_reuse: bool,
    pub(crate) max_fragmented: usize,
    pub(crate) fragment_timeout: Duration,
    pub(crate) defragment: usize,
    pub(crate) fragment_overlap: OverlapPolicy,
    pub(crate) max_bytes: usize,
    pub(crate) round_trips: bool,
}

impl TrackerConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The maximum number of flows held at once, a hard bound. Default: 1 048 576; range: 1 to 2³¹.
    ///
    /// A flow with the built-in key takes about 250 bytes, which are allocated only as needed. From
    /// 15⁄16 of the bound on, timeouts are a quarter of their settings, and half-open flows are
    /// evicted first. At the bound, each new flow replaces another, in this order: closed,
    /// half-open, seen in one direction only, and finally the one that has been idle longest.
    #[must_use]
    pub const fn max_flows(mut self, flows: usize) -> Self {
        self.max_flows = flows;
        self
    }

    /// The maximum number of bytes that flows take, a hard bound in addition to
    /// [`max_flows`](Self::max_flows): the smaller of the two applies, and the tracker treats both
    /// alike. Default: no bound.
    ///
    /// Each flow counts its record, its side data and its share of the index at full size: 284
    /// bytes with the built-in key, 380 with [`round_trips`](Self::round_trips). Memory that a
    /// custom key points to is not counted, nor are remembered fragments
    /// ([`max_fragmented`](Self::max_fragmented)). A bound below one flow is an error.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Whether the round-trip times of TCP connections are measured, from the handshake and from
    /// data ([`DirectionStats::round_trip`](crate::DirectionStats::round_trip)). Default: no; it
    /// costs 96 bytes per flow and a few nanoseconds per segment.
    #[must_use]
    pub const fn round_trips(mut self, measure: bool) -> Self {
        self.round_trips = measure;
        self
    }

    /// When flows end and are reported. Default: [`Timeouts::default`].
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Whether a new TCP connection that reuses the ports of a closed, or established and idle,
    /// connection starts a new flow. Default: yes.
    #[must_use]
    pub const fn split_port_reuse(mut self, split: bool) -> Self {
        self.split_port_reuse = split;
        self
    }

    /// How many fragmented IP packets are remembered at once, so that their later fragments count
    /// in the flow of the first. The same number may wait for a first fragment that has not arrived
    /// yet ([`UntrackedStats::waiting`](crate::UntrackedStats::waiting)). Default: 4096; range: 0
    /// to 2²⁴.
    ///
    /// Each takes at most 500 bytes with the built-in key, and at most 640 if its first fragment is
    /// missing; nothing is allocated before a fragment arrives. Beyond the limit, the newest
    /// displaces the oldest of its kind
    /// ([`FragmentStats::forgotten`](crate::FragmentStats::forgotten)). With 0, later fragments
    /// belong to no flow.
    #[must_use]
    pub const fn max_fragmented(mut self, packets: usize) -> Self {
        self.max_fragmented = packets;
        self
    }

    /// How long a packet is remembered after its first fragment, in packet time, and how long later
    /// fragments wait for a missing first. Default: 30 s, as long as Linux waits
    /// (`net.ipv4.ipfrag_time`).
    #[must_use]
    pub const fn fragment_timeout(mut self, timeout: Duration) -> Self {
        self.fragment_timeout = timeout;
        self
    }

    /// Reassembles fragmented IP packets in at most this many bytes of memory. Default: 0, which
    /// disables it.
    ///
    /// A visitor then sees a TCP segment or a datagram as it was sent, together with the fragment
    /// that completes it ([`Piece::Reassembled`](crate::extract::Piece::Reassembled)), so that
    /// [`reassembly`](crate::reassembly), [`session`](crate::session) and [`export`](crate::export)
    /// receive every byte exactly once. Flow counters do not change: each fragment still counts. If
    /// the visitor takes no segments, no fragment is kept.
    ///
    /// At most one packet per 4096 bytes is kept at once, and no more than
    /// [`max_fragmented`](Self::max_fragmented); the oldest makes room for the newest. A packet of
    /// 64 KiB takes 66 KiB in fragments of 1500 bytes, and at most 260 KiB in the smallest possible
    /// fragments. A 64 KiB output buffer comes on top, and another for each level of tunnel with
    /// fragmented packets. [`DefragmentStats`](crate::DefragmentStats) counts the outcomes.
    /// Requires `max_fragmented` above 0.
    #[must_use]
    pub const fn defragment(mut self, max_bytes: usize) -> Self {
        self.defragment = max_bytes;
        self
    }

    /// Which bytes a packet gets if its fragments overlap, for IPv4. Default: those that arrived
    /// first. IPv6 packets with overlapping fragments are dropped, as every receiver does (RFC
    /// 5722).
    #[must_use]
    pub const fn fragment_overlap(mut self, policy: OverlapPolicy) -> Self {
        self.fragment_overlap = policy;
        self
    }

    pub(crate) fn check(&self, bytes_per_flow: usize) -> Result<(), Error> {
        if self.max_bytes < bytes_per_flow {
            return Err(Error::Config {
                setting: "max_bytes",
                why: format!(
                    "{} is less than the {bytes_per_flow} of one flow",
                    self.max_bytes
                ),
            });
        }
        if !(1..=1 << 31).contains(&self.max_flows) {
            return Err(Error::Config {
                setting: "max_flows",
                why: format!("{} is out of range (1 to 2147483648)", self.max_flows),
            });
        }
        if self.max_fragmented > 1 << 24 {
            return Err(Error::Config {
                setting: "max_fragmented",
                why: format!("{} is out of range (0 to 16777216)", self.max_fragmented),
            });
        }
        if self.defragment != 0 && self.max_fragmented == 0 {
            return Err(Error::Config {
                setting: "defragment",
                why: "max_fragmented is 0, so no fragmented packet is remembered; set it to at least 1"
                    .into(),
            });
        }
        let of_fragments = ("fragment_timeout", self.fragment_timeout);
        for (setting, timeout) in self.timeouts.named().into_iter().chain([of_fragments]) {
            if timeout.is_zero() {
                return Err(Error::Config {
                    setting,
                    why: "timeout must be greater than zero; use Duration::MAX for \"never\""
                        .into(),
                });
            }
        }
        Ok(())
    }
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            max_flows: 1 << 20,
            timeouts: Timeouts::default(),
            split_port_reuse: true,
            max_fragmented: 4096,
            fragment_timeout: Duration::from_secs(30),
            defragment: 0,
            fragment_overlap: OverlapPolicy::First,
            max_bytes: usize::MAX,
            round_trips: false,
        }
    }
}

/// How long a flow may be idle before it ends, by state, in packet time. `Duration::MAX` means
/// never.
///
/// ```
/// use std::time::Duration;
///
/// use netring_flow::extract::FiveTuple;
/// use netring_flow::{FlowTracker, Timeouts, TrackerConfig};
///
/// let timeouts = Timeouts::default().udp(Duration::from_secs(30));
/// let config = TrackerConfig::new().timeouts(timeouts).max_flows(100_000);
/// let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
/// # assert_eq!(tracker.active_flows(), 0);
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub(crate) tcp_opening: Duration,
    pub(crate) tcp_established: Duration,
    pub(crate) tcp_closing: Duration,
    pub(crate) udp: Duration,
    pub(crate) other: Duration,
    pub(crate) active: Duration,
}

impl Timeouts {
    /// No timeouts: flows end only when the source ends, the table is full, or ports are reused.
    pub const fn never() -> Self {
        Self {
            tcp_opening: Duration::MAX,
            tcp_established: Duration::MAX,
            tcp_closing: Duration::MAX,
            udp: Duration::MAX,
            other: Duration::MAX,
            active: Duration::MAX,
        }
    }

    /// TCP, handshake not complete. Default: 5 s.
    ///
    /// While a SYN or SYN-ACK is retransmitted, the timeout is extended by six times the last gap,
    /// by at most 96 s, so that all retries of a kernel (gaps of 1 s to 64 s) are one flow. This
    /// does not apply near the bound of the table.
    #[must_use]
    pub const fn tcp_opening(mut self, timeout: Duration) -> Self {
        self.tcp_opening = timeout;
        self
    }

    /// TCP, handshake complete, or connection picked up mid-stream; also after a FIN from one end
    /// only. Default: 300 s.
    #[must_use]
    pub const fn tcp_established(mut self, timeout: Duration) -> Self {
        self.tcp_established = timeout;
        self
    }

    /// TCP, after a FIN from both ends or a RST from one: how long the entry lingers to absorb late
    /// packets. Default: 5 s; longer for a refused SYN that is retransmitted, as for
    /// [`tcp_opening`](Self::tcp_opening).
    #[must_use]
    pub const fn tcp_closing(mut self, timeout: Duration) -> Self {
        self.tcp_closing = timeout;
        self
    }

    /// UDP. Default: 60 s.
    #[must_use]
    pub const fn udp(mut self, timeout: Duration) -> Self {
        self.udp = timeout;
        self
    }

    /// Any other protocol. Default: 30 s.
    #[must_use]
    pub const fn other(mut self, timeout: Duration) -> Self {
        self.other = timeout;
        self
    }

    /// How often a long-lived flow is reported ([`FlowEvent::Tick`](crate::FlowEvent::Tick)).
    /// Default: 1800 s; less than 0.13 s counts as 0.13 s.
    ///
    /// If several reports came due while no packet arrived, all are made, up to 64 per flow.
    #[must_use]
    pub const fn active(mut self, timeout: Duration) -> Self {
        self.active = timeout;
        self
    }

    fn named(&self) -> [(&'static str, Duration); 6] {
        [
            ("timeouts.tcp_opening", self.tcp_opening),
            ("timeouts.tcp_established", self.tcp_established),
            ("timeouts.tcp_closing", self.tcp_closing),
            ("timeouts.udp", self.udp),
            ("timeouts.other", self.other),
            ("timeouts.active", self.active),
        ]
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_opening: Duration::from_secs(5),
            tcp_established: Duration::from_secs(300),
            tcp_closing: Duration::from_secs(5),
            udp: Duration::from_secs(60),
            other: Duration::from_secs(30),
            active: Duration::from_secs(1800),
        }
    }
}
