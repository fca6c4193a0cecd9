//! Prepares the packets of a block before the first of them is lent: skips places that the kernel
//! left without a packet, and puts VLAN tags back into the bytes.
//!
//! These are functions over `&mut [u8]` without unsafe code. Nothing in a block is trusted: a tag
//! for which a header leaves no room stays in the metadata.

use std::mem::offset_of;

use netring_sys::LinkType;
use netring_sys::kernel::packet::{
    TP_STATUS_USER, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID, TPACKET3_HDRLEN_ALIGNED,
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_NONE, sockaddr_ll, tpacket3_hdr,
    virtio_net_hdr,
};

use super::parse::{Context, HEADER, Position, VNET, tag, u16_field, u32_field};

/// Bytes of a tag on the wire.
pub(crate) const TAG: usize = 4;
/// Bytes of an Ethernet frame before its tag: both addresses.
const ADDRESSES: usize = 12;

/// Prepares the packets from `first` on, and returns the first that is left.
pub(crate) fn prepare(block: &mut [u8], first: Position, context: &Context) -> Position {
    let (mut first, mut at) = (first, first);
    // Where the header of the packet before `at` is.
    let mut before = None;
    loop {
        if context.offload
            && let Some(behind) = at.behind_hole(block)
        {
            first.leave_out(before, block, behind);
            at = behind;
            continue;
        }
        let start = at.offset();
        // Checks that header and bytes of the packet are inside, and goes on before the header is
        // written to.
        if at.step(block, context).is_none() {
            return first;
        }
        before = Some(start);
        if context.vlan_in_bytes
            && let Some(packet) = block.get_mut(start..)
        {
            insert_tag(packet, context);
        }
    }
}

impl Position {
    /// The place behind this one if the kernel dropped the packet that was to be here, after it had
    /// made room for it. It counted it as dropped.
    ///
    /// That happens to a packet that [`virtio_net_hdr`] cannot describe. Its header has the bytes
    /// of an earlier packet, except that the kernel cleared the status when it made room.
    // [`tpacket_rcv`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L2408
    fn behind_hole(self, block: &[u8]) -> Option<Self> {
        if self.left() == 0 {
            return None;
        }
        let rest = block.get(self.offset()..)?;
        let header: &[u8; HEADER] = rest.first_chunk()?;
        if u32_field(header, offset_of!(tpacket3_hdr, tp_status)) & TP_STATUS_USER != 0 {
            return None;
        }
        self.next(header, rest.len())
    }

    /// Takes the place before `behind` out of the chain, which follows the packet at `before` or is
    /// the first.
    fn leave_out(&mut self, before: Option<usize>, block: &mut [u8], behind: Self) {
        let left = self.left() - 1;
        let Some(before) = before else {
            *self = behind;
            return;
        };
        *self = self.with_left(left);
        let next = behind.offset().checked_sub(before);
        let next = next.and_then(|next| u32::try_from(next).ok());
        let at = before + offset_of!(tpacket3_hdr, tp_next_offset);
        if let (Some(next), Some(field)) = (next, block.get_mut(at..at + 4)) {
            field.copy_from_slice(&next.to_ne_bytes());
        }
    }
}

/// Puts the tag of one packet, whose header is at the start, back into its bytes. `None` if it has
/// none, or no room for it.
fn insert_tag(packet: &mut [u8], context: &Context) -> Option<()> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    let status = u32_field(header, offset_of!(tpacket3_hdr, tp_status));
    let tag = tag(header, status)?;
    let hardware = TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype);
    let link_type = LinkType::of_hardware(u16_field(header, hardware));
    let len = u32_field(header, offset_of!(tpacket3_hdr, tp_snaplen));
    let wire_len = u32_field(header, offset_of!(tpacket3_hdr, tp_len));
    if link_type != LinkType::ETHERNET || (len as usize) < ADDRESSES {
        return None;
    }
    let mac = usize::from(u16_field(header, offset_of!(tpacket3_hdr, tp_mac)));
    let moved = mac.checked_sub(if context.offload { VNET } else { 0 })?;
    let to = moved.checked_sub(TAG).filter(|&to| to >= HEADER)?;
    packet.get(..mac.checked_add(ADDRESSES)?)?;

    packet.copy_within(moved..mac + ADDRESSES, to);
    let ([a, b], [c, d]) = (tag.tpid.to_be_bytes(), tag.tci.to_be_bytes());
    let tag_at = mac - TAG + ADDRESSES;
    packet[tag_at..tag_at + TAG].copy_from_slice(&[a, b, c, d]);
    if context.offload {
        let vnet = packet[to..].first_chunk_mut::<VNET>()?;
        *vnet = shifted(virtio_net_hdr::from_bytes(vnet)).to_bytes();
    }
    let mut put = |at: usize, bytes: &[u8]| packet[at..at + bytes.len()].copy_from_slice(bytes);
    put(
        offset_of!(tpacket3_hdr, tp_mac),
        &((mac - TAG) as u16).to_ne_bytes(),
    );
    // The bytes end where they ended, inside the block.
    let longer = |len: u32| len.saturating_add(TAG as u32).to_ne_bytes();
    put(offset_of!(tpacket3_hdr, tp_snaplen), &longer(len));
    put(offset_of!(tpacket3_hdr, tp_len), &longer(wire_len));
    let status = status & !(TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID);
    put(offset_of!(tpacket3_hdr, tp_status), &status.to_ne_bytes());
    Some(())
}

/// The header with its offsets behind the tag.
const fn shifted(mut header: virtio_net_hdr) -> virtio_net_hdr {
    if header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 {
        header.csum_start = header.csum_start.saturating_add(TAG as u16);
    }
    if header.gso_type != VIRTIO_NET_HDR_GSO_NONE {
        header.hdr_len = header.hdr_len.saturating_add(TAG as u16);
    }
    header
}

#[cfg(test)]
mod tests;
