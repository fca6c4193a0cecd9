//! `linux/if_packet.h`: AF_PACKET sockets and their rings of versions 2 and 3.
//!
//! The names are those of the header, so that its documentation can be found. A block of a version
//! 3 ring:
//!
//! ```text
//! ┌ tpacket_block_desc (48) ┬ private area ┬ packet ┬ packet ┬ …
//! 0                                        └ offset_to_first_pkt
//!
//! ┌ tpacket3_hdr (48) ┬ sockaddr_ll (20) ┬ pad ┬ frame ┬ tpacket3_hdr of the next packet …
//! 0                                            └ tp_mac └ tp_next_offset
//! ```
#![allow(non_camel_case_types, reason = "the names of the header")]

mod fanout;
mod membership;
mod transmit;
mod vnet;

pub use fanout::*;
pub use membership::*;
pub use transmit::*;
pub use vnet::*;

/// The request behind `PACKET_RX_RING` with `TPACKET_V3`.
// [`tpacket_req3`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L282
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct tpacket_req3 {
    /// Bytes of a block: a multiple of the page size.
    pub tp_block_size: u32,
    /// Blocks in the ring.
    pub tp_block_nr: u32,
    /// Bytes of a frame; in a version 3 ring it only has to divide the block evenly.
    pub tp_frame_size: u32,
    /// Frames in the ring: `tp_block_size / tp_frame_size * tp_block_nr`.
    pub tp_frame_nr: u32,
    /// Milliseconds after which the reader gets a block that is not full; 0 lets the kernel choose.
    pub tp_retire_blk_tov: u32,
    /// Bytes of private area at the start of a block.
    pub tp_sizeof_priv: u32,
    /// `TP_FT_REQ_FILL_RXHASH` or 0.
    pub tp_feature_req_word: u32,
}

/// The header of a block: `tpacket_block_desc` with its `tpacket_hdr_v1`.
// [`tpacket_block_desc`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L246
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct tpacket_block_desc {
    /// The version of the ring: `TPACKET_V3`.
    pub version: u32,
    /// Bytes from the start of the block to the private area.
    pub offset_to_priv: u32,
    /// The owner of the block: `TP_STATUS_KERNEL`, or `TP_STATUS_USER` with further flags.
    pub block_status: u32,
    /// Packets in the block.
    pub num_pkts: u32,
    /// Bytes from the start of the block to the first packet.
    pub offset_to_first_pkt: u32,
    /// Bytes of the block that are in use.
    pub blk_len: u32,
    /// The sequence number of the block, from 1.
    pub seq_num: u64,
    /// Seconds and nanoseconds of the first packet.
    pub ts_first_pkt: [u32; 2],
    /// Seconds and nanoseconds of the last packet.
    pub ts_last_pkt: [u32; 2],
}

/// The header of a packet in a version 3 ring.
// [`tpacket3_hdr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L169
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct tpacket3_hdr {
    /// Bytes from this header to the next one; 0 in the last of a block.
    pub tp_next_offset: u32,
    /// Seconds since the epoch.
    pub tp_sec: u32,
    /// Nanoseconds within the second.
    pub tp_nsec: u32,
    /// Bytes captured.
    pub tp_snaplen: u32,
    /// Bytes on the wire.
    pub tp_len: u32,
    /// `TP_STATUS_*` flags of this packet.
    pub tp_status: u32,
    /// Bytes from this header to the link layer header.
    pub tp_mac: u16,
    /// Bytes from this header to the network header.
    pub tp_net: u16,
    /// The flow hash, with `TP_FT_REQ_FILL_RXHASH`.
    pub tp_rxhash: u32,
    /// The tag's TCI, valid with `TP_STATUS_VLAN_VALID`.
    pub tp_vlan_tci: u32,
    /// The tag's TPID, valid with `TP_STATUS_VLAN_TPID_VALID`.
    pub tp_vlan_tpid: u16,
    /// Padding.
    pub tp_hv1_padding: u16,
    /// Reserved.
    pub tp_padding: [u8; 8],
}

