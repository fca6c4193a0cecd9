//! `linux/virtio_net.h`: the header before a packet with `PACKET_VNET_HDR`.
#![allow(non_camel_case_types, reason = "the names of the header")]

/// Checksum and segmentation of a packet; numbers are in the byte order of the host.
// [`virtio_net_hdr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/virtio_net.h#L189
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct virtio_net_hdr {
    /// `VIRTIO_NET_HDR_F_*` flags.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Bytes of the headers; on receive, bytes that the kernel had in one piece.
    pub hdr_len: u16,
    /// Bytes of payload of each segment.
    pub gso_size: u16,
    /// Bytes from the start of the packet to the first one that the checksum covers.
    pub csum_start: u16,
    /// Bytes from there to the checksum.
    pub csum_offset: u16,
}

/// The checksum is still to be computed, from `csum_start` on.
// [`VIRTIO_NET_HDR_F_NEEDS_CSUM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/virtio_net.h#L131
pub const VIRTIO_NET_HDR_F_NEEDS_CSUM: u8 = 1;
/// The checksum was verified.
pub const VIRTIO_NET_HDR_F_DATA_VALID: u8 = 2;
/// One frame.
// [`VIRTIO_NET_HDR_GSO_NONE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/virtio_net.h#L135
pub const VIRTIO_NET_HDR_GSO_NONE: u8 = 0;
/// TCP segments over IPv4.
pub const VIRTIO_NET_HDR_GSO_TCPV4: u8 = 1;
/// TCP segments over IPv6.
pub const VIRTIO_NET_HDR_GSO_TCPV6: u8 = 4;
/// UDP datagrams (kernel 6.2).
pub const VIRTIO_NET_HDR_GSO_UDP_L4: u8 = 5;
/// A flag beside the type: TCP with ECN.
pub const VIRTIO_NET_HDR_GSO_ECN: u8 = 0x80;

impl virtio_net_hdr {
    /// Reads the header from its bytes.
    #[inline]
    pub const fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        let [flags, gso_type, a, b, c, d, e, f, g, h] = *bytes;
        Self {
            flags,
            gso_type,
            hdr_len: u16::from_ne_bytes([a, b]),
            gso_size: u16::from_ne_bytes([c, d]),
            csum_start: u16::from_ne_bytes([e, f]),
            csum_offset: u16::from_ne_bytes([g, h]),
        }
    }

    /// The bytes of the header.
    #[inline]
    pub const fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let [a, b] = self.hdr_len.to_ne_bytes();
        let [c, d] = self.gso_size.to_ne_bytes();
        let [e, f] = self.csum_start.to_ne_bytes();
        let [g, h] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, a, b, c, d, e, f, g, h]
    }
}
