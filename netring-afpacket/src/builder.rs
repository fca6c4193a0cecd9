//! The settings of a capture.

mod all;
mod card;
mod check;
mod kernel_filter;
mod membership;
pub(crate) mod namespace;
mod shape;
mod spin;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use netring_sys::{Filter, Membership, Namespace, Profile};

use crate::rx::geometry::sizes;
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
    pub(crate) all_interfaces: bool,
    pub(crate) block_size: usize,
    pub(crate) block_count: usize,
    /// Zero for slots, which are handed over at once.
    pub(crate) retire_timeout: Duration,
    pub(crate) immediate: bool,
    pub(crate) snap_len: Option<u32>,
    pub(crate) promiscuous: bool,
    pub(crate) all_multicast: bool,
    pub(crate) addresses: Vec<Membership>,
    pub(crate) ignore_outgoing: Option<bool>,
    pub(crate) timestamps: TimestampSource,
    pub(crate) rx_hash: bool,
    pub(crate) filter: Option<Filter>,
    pub(crate) ebpf_filter: Option<Arc<OwnedFd>>,
    pub(crate) lock_filter: bool,
    pub(crate) vlan_in_bytes: bool,
    pub(crate) offload_state: bool,
    pub(crate) enable_hardware_timestamps: bool,
    pub(crate) replace_hardware_timestamps: bool,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) spin: Duration,
}

impl CaptureBuilder {
    pub(crate) fn new() -> Self {
        let (block_size, block_count, retire_timeout) = sizes(Profile::Default);
        Self {
            interface: String::new(),
            all_interfaces: false,
            block_size,
            block_count,
            retire_timeout,
            immediate: false,
            snap_len: None,
            promiscuous: false,
            all_multicast: false,
            addresses: Vec::new(),
            ignore_outgoing: None,
            timestamps: TimestampSource::default(),
            rx_hash: false,
            filter: None,
            ebpf_filter: None,
            lock_filter: false,
            vlan_in_bytes: false,
            offload_state: false,
            enable_hardware_timestamps: false,
            replace_hardware_timestamps: false,
            namespace: None,
            spin: Duration::ZERO,
        }
    }

