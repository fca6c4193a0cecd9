//! What the kernel still has to do to a packet, or did to it, in place of a card.

use std::fmt;
use std::num::NonZeroU32;

use crate::kernel::packet::{
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE,
    VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP_L4, virtio_net_hdr,
};

/// Whether a packet stands for several frames, and whether its checksum is still to be computed, as
/// the kernel reports it (`virtio_net_hdr`).
///
/// A packet that this host sends, or that passes a bridge or veth, is often not yet as it will be
/// on a cable: its checksum is left to the card ([`checksum`](Self::checksum)), and it is segmented
/// by the card ([`segments`](Self::segments)). One that was received can be several
/// segments that the kernel or the card joined (GRO, LRO).
#[doc(alias = "virtio_net_hdr")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Parts", into = "Parts"))]
pub struct Offload {
    // In few words, because each packet carries them: eight fields cost a loop over packets 1 ns
    // for each.
    /// [`REPORTED`], the flags, the type of segments, and `hdr_len`.
    about: NonZeroU32,
    /// `gso_size` and `csum_start`.
    sizes: u32,
    csum_offset: u16,
}

/// Makes the first word differ from 0. The kernel's flags do not use this bit.
const REPORTED: u8 = 0x80;

impl Offload {
    /// How the packet is cut into frames; `None` if it is one frame.
    pub const fn segments(&self) -> Option<Segments> {
        let header = self.header();
        let kind = match header.gso_type & !VIRTIO_NET_HDR_GSO_ECN {
            VIRTIO_NET_HDR_GSO_NONE => return None,
            VIRTIO_NET_HDR_GSO_TCPV4 => Some(Segmentation::Tcp4),
            VIRTIO_NET_HDR_GSO_TCPV6 => Some(Segmentation::Tcp6),
            VIRTIO_NET_HDR_GSO_UDP_L4 => Some(Segmentation::Udp),
            _ => None,
        };
        Some(Segments {
            kind,
            ecn: header.gso_type & VIRTIO_NET_HDR_GSO_ECN != 0,
            segment_len: header.gso_size,
            linear_len: header.hdr_len,
        })
    }

    /// Where the checksum is that is not computed yet; `None` if there is none. The packet then
    /// also reports [`Checksum::Partial`](crate::Checksum::Partial).
    pub const fn checksum(&self) -> Option<PartialChecksum> {
        let header = self.header();
        if header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM == 0 {
            return None;
        }
        Some(PartialChecksum {
            start: header.csum_start,
            offset: header.csum_offset,
        })
    }

    /// The same for the packet with so many bytes put in before its network header, as a VLAN tag
    /// is. `None` if the kernel's words do not reach that far.
    pub(crate) fn moved_by(&self, bytes: u16) -> Option<Self> {
        let mut header = self.header();
        if header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 {
            header.csum_start = header.csum_start.checked_add(bytes)?;
        }
        if header.gso_type != VIRTIO_NET_HDR_GSO_NONE {
            header.hdr_len = header.hdr_len.saturating_add(bytes);
        }
        Some(header.into())
    }

    /// The kernel's header, as [`PACKET_VNET_HDR`](crate::syscall::set_packet_vnet_header) has it.
    pub const fn header(&self) -> virtio_net_hdr {
        let [flags, gso_type, a, b] = self.about.get().to_ne_bytes();
        let [c, d, e, f] = self.sizes.to_ne_bytes();
        virtio_net_hdr {
            flags: flags & !REPORTED,
            gso_type,
            hdr_len: u16::from_ne_bytes([a, b]),
            gso_size: u16::from_ne_bytes([c, d]),
            csum_start: u16::from_ne_bytes([e, f]),
            csum_offset: self.csum_offset,
        }
    }
}

impl From<virtio_net_hdr> for Offload {
    #[inline]
    fn from(header: virtio_net_hdr) -> Self {
        let [a, b] = header.hdr_len.to_ne_bytes();
        let [c, d] = header.gso_size.to_ne_bytes();
        let [e, f] = header.csum_start.to_ne_bytes();
        let about = u32::from_ne_bytes([header.flags, header.gso_type, a, b]);
        let reported = const { NonZeroU32::new(u32::from_ne_bytes([REPORTED, 0, 0, 0])) };
        Self {
            about: reported.expect("one bit of it is set") | about,
            sizes: u32::from_ne_bytes([c, d, e, f]),
            csum_offset: header.csum_offset,
        }
    }
}

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offload")
            .field("segments", &self.segments())
            .field("checksum", &self.checksum())
            .finish()
    }
}

