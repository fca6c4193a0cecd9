//! Fanout groups: packet sockets that share the packets of an interface.

/// The request behind `PACKET_FANOUT` (kernel 5.11). Its first four bytes are the request of older
/// kernels.
// [`fanout_args`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L304
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct fanout_args {
    #[cfg(target_endian = "little")]
    /// The number of the group; 0 with `PACKET_FANOUT_FLAG_UNIQUEID`.
    pub id: u16,
    /// `PACKET_FANOUT_HASH` …, with `PACKET_FANOUT_FLAG_*`.
    pub type_flags: u16,
    #[cfg(target_endian = "big")]
    /// The number of the group; 0 with `PACKET_FANOUT_FLAG_UNIQUEID`.
    pub id: u16,
    /// The most sockets in the group; 0 for 256, or for what the group has.
    pub max_num_members: u32,
}

/// The counters behind `PACKET_ROLLOVER_STATS` (kernel 4.2). Reading does not reset them.
// [`tpacket_rollover_stats`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L88
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct tpacket_rollover_stats {
    /// Packets that went to another socket, because this one was full.
    pub tp_all: u64,
    /// Those among them that belong to a large flow, and moved before this one was entirely full.
    pub tp_huge: u64,
    /// Packets for which no socket had room.
    pub tp_failed: u64,
}

/// Selects the socket by the hash of the packet's flow, the same in both directions.
// [`PACKET_FANOUT_HASH`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L64
pub const PACKET_FANOUT_HASH: u16 = 0;
/// Selects the sockets in turn.
pub const PACKET_FANOUT_LB: u16 = 1;
/// Selects the socket by the processor that receives the packet.
pub const PACKET_FANOUT_CPU: u16 = 2;
/// Selects the first socket until it is full, then the next.
pub const PACKET_FANOUT_ROLLOVER: u16 = 3;
/// Selects a socket at random.
pub const PACKET_FANOUT_RND: u16 = 4;
/// Selects the socket by the packet's queue.
pub const PACKET_FANOUT_QM: u16 = 5;
/// Selects the socket by a classic BPF program.
pub const PACKET_FANOUT_CBPF: u16 = 6;
/// Selects the socket by an eBPF program.
pub const PACKET_FANOUT_EBPF: u16 = 7;
/// A packet whose socket is full goes to another.
// [`PACKET_FANOUT_FLAG_ROLLOVER`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L72
pub const PACKET_FANOUT_FLAG_ROLLOVER: u16 = 0x1000;
/// The kernel picks a number that no group has (kernel 4.12).
pub const PACKET_FANOUT_FLAG_UNIQUEID: u16 = 0x2000;
/// Leaves out packets that this host sends (kernel 5.17).
pub const PACKET_FANOUT_FLAG_IGNORE_OUTGOING: u16 = 0x4000;
/// IP fragments are reassembled before a socket is selected.
pub const PACKET_FANOUT_FLAG_DEFRAG: u16 = 0x8000;
/// The most sockets of a group, on kernel 5.11 and later.
// [`PACKET_FANOUT_MAX`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/internal.h#L80
pub const PACKET_FANOUT_MAX: u32 = 1 << 16;