    /// The name of the interface, in the network namespace of the thread that calls
    /// [`build`](Self::build), or in the given [namespace](Self::namespace). Required, unless [all
    /// of them](Self::all_interfaces) are captured from.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self.all_interfaces = false;
        self
    }

    /// Sets block size, block count and retire timeout for a purpose. Default:
    /// [`Profile::Default`]. Sizes set after it override it.
    ///
    /// | profile | blocks | retire timeout | for |
    /// |---|---|---|---|
    /// | `Default` | 256 KiB × 256 = 64 MiB | 16 ms | no loss at a million packets a second |
    /// | `LowLatency` | 128 KiB × 512 = 64 MiB | 1 ms (2 ms before kernel 6.18) | packets arrive within a millisecond, even in sparse traffic |
    /// | `HighThroughput` | 1 MiB × 256 = 256 MiB | 64 ms | the fewest wake-ups and the longest pause |
    /// | `LowMemory` | 128 KiB × 32 = 4 MiB | 80 ms | little memory; a block still holds the largest packet that receive offload builds from TCP segments (64 KiB) |
    /// | `Jumbo` | 512 KiB × 256 = 128 MiB | 16 ms | frames of 9000 bytes and more; a block holds the largest packet of BIG TCP |
    /// | `Immediate` | 64 MiB of slots, one packet each | none | the latency of a plain `recvfrom` (`TPACKET_V2`) |
    ///
    /// The kernel allocates the ring when the capture is opened. The memory belongs to the kernel
    /// and not to the process: it is outside the memory limit of a cgroup, and only `RLIMIT_AS`
    /// bounds it.
    ///
    /// The longest reader pause that a ring can absorb depends on the rate. Sparse packets use up
    /// blocks: each block handed over takes one of the ring's places, however few packets it has,
    /// so the ring lasts block count × timeout. Dense packets use up bytes: each takes its captured
    /// length plus about 88 bytes. The longest pause without loss, in seconds, with packets of 64
    /// bytes:
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
    /// A packet that is larger than a block is cut and marked as cut: receive offload builds
    /// packets of up to 64 KiB, and of up to 512 KiB if BIG TCP is enabled (`ip link set …
    /// gro_ipv4_max_size`).
    ///
    /// With `Immediate` each packet is a batch of its own and wakes a waiting reader: at half a
    /// million packets a second it costs about 280 ns of processor time per packet, compared with
    /// 10 ns by default. A slot has a fixed size, by default 64 KiB, so the ring holds 960 packets.
    /// [`snap_len`](Self::snap_len) makes slots smaller, so that more fit: 41,000 packets with
    /// 1514. A packet that is larger than its slot is cut and marked as cut.
    /// [`rx_hash`](Self::rx_hash), [`offload_state`](Self::offload_state) and
    /// [`retire_timeout`](Self::retire_timeout) are refused, and
    /// [`Stats::freezes`](netring_sys::Stats::freezes) is not available.
    #[doc(alias = "TPACKET_V2")]
    pub const fn profile(mut self, profile: Profile) -> Self {
        (self.block_size, self.block_count, self.retire_timeout) = sizes(profile);
        self.immediate = matches!(profile, Profile::Immediate);
        self
    }

    /// Bytes of a block: a multiple of the page size, preferably a power of two (the kernel rounds
    /// its memory up to one). Default: 256 KiB. A packet that is larger than a block is cut and
    /// marked as cut. Small blocks let a ring absorb longer pauses at low rates; large ones cost
    /// less per packet.
    #[doc(alias = "tp_block_size")]
    pub const fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = bytes;
        self
    }

    /// Blocks in the ring, at least 2. Default: 256. If memory is short, the ring has fewer:
    /// [`Capture::ring`](crate::Capture::ring) reports how many, and
    /// [`Capture::why_ring_short`](crate::Capture::why_ring_short) why.
    ///
    /// The ring is always resident: its pages are the kernel's own, which are never swapped or
    /// moved, and all of them are mapped when the capture is opened, so reading it causes no page
    /// fault. There is no option to lock or pre-fault it, because `mlock` and `MAP_LOCKED` skip
    /// such a mapping: it does not appear in `VmLck` or count against `RLIMIT_MEMLOCK`. The
    /// exception is a process that locked all of its future memory (`mlockall`): then the ring
    /// counts, and is short if the limit does not allow more.
    #[doc(alias = "MAP_LOCKED")]
    #[doc(alias = "MAP_POPULATE")]
    #[doc(alias = "mlock")]
    #[doc(alias = "tp_block_nr")]
    pub const fn block_count(mut self, blocks: usize) -> Self {
        self.block_count = blocks;
        self
    }

    /// How long after its start a block with packets is handed over even if it is not full: 1 to
    /// 65,535 ms, in whole milliseconds. Default: 16 ms. On kernel 6.18, whose timer runs on from
    /// block to block, a packet waits no longer than this; on older kernels up to twice as long. It
    /// is not a read timeout: an empty block is never handed over. [`Profile::Immediate`] has none,
    /// and refuses one.
    ///
    /// While blocks fill faster than that, a waiting reader is woken once per timeout rather than
    /// for each block, if the ring has room for four times that many.
    #[doc(alias = "tp_retire_blk_tov")]
    pub const fn retire_timeout(mut self, time: Duration) -> Self {
        self.retire_timeout = time;
        self
    }

    /// Bytes to keep of each packet, at least 1. Default: all of them. The wire length stays, and
    /// [`Packet::is_cut`](netring_sys::Packet::is_cut) reports that a packet was cut. The kernel
    /// cuts it, so packets take less memory of the ring.
    pub const fn snap_len(mut self, bytes: u32) -> Self {
        self.snap_len = Some(bytes);
        self
    }

    /// Whether to also receive packets addressed to other hosts, for the lifetime of the capture.
    /// Default: no. Refused for [all interfaces](Self::all_interfaces).
    #[doc(alias = "PACKET_MR_PROMISC")]
    pub const fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// Whether to leave out packets that this host sends (kernel 4.20). Default: yes on a loopback
    /// interface, where each packet is both sent and received and so is captured once; elsewhere
    /// no.
    #[doc(alias = "PACKET_IGNORE_OUTGOING")]
    pub const fn ignore_outgoing(mut self, ignore: bool) -> Self {
        self.ignore_outgoing = Some(ignore);
        self
    }

    /// Which clock stamps the packets. Default: [`TimestampSource::Software`].
    ///
    /// Packets are in the order in which they entered the ring, not in that of their timestamps:
    /// processors that receive at the same time take the timestamp before their turn at the ring,
    /// so a timestamp can be slightly earlier than the one before it.
    #[doc(alias = "PACKET_TIMESTAMP")]
    pub const fn timestamps(mut self, source: TimestampSource) -> Self {
        self.timestamps = source;
        self
    }

    /// Whether packets carry the hash of their flow
    /// ([`Meta::rx_hash`](netring_sys::Meta::rx_hash)). Default: no. If the card supplies none, the
    /// kernel computes it, which takes time for each packet. [`Profile::Immediate`] cannot report
    /// it, and refuses it.
    #[doc(alias = "TP_FT_REQ_FILL_RXHASH")]
    pub const fn rx_hash(mut self, rx_hash: bool) -> Self {
        self.rx_hash = rx_hash;
        self
    }

    /// Which packets to take: a [`Filter`], from text (`"tcp port 443".parse::<Filter>()?`), typed
    /// parts ([`Expr`](netring_sys::filter::Expr)) or a classic BPF program. Default: all packets.
    ///
    /// It runs in the kernel: rejected packets never enter the ring, and are not counted.
    /// [`build`](Self::build) compiles an expression for the interface's link type, and refuses one
    /// that has no meaning there. A VLAN tag means the same in the metadata, where the kernel keeps
    /// it, as in the bytes.
    ///
    /// Accepted packets are kept whole; [`snap_len`](Self::snap_len) limits how much is kept. Only
    /// a program that returns its accumulator cuts packets itself, to that length.
    #[doc(alias = "SO_ATTACH_FILTER")]
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
    }
}
