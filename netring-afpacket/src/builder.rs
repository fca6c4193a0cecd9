//! What can be asked of a capture, and what of it is possible.

use std::time::Duration;

use netring_sys::syscall::page_size;
use netring_sys::{Error, Filter, Profile};

use crate::rx::geometry::{FRAME_SIZE, MIN_BLOCKS, sizes, slot_size};
use crate::socket::TimestampSource;

/// The settings of a [`Capture`](crate::Capture), from
/// [`Capture::builder`](crate::Capture::builder).
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
pub struct CaptureBuilder {
    pub(crate) interface: String,
    pub(crate) block_size: usize,
    pub(crate) block_count: usize,
    /// Zero for slots that are handed over at once.
    pub(crate) retire_timeout: Duration,
    pub(crate) immediate: bool,
    pub(crate) snap_len: Option<u32>,
    pub(crate) promiscuous: bool,
    pub(crate) ignore_outgoing: Option<bool>,
    pub(crate) timestamps: TimestampSource,
    pub(crate) rx_hash: bool,
    pub(crate) filter: Option<Filter>,
}

impl CaptureBuilder {
    pub(crate) fn new() -> Self {
        let (block_size, block_count, retire_timeout) = sizes(Profile::Default);
        Self {
            interface: String::new(),
            block_size,
            block_count,
            retire_timeout,
            immediate: false,
            snap_len: None,
            promiscuous: false,
            ignore_outgoing: None,
            timestamps: TimestampSource::default(),
            rx_hash: false,
            filter: None,
        }
    }

