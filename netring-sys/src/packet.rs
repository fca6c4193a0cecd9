//! Packets: their bytes and their metadata.

mod buf;
mod link_address;
mod link_type;
mod meta;
mod offload;
mod timestamp;
mod vec;
mod vlan;

pub use buf::PacketBuf;
pub use link_address::LinkAddress;
pub use link_type::LinkType;
pub use meta::{Checksum, Direction, Meta};
pub use offload::{Offload, PartialChecksum, Segmentation, Segments};
pub use timestamp::{Clock, Timestamp};
pub use vec::{PacketVec, PacketVecIter};
pub use vlan::VlanTag;

/// A packet lent by a source: a view of its bytes in the source's memory, and its metadata.
///
/// The metadata is the same for every backend; what a backend cannot know is `None`. A packet lives
/// no longer than its batch; [`to_buf`](Self::to_buf) makes an owned copy.
///
/// ```
/// use netring_sys::{Clock, LinkType, Packet, PacketBuf, Timestamp};
///
/// let time = Timestamp::from_parts(1_700_000_000, 5, Clock::Unknown);
/// let packet = Packet::new(&[0x45, 0, 0, 20], time, LinkType::IPV4).with_wire_len(20);
/// assert!(packet.is_cut());
/// let kept: PacketBuf = packet.to_buf();
/// assert_eq!((kept.data(), kept.wire_len()), (packet.data(), 20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet<'a> {
    data: &'a [u8],
    meta: Meta,
}

impl<'a> Packet<'a> {
    /// Creates a packet whose wire length is the length of its bytes; everything else is unknown.
    ///
    /// ```
    /// use netring_sys::{Clock, LinkType, Packet, Timestamp};
    ///
    /// let now = Timestamp::from_nanos(1_000, Clock::Unknown);
    /// let packet = Packet::new(&[0; 60], now, LinkType::ETHERNET).with_wire_len(1514);
    /// assert_eq!(packet.data().len(), 60);
    /// assert_eq!(packet.wire_len(), 1514);
    /// assert!(packet.is_cut());
    /// ```
    #[inline]
    pub const fn new(data: &'a [u8], timestamp: Timestamp, link_type: LinkType) -> Self {
        let meta = Meta {
            timestamp,
            wire_len: data.len() as u32,
            interface: 0,
            link_type,
            direction: None,
            checksum: Checksum::Unknown,
            vlan: None,
            rx_hash: None,
            queue: None,
            sender: None,
            offload: None,
        };
        Self { data, meta }
    }

    /// The captured bytes, starting with the link layer header.
    #[inline]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Whether the packet was longer on the wire than the captured bytes (a snap length cut it).
    #[inline]
    pub const fn is_cut(&self) -> bool {
        (self.meta.frame_len() as usize) > self.data.len()
    }

    /// Sets [`wire_len`](Meta::wire_len), in bytes, if it differs from the length of the captured
    /// bytes.
    ///
    /// Captured bytes were on the wire: a smaller length, as in some files, is raised to the length
    /// of the bytes. A tag that is added afterwards with [`with_vlan`](Self::with_vlan) adds its
    /// four bytes.
    #[inline]
    #[must_use]
    pub const fn with_wire_len(mut self, wire_len: u32) -> Self {
        let least = (self.data.len() as u32).saturating_add(self.meta.moved_out());
        self.meta.wire_len = if wire_len < least { least } else { wire_len };
        self
    }

    /// Sets the index of the interface that the packet was seen on.
    #[inline]
    #[must_use]
    pub const fn with_interface(mut self, index: u32) -> Self {
        self.meta.interface = index;
        self
    }

    /// Sets the direction.
    #[inline]
    #[must_use]
    pub const fn with_direction(mut self, direction: Option<Direction>) -> Self {
        self.meta.direction = direction;
        self
    }

    /// Sets what is known about the transport checksum.
    #[inline]
    #[must_use]
    pub const fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.meta.checksum = checksum;
        self
    }

    /// Sets the VLAN tag that was removed from the bytes. The wire length grows by the four bytes
    /// of the tag, which were on the wire.
    ///
    /// ```
    /// use netring_sys::{LinkType, Packet, Timestamp, VlanTag};
    ///
    /// let tag = VlanTag {
    ///     tpid: 0x8100,
    ///     tci: 5,
    /// };
    /// let packet = Packet::new(&[0; 60], Timestamp::default(), LinkType::ETHERNET)
    ///     .with_vlan(Some(tag));
    /// assert_eq!((packet.frame_len(), packet.wire_len()), (60, 64));
    /// assert!(!packet.is_cut());
    /// ```
    #[inline]
    #[must_use]
    pub const fn with_vlan(mut self, vlan: Option<VlanTag>) -> Self {
        let frame_len = self.meta.frame_len();
        self.meta.vlan = vlan;
        self.meta.wire_len = frame_len.saturating_add(self.meta.moved_out());
        self
    }

    /// Sets the hash that the card or the kernel computed over the packet's flow.
    #[inline]
    #[must_use]
    pub const fn with_rx_hash(mut self, hash: Option<u32>) -> Self {
        self.meta.rx_hash = hash;
        self
    }

    /// Sets the receive queue through which the packet arrived.
    #[inline]
    #[must_use]
    pub const fn with_queue(mut self, queue: Option<u32>) -> Self {
        self.meta.queue = queue;
        self
    }

    /// Sets the hardware address of the sender.
    #[inline]
    #[must_use]
    pub const fn with_sender(mut self, sender: Option<LinkAddress>) -> Self {
        self.meta.sender = sender;
        self
    }

    /// Sets the state of checksum and segmentation.
    #[inline]
    #[must_use]
    pub const fn with_offload(mut self, offload: Option<Offload>) -> Self {
        self.meta.offload = offload;
        self
    }
}

