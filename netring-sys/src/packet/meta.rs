//! What a source knows about a packet besides its bytes.

use crate::{LinkType, Timestamp};

/// What a source knows about a packet besides its bytes; [`Packet`] and [`PacketBuf`] deref to it.
#[derive(Clone, Copy, Debug)]
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
}

/// An 802.1Q tag that the kernel or the card moved out of the bytes.
///
/// A tag with a TCI of 0 is a tag (priority tagged traffic), which is why a packet carries an
/// `Option` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// The tag protocol identifier, in host order: 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    pub tpid: u16,
    /// The tag control information, in host order: priority (3 bits), drop eligible (1), VLAN
    /// (12).
    pub tci: u16,
}

impl VlanTag {
    /// The length of a tag on the wire, in bytes.
    const BYTES: u32 = 4;

    /// The VLAN identifier, 0 to 4095.
    #[inline]
    pub const fn id(self) -> u16 {
        self.tci & 0x0fff
    }

    /// The priority code point, 0 to 7.
    #[inline]
    pub const fn priority(self) -> u8 {
        (self.tci >> 13) as u8
    }
}

/// Which way a packet went, as the kernel tells it (`sll_pkttype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// To some other host: seen in promiscuous mode.
    #[doc(alias = "PACKET_OTHERHOST")]
    OtherHost,
    /// Sent by this host.
    #[doc(alias = "PACKET_OUTGOING")]
    Outgoing,
}

/// What is known about the transport checksum of a packet.
///
/// AF_PACKET reports it. AF_XDP brings nothing but bytes and always says
/// [`Unknown`](Self::Unknown), also for a packet that AF_PACKET reports as
/// [`Partial`](Self::Partial): what a local stack sends over veth, a bridge or `lo` has no valid
/// checksum in its bytes. Programs that verify checksums skip both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Checksum {
    /// Nobody checked it.
    #[default]
    Unknown,
    /// The card or the kernel checked it, and it is right (`TP_STATUS_CSUM_VALID`).
    #[doc(alias = "TP_STATUS_CSUM_VALID")]
    Valid,
    /// It is not filled in yet: the packet was made on this host (`TP_STATUS_CSUMNOTREADY`).
    #[doc(alias = "TP_STATUS_CSUMNOTREADY")]
    Partial,
}

impl Meta {
    /// When the packet was seen, and which clock said so.
    #[inline]
    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The length on the wire in bytes, without the frame check sequence. A tag that was moved out
    /// of the bytes counts: the length is the same whether a packet comes from a live capture
    /// or from a file.
    #[inline]
    pub const fn wire_len(&self) -> u32 {
        self.wire_len
    }

    /// The length on the wire in bytes of the frame as its bytes show it:
    /// [`wire_len`](Self::wire_len) without a tag that was moved out of them.
    #[inline]
    pub const fn frame_len(&self) -> u32 {
        self.wire_len.saturating_sub(self.moved_out())
    }

    /// Bytes that were on the wire and are not among those of the packet.
    #[inline]
    pub(super) const fn moved_out(&self) -> u32 {
        match self.vlan {
            Some(_) => VlanTag::BYTES,
            None => 0,
        }
    }

    /// The index of the interface it was seen on; 0 where the source has none.
    #[inline]
    pub const fn interface(&self) -> u32 {
        self.interface
    }

    /// What the first byte is the start of.
    #[inline]
    pub const fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// Which way it went; `None` where the source cannot know.
    #[inline]
    pub const fn direction(&self) -> Option<Direction> {
        self.direction
    }

    /// What is known of the transport checksum.
    #[inline]
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The outermost tag, where it was moved out of the bytes.
    #[inline]
    pub const fn vlan(&self) -> Option<VlanTag> {
        self.vlan
    }

    /// The flow hash of the card or the kernel.
    #[inline]
    pub const fn rx_hash(&self) -> Option<u32> {
        self.rx_hash
    }

    /// The receive queue it came through.
    #[inline]
    pub const fn queue(&self) -> Option<u32> {
        self.queue
    }
}