    /// The name of the interface, in the network namespace of the thread that calls
    /// [`build`](Self::build). Must be given.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self
    }

    /// Sets block size, block count and retire timeout for a purpose. Default:
    /// [`Profile::Default`]. Sizes set after it override it.
    ///
    /// | profile | blocks | retire timeout | for |
    /// |---|---|---|---|
    /// | `Default` | 256 KiB × 256 = 64 MiB | 16 ms | no loss at a million packets a second |
    /// | `LowLatency` | 128 KiB × 512 = 64 MiB | 1 ms (2 ms before kernel 6.18) | packets are seen after a millisecond, however few there are |
    /// | `HighThroughput` | 1 MiB × 256 = 256 MiB | 64 ms | the fewest wake-ups and the longest pause |
    /// | `LowMemory` | 128 KiB × 32 = 4 MiB | 80 ms | little memory; a block still holds the largest packet that receive offload makes of TCP segments (64 KiB) |
    /// | `Jumbo` | 512 KiB × 256 = 128 MiB | 16 ms | frames of 9000 bytes and more; a block holds the largest packet of BIG TCP |
    /// | `Immediate` | 64 MiB of slots, one packet each | none | the latency of a plain `recvfrom` (`TPACKET_V2`) |
    ///
    /// The kernel allocates the ring when the capture is opened. The memory belongs to the kernel
    /// and not to the process: it is outside the memory limit of a cgroup, and only `RLIMIT_AS`
    /// bounds it.
    ///
    /// How long a pause of the reader a ring outlasts depends on the rate. Few packets use up
    /// blocks: each block that is handed over takes one of the ring's places, however little is in
    /// it, so the ring lasts block count × timeout. Many packets use up bytes: a packet takes its
    /// captured length and about 88 bytes. The longest pause without loss, in seconds, with
    /// packets of 64 bytes:
    ///
    /// | profile | up to 1000/s | 100,000/s | 1,000,000/s |
    /// |---|---|---|---|
    /// | `Default` | 4.0 | 4.0 | 0.43 |
    /// | `LowLatency` | 0.5 | 0.5 | 0.43 |
    /// | `HighThroughput` | 16 | 16 | 1.7 |
    /// | `LowMemory` | 2.5 | 0.26 | 0.026 |
    /// | `Jumbo` | 4.0 | 4.0 | 0.86 |
    /// | `Immediate` | 960 packets | 0.0096 | 0.001 |
    /// | `Immediate`, `snap_len(256)` | 190,000 packets | 1.9 | 0.19 |
    ///
    /// A packet that is larger than a block is cut and marked as cut: receive offload makes
    /// packets of up to 64 KiB, and of up to 512 KiB if BIG TCP is enabled (`ip link set …
    /// gro_ipv4_max_size`).
    ///
    /// With `Immediate` each packet is a batch of its own and wakes a waiting reader: at half a
    /// million packets a second it costs about 280 ns of processor time per packet, compared with
    /// 10 ns by default. A slot has a fixed size, by default 64 KiB, so the ring holds 960 packets.
    /// [`snap_len`](Self::snap_len) makes slots smaller, so that more fit: 41,000 packets with
    /// 1514. A packet that is larger than its slot is cut and marked as cut.
    /// [`rx_hash`](Self::rx_hash) and [`retire_timeout`](Self::retire_timeout) are refused, and
    /// [`Stats::freezes`](netring_sys::Stats::freezes) is not available.
    #[doc(alias = "TPACKET_V2")]
    pub const fn profile(mut self, profile: Profile) -> Self {
        (self.block_size, self.block_count, self.retire_timeout) = sizes(profile);
        self.immediate = matches!(profile, Profile::Immediate);
        self
    }

    /// Bytes of a block: a multiple of the page size, best a power of two (the kernel rounds its
    /// memory up to one). Default: 256 KiB. A packet that is larger than a block is cut, and
    /// says so. Small blocks make a ring outlast longer pauses at low rates; large ones cost
    /// less for each packet.
    #[doc(alias = "tp_block_size")]
    pub const fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = bytes;
        self
    }

    /// Blocks in the ring, at least 2. Default: 256. If memory is short there are fewer: see
    /// [`Capture::ring`](crate::Capture::ring).
    #[doc(alias = "tp_block_nr")]
    pub const fn block_count(mut self, blocks: usize) -> Self {
        self.block_count = blocks;
        self
    }

    /// After this time a block that has packets is handed over even if it is not full: 1 ms to
    /// 65,535 ms, whole milliseconds. Default: 16 ms. It is how long a packet waits at most on
    /// kernel 6.18, where the time runs on from block to block; on kernels before it, up to
    /// twice as long. It is not a time-out for reading: an empty block is never handed
    /// over. [`Profile::Immediate`] has none, and refuses one.
    ///
    /// While blocks are filled faster than that, a reader that waits is woken once in this time and
    /// not for each block, if the ring has room for four times as much.
    #[doc(alias = "tp_retire_blk_tov")]
    pub const fn retire_timeout(mut self, time: Duration) -> Self {
        self.retire_timeout = time;
        self
    }

    /// Bytes to keep of each packet, at least 1. Default: all of them. The wire length stays, and a
    /// packet that was cut says so ([`Packet::is_cut`](netring_sys::Packet::is_cut)). The
    /// kernel cuts: less memory of the ring is used.
    pub const fn snap_len(mut self, bytes: u32) -> Self {
        self.snap_len = Some(bytes);
        self
    }

    /// Whether the interface is asked for packets to other hosts too, for as long as the capture
    /// lives. Default: no.
    #[doc(alias = "PACKET_MR_PROMISC")]
    pub const fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// Whether packets that this host sends are left out (kernel 4.20). Default: on a loopback
    /// interface, where each packet is sent and received, yes, so that it is seen once;
    /// elsewhere no.
    #[doc(alias = "PACKET_IGNORE_OUTGOING")]
    pub const fn ignore_outgoing(mut self, ignore: bool) -> Self {
        self.ignore_outgoing = Some(ignore);
        self
    }

    /// Which clock stamps the packets. Default: [`TimestampSource::Software`].
    ///
    /// Packets are in the order in which they entered the ring, not in the order of their
    /// timestamps: processors that receive at the same time stamp first and take their turn at
    /// the ring after, so a timestamp can be a little earlier than the one before it.
    #[doc(alias = "PACKET_TIMESTAMP")]
    pub const fn timestamps(mut self, source: TimestampSource) -> Self {
        self.timestamps = source;
        self
    }

    /// Whether packets carry the hash of their flow. Default: no. Where the card gives none the
    /// kernel computes it, which costs it time for each packet. [`Profile::Immediate`] has no
    /// place for it, and refuses it.
    #[doc(alias = "TP_FT_REQ_FILL_RXHASH")]
    pub const fn rx_hash(mut self, wanted: bool) -> Self {
        self.rx_hash = wanted;
        self
    }

    /// A classic BPF [`Filter`]: packets for which it returns 0 are left out, and the kernel does
    /// not count them. Default: all packets. It is checked by [`build`](Self::build).
    ///
    /// A constant that it returns for the others means only that they are chosen; how much of them
    /// is kept is set by [`snap_len`](Self::snap_len). (A program that returns its accumulator
    /// does cut packets to that length.)
    #[doc(alias = "SO_ATTACH_FILTER")]
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
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
        // The kernel's words: a block's size is a positive `int`, the number of frames in the ring
        // an `unsigned int`.
        let bytes = self.block_size.checked_mul(self.block_count);
        let frame = self.slot_size().unwrap_or(FRAME_SIZE);
        let all_fit = |all| all <= isize::MAX as usize && all / frame <= u32::MAX as usize;
        if self.block_size > i32::MAX as usize || !bytes.is_some_and(all_fit) {
            let why = format!(
                "{} × {} bytes; a block is smaller than 2 GiB and a whole ring smaller than 8 TiB (than 4 billion slots), or \
                 than what this machine can address",
                self.block_count, self.block_size
            );
            return refuse("block_count × block_size", why);
        }
        self.check_time(refuse)?;
        if self.snap_len == Some(0) {
            let why = "0 bytes; keep at least 1, or do not set it to keep all".into();
            return refuse("snap_len", why);
        }
        if let Some(filter) = &self.filter {
            filter.check()?;
        }
        Ok(())
    }

    fn check_time(
        &self,
        refuse: impl Fn(&'static str, String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.immediate {
            if !self.retire_timeout.is_zero() {
                let why = "an immediate capture has no blocks to hand over late; leave it out, or choose another profile";
                return refuse("retire_timeout", why.into());
            }
            if self.rx_hash {
                let why = "the ring of an immediate capture (TPACKET_V2) has no place for it; choose another profile, such as \
                           `Profile::LowLatency`";
                return refuse("rx_hash", why.into());
            }
            return Ok(());
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
        Ok(())
    }

    /// Bytes of a slot, if each packet has one to itself.
    pub(crate) fn slot_size(&self) -> Option<usize> {
        let snap_len = self.snap_len;
        self.immediate.then(|| slot_size(self.block_size, snap_len))
    }
}
