//! `linux/if_xdp.h`: AF_XDP sockets, their packet memory (UMEM) and their four rings.
//!
//! Names are those of the header, so that its documentation can be found. Each ring is one mapping
//! of the socket, at the page offset of its kind; where its words are, [`xdp_mmap_offsets`] tells:
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
    /// With `XDP_SHARED_UMEM`, a bound socket whose packet memory is used.
    pub sxdp_shared_umem_fd: u32,
}

/// The request behind `XDP_UMEM_REG`: packet memory in chunks.
///
/// It grew at its end: 24 bytes (kernel 4.18), 28 and 4 of padding (5.4, with the flags), 32 (6.8).
/// Newer kernels take the older lengths, older ones the first bytes of a longer one.
// [`xdp_umem_reg`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L83
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xdp_umem_reg {
    /// Where it starts, on a page boundary.
    pub addr: u64,
    /// Bytes.
    pub len: u64,
    /// Bytes of a chunk.
    pub chunk_size: u32,
    /// Bytes that stay free before each received packet, besides the 256 that always do.
    pub headroom: u32,
    /// `XDP_UMEM_UNALIGNED_CHUNK_FLAG` …
    pub flags: u32,
    /// Bytes of metadata before each packet to send, with `XDP_UMEM_TX_METADATA_LEN` (kernel 6.8).
    pub tx_metadata_len: u32,
}

/// Where the words of one ring are, in bytes from the start of its mapping.
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

/// Where the words of all four rings are.
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
    /// Packets lost in copy mode: no chunk in the fill ring, or longer than a chunk holds.
    pub rx_dropped: u64,
    /// Never counts: invalid fill addresses are counted where nobody can read it.
    pub rx_invalid_descs: u64,
    /// Descriptors of the transmit ring that were refused, and are never completed.
    pub tx_invalid_descs: u64,
    /// Packets lost because the receive ring was full (kernel 5.9).
    pub rx_ring_full: u64,
    /// How often a chunk was asked for in vain; attempts and not packets, and in copy mode the
    /// packet is in `rx_dropped` too (kernel 5.9).
    pub rx_fill_ring_empty_descs: u64,
    /// How often a packet to send was asked for in vain (kernel 5.9).
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
    /// Bytes from the start of the packet memory; with unaligned chunks the chunk in 48 bits and
    /// an offset above them.
    pub addr: u64,
    /// Bytes of packet.
    pub len: u32,
    /// `XDP_PKT_CONTD`, `XDP_TX_METADATA`.
    pub options: u32,
}

/// What is asked of the driver for one packet to send, `tx_metadata_len` bytes before its first
/// byte (kernel 6.8).
///
/// The header has a union in it: when the packet is completed, a 64-bit `tx_timestamp` stands in
/// the place of `request`, from [`XSK_TX_METADATA_TIMESTAMP`] on.
// [`xsk_tx_metadata`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L134
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xsk_tx_metadata {
    /// `XDP_TXMD_FLAGS_TIMESTAMP` …
    pub flags: u64,
    /// What the flags ask for.
    pub request: xsk_tx_metadata_request,
}

/// The part of [`xsk_tx_metadata`] that tells what the flags ask for.
// [`request`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L145
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct xsk_tx_metadata_request {
    /// From which byte of the packet on a checksum is made.
    pub csum_start: u16,
    /// Where, from there on, it is stored.
    pub csum_offset: u16,
    /// When the packet goes out, in nanoseconds of the card's clock (kernel 6.15).
    pub launch_time: u64,
}

/// Where in [`xsk_tx_metadata`] the timestamp of a completed packet stands.
// [`tx_timestamp`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L149
pub const XSK_TX_METADATA_TIMESTAMP: usize = 8;

/// In [`xsk_tx_metadata`]: tell when the packet went out.
// [`XDP_TXMD_FLAGS_TIMESTAMP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L122
pub const XDP_TXMD_FLAGS_TIMESTAMP: u64 = 1 << 0;
/// In [`xsk_tx_metadata`]: make a checksum.
pub const XDP_TXMD_FLAGS_CHECKSUM: u64 = 1 << 1;
/// In [`xsk_tx_metadata`]: send the packet at a time (kernel 6.15).
pub const XDP_TXMD_FLAGS_LAUNCH_TIME: u64 = 1 << 2;

