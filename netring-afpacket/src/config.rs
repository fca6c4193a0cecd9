//! What can be asked of a capture, and what of it is possible.

use std::time::Duration;

use netring_sys::Error;
use netring_sys::kernel::filter::{BPF_MAXINSNS, SockFilter};
use netring_sys::kernel::packet::{
    SOF_TIMESTAMPING_RAW_HARDWARE, SOF_TIMESTAMPING_SOFTWARE, SOF_TIMESTAMPING_SYS_HARDWARE,
};
use netring_sys::syscall::page_size;

use crate::Capture;
use crate::capture::set_up;

/// The settings of a [`Capture`], from [`Capture::builder`].
///
/// ```no_run
/// use netring_afpacket::{Capture, Profile};
///
/// let capture = Capture::builder()
///     .interface("eth0")
///     .profile(Profile::LowLatency)
///     .promiscuous(true)
///     .snap_len(128)
///     .build()?;
/// println!("{} bytes of ring", capture.ring().bytes());
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct Builder {
    pub(crate) interface: String,
    pub(crate) block_size: usize,
    pub(crate) block_count: usize,
    pub(crate) retire_timeout: Duration,
    pub(crate) snap_len: Option<u32>,
    pub(crate) promiscuous: bool,
    pub(crate) ignore_outgoing: Option<bool>,
    pub(crate) timestamps: TimestampSource,
    pub(crate) rx_hash: bool,
    pub(crate) filter: Option<Vec<SockFilter>>,
}

/// Ring sizes for a purpose: block size × block count, and the time after which a block is handed over that is not full.
///
/// The ring is memory of the kernel that is taken at once. More of it outlasts a longer pause of the reader: at one
/// million packets of 64 bytes a second, 64 MiB hold about 0.4 seconds. Larger blocks cost less for each packet; a
/// block must also hold the largest packet that is wanted whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// 4 MiB × 16 = 64 MiB, 10 ms. No loss at a million packets a second.
    #[default]
    Default,
    /// 256 KiB × 64 = 16 MiB, 1 ms: packets are seen after 1 to 2 ms, however few there are.
    LowLatency,
    /// 4 MiB × 64 = 256 MiB, 64 ms: the fewest wake-ups, and the longest pause outlasted.
    HighThroughput,
    /// 128 KiB × 16 = 2 MiB, 10 ms. A block still holds the largest packet that receive offload makes of TCP segments
    /// (64 KiB).
    LowMemory,
    /// 8 MiB × 16 = 128 MiB, 10 ms: for frames of 9000 bytes and more, as many of them as [`Default`](Self::Default) holds of
    /// ordinary ones.
    Jumbo,
}

/// Which clock stamps the packets. Each packet says which it really got ([`Timestamp::clock`](netring_sys::Timestamp::clock)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum TimestampSource {
    /// The kernel's real-time clock.
    #[default]
    #[doc(alias = "SOF_TIMESTAMPING_SOFTWARE")]
    Software = SOF_TIMESTAMPING_SOFTWARE,
    /// The card's clock, transformed to the system's. No driver does it today, and packets say
    /// [`Software`](netring_sys::Clock::Software).
    #[doc(alias = "SOF_TIMESTAMPING_SYS_HARDWARE")]
    SysHardware = SOF_TIMESTAMPING_SYS_HARDWARE,
    /// The card's own clock. The card must have been told to stamp (`SIOCSHWTSTAMP`, by `hwstamp_ctl` or a PTP daemon); a packet
    /// that it did not stamp has the kernel's time, and says so.
    #[doc(alias = "SOF_TIMESTAMPING_RAW_HARDWARE")]
    RawHardware = SOF_TIMESTAMPING_RAW_HARDWARE,
}

/// The ring that was asked for, and the one that was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingSize {
    /// Bytes of a block.
    pub block_size: usize,
    /// Blocks that the ring has.
    pub block_count: usize,
    /// Blocks that were asked for: more where memory was short.
    pub asked_block_count: usize,
}

impl RingSize {
    /// Bytes of the whole ring.
    pub const fn bytes(&self) -> usize {
        self.block_size * self.block_count
    }

    /// Whether memory was short, and the ring has fewer blocks than were asked for.
    pub const fn is_short(&self) -> bool {
        self.block_count < self.asked_block_count
    }
}

/// The fewest blocks of a ring: one that the kernel fills while the reader has the other.
pub(crate) const MIN_BLOCKS: usize = 2;

/// Bytes of a frame, which a version 3 ring only has to be told: it fits every block.
pub(crate) const FRAME_SIZE: usize = 2048;

impl Builder {
    pub(crate) fn new() -> Self {
        let (block_size, block_count, retire_timeout) = Profile::Default.sizes();
        Self {
            interface: String::new(),
            block_size,
            block_count,
            retire_timeout,
            snap_len: None,
            promiscuous: false,
            ignore_outgoing: None,
            timestamps: TimestampSource::default(),
            rx_hash: false,
            filter: None,
        }
    }

