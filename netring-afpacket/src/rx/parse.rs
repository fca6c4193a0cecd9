//! Parses a block: from bytes that the kernel wrote to packets.
//!
//! These are functions over `&[u8]` without unsafe code, so tests can build blocks in a `Vec`.
//! Nothing in a block is trusted: each offset and length is applied by a checked sub-slice of what
//! is left, and never added to another first.

use std::cell::Cell;
use std::mem::offset_of;

use netring_sys::kernel::packet::{
    PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_OUTGOING,
    TP_FT_REQ_FILL_RXHASH, TP_STATUS_CSUM_VALID, TP_STATUS_CSUMNOTREADY, TP_STATUS_TS_RAW_HARDWARE,
    TP_STATUS_TS_SOFTWARE, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID,
    TPACKET3_HDRLEN_ALIGNED, sockaddr_ll, tpacket_block_desc, tpacket3_hdr, virtio_net_hdr,
};
use netring_sys::{
    Checksum, Clock, Direction, LinkAddress, LinkType, Offload, Packet, Timestamp, VlanTag,
};

/// Bytes of a packet's header and the address after it, which must be in the block for the packet
/// to be read.
pub(super) const HEADER: usize = TPACKET3_HDRLEN_ALIGNED + size_of::<sockaddr_ll>();

/// Bytes of the header that is right before a packet if checksum and segmentation are reported.
pub(super) const VNET: usize = size_of::<virtio_net_hdr>();

/// 802.1Q: the TPID of a tag for which the kernel reports none (before 3.14).
const ETH_P_8021Q: u16 = 0x8100;

/// A place in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes from the start of the block to the next packet's header.
    offset: usize,
    /// Packets that the block announces from there to its end.
    left: u32,
}

/// Settings common to all packets of a capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// The most bytes of a packet.
    pub(crate) snap_len: usize,
    /// `tp_feature_req_word` of the ring: whether the kernel fills in a flow hash.
    pub(crate) features: u32,
    /// Whether the kernel puts a [`virtio_net_hdr`] before each packet.
    pub(crate) offload: bool,
    /// Whether tags are put back into the bytes.
    pub(crate) vlan_in_bytes: bool,
}

/// The result of parsing to the end of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Packets that were lent.
    pub(crate) delivered: u64,
    /// Packets that were announced and could not be read.
    pub(crate) invalid: u64,
}

impl Position {
    /// The first packet of a block.
    pub(crate) fn first(block: &[u8]) -> Self {
        let word = |offset: usize| {
            block
                .get(offset..)?
                .first_chunk()
                .copied()
                .map(u32::from_ne_bytes)
        };
        let left = word(offset_of!(tpacket_block_desc, num_pkts)).unwrap_or(0);
        let offset =
            word(offset_of!(tpacket_block_desc, offset_to_first_pkt)).unwrap_or(0) as usize;
        // An offset into the block's own header would turn that into a packet, so it counts as one
        // outside the block.
        let inside = offset >= size_of::<tpacket_block_desc>();
        Self {
            offset: if inside { offset } else { usize::MAX },
            left,
        }
    }

    /// The packet of a slot, whose header is at its start.
    pub(crate) const fn in_a_slot() -> Self {
        Self { offset: 0, left: 1 }
    }

    /// Returns the packet here and moves behind it; `None` at the end of the block, or if the
    /// header points out of it.
    #[inline(always)]
    pub(crate) fn step<'a>(&mut self, block: &'a [u8], context: &Context) -> Option<Packet<'a>> {
        if self.left == 0 {
            return None;
        }
        let rest = block.get(self.offset..)?;
        let header: &[u8; HEADER] = rest.first_chunk()?;
        let mac = u16_field(header, offset_of!(tpacket3_hdr, tp_mac));
        let snap_len = u32_field(header, offset_of!(tpacket3_hdr, tp_snaplen)) as usize;
        let mut data = rest.get(usize::from(mac)..)?.get(..snap_len)?;
        if usize::from(mac) < HEADER {
            return None;
        }
        *self = self.next(header, rest.len())?;
        if data.len() > context.snap_len {
            data = &data[..context.snap_len];
        }
        let offload = match context.offload {
            true => offload(rest, usize::from(mac)),
            false => None,
        };
        Some(packet(data, header, context).with_offload(offload))
    }

    /// The position behind the packet here, of which `header` is the first of `rest` bytes to the
    /// end of the block. `None` at the end.
    #[inline(always)]
    pub(super) fn next(mut self, header: &[u8; HEADER], rest: usize) -> Option<Self> {
        if self.left > 1 {
            let next = u32_field(header, offset_of!(tpacket3_hdr, tp_next_offset)) as usize;
            if next < HEADER || next > rest {
                // This packet is whole, but those behind it cannot be found.
                self.offset = usize::MAX;
            } else {
                self.offset += next;
            }
        }
        self.left = self.left.checked_sub(1)?;
        Some(self)
    }

    /// Bytes from the start of the block to the next packet's header.
    pub(super) const fn offset(self) -> usize {
        self.offset
    }

    /// Packets that the block announces from here to its end.
    pub(super) const fn left(self) -> u32 {
        self.left
    }

    /// The same place with another number of packets to the end.
    pub(super) const fn with_left(self, left: u32) -> Self {
        Self { left, ..self }
    }

    /// Whether there is a packet here.
    pub(crate) fn is_readable(mut self, block: &[u8], context: &Context) -> bool {
        self.step(block, context).is_some()
    }

    /// The number of packets left, limited to what a block can hold in case the count is forged.
    pub(crate) fn plausible(self, block: &[u8]) -> u64 {
        u64::from(self.left).min((block.len() / HEADER) as u64)
    }

    /// Parses to the end of the block, and counts what is there.
    pub(crate) fn counts(mut self, block: &[u8], context: &Context) -> Counts {
        let mut delivered = 0;
        while self.step(block, context).is_some() {
            delivered += 1;
        }
        Counts {
            delivered,
            invalid: self.plausible(block),
        }
    }
}

