//! Metadata of packets.

use crate::{LinkAddress, LinkType, Offload, Timestamp, VlanTag};

/// The metadata of a packet; [`Packet`](crate::Packet) and [`PacketBuf`](crate::PacketBuf) deref to
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Meta {
    pub(super) timestamp: Timestamp,
    pub(super) wire_len: u32,
    pub(super) interface: u32,
    pub(super) link_type: LinkType,
    pub(super) direction: Option<Direction>,
    pub(super) checksum: Checksum,
    pub(super) vlan: Option<VlanTag>,
    pub(super) rx_hash: Option<u32>,
    pub(super) queue: Option<u32>,
    pub(super) sender: Option<LinkAddress>,
    pub(super) offload: Option<Offload>,
}

/// The direction of a packet, as the kernel reports it (`sll_pkttype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Direction {
    /// To this host's own address.
    #[doc(alias = "PACKET_HOST")]
    Host,
    /// To the link's broadcast address.
    #[doc(alias = "PACKET_BROADCAST")]
    Broadcast,
    /// To a multicast address.
    #[doc(alias = "PACKET_MULTICAST")]
    Multicast,
    /// To another host: seen in promiscuous mode.
    #[doc(alias = "PACKET_OTHERHOST")]
    OtherHost,
    /// Sent by this host.
    #[doc(alias = "PACKET_OUTGOING")]
    Outgoing,
}

/// What is known about the transport checksum of a packet.
///
/// AF_PACKET reports it. AF_XDP delivers bytes only and always reports [`Unknown`](Self::Unknown),
/// even for a packet that AF_PACKET reports as [`Partial`](Self::Partial): packets that a local
/// stack sends over veth, a bridge or `lo` have no valid checksum in their bytes. Programs that
/// verify checksums should skip both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Checksum {
    /// It was not checked.
    #[default]
    Unknown,
    /// The card or the kernel verified it (`TP_STATUS_CSUM_VALID`).
    #[doc(alias = "TP_STATUS_CSUM_VALID")]
    Valid,
    /// It is not filled in yet: the packet was sent by this host (`TP_STATUS_CSUMNOTREADY`).
    #[doc(alias = "TP_STATUS_CSUMNOTREADY")]
    Partial,
}

impl Meta {
    /// The time at which the packet was seen, and the clock that it was read from.
    #[inline]
    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The length on the wire in bytes, without the frame check sequence. It includes a tag that
    /// was removed from the bytes, so it is the same in a live capture and in a file.
    #[inline]
    pub const fn wire_len(&self) -> u32 {
        self.wire_len
    }

    /// The length of the frame in bytes as its bytes show it: [`wire_len`](Self::wire_len) without
    /// a tag that was removed from them.
    #[inline]
    pub const fn frame_len(&self) -> u32 {
        self.wire_len.saturating_sub(self.moved_out())
    }

    /// Bytes that were on the wire and were removed from the packet.
    #[inline]
    pub(super) const fn moved_out(&self) -> u32 {
        match self.vlan {
            Some(_) => VlanTag::BYTES,
            None => 0,
        }
    }

    /// The index of the interface; 0 if the source has none.
    #[inline]
    pub const fn interface(&self) -> u32 {
        self.interface
    }

    /// The format of the first header.
    #[inline]
    pub const fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// The direction of the packet; `None` if the source cannot know.
    #[inline]
    pub const fn direction(&self) -> Option<Direction> {
        self.direction
    }

    /// What is known about the transport checksum.
    #[inline]
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The outermost VLAN tag, if it was removed from the bytes.
    #[inline]
    pub const fn vlan(&self) -> Option<VlanTag> {
        self.vlan
    }

    /// The flow hash that the card or the kernel computed.
    #[inline]
    pub const fn rx_hash(&self) -> Option<u32> {
        self.rx_hash
    }

    /// The receive queue through which it arrived.
    #[inline]
    pub const fn queue(&self) -> Option<u32> {
        self.queue
    }

    /// The hardware address of the sender as the link layer knows it, also if it is not in the
    /// bytes. `None` if the link layer has no addresses (tunnels, TUN) or the source does not know.
    ///
    /// AF_PACKET reports it. For Ethernet it is the source address of the frame.
    #[doc(alias = "sll_addr")]
    #[inline]
    pub const fn sender(&self) -> Option<LinkAddress> {
        self.sender
    }

    /// Whether the packet stands for several frames, and where its checksum is if that is not
    /// computed yet. `None` if the source does not know: AF_PACKET reports it on request.
    #[inline]
    pub const fn offload(&self) -> Option<Offload> {
        self.offload
    }
}