/// The header of a slot in a version 2 ring and of the packet in it.
// [`tpacket2_hdr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L149
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct tpacket2_hdr {
    /// The owner of the slot: `TP_STATUS_KERNEL`, or `TP_STATUS_USER` with flags of the packet.
    pub tp_status: u32,
    /// Bytes on the wire.
    pub tp_len: u32,
    /// Bytes captured.
    pub tp_snaplen: u32,
    /// Bytes from this header to the link layer header.
    pub tp_mac: u16,
    /// Bytes from this header to the network header.
    pub tp_net: u16,
    /// Seconds since the epoch.
    pub tp_sec: u32,
    /// Nanoseconds within the second.
    pub tp_nsec: u32,
    /// The tag's TCI, valid with `TP_STATUS_VLAN_VALID`.
    pub tp_vlan_tci: u16,
    /// The tag's TPID, valid with `TP_STATUS_VLAN_TPID_VALID`.
    pub tp_vlan_tpid: u16,
    /// Padding.
    pub tp_padding: [u8; 4],
}

/// The address of a packet socket, and of each packet in a ring.
// [`sockaddr_ll`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L14
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct sockaddr_ll {
    /// `AF_PACKET`.
    pub sll_family: u16,
    /// The protocol, in network order.
    pub sll_protocol: u16,
    /// The interface; −1 for a socket whose interface was removed.
    pub sll_ifindex: i32,
    /// The interface's hardware type (`ARPHRD_*`).
    pub sll_hatype: u16,
    /// `PACKET_HOST`, `PACKET_OUTGOING` …
    pub sll_pkttype: u8,
    /// Bytes of the address.
    pub sll_halen: u8,
    /// The sender's hardware address.
    pub sll_addr: [u8; 8],
}

/// The counters behind `PACKET_STATISTICS` with `TPACKET_V3`. Reading them sets them to zero.
// [`tpacket_stats_v3`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L82
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct tpacket_stats_v3 {
    /// Packets that passed the filter, including dropped ones.
    pub tp_packets: u32,
    /// Packets that were dropped because the ring was full.
    pub tp_drops: u32,
    /// How often the ring froze because the next block had not been returned.
    pub tp_freeze_q_cnt: u32,
}

/// Packet headers are aligned to this many bytes; block descriptors to 8.
// [`TPACKET_ALIGNMENT`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L145
pub const TPACKET_ALIGNMENT: usize = 16;
/// The offset of a packet's `sockaddr_ll` from its header: the aligned size of the header.
// [`TPACKET3_HDRLEN`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L253
pub const TPACKET3_HDRLEN_ALIGNED: usize = 48;
/// The same offset in a version 2 ring.
// [`TPACKET2_HDRLEN`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L252
pub const TPACKET2_HDRLEN_ALIGNED: usize = 32;

/// The ring version with a slot for each packet.
// [`TPACKET_V2`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L257
pub const TPACKET_V2: i32 = 1;
/// The ring version with blocks of packets of any size.
pub const TPACKET_V3: i32 = 2;
/// Requests a flow hash for each packet.
// [`TP_FT_REQ_FILL_RXHASH`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L133
pub const TP_FT_REQ_FILL_RXHASH: u32 = 1;

/// The kernel owns the block.
// [`TP_STATUS_KERNEL`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L110
pub const TP_STATUS_KERNEL: u32 = 0;
/// The reader owns the block.
pub const TP_STATUS_USER: u32 = 1;
/// The packet did not fit its slot and was truncated.
pub const TP_STATUS_COPY: u32 = 1 << 1;
/// Packets were dropped since the statistics were last read.
pub const TP_STATUS_LOSING: u32 = 1 << 2;
/// The transport checksum is not filled in yet.
pub const TP_STATUS_CSUMNOTREADY: u32 = 1 << 3;
/// `tp_vlan_tci` is valid.
pub const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
/// The block was handed over because its timeout expired.
pub const TP_STATUS_BLK_TMO: u32 = 1 << 5;
/// `tp_vlan_tpid` is valid (kernel 3.14).
pub const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;
/// The transport checksum was verified.
pub const TP_STATUS_CSUM_VALID: u32 = 1 << 7;
/// The timestamp is the kernel's, taken when the network stack received the packet.
// [`TP_STATUS_TS_SOFTWARE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L128
pub const TP_STATUS_TS_SOFTWARE: u32 = 1 << 29;
/// The timestamp is the card's.
pub const TP_STATUS_TS_RAW_HARDWARE: u32 = 1 << 31;

