//! The settings of a reassembler.

use std::time::Duration;

use netring_sys::Error;

use super::OverlapPolicy;

/// The settings of a [`Reassembler`](super::Reassembler).
///
/// ```
/// use netring_flow::reassembly::{OverlapPolicy, ReassemblyConfig};
/// use std::time::Duration;
///
/// let config = ReassemblyConfig::new()
///     .overlap(OverlapPolicy::Linux)
///     .deadline(Duration::from_secs(1))
///     .max_held(64 << 20);
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
pub struct ReassemblyConfig {
    pub(super) overlap: OverlapPolicy,
    pub(super) urgent: UrgentPolicy,
    pub(super) deadline: Duration,
    pub(super) ack_grace: Duration,
    pub(super) max_hole: u64,
    pub(super) max_held_per_flow: usize,
    pub(super) max_held: usize,
    pub(super) when_full: WhenFull,
    pub(super) compare_delivered: usize,
}

/// How to treat urgent data: the byte before the urgent pointer of a segment with URG (RFC 6093,
/// section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrgentPolicy {
    /// The byte is not part of the stream, as for an application that does not set `SO_OOBINLINE`.
    /// It is counted as discarded, and offsets include it. The default.
    #[default]
    OutOfBand,
    /// The byte is part of the stream, as for an application that sets `SO_OOBINLINE`.
    Inline,
}

/// What to do if held bytes would exceed a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// The hole that has been open longest becomes a gap early: in the flow that exceeds its own
    /// bound, or among all flows. The bytes behind it are delivered. The default.
    #[default]
    Gap,
    /// The flow with that hole is given up: its held bytes are discarded, and its streams end with
    /// [`StreamEnd::MemoryLimit`](super::StreamEnd::MemoryLimit).
    GiveUp,
}

impl ReassemblyConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which bytes win if segments overlap. Default: those that arrived first.
    #[must_use]
    pub const fn overlap(mut self, policy: OverlapPolicy) -> Self {
        self.overlap = policy;
        self
    }

    /// How to treat urgent data. Default: it is not part of the stream.
    #[must_use]
    pub const fn urgent(mut self, policy: UrgentPolicy) -> Self {
        self.urgent = policy;
        self
    }

    /// How long a stream waits for missing bytes, in packet time. They then become a gap, and the
    /// bytes behind them are delivered. The time restarts when the stream advances. Default: 5 s;
    /// `Duration::MAX` means "until the stream ends".
    ///
    /// The network may have lost them too: a sender repeats them for minutes, with pauses that
    /// double. As long as the receiver's last acknowledgement says that it lacks them, the stream
    /// waits longer, unless the sender sends more a whole deadline later: later acknowledgements
    /// were not captured then.
    #[must_use]
    pub const fn deadline(mut self, time: Duration) -> Self {
        self.deadline = time;
        self
    }

    /// How long a stream waits for bytes that their receiver has acknowledged, in packet time: they
    /// are not sent again, but a mirror port or several queues may deliver them late. Default: 10
    /// ms.
    ///
    /// They are a gap once their sender's next packet is that much younger than the
    /// acknowledgement. Packets of others do not count, because the two directions may come from
    /// separate captures, as with a network tap, and either may be read seconds before the other.
    /// If the sender is silent, the [deadline](Self::deadline) applies, or
    /// [`Reassembler::expire`](super::Reassembler::expire).
    #[must_use]
    pub const fn ack_grace(mut self, time: Duration) -> Self {
        self.ack_grace = time;
        self
    }

    /// How many missing bytes may become a gap without evidence that they were sent. If more are
    /// missing at the deadline, and the receiver has meanwhile acknowledged others, the segment
    /// behind the hole was forged: it is discarded, and the stream continues where it was. Default:
    /// 1 MiB.
    #[must_use]
    pub const fn max_hole(mut self, bytes: u64) -> Self {
        self.max_hole = bytes;
        self
    }

    /// The maximum of memory for the held bytes of one flow, in bytes; each held segment counts 96
    /// bytes more than it has, and at least 232. A sender fills it while a single lost segment is
    /// on its way again: if its window is larger, a gap is declared that need not be one
    /// ([`ReassemblyStats::forced_gaps`](super::ReassemblyStats::forced_gaps)). Default: 8 MiB,
    /// twice the largest send buffer that Linux gives a connection by itself (`net.ipv4.tcp_wmem`);
    /// range: from 1.
    ///
    /// One packet can release all that is held. To bound that time against hostile senders, a flow
    /// also holds at most 8192 segments, or one per KiB of this bound if that is more.
    #[must_use]
    pub const fn max_held_per_flow(mut self, bytes: usize) -> Self {
        self.max_held_per_flow = bytes;
        self
    }

    /// The maximum of memory for the held bytes of all flows, in bytes. Default: 256 MiB; range:
    /// from 1.
    #[must_use]
    pub const fn max_held(mut self, bytes: usize) -> Self {
        self.max_held = bytes;
        self
    }

    /// What happens at these two bounds. Default: gaps.
    #[must_use]
    pub const fn when_full(mut self, action: WhenFull) -> Self {
        self.when_full = action;
        self
    }

    /// How many delivered bytes are kept for each stream, to compare with retransmissions.
    /// Differences are [reported](super::StreamVisitor::inconsistent); delivered bytes stay as they
    /// are. The memory counts like that of held bytes, takes at most half of the bound of all
    /// flows, and is given back first. Default: 0, because it costs a copy of all bytes: only held
    /// bytes are compared.
    #[must_use]
    pub const fn compare_delivered(mut self, bytes: usize) -> Self {
        self.compare_delivered = bytes;
        self
    }

    /// The maximum number of held segments of one flow.
    pub(super) fn max_segments_per_flow(&self) -> usize {
        (self.max_held_per_flow >> 10).max(8192)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        for (setting, value) in [
            ("max_held_per_flow", self.max_held_per_flow),
            ("max_held", self.max_held),
        ] {
            if value == 0 {
                let why = "at least 1 byte is required".into();
                return Err(Error::Config { setting, why });
            }
        }
        if self.deadline.is_zero() {
            return Err(Error::Config {
                setting: "deadline",
                why: "must be greater than zero; use Duration::MAX for \"never\"".into(),
            });
        }
        Ok(())
    }
}

impl Default for ReassemblyConfig {
    fn default() -> Self {
        Self {
            overlap: OverlapPolicy::First,
            urgent: UrgentPolicy::OutOfBand,
            deadline: Duration::from_secs(5),
            ack_grace: Duration::from_millis(10),
            max_hole: 1 << 20,
            max_held_per_flow: 8 << 20,
            max_held: 256 << 20,
            when_full: WhenFull::Gap,
            compare_delivered: 0,
        }
    }
}
