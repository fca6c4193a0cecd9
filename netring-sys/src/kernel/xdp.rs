//! `linux/if_xdp.h`: AF_XDP sockets, their packet memory (UMEM) and their four rings.
//!
//! The names are those of the header, so that its documentation can be found. Each ring is one
//! mapping of the socket, at the page offset of its kind; [`xdp_mmap_offsets`] says where its words
//! are:
//!
//! ```text
//! ┌ producer: u32 ┬ consumer: u32 ┬ flags: u32 ┬ desc: u64 × entries (fill, completion)        ┐
//! └───────────────┴───────────────┴────────────┴ desc: xdp_desc × entries (receive, transmit)  ┘
//! ```
#![allow(non_camel_case_types, reason = "the names of the header")]

/// The address of an AF_XDP socket: one queue of one interface.
// [`sockaddr_xdp`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L48
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct sockaddr_xdp {
    /// `AF_XDP`.
    pub sxdp_family: u16,
    /// `XDP_COPY`, `XDP_ZEROCOPY`, `XDP_USE_NEED_WAKEUP` …
    pub sxdp_flags: u16,
    /// The interface.
    pub sxdp_ifindex: u32,
    /// The queue, from 0.
    pub sxdp_queue_id: u32,
    /// With `XDP_SHARED_UMEM`, a bound socket whose packet memory is shared.
    pub sxdp_shared_umem_fd: u32,
}

/// The request behind `XDP_UMEM_REG`: packet memory in chunks.
///
/// The struct has grown: 24 bytes (kernel 4.18), 28 bytes and 4 of padding (5.4, with the flags),
/// 32 bytes (6.8). Newer kernels accept the older sizes; older ones read the first bytes of a
/// longer struct.
// [`xdp_umem_reg`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L83
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_umem_reg {
    /// The start address, on a page boundary.
    pub addr: u64,
    /// Bytes.
    pub len: u64,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// Bytes of headroom before each received packet, besides the 256 that are always reserved.
    pub headroom: u32,
    /// `XDP_UMEM_UNALIGNED_CHUNK_FLAG` …
    pub flags: u32,
    /// Bytes of metadata before each packet to send, with `XDP_UMEM_TX_METADATA_LEN` (kernel 6.8).
    pub tx_metadata_len: u32,
}

/// The offsets of the words of one ring, in bytes from the start of its mapping.
// [`xdp_ring_offset`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L59
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_ring_offset {
    /// The producer's position.
    pub producer: u64,
    /// The consumer's position.
    pub consumer: u64,
    /// The first entry.
    pub desc: u64,
    /// The flags (kernel 5.4).
    pub flags: u64,
}

/// The offsets of the words of all four rings.
// [`xdp_mmap_offsets`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L66
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_mmap_offsets {
    /// Receive.
    pub rx: xdp_ring_offset,
    /// Transmit.
    pub tx: xdp_ring_offset,
    /// Fill.
    pub fr: xdp_ring_offset,
    /// Completion.
    pub cr: xdp_ring_offset,
}

/// The counters behind `XDP_STATISTICS`. They only grow; reading does not reset them.
// [`xdp_statistics`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L92
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_statistics {
    /// Packets dropped in copy mode: there was no chunk in the fill ring, or the packet did not fit
    /// a chunk.
    pub rx_dropped: u64,
    /// Never counted: invalid fill addresses are counted where no option reports them.
    pub rx_invalid_descs: u64,
    /// Descriptors of the transmit ring that were refused; they are never completed.
    pub tx_invalid_descs: u64,
    /// Packets dropped because the receive ring was full (kernel 5.9).
    pub rx_ring_full: u64,
    /// How often the fill ring was empty. It counts attempts, not packets, and in copy mode the
    /// packet is in `rx_dropped` too (kernel 5.9).
    pub rx_fill_ring_empty_descs: u64,
    /// How often the transmit ring was empty (kernel 5.9).
    pub tx_ring_empty_descs: u64,
}

/// The answer to `XDP_OPTIONS`.
// [`xdp_options`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L101
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_options {
    /// `XDP_OPTIONS_ZEROCOPY` or 0.
    pub flags: u32,
}

/// An entry of the receive and the transmit ring.
// [`xdp_desc`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L155
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_desc {
    /// Bytes from the start of the packet memory. With unaligned chunks, the chunk address in the
    /// lower 48 bits and an offset above them.
    pub addr: u64,
    /// Bytes of packet.
    pub len: u32,
    /// `XDP_PKT_CONTD`, `XDP_TX_METADATA`.
    pub options: u32,
}

/// A request to the driver for one packet to send, `tx_metadata_len` bytes before its first byte
/// (kernel 6.8).
///
/// In the header this is a union: once the packet is completed, a 64-bit `tx_timestamp` at
/// [`XSK_TX_METADATA_TIMESTAMP`] replaces `request`.
// [`xsk_tx_metadata`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L134
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xsk_tx_metadata {
    /// `XDP_TXMD_FLAGS_TIMESTAMP` …
    pub flags: u64,
    /// The parameters of the flags.
    pub request: xsk_tx_metadata_request,
}