/// What is written and read of an [`Offload`].
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Parts {
    segments: Option<Segments>,
    checksum: Option<PartialChecksum>,
}

#[cfg(feature = "serde")]
impl From<Offload> for Parts {
    fn from(offload: Offload) -> Self {
        Self {
            segments: offload.segments(),
            checksum: offload.checksum(),
        }
    }
}

#[cfg(feature = "serde")]
impl From<Parts> for Offload {
    fn from(parts: Parts) -> Self {
        let mut header = virtio_net_hdr::default();
        if let Some(cut) = parts.segments {
            header.gso_type = match cut.kind {
                Some(Segmentation::Tcp4) => VIRTIO_NET_HDR_GSO_TCPV4,
                Some(Segmentation::Tcp6) => VIRTIO_NET_HDR_GSO_TCPV6,
                Some(Segmentation::Udp) => VIRTIO_NET_HDR_GSO_UDP_L4,
                None => !VIRTIO_NET_HDR_GSO_ECN,
            };
            if cut.ecn {
                header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
            }
            (header.gso_size, header.hdr_len) = (cut.segment_len, cut.linear_len);
        }
        if let Some(at) = parts.checksum {
            header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
            (header.csum_start, header.csum_offset) = (at.start, at.offset);
        }
        header.into()
    }
}

/// How a packet is cut into frames (GSO), or was joined from frames (GRO).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Segments {
    /// The protocol of the segments; `None` for one that this version does not know.
    pub kind: Option<Segmentation>,
    /// Whether the segments carry the congestion window reduced flag (TCP with ECN), which only the
    /// first keeps.
    pub ecn: bool,
    /// Bytes of payload of each segment; the last can have fewer.
    #[doc(alias = "gso_size")]
    pub segment_len: u16,
    /// Bytes at the start of the packet that the kernel had in one piece: at least the headers. It
    /// is a hint and not the length of the headers.
    #[doc(alias = "hdr_len")]
    pub linear_len: u16,
}

/// Into what a packet is segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Segmentation {
    /// TCP over IPv4.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_TCPV4")]
    Tcp4,
    /// TCP over IPv6.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_TCPV6")]
    Tcp6,
    /// UDP over IPv4 or IPv6: each segment is a datagram.
    #[doc(alias = "VIRTIO_NET_HDR_GSO_UDP_L4")]
    Udp,
}

/// Where a checksum is that is not computed yet: the field holds the sum of the pseudo header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PartialChecksum {
    /// Bytes from the start of the packet to the first one that the sum covers.
    #[doc(alias = "csum_start")]
    pub start: u16,
    /// Bytes from there to the field.
    #[doc(alias = "csum_offset")]
    pub offset: u16,
}

impl PartialChecksum {
    /// The checksum from byte `start` on, with its field `offset` bytes behind that; `None` if the
    /// two bytes of the field are not inside a frame of `len` bytes, or too far in it for the
    /// kernel's words.
    pub fn in_frame(start: usize, offset: usize, len: usize) -> Option<Self> {
        let inside = start < len && offset < len - start && len - start - offset >= 2;
        match (u16::try_from(start), u16::try_from(offset)) {
            (Ok(start), Ok(offset)) if inside => Some(Self { start, offset }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_read_whatever_it_says() {
        let header = |flags, gso_type| virtio_net_hdr {
            flags,
            gso_type,
            hdr_len: 54,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
        };
        for flags in [0, 2, 0x80, 0xfe] {
            let found = Offload::from(header(flags, 0));
            assert_eq!((found.segments(), found.checksum()), (None, None));
        }
        let partial = Offload::from(header(0xff, 0)).checksum().unwrap();
        assert_eq!((partial.start, partial.offset), (34, 16));
        for (gso_type, kind, ecn) in [
            (1, Some(Segmentation::Tcp4), false),
            (0x81, Some(Segmentation::Tcp4), true),
            (4, Some(Segmentation::Tcp6), false),
            (5, Some(Segmentation::Udp), false),
            (3, None, false),
            (0xff, None, true),
        ] {
            let found = Offload::from(header(0x7e, gso_type));
            let cut = found.segments().unwrap();
            assert_eq!((cut.kind, cut.ecn), (kind, ecn));
            assert_eq!((cut.segment_len, cut.linear_len), (1448, 54));
            assert_eq!(found.checksum(), None);
            assert_eq!(found.header(), header(0x7e, gso_type));
        }
        assert_eq!(size_of::<Option<Offload>>(), 12);
    }
}