/// Use the packet memory of another socket.
// [`XDP_SHARED_UMEM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L16
pub const XDP_SHARED_UMEM: u16 = 1 << 0;
/// Copy packets, also where the driver could do without.
pub const XDP_COPY: u16 = 1 << 1;
/// Do not copy packets, or refuse to bind.
pub const XDP_ZEROCOPY: u16 = 1 << 2;
/// The rings say when the kernel wants a system call, and need none otherwise (kernel 5.4).
pub const XDP_USE_NEED_WAKEUP: u16 = 1 << 3;
/// Packets may be longer than a chunk (kernel 6.6).
// [`XDP_USE_SG`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L33
pub const XDP_USE_SG: u16 = 1 << 4;

/// Chunks may be of any size, anywhere in the packet memory.
// [`XDP_UMEM_UNALIGNED_CHUNK_FLAG`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L36
pub const XDP_UMEM_UNALIGNED_CHUNK_FLAG: u32 = 1 << 0;
/// Transmit checksums are made in software (kernel 6.8, for tests).
// [`XDP_UMEM_TX_SW_CSUM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L42
pub const XDP_UMEM_TX_SW_CSUM: u32 = 1 << 1;
/// `tx_metadata_len` is meant (kernel 6.11, and updates of 6.8 to 6.10; those before knew the
/// length only).
pub const XDP_UMEM_TX_METADATA_LEN: u32 = 1 << 2;

/// In a ring's flags: the kernel waits for a system call.
// [`XDP_RING_NEED_WAKEUP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L57
pub const XDP_RING_NEED_WAKEUP: u32 = 1 << 0;
/// In the answer to `XDP_OPTIONS`: packets are not copied.
// [`XDP_OPTIONS_ZEROCOPY`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L106
pub const XDP_OPTIONS_ZEROCOPY: u32 = 1 << 0;

/// In a descriptor: the packet goes on in the next one (kernel 6.6).
// [`XDP_PKT_CONTD`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L168
pub const XDP_PKT_CONTD: u32 = 1 << 0;
/// In a descriptor to send: metadata stand before it (kernel 6.8).
// [`XDP_TX_METADATA`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L171
pub const XDP_TX_METADATA: u32 = 1 << 1;

/// Bytes that always stay free before a received packet.
// [`XDP_PACKET_HEADROOM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/bpf.h#L6442
pub const XDP_PACKET_HEADROOM: u32 = 256;
/// Bytes of the smallest chunk (`XDP_UMEM_MIN_CHUNK_SIZE`).
// [`XDP_UMEM_MIN_CHUNK_SIZE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/net/xdp_sock_drv.h#L13
pub const XDP_UMEM_MIN_CHUNK_SIZE: u32 = 2048;
/// With unaligned chunks, how far an address's offset is shifted.
// [`XSK_UNALIGNED_BUF_OFFSET_SHIFT`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L115
pub const XSK_UNALIGNED_BUF_OFFSET_SHIFT: u32 = 48;
/// With unaligned chunks, the bits of an address that say the chunk.
pub const XSK_UNALIGNED_BUF_ADDR_MASK: u64 = (1 << XSK_UNALIGNED_BUF_OFFSET_SHIFT) - 1;

/// Where the receive ring is mapped.
// [`XDP_PGOFF_RX_RING`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_xdp.h#L109
pub const XDP_PGOFF_RX_RING: u64 = 0;
/// Where the transmit ring is mapped.
pub const XDP_PGOFF_TX_RING: u64 = 0x8000_0000;
/// Where the fill ring is mapped.
pub const XDP_UMEM_PGOFF_FILL_RING: u64 = 0x1_0000_0000;
/// Where the completion ring is mapped.
pub const XDP_UMEM_PGOFF_COMPLETION_RING: u64 = 0x1_8000_0000;