/// The parameters of the flags in [`xsk_tx_metadata`].
// [`request`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L145
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xsk_tx_metadata_request {
    /// The first byte of the packet that the checksum covers.
    pub csum_start: u16,
    /// The offset from there at which the checksum is stored.
    pub csum_offset: u16,
    /// The time to send the packet, in nanoseconds of the card's clock (kernel 6.15).
    pub launch_time: u64,
}

/// The offset of the timestamp of a completed packet in [`xsk_tx_metadata`].
// [`tx_timestamp`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L149
pub const XSK_TX_METADATA_TIMESTAMP: usize = 8;

/// In [`xsk_tx_metadata`]: report when the packet was sent.
// [`XDP_TXMD_FLAGS_TIMESTAMP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L122
pub const XDP_TXMD_FLAGS_TIMESTAMP: u64 = 1 << 0;
/// In [`xsk_tx_metadata`]: compute a checksum.
pub const XDP_TXMD_FLAGS_CHECKSUM: u64 = 1 << 1;
/// In [`xsk_tx_metadata`]: send the packet at `launch_time` (kernel 6.15).
pub const XDP_TXMD_FLAGS_LAUNCH_TIME: u64 = 1 << 2;

/// Share the packet memory of another socket.
// [`XDP_SHARED_UMEM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L16
pub const XDP_SHARED_UMEM: u16 = 1 << 0;
/// Copy packets even if the driver supports zero-copy.
pub const XDP_COPY: u16 = 1 << 1;
/// Do not copy packets; binding fails if the driver does not support it.
pub const XDP_ZEROCOPY: u16 = 1 << 2;
/// The rings say whether the kernel needs a system call (kernel 5.4).
pub const XDP_USE_NEED_WAKEUP: u16 = 1 << 3;
/// Packets may span several chunks (kernel 6.6).
// [`XDP_USE_SG`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L33
pub const XDP_USE_SG: u16 = 1 << 4;

/// Chunks may have any size and address in the packet memory.
// [`XDP_UMEM_UNALIGNED_CHUNK_FLAG`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L36
pub const XDP_UMEM_UNALIGNED_CHUNK_FLAG: u32 = 1 << 0;
/// Compute transmit checksums in software (kernel 6.8, for tests).
// [`XDP_UMEM_TX_SW_CSUM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L42
pub const XDP_UMEM_TX_SW_CSUM: u32 = 1 << 1;
/// `tx_metadata_len` is valid (kernel 6.11, and updates of 6.8 to 6.10; earlier ones looked at the
/// length only).
pub const XDP_UMEM_TX_METADATA_LEN: u32 = 1 << 2;

/// In a ring's flags: the kernel waits for a system call.
// [`XDP_RING_NEED_WAKEUP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L57
pub const XDP_RING_NEED_WAKEUP: u32 = 1 << 0;
/// In the answer to `XDP_OPTIONS`: packets are not copied.
// [`XDP_OPTIONS_ZEROCOPY`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L106
pub const XDP_OPTIONS_ZEROCOPY: u32 = 1 << 0;

/// In a descriptor: the packet continues in the next one (kernel 6.6).
// [`XDP_PKT_CONTD`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L168
pub const XDP_PKT_CONTD: u32 = 1 << 0;
/// In a descriptor to send: metadata precedes the packet (kernel 6.8).
// [`XDP_TX_METADATA`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L171
pub const XDP_TX_METADATA: u32 = 1 << 1;

/// Bytes of headroom that are always reserved before a received packet.
// [`XDP_PACKET_HEADROOM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L6442
pub const XDP_PACKET_HEADROOM: u32 = 256;
/// The smallest chunk size in bytes (`XDP_UMEM_MIN_CHUNK_SIZE`).
// [`XDP_UMEM_MIN_CHUNK_SIZE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/net/xdp_sock_drv.h#L13
pub const XDP_UMEM_MIN_CHUNK_SIZE: u32 = 2048;
/// With unaligned chunks, the position of the offset in an address.
// [`XSK_UNALIGNED_BUF_OFFSET_SHIFT`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L115
pub const XSK_UNALIGNED_BUF_OFFSET_SHIFT: u32 = 48;
/// With unaligned chunks, the bits of an address that hold the chunk address.
pub const XSK_UNALIGNED_BUF_ADDR_MASK: u64 = (1 << XSK_UNALIGNED_BUF_OFFSET_SHIFT) - 1;

/// The page offset of the receive ring.
// [`XDP_PGOFF_RX_RING`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L109
pub const XDP_PGOFF_RX_RING: u64 = 0;
/// The page offset of the transmit ring.
pub const XDP_PGOFF_TX_RING: u64 = 0x8000_0000;
/// The page offset of the fill ring.
pub const XDP_UMEM_PGOFF_FILL_RING: u64 = 0x1_0000_0000;
/// The page offset of the completion ring.
pub const XDP_UMEM_PGOFF_COMPLETION_RING: u64 = 0x1_8000_0000;
