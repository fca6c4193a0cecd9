//! A packet's bytes as they were on the wire.

use crate::{LinkType, Offload, Packet, VlanTag};

/// The position of the tag in an Ethernet frame: after both addresses.
const TAG_AT: usize = 12;

/// The bytes of a packet as they were on the wire, in order: those before a VLAN tag that was
/// removed, the tag, and those after it. Created by [`Packet::wire_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireBytes<'a> {
    before: &'a [u8],
    tag: [u8; 4],
    is_tagged: bool,
    behind: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The captured bytes with the VLAN tag back in its place, if it was removed. Nothing is
    /// copied.
    ///
    /// Only Ethernet frames of at least 12 captured bytes have a place for the tag: other packets
    /// are as [`data`](Self::data) shows them.
    ///
    /// ```
    /// use netring_sys::{LinkType, Packet, Timestamp, VlanTag};
    ///
    /// let tag = VlanTag {
    ///     tpid: 0x8100,
    ///     tci: 5,
    /// };
    /// let packet = Packet::new(&[7; 60], Timestamp::EPOCH, LinkType::ETHERNET);
    /// let packet = packet.with_vlan(Some(tag));
    /// let mut frame = [0; 64];
    /// packet.wire_bytes().copy_to(&mut frame);
    /// assert_eq!(frame[10..18], [7, 7, 0x81, 0x00, 0x00, 0x05, 7, 7]);
    /// ```
    #[inline]
    pub fn wire_bytes(&self) -> WireBytes<'a> {
        let untagged = WireBytes {
            before: self.data(),
            tag: [0; 4],
            is_tagged: false,
            behind: &[],
        };
        let Some(tag) = self.vlan() else {
            return untagged;
        };
        match self.data().split_at_checked(TAG_AT) {
            Some((before, behind)) if self.link_type() == LinkType::ETHERNET => {
                let ([a, b], [c, d]) = (tag.tpid.to_be_bytes(), tag.tci.to_be_bytes());
                WireBytes {
                    before,
                    tag: [a, b, c, d],
                    is_tagged: true,
                    behind,
                }
            }
            _ => untagged,
        }
    }
}

impl Packet<'_> {
    /// The work that remains for [`wire_bytes`](Self::wire_bytes):
    /// [`offload`](crate::Meta::offload), with the place of the checksum moved by a VLAN tag that
    /// is put back. `None` if the source does not know, or that place exceeds the kernel's fields.
    #[inline]
    pub fn wire_offload(&self) -> Option<Offload> {
        let offload = self.offload()?;
        match self.wire_bytes().is_tagged {
            true => offload.moved_by(VlanTag::BYTES as u16),
            false => Some(offload),
        }
    }
}

impl WireBytes<'_> {
    /// The pieces in order, some of which may be empty.
    #[inline]
    pub fn pieces(&self) -> [&[u8]; 3] {
        let tag = if self.is_tagged { &self.tag[..] } else { &[] };
        [self.before, tag, self.behind]
    }

    /// The number of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// Whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies all bytes to the start of `to`.
    ///
    /// # Panics
    /// If `to` is shorter than [`len`](Self::len).
    #[inline]
    pub fn copy_to(&self, to: &mut [u8]) {
        let mut rest = to;
        for piece in self.pieces() {
            let (here, behind) = rest.split_at_mut(piece.len());
            here.copy_from_slice(piece);
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::packet::virtio_net_hdr;
    use crate::{LinkType, Packet, Timestamp, VlanTag};

    #[test]
    fn what_is_still_to_be_done_moves_behind_a_tag_that_is_put_back() {
        let header = |csum_start| virtio_net_hdr {
            flags: 1,
            gso_type: 1,
            hdr_len: 54,
            gso_size: 1448,
            csum_start,
            csum_offset: 16,
        };
        let tag = Some(VlanTag {
            tpid: 0x8100,
            tci: 0,
        });
        let packet = Packet::new(&[0; 60], Timestamp::EPOCH, LinkType::ETHERNET);
        assert_eq!(packet.with_vlan(tag).wire_offload(), None);
        let packet = packet.with_offload(Some(header(34).into()));
        assert_eq!(packet.wire_offload(), packet.offload());
        let tagged = packet.with_vlan(tag).wire_offload().unwrap();
        assert_eq!(tagged.checksum().unwrap().start, 38);
        assert_eq!(tagged.segments().unwrap().linear_len, 58);
        let far = packet.with_offload(Some(header(u16::MAX).into()));
        assert_eq!(far.with_vlan(tag).wire_offload(), None);
        // Without a place for the tag nothing moves.
        let raw = Packet::new(&[0; 60], Timestamp::EPOCH, LinkType::RAW_IP);
        let raw = raw.with_offload(Some(header(20).into())).with_vlan(tag);
        assert_eq!(raw.wire_offload(), raw.offload());
    }
}