/// The packets of a block, from a position to its end.
#[derive(Debug)]
pub(crate) struct Packets<'a> {
    block: &'a [u8],
    context: &'a Context,
    at: Position,
    delivered: u64,
    /// Receives the counts when the end is reached, so that the block need not be parsed again for
    /// them.
    counts: &'a Cell<Option<Counts>>,
}

impl<'a> Packets<'a> {
    pub(crate) const fn new(
        block: &'a [u8],
        context: &'a Context,
        at: Position,
        counts: &'a Cell<Option<Counts>>,
    ) -> Self {
        Self {
            block,
            context,
            at,
            delivered: 0,
            counts,
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    // Out of line, a packet is returned through memory: 5 to 15 ns, in programs with several loops.
    #[inline(always)]
    fn next(&mut self) -> Option<Packet<'a>> {
        let packet = self.at.step(self.block, self.context);
        if packet.is_some() {
            self.delivered += 1;
        } else {
            // The position stays where parsing ended, so further calls find the same.
            let invalid = self.at.plausible(self.block);
            self.counts.set(Some(Counts {
                delivered: self.delivered,
                invalid,
            }));
        }
        packet
    }
}

impl std::iter::FusedIterator for Packets<'_> {}

#[inline(always)]
fn packet<'a>(data: &'a [u8], header: &[u8; HEADER], context: &Context) -> Packet<'a> {
    let status = u32_field(header, offset_of!(tpacket3_hdr, tp_status));
    let clock = if status & TP_STATUS_TS_RAW_HARDWARE != 0 {
        Clock::Hardware
    } else if status & TP_STATUS_TS_SOFTWARE != 0 {
        Clock::Software
    } else {
        Clock::Socket
    };
    let checksum = if status & TP_STATUS_CSUMNOTREADY != 0 {
        Checksum::Partial
    } else if status & TP_STATUS_CSUM_VALID != 0 {
        Checksum::Valid
    } else {
        Checksum::Unknown
    };
    let rx_hash = (context.features & TP_FT_REQ_FILL_RXHASH != 0)
        .then(|| u32_field(header, offset_of!(tpacket3_hdr, tp_rxhash)));
    let direction = match header[TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_pkttype)] {
        PACKET_HOST => Some(Direction::Host),
        PACKET_BROADCAST => Some(Direction::Broadcast),
        PACKET_MULTICAST => Some(Direction::Multicast),
        PACKET_OTHERHOST => Some(Direction::OtherHost),
        PACKET_OUTGOING => Some(Direction::Outgoing),
        _ => None,
    };
    let interface = TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_ifindex);
    let time = Timestamp::from_parts(
        u32_field(header, offset_of!(tpacket3_hdr, tp_sec)),
        u32_field(header, offset_of!(tpacket3_hdr, tp_nsec)),
        clock,
    );
    let hardware = TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype);
    // From the packet: the type of the interface can change after the packet arrived.
    let link_type = LinkType::of_hardware(u16_field(header, hardware));
    Packet::new(data, time, link_type)
        .with_wire_len(u32_field(header, offset_of!(tpacket3_hdr, tp_len)))
        .with_interface(u32_field(header, interface))
        .with_direction(direction)
        .with_checksum(checksum)
        .with_vlan(tag(header, status))
        .with_rx_hash(rx_hash)
        .with_sender(LinkAddress::from_padded(
            header[TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_halen)],
            field(
                header,
                TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_addr),
            ),
        ))
}

/// The tag that was removed from the bytes.
#[inline(always)]
pub(super) fn tag(header: &[u8; HEADER], status: u32) -> Option<VlanTag> {
    (status & TP_STATUS_VLAN_VALID != 0).then(|| VlanTag {
        tpid: match status & TP_STATUS_VLAN_TPID_VALID {
            0 => ETH_P_8021Q,
            _ => u16_field(header, offset_of!(tpacket3_hdr, tp_vlan_tpid)),
        },
        tci: u32_field(header, offset_of!(tpacket3_hdr, tp_vlan_tci)) as u16,
    })
}

/// The contents of the header directly before a packet, which begins `mac` bytes after its own
/// header.
fn offload(rest: &[u8], mac: usize) -> Option<Offload> {
    let at = mac.checked_sub(VNET).filter(|&at| at >= HEADER)?;
    let header = rest.get(at..)?.first_chunk()?;
    Some(virtio_net_hdr::from_bytes(header).into())
}

/// Bytes of a header at an offset that is known at compile time, so that the check is optimised
/// away.
#[inline(always)]
fn field<const N: usize>(header: &[u8; HEADER], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[offset..offset + N]);
    bytes
}

#[inline(always)]
pub(super) fn u16_field(header: &[u8; HEADER], offset: usize) -> u16 {
    u16::from_ne_bytes(field(header, offset))
}

#[inline(always)]
pub(super) fn u32_field(header: &[u8; HEADER], offset: usize) -> u32 {
    u32::from_ne_bytes(field(header, offset))
}

/// The number of a block.
pub(crate) fn sequence(block: &[u8]) -> u64 {
    let at = offset_of!(tpacket_block_desc, seq_num);
    let bytes = block.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests;