impl std::ops::Deref for Packet<'_> {
    type Target = Meta;

    #[inline]
    fn deref(&self) -> &Meta {
        &self.meta
    }
}

/// The captured bytes: [`Packet::data`].
impl AsRef<[u8]> for Packet<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::packet::virtio_net_hdr;

    #[test]
    fn an_owned_packet_keeps_every_word() {
        let time = Timestamp::from_nanos(7, Clock::Hardware);
        let tag = VlanTag {
            tpid: 0x88a8,
            tci: 0xe005,
        };
        let buf = Packet::new(b"abc", time, LinkType::RAW_IP)
            .with_wire_len(9)
            .with_interface(4)
            .with_direction(Some(Direction::Outgoing))
            .with_checksum(Checksum::Partial)
            .with_vlan(Some(tag))
            .with_rx_hash(Some(11))
            .with_queue(Some(3))
            .with_sender(LinkAddress::new(&[1, 2, 3]))
            .with_offload(Some(virtio_net_hdr::default().into()))
            .to_buf();
        let packet = buf.as_packet();
        assert_eq!(packet.data(), b"abc");
        assert!(packet.is_cut());
        assert_eq!(packet.timestamp(), time);
        assert_eq!(packet.timestamp().clock(), Clock::Hardware);
        assert_eq!((packet.wire_len(), packet.frame_len()), (13, 9));
        assert_eq!(packet.interface(), 4);
        assert_eq!(packet.link_type(), LinkType::RAW_IP);
        assert_eq!(packet.direction(), Some(Direction::Outgoing));
        assert_eq!(packet.checksum(), Checksum::Partial);
        assert_eq!(packet.vlan(), Some(tag));
        assert_eq!((tag.id(), tag.priority()), (5, 7));
        assert_eq!((packet.rx_hash(), packet.queue()), (Some(11), Some(3)));
        assert_eq!(packet.sender(), LinkAddress::new(&[1, 2, 3]));
        assert_eq!(packet.offload().unwrap().checksum(), None);
    }

    #[test]
    fn packets_are_equal_by_their_bytes_and_metadata() {
        let time = Timestamp::from_nanos(7, Clock::Hardware);
        let packet = Packet::new(b"abc", time, LinkType::RAW_IP);
        assert_eq!(packet.to_buf().as_packet(), packet);
        assert_eq!(packet.to_buf(), packet.into());
        assert_ne!(packet, Packet::new(b"abd", time, LinkType::RAW_IP));
        assert_ne!(packet, packet.with_queue(Some(0)));
        assert_eq!(packet.as_ref(), b"abc");
        assert_eq!(packet.to_buf().as_ref(), b"abc");
    }

    #[test]
    fn what_was_captured_was_on_the_wire() {
        let time = Timestamp::default();
        let packet = Packet::new(&[0; 60], time, LinkType::ETHERNET).with_wire_len(1);
        assert_eq!((packet.wire_len(), packet.frame_len()), (60, 60));
        let tag = Some(VlanTag {
            tpid: 0x8100,
            tci: 0,
        });
        let tagged = packet.with_vlan(tag).with_wire_len(60);
        assert_eq!((tagged.wire_len(), tagged.frame_len()), (64, 60));
        assert!(!tagged.is_cut());
    }

    #[test]
    fn a_tag_beside_the_bytes_counts_on_the_wire_and_cuts_nothing() {
        let tag = Some(VlanTag {
            tpid: 0x8100,
            tci: 0,
        });
        let packet = |len| {
            let packet = Packet::new(&[0; 60], Timestamp::default(), LinkType::ETHERNET);
            packet.with_wire_len(len)
        };
        let lengths = |packet: Packet<'_>| (packet.wire_len(), packet.frame_len(), packet.is_cut());
        assert_eq!(lengths(packet(60).with_vlan(tag)), (64, 60, false));
        assert_eq!(lengths(packet(61).with_vlan(tag)), (65, 61, true));
        // Setting a tag twice, or removing it, adds nothing.
        assert_eq!(
            lengths(packet(60).with_vlan(tag).with_vlan(tag)),
            (64, 60, false)
        );
        assert_eq!(
            lengths(packet(60).with_vlan(tag).with_vlan(None)),
            (60, 60, false)
        );
        assert_eq!(lengths(packet(u32::MAX).with_vlan(tag)).0, u32::MAX);
    }
}