    /// The name of the interface, in the network namespace of the thread that calls [`build`](Self::build). Must be given.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self
    }

    /// Block size, block count and retire time-out for a purpose. Default: [`Profile::Default`]. Sizes set after it
    /// override it.
    pub const fn profile(mut self, profile: Profile) -> Self {
        (self.block_size, self.block_count, self.retire_timeout) = profile.sizes();
        self
    }

    /// Bytes of a block: a multiple of the page size, best a power of two (the kernel rounds its memory up to one).
    /// Default: 4 MiB. A packet that is larger than a block is cut, and says so.
    #[doc(alias = "tp_block_size")]
    pub const fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = bytes;
        self
    }

    /// Blocks in the ring, at least 2. Default: 16. Where memory is short there are fewer: see [`Capture::ring`].
    #[doc(alias = "tp_block_nr")]
    pub const fn block_count(mut self, blocks: usize) -> Self {
        self.block_count = blocks;
        self
    }

    /// After this time a block that has packets is handed over even if it is not full: 1 ms to 65,535 ms, whole
    /// milliseconds. Default: 10 ms. A packet is seen after once to twice this time. It is not a time-out for reading: an
    /// empty block is never handed over.
    #[doc(alias = "tp_retire_blk_tov")]
    pub const fn retire_timeout(mut self, time: Duration) -> Self {
        self.retire_timeout = time;
        self
    }

    /// Bytes to keep of each packet, at least 1. Default: all of them. The wire length stays, and a packet that was cut
    /// says so ([`Packet::is_cut`](netring_sys::Packet::is_cut)). The kernel cuts: less memory of the ring is used.
    pub const fn snap_len(mut self, bytes: u32) -> Self {
        self.snap_len = Some(bytes);
        self
    }

    /// Whether the interface is asked for packets to other hosts too, for as long as the capture lives. Default: no.
    #[doc(alias = "PACKET_MR_PROMISC")]
    pub const fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// Whether packets that this host sends are left out (kernel 4.20). Default: on a loopback interface, where each packet is
    /// sent and received, yes, so that it is seen once; elsewhere no.
    #[doc(alias = "PACKET_IGNORE_OUTGOING")]
    pub const fn ignore_outgoing(mut self, ignore: bool) -> Self {
        self.ignore_outgoing = Some(ignore);
        self
    }

    /// Which clock stamps the packets. Default: [`TimestampSource::Software`].
    #[doc(alias = "PACKET_TIMESTAMP")]
    pub const fn timestamps(mut self, source: TimestampSource) -> Self {
        self.timestamps = source;
        self
    }

    /// Whether packets carry the hash of their flow. Default: no. Where the card gives none the kernel computes it, which
    /// costs it time for each packet.
    #[doc(alias = "TP_FT_REQ_FILL_RXHASH")]
    pub const fn rx_hash(mut self, wanted: bool) -> Self {
        self.rx_hash = wanted;
        self
    }

    /// A classic BPF program, 1 to 4096 instructions: packets for which it returns 0 are left out, and not counted. Default:
    /// all packets.
    ///
    /// The constant that it returns for others says only that they are wanted; how much of them is kept is
    /// [`snap_len`](Self::snap_len)'s to say. (A program that returns its accumulator does cut at that length.)
    #[doc(alias = "SO_ATTACH_FILTER")]
    pub fn filter(mut self, program: &[SockFilter]) -> Self {
        self.filter = Some(program.to_vec());
        self
    }

    /// Opens the capture: when this returns, packets are being captured.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting that cannot be, [`Error::NoSuchInterface`], [`Error::NotPermitted`] without
    /// CAP_NET_RAW, or the call that failed.
    pub fn build(self) -> Result<Capture, Error> {
        set_up(&self)
    }

    /// The settings that no kernel takes are refused here, in words.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let page = page_size();
        let refuse = |setting, why| Err(Error::Config { setting, why });
        if self.interface.is_empty() {
            return refuse("interface", "name the interface to capture from".into());
        }
        if self.block_size == 0 || !self.block_size.is_multiple_of(page) {
            let why = format!(
                "{} bytes; a block is a multiple of the page size, which is {page} bytes here",
                self.block_size
            );
            return refuse("block_size", why);
        }
        if self.block_count < MIN_BLOCKS {
            let why = format!(
                "{}; a ring has at least {MIN_BLOCKS} blocks, one for the kernel and one for the reader",
                self.block_count
            );
            return refuse("block_count", why);
        }
        // The kernel's words: a block's size is a positive `int`, the number of frames in the ring an `unsigned int`.
        let bytes = self.block_size.checked_mul(self.block_count);
        let all_fit = |all| all <= isize::MAX as usize && all / FRAME_SIZE <= u32::MAX as usize;
        if self.block_size > i32::MAX as usize || !bytes.is_some_and(all_fit) {
            let why = format!(
                "{} × {} bytes; a block is smaller than 2 GiB and a whole ring smaller than 8 TiB, or than what this \
                 machine can address",
                self.block_count, self.block_size
            );
            return refuse("block_count × block_size", why);
        }
        let millis = self.retire_timeout.as_millis();
        let whole = self.retire_timeout.subsec_nanos().is_multiple_of(1_000_000);
        if !(1..=u128::from(u16::MAX)).contains(&millis) || !whole {
            let why = format!(
                "{:?}; it is 1 to 65,535 whole milliseconds",
                self.retire_timeout
            );
            return refuse("retire_timeout", why);
        }
        if self.snap_len == Some(0) {
            let why = "0 bytes; keep at least 1, or do not set it to keep all".into();
            return refuse("snap_len", why);
        }
        let len = self.filter.as_ref().map(Vec::len);
        if len.is_some_and(|len| !(1..=BPF_MAXINSNS).contains(&len)) {
            let why = format!(
                "{} instructions; a program has 1 to {BPF_MAXINSNS}",
                len.unwrap_or_default()
            );
            return refuse("filter", why);
        }
        Ok(())
    }
}

impl Profile {
    const fn sizes(self) -> (usize, usize, Duration) {
        const KIB: usize = 1 << 10;
        const MIB: usize = 1 << 20;
        let (size, count, millis) = match self {
            Self::Default => (4 * MIB, 16, 10),
            Self::LowLatency => (256 * KIB, 64, 1),
            Self::HighThroughput => (4 * MIB, 64, 64),
            Self::LowMemory => (128 * KIB, 16, 10),
            Self::Jumbo => (8 * MIB, 16, 10),
        };
        (size, count, Duration::from_millis(millis))
    }
}
