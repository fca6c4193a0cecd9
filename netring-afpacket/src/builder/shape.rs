//! The form in which packets are delivered.

use std::os::fd::BorrowedFd;

use netring_sys::Error;
use netring_sys::kernel::packet::TPACKET_ALIGNMENT;
use netring_sys::syscall::{set_packet_reserve, set_packet_vnet_header};

use super::CaptureBuilder;
use crate::rx::TAG;
use crate::rx::geometry::SLOT_RESERVE;

impl CaptureBuilder {
    /// Whether a VLAN tag that the kernel or the card removed from the bytes is put back into them,
    /// so that [`Packet::data`](netring_sys::Packet::data) shows the frame as it was on the wire.
    /// Default: no, the tag is in [`Meta::vlan`](netring_sys::Meta::vlan).
    ///
    /// Only the two addresses are moved, into the four bytes left free for the tag
    /// (`PACKET_RESERVE`), once, when a block is first examined: about 8 ns for each tagged packet.
    /// Then `vlan()` is `None`. A filter that is an expression means the same as before; a classic
    /// BPF program still sees the tag as metadata in the kernel, and in the bytes in user space.
    ///
    /// The tag counts as captured bytes: a [`snap_len`](Self::snap_len) of 60 delivers 60 bytes
    /// with the tag. Only Ethernet frames of at least 12 captured bytes have a place for it; other
    /// packets keep it in `vlan()`. [`Packet::wire_bytes`](netring_sys::Packet::wire_bytes) shows
    /// the same bytes in pieces without this setting.
    #[doc(alias = "PACKET_RESERVE")]
    pub const fn vlan_in_bytes(mut self, in_bytes: bool) -> Self {
        self.vlan_in_bytes = in_bytes;
        self
    }

    /// Whether packets report how they are to be segmented, and where their checksum is if that is
    /// not computed yet ([`Meta::offload`](netring_sys::Meta::offload); kernel 4.6, and 6.2 for
    /// UDP segmentation). Default: no.
    ///
    /// The kernel drops packets with a kind of segmentation that it cannot describe (SCTP, and UDP
    /// on older kernels), and counts them as dropped. [`Profile::Immediate`] refuses the setting:
    /// many kernels deliver no more packets to an immediate capture after dropping one of these.
    ///
    /// [`Profile::Immediate`]: crate::Profile::Immediate
    #[doc(alias = "PACKET_VNET_HDR")]
    pub const fn offload_state(mut self, state: bool) -> Self {
        self.offload_state = state;
        self
    }

    /// Makes the settings that must precede the ring.
    pub(crate) fn shape(&self, fd: BorrowedFd<'_>) -> Result<(), Error> {
        let tag = if self.vlan_in_bytes { TAG as u32 } else { 0 };
        let slot = if self.immediate { SLOT_RESERVE } else { 0 };
        if slot + tag != 0 {
            set_packet_reserve(fd, slot + tag)?;
        }
        if self.offload_state {
            set_packet_vnet_header(fd, true)?;
        }
        Ok(())
    }

    /// Bytes that these settings take of each slot, beyond the usual headers.
    pub(super) const fn shape_bytes(&self) -> usize {
        let tag = if self.vlan_in_bytes { TAG } else { 0 };
        tag.next_multiple_of(TPACKET_ALIGNMENT)
    }

    /// Refuses settings that an immediate capture cannot have.
    pub(super) fn check_shape(&self) -> Result<(), Error> {
        if !self.immediate || !self.offload_state {
            return Ok(());
        }
        // On the path of a packet that has no virtio_net_hdr, kernels before the fix of
        // tpacket_rcv leave the slot marked as in use, and drop every packet from then on.
        // https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L2440
        Err(Error::Config {
            setting: "offload_state",
            why: "the ring of an immediate capture (TPACKET_V2) can stop for good with it, because of a kernel bug; choose another \
                  profile, such as `Profile::LowLatency`"
                .into(),
        })
    }
}
