//! Transmit rings: the status of a slot, the header of a frame with offloads, and the words of a
//! transmit timestamp.

/// The slot is free: its frame was sent, or there was none.
// [`TP_STATUS_AVAILABLE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L122
pub const TP_STATUS_AVAILABLE: u32 = 0;
/// The slot has a frame to send.
pub const TP_STATUS_SEND_REQUEST: u32 = 1;
/// The frame is on its way, and the kernel reads the slot.
pub const TP_STATUS_SENDING: u32 = 1 << 1;
/// The kernel refused the frame, and stays at its slot.
pub const TP_STATUS_WRONG_FORMAT: u32 = 1 << 2;

/// What stands before each frame of a socket with `PACKET_VNET_HDR`, in the byte order of this
/// machine.
// [`virtio_net_hdr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/virtio_net.h#L189
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct virtio_net_hdr {
    /// `VIRTIO_NET_HDR_F_*`.
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`.
    pub gso_type: u8,
    /// Bytes from the start of the frame that the kernel copies into the head of its buffer.
    pub hdr_len: u16,
    /// Bytes of payload in each segment.
    pub gso_size: u16,
    /// The first byte of the checksum.
    pub csum_start: u16,
    /// Where the checksum is stored, in bytes from `csum_start`.
    pub csum_offset: u16,
}

/// The kernel or the card computes the checksum.
// [`VIRTIO_NET_HDR_F_NEEDS_CSUM`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/virtio_net.h#L131
pub const VIRTIO_NET_HDR_F_NEEDS_CSUM: u8 = 1;
/// The frame is not segmented.
// [`VIRTIO_NET_HDR_GSO_NONE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/virtio_net.h#L135
pub const VIRTIO_NET_HDR_GSO_NONE: u8 = 0;
/// TCP over IPv4.
pub const VIRTIO_NET_HDR_GSO_TCPV4: u8 = 1;
/// TCP over IPv6.
pub const VIRTIO_NET_HDR_GSO_TCPV6: u8 = 4;
/// UDP over IPv4 or IPv6 (kernel 6.2).
pub const VIRTIO_NET_HDR_GSO_UDP_L4: u8 = 5;

/// The card stamps frames as they leave.
// [`SOF_TIMESTAMPING_TX_HARDWARE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/net_tstamp.h#L18
pub const SOF_TIMESTAMPING_TX_HARDWARE: u32 = 1;
/// The driver stamps frames as it hands them to the card.
pub const SOF_TIMESTAMPING_TX_SOFTWARE: u32 = 1 << 1;
/// Timestamps carry the number of their frame, counted from 0.
pub const SOF_TIMESTAMPING_OPT_ID: u32 = 1 << 7;
/// Timestamps come without a copy of the frame.
pub const SOF_TIMESTAMPING_OPT_TSONLY: u32 = 1 << 11;