/// Sent to this host.
// [`PACKET_HOST`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L26
pub const PACKET_HOST: u8 = 0;
/// Sent to the broadcast address.
pub const PACKET_BROADCAST: u8 = 1;
/// Sent to a multicast address.
pub const PACKET_MULTICAST: u8 = 2;
/// Sent to another host.
pub const PACKET_OTHERHOST: u8 = 3;
/// Sent by this host.
pub const PACKET_OUTGOING: u8 = 4;

/// Timestamp packets with the kernel's clock (`SOF_TIMESTAMPING_SOFTWARE`).
// [`SOF_TIMESTAMPING_SOFTWARE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/net_tstamp.h#L22
pub const SOF_TIMESTAMPING_SOFTWARE: u32 = 1 << 4;
/// Timestamp packets with the card's clock, converted to system time; no driver does it today.
pub const SOF_TIMESTAMPING_SYS_HARDWARE: u32 = 1 << 5;
/// Timestamp packets with the card's own clock.
pub const SOF_TIMESTAMPING_RAW_HARDWARE: u32 = 1 << 6;

/// All protocols, in host order.
// [`ETH_P_ALL`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_ether.h#L132
pub const ETH_P_ALL: u16 = 3;

/// Hardware type of Ethernet.
// [`ARPHRD_ETHER`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_arp.h#L31
pub const ARPHRD_ETHER: u16 = 1;
/// Hardware type of the loopback interface; its packets have an Ethernet header of zeros.
pub const ARPHRD_LOOPBACK: u16 = 772;
/// Hardware type of PPP; its packets come without the PPP header.
// [`ARPHRD_PPP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_arp.h#L58
pub const ARPHRD_PPP: u16 = 512;
/// Hardware type of Cisco HDLC.
pub const ARPHRD_CISCO: u16 = 513;
/// Hardware type of modems that carry plain IP.
pub const ARPHRD_RAWIP: u16 = 519;
/// Hardware type of IPv4 tunnels.
// [`ARPHRD_TUNNEL`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_arp.h#L66
pub const ARPHRD_TUNNEL: u16 = 768;
/// Hardware type of IPv6 tunnels.
pub const ARPHRD_TUNNEL6: u16 = 769;
/// Hardware type of tunnels of IPv6 in IPv4.
pub const ARPHRD_SIT: u16 = 776;
/// Hardware type of GRE over IPv4.
pub const ARPHRD_IPGRE: u16 = 778;
/// Hardware type of 802.11 in monitor mode, without a driver header.
// [`ARPHRD_IEEE80211`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_arp.h#L89
pub const ARPHRD_IEEE80211: u16 = 801;
/// Hardware type of 802.11 in monitor mode, with the Prism header.
pub const ARPHRD_IEEE80211_PRISM: u16 = 802;
/// Hardware type of 802.11 in monitor mode, with the radiotap header.
pub const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
/// Hardware type of 802.15.4, without the frame check sequence.
pub const ARPHRD_IEEE802154: u16 = 804;
/// Hardware type of GRE over IPv6.
// [`ARPHRD_IP6GRE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_arp.h#L98
pub const ARPHRD_IP6GRE: u16 = 823;
/// Hardware type of a monitor of virtual sockets.
pub const ARPHRD_VSOCKMON: u16 = 826;
/// Hardware type "none": TUN, WireGuard.
// [`ARPHRD_NONE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_arp.h#L104
pub const ARPHRD_NONE: u16 = 0xfffe;
/// Hardware type "void": nothing is known.
pub const ARPHRD_VOID: u16 = 0xffff;
