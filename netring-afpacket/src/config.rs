//! How a capture is set up.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use netring_sys::kernel::filter::{BPF_MAXINSNS, BPF_RET_K, SockFilter};
use netring_sys::kernel::packet::{
    SOF_TIMESTAMPING_RAW_HARDWARE, SOF_TIMESTAMPING_SOFTWARE, SOF_TIMESTAMPING_SYS_HARDWARE,
    TP_FT_REQ_FILL_RXHASH, tpacket_req3,
};
use netring_sys::syscall::{page_size, set_packet_rx_ring};
use netring_sys::{Error, SyscallError};

use crate::Capture;

const MIB: usize = 1 << 20;
/// No ring is smaller than two blocks: while the reader has one, the kernel fills the other.
const MIN_BLOCKS: usize = 2;
/// The kernel keeps a table of blocks in one allocation.
const MAX_BLOCKS: usize = 1 << 16;
/// What the kernel's signed 32-bit block size holds, on a grid.
const MAX_BLOCK_SIZE: usize = 1 << 30;
const MAX_RETIRE: Duration = Duration::from_secs(60);

/// Ring sizes for common needs; [`Builder::block_size`] and its like change them one by one.
///
/// Memory is resident from the start, and not swapped. At one million small packets per second 64 MiB hold about half a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// 16 blocks of 4 MiB, 64 MiB in all; a block is handed over after 10 ms at the latest.
    #[default]
    Default,
    /// 64 blocks of 256 KiB, 16 MiB in all; after 1 ms. More wake-ups, and more work per packet.
    LowLatency,
    /// 64 blocks of 4 MiB, 256 MiB in all; after 20 ms.
    HighThroughput,
    /// 16 blocks of 256 KiB, 4 MiB in all; after 10 ms.
    LowMemory,
    /// 16 blocks of 8 MiB, 128 MiB in all; after 10 ms: for frames of 9000 bytes and for the 64 KiB frames of receive offload.
    Jumbo,
}

impl Profile {
    const fn sizes(self) -> (usize, usize, Duration) {
        match self {
            Self::Default => (4 * MIB, 16, Duration::from_millis(10)),
            Self::LowLatency => (MIB / 4, 64, Duration::from_millis(1)),
            Self::HighThroughput => (4 * MIB, 64, Duration::from_millis(20)),
            Self::LowMemory => (MIB / 4, 16, Duration::from_millis(10)),
            Self::Jumbo => (8 * MIB, 16, Duration::from_millis(10)),
        }
    }
}

/// The clock that a capture asks the kernel to stamp packets with. Each packet says which it really got
/// ([`Timestamp::clock`](netring_sys::Timestamp::clock)): where a card has no stamps, the kernel's stand in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampSource {
    /// The kernel's real-time clock.
    #[default]
    Software,
    /// The card's own clock. The card has to be told to stamp (`hwstamp_ctl -i eth0 -r 1`).
    RawHardware,
    /// The card's clock, brought to the system's by the kernel; no driver of today does it.
    SysHardware,
}

impl TimestampSource {
    pub(crate) const fn bits(self) -> u32 {
        match self {
            Self::Software => SOF_TIMESTAMPING_SOFTWARE,
            Self::RawHardware => SOF_TIMESTAMPING_RAW_HARDWARE,
            Self::SysHardware => SOF_TIMESTAMPING_SYS_HARDWARE,
        }
    }
}

/// What a ring was asked to be, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingSize {
    /// Bytes of a block.
    pub block_size: usize,
    /// Blocks in the ring.
    pub block_count: usize,
    /// Blocks that were asked for: more where the kernel had not enough memory for them.
    pub asked_block_count: usize,
}

impl RingSize {
    /// The ring's memory in bytes.
    pub const fn bytes(&self) -> usize {
        self.block_size * self.block_count
    }

    /// Whether the ring is smaller than it was asked to be, for want of memory.
    pub const fn is_shrunk(&self) -> bool {
        self.block_count < self.asked_block_count
    }
}

/// Sets up a [`Capture`]: `Capture::builder().interface("eth0").….build()`.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    pub(crate) interface: String,
    block_size: usize,
    block_count: usize,
    retire_timeout: Duration,
    snap_len: Option<u32>,
    filter: Vec<SockFilter>,
    rx_hash: bool,
    pub(crate) promiscuous: bool,
    pub(crate) ignore_outgoing: Option<bool>,
    pub(crate) timestamps: TimestampSource,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let (block_size, block_count, retire_timeout) = Profile::Default.sizes();
        Self {
            interface: String::new(),
            block_size,
            block_count,
            retire_timeout,
            snap_len: None,
            filter: Vec::new(),
            rx_hash: false,
            promiscuous: false,
            ignore_outgoing: None,
            timestamps: TimestampSource::default(),
        }
    }

    /// The name of the interface. There is no default.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self
    }

    /// Sets block size, block count and retire time-out together. Default: [`Profile::Default`].
    pub const fn profile(mut self, profile: Profile) -> Self {
        (self.block_size, self.block_count, self.retire_timeout) = profile.sizes();
        self
    }

    /// Bytes of a block: a multiple of the page size, to 1 GiB. Default 4 MiB.
    ///
    /// A packet that does not fit in a block is cut to it. The kernel takes whole powers of two of pages: other sizes waste memory.
    #[doc(alias = "tp_block_size")]
    pub const fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = bytes;
        self
    }

    /// Blocks in the ring, 2 to 65,536. Default 16. Where the kernel has not enough memory, the ring is made with half as many until it fits
    /// ([`Capture::ring`] tells).
    #[doc(alias = "tp_block_nr")]
    pub const fn block_count(mut self, blocks: usize) -> Self {
        self.block_count = blocks;
        self
    }

    /// How long packets may wait in a block that does not fill up, 1 ms to 60 s, rounded up to milliseconds. Default 10 ms.
    ///
    /// Shorter is lower latency and more wake-ups. It is no read time-out: an empty block is never handed over.
    #[doc(alias = "tp_retire_blk_tov")]
    pub const fn retire_timeout(mut self, timeout: Duration) -> Self {
        self.retire_timeout = timeout;
        self
    }

    /// The most bytes to keep of each packet, at least 1. Default: all of them.
    ///
    /// A packet that was cut keeps its wire length and says so ([`Packet::is_cut`](netring_sys::Packet::is_cut)). The kernel copies no more than
    /// this, so the ring holds more packets.
    pub const fn snap_len(mut self, bytes: u32) -> Self {
        self.snap_len = Some(bytes);
        self
    }

    /// Whether the interface takes packets for other hosts too, for as long as the capture lives. Default no.
    #[doc(alias = "PACKET_MR_PROMISC")]
    pub const fn promiscuous(mut self, on: bool) -> Self {
        self.promiscuous = on;
        self
    }

    /// Whether packets that this host sends are left out (kernel 4.20). Default: on a loopback interface yes, so that each packet is
    /// seen once, as it is received; on all others no.
    #[doc(alias = "PACKET_IGNORE_OUTGOING")]
    pub const fn ignore_outgoing(mut self, ignore: bool) -> Self {
        self.ignore_outgoing = Some(ignore);
        self
    }

    /// The clock to ask for. Default: the kernel's.
    #[doc(alias = "PACKET_TIMESTAMP")]
    pub const fn timestamps(mut self, source: TimestampSource) -> Self {
        self.timestamps = source;
        self
    }

    /// Whether the kernel computes a flow hash for each packet. Default no: it costs where the card gives none.
    #[doc(alias = "TP_FT_REQ_FILL_RXHASH")]
    pub const fn rx_hash(mut self, on: bool) -> Self {
        self.rx_hash = on;
        self
    }

    /// A classic BPF program: no packet that it rejects is ever delivered. At most 4096 instructions. Default: none, every packet passes.
    ///
    /// What it returns is how many bytes of the packet to keep: return `u32::MAX` for all of them.
    #[doc(alias = "SO_ATTACH_FILTER")]
    pub fn filter(mut self, program: &[SockFilter]) -> Self {
        self.filter = program.to_vec();
        self
    }

    /// Opens the capture; packets are taken from now on.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting that cannot be, with what can; [`Error::NoSuchInterface`]; [`Error::NotPermitted`]
    /// without CAP_NET_RAW; or the call that failed.
    pub fn build(self) -> Result<Capture, Error> {
        Capture::build(self)
    }

    /// The most bytes a packet may have in the ring.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.snap_len.map_or(usize::MAX, |bytes| bytes as usize)
    }

    /// The program to attach: the filter, made to keep no more than the snap length.
    pub(crate) fn program(&self) -> Option<Vec<SockFilter>> {
        let Some(snap_len) = self.snap_len else {
            return (!self.filter.is_empty()).then(|| self.filter.clone());
        };
        if self.filter.is_empty() {
            return Some(vec![SockFilter::stmt(BPF_RET_K, snap_len)]);
        }
        // A constant that is returned is cut here. A computed one is left, and the packet is cut when it is lent.
        let cut = |insn: &SockFilter| match insn.code {
            BPF_RET_K => SockFilter {
                k: insn.k.min(snap_len),
                ..*insn
            },
            _ => *insn,
        };
        Some(self.filter.iter().map(cut).collect())
    }

    /// Refuses what cannot be, before the kernel does with a bare EINVAL.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |setting, why| Err(Error::Config { setting, why });
        let page = page_size();
        if self.interface.is_empty() {
            return refuse(
                "interface",
                "name one, such as `eth0`; `ip link` lists them".into(),
            );
        }
        if !self.block_size.is_multiple_of(page)
            || !(page..=MAX_BLOCK_SIZE).contains(&self.block_size)
        {
            let why = format!(
                "{} is not possible: take a multiple of the page size, {page} bytes, to 1 GiB; powers of two of it waste no memory",
                self.block_size
            );
            return refuse("block_size", why);
        }
        if !(MIN_BLOCKS..=MAX_BLOCKS).contains(&self.block_count) {
            let why = format!(
                "{} is not possible: take 2 to 65,536 blocks",
                self.block_count
            );
            return refuse("block_count", why);
        }
        if self.retire_timeout.is_zero() || self.retire_timeout > MAX_RETIRE {
            let why = format!(
                "{:?} is not possible: take 1 ms to 60 s",
                self.retire_timeout
            );
            return refuse("retire_timeout", why);
        }
        if self.snap_len == Some(0) {
            return refuse(
                "snap_len",
                "0 would reject every packet: keep 1 byte or more".into(),
            );
        }
        if self.filter.len() > BPF_MAXINSNS {
            let why = format!(
                "{} instructions: the kernel takes {BPF_MAXINSNS}",
                self.filter.len()
            );
            return refuse("filter", why);
        }
        Ok(())
    }

    pub(crate) const fn features(&self) -> u32 {
        if self.rx_hash {
            TP_FT_REQ_FILL_RXHASH
        } else {
            0
        }
    }

    /// Makes the ring, with half as many blocks as long as the kernel has no memory for them.
    pub(crate) fn make_ring(&self, socket: BorrowedFd<'_>) -> Result<RingSize, SyscallError> {
        self.fit_ring(|request| set_packet_rx_ring(socket, request))
    }

    fn fit_ring(
        &self,
        mut make: impl FnMut(&tpacket_req3) -> Result<(), SyscallError>,
    ) -> Result<RingSize, SyscallError> {
        let mut blocks = self.block_count;
        loop {
            match make(&self.request(blocks)) {
                Ok(()) => {
                    return Ok(RingSize {
                        block_size: self.block_size,
                        block_count: blocks,
                        asked_block_count: self.block_count,
                    });
                }
                Err(error) if error.is_out_of_memory() && blocks > MIN_BLOCKS => {
                    blocks = (blocks / 2).max(MIN_BLOCKS);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn request(&self, blocks: usize) -> tpacket_req3 {
        // A version 3 ring packs frames of any size; the kernel only checks that this one divides the block.
        let frame_size = page_size();
        tpacket_req3 {
            tp_block_size: self.block_size as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: frame_size as u32,
            tp_frame_nr: (self.block_size / frame_size * blocks) as u32,
            tp_retire_blk_tov: self.retire_timeout.as_micros().div_ceil(1000) as u32,
            tp_sizeof_priv: 0,
            tp_feature_req_word: self.features(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> Builder {
        Builder::new().interface("eth0")
    }

    #[test]
    fn impossible_settings_are_refused_with_what_is_possible() {
        let page = page_size();
        let refused = [
            (Builder::new(), "interface", "ip link"),
            (builder().block_size(0), "block_size", "page size"),
            (builder().block_size(page + 1), "block_size", "page size"),
            (builder().block_size(2 << 30), "block_size", "1 GiB"),
            (builder().block_count(0), "block_count", "2 to 65,536"),
            (builder().block_count(1), "block_count", "2 to 65,536"),
            (builder().block_count(65_537), "block_count", "2 to 65,536"),
            (
                builder().retire_timeout(Duration::ZERO),
                "retire_timeout",
                "1 ms",
            ),
            (
                builder().retire_timeout(Duration::from_secs(61)),
                "retire_timeout",
                "60 s",
            ),
            (builder().snap_len(0), "snap_len", "1 byte"),
            (
                builder().filter(&[SockFilter::stmt(BPF_RET_K, 1); 4097]),
                "filter",
                "4096",
            ),
        ];
        for (builder, setting, allowed) in refused {
            let text = builder.check().unwrap_err().to_string();
            assert!(
                text.starts_with(setting) && text.contains(allowed),
                "{text}"
            );
        }
    }

    #[test]
    fn every_profile_is_possible_and_the_default_is_64_mib() {
        use Profile::{Default, HighThroughput, Jumbo, LowLatency, LowMemory};
        for profile in [Default, LowLatency, HighThroughput, LowMemory, Jumbo] {
            builder().profile(profile).check().unwrap();
        }
        assert_eq!(
            Builder::new().block_size * Builder::new().block_count,
            64 * MIB
        );
    }

    #[test]
    fn a_ring_shrinks_while_memory_is_short_and_says_so() {
        let out_of_memory = || SyscallError {
            call: "setsockopt(PACKET_RX_RING)",
            source: std::io::ErrorKind::OutOfMemory.into(),
        };
        let mut asked = Vec::new();
        let ring = builder().fit_ring(|request| {
            asked.push(request.tp_block_nr);
            assert_eq!(
                request.tp_frame_nr,
                request.tp_block_nr * request.tp_block_size / request.tp_frame_size
            );
            if request.tp_block_nr > 4 {
                Err(out_of_memory())
            } else {
                Ok(())
            }
        });
        let ring = ring.unwrap();
        assert_eq!(asked, [16, 8, 4]);
        assert_eq!((ring.block_count, ring.asked_block_count), (4, 16));
        assert!(ring.is_shrunk());
        assert_eq!(ring.bytes(), 16 * MIB);

        asked.clear();
        let error = builder().block_count(3).fit_ring(|request| {
            asked.push(request.tp_block_nr);
            Err(out_of_memory())
        });
        assert_eq!(asked, [3, 2], "two blocks are the least");
        assert!(error.is_err());
    }

    #[test]
    fn a_retire_time_out_is_rounded_up_and_never_to_zero() {
        let milliseconds = |timeout| {
            builder()
                .retire_timeout(timeout)
                .request(2)
                .tp_retire_blk_tov
        };
        assert_eq!(milliseconds(Duration::from_micros(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(1001)), 2);
        assert_eq!(milliseconds(Duration::from_secs(60)), 60_000);
    }

    #[test]
    fn a_snap_length_cuts_what_the_filter_returns() {
        let keep = |builder: Builder| builder.program().map(|program| program[0].k);
        assert_eq!(keep(builder()), None);
        assert_eq!(keep(builder().snap_len(96)), Some(96));
        let all = [SockFilter::stmt(BPF_RET_K, u32::MAX)];
        assert_eq!(keep(builder().filter(&all)), Some(u32::MAX));
        assert_eq!(keep(builder().filter(&all).snap_len(96)), Some(96));
        let none = [SockFilter::stmt(BPF_RET_K, 0)];
        assert_eq!(
            keep(builder().filter(&none).snap_len(96)),
            Some(0),
            "rejects still"
        );
    }

    #[test]
    fn s9_timestamp_sources_are_the_kernels_numbers() {
        assert_eq!(TimestampSource::Software.bits(), 16);
        assert_eq!(TimestampSource::SysHardware.bits(), 32);
        assert_eq!(TimestampSource::RawHardware.bits(), 64);
    }
}
