//! The frames to send for a packet: its bytes as they were on the wire, with checksums that were
//! left to the interface, or cut into segments.

mod layout;
mod refused;
mod segment;

use crate::{Checksum, LinkType, Packet, Segmentation, VlanTag, WireBytes};
use layout::{Layout, TCP, UDP, has_no_length, word};
use segment::{fill_checksum, has_partial_checksum};

pub(crate) use refused::Reason;
pub use refused::Refused;
pub(crate) use segment::Segmented;

/// Makes frames of packets.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The link type of the frames; packets of others are refused.
    pub(crate) link_type: LinkType,
    /// The longest packet without its link layer header, if the sink does not know it.
    pub(crate) mtu: Option<u32>,
    /// Whether long packets are cut into segments, or else refused.
    pub(crate) segment: bool,
    /// Refuses a packet whose segments have a known size and do not fit, rather than making smaller
    /// ones.
    pub(crate) keep_sizes: bool,
    /// Computes the checksums of all TCP segments and UDP datagrams.
    pub(crate) fix_checksums: bool,
    /// Computes checksums that look as if they were left to the interface, if the source does not
    /// report their state.
    pub(crate) find_partial: bool,
    /// The bytes of a packet that is changed before it is sent.
    pub(crate) frame: Vec<u8>,
}

/// The frames to send for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// The packet's bytes on the wire.
    AsItIs,
    /// [`Outgoing::frame`].
    Whole,
    /// Segments of that.
    Segments(Segmented),
}

/// Computes the checksum of an Ethernet frame in place, if it appears to have been left to the
/// interface.
#[cfg(feature = "xdp")]
#[inline]
pub(crate) fn complete(frame: &mut [u8]) {
    if let Some(layout) = Layout::of(frame, LinkType::ETHERNET)
        && has_partial_checksum(frame, &layout)
    {
        fill_checksum(frame, layout);
    }
}

impl Outgoing {
    pub(crate) const fn new(link_type: LinkType) -> Self {
        Self {
            link_type,
            mtu: None,
            segment: true,
            keep_sizes: false,
            fix_checksums: false,
            find_partial: false,
            frame: Vec::new(),
        }
    }

    /// What is sent of a packet with these bytes on the wire. `longest` are the bytes of the
    /// longest frame that the sink takes, without a VLAN tag of type 0x8100 and with it.
    #[inline]
    pub(crate) fn plan(
        &mut self,
        packet: &Packet<'_>,
        bytes: &WireBytes<'_>,
        longest: (usize, usize),
    ) -> Result<Plan, Reason> {
        self.check(packet, bytes)?;
        let limit = self.limit(packet, bytes, longest);
        match bytes.len() <= limit && self.is_complete(packet) {
            true => Ok(Plan::AsItIs),
            false => self.change(packet, bytes, limit),
        }
    }

    /// Refuses a packet that is not complete or not of this link type.
    #[inline]
    pub(crate) fn check(&self, packet: &Packet<'_>, bytes: &WireBytes<'_>) -> Result<(), Reason> {
        let shortest = match self.link_type {
            LinkType::ETHERNET => 14,
            _ => 1,
        };
        if packet.is_cut() {
            return Err(Reason::Cut);
        }
        if packet.link_type() != self.link_type {
            return Err(Reason::LinkType);
        }
        match bytes.len() < shortest {
            true => Err(Reason::TooShort),
            false => Ok(()),
        }
    }

    /// Whether the sender left nothing to its interface.
    #[inline]
    fn is_complete(&self, packet: &Packet<'_>) -> bool {
        !self.fix_checksums
            && packet.checksum() != Checksum::Partial
            && packet
                .offload()
                .is_none_or(|offload| offload.segments().is_none())
            && !has_no_length(packet.data(), packet.link_type())
            && !self.is_found_partial(packet)
    }

    /// Whether the source does not know the state of the checksum, and it looks partial.
    #[inline]
    fn is_found_partial(&self, packet: &Packet<'_>) -> bool {
        self.find_partial
            && packet.checksum() == Checksum::Unknown
            && packet.offload().is_none()
            && Layout::of(packet.data(), self.link_type)
                .is_some_and(|layout| has_partial_checksum(packet.data(), &layout))
    }

    /// Bytes of the longest frame, if it begins as this one.
    #[inline]
    pub(crate) fn limit(
        &self,
        packet: &Packet<'_>,
        bytes: &WireBytes<'_>,
        longest: (usize, usize),
    ) -> usize {
        let tpid = match packet.vlan() {
            Some(VlanTag { tpid, .. }) if bytes.len() > packet.data().len() => Some(tpid),
            _ => word(packet.data(), 12),
        };
        let (header, longest) = match (self.link_type, tpid) {
            (LinkType::ETHERNET, Some(0x8100)) => (18, longest.1),
            (LinkType::ETHERNET, _) => (14, longest.0),
            _ => (0, longest.0),
        };
        match self.mtu {
            None => longest,
            Some(mtu) => longest.min((mtu as usize).saturating_add(header)),
        }
    }

    /// Copies a packet that cannot be sent as it is, and returns the frames to send.
    #[inline(never)]
    fn change(
        &mut self,
        packet: &Packet<'_>,
        bytes: &WireBytes<'_>,
        limit: usize,
    ) -> Result<Plan, Reason> {
        let is_partial = packet.checksum() == Checksum::Partial || self.is_found_partial(packet);
        let frame = &mut self.frame;
        frame.resize(bytes.len(), 0);
        bytes.copy_to(frame);
        let layout = Layout::of(frame, self.link_type);
        let joined = packet.offload().and_then(|offload| offload.segments());
        let has_no_length = has_no_length(frame, self.link_type);
        if joined.is_some() || has_no_length || frame.len() > limit {
            let reason = match joined.is_some() || has_no_length {
                true => Reason::Unsegmentable,
                false => Reason::TooLong,
            };
            // Without metadata it must be a TCP super-packet, since no other kind can be
            // distinguished from a long packet.
            let protocol = match joined.map(|joined| joined.kind) {
                None | Some(Some(Segmentation::Tcp4 | Segmentation::Tcp6)) => TCP,
                Some(Some(Segmentation::Udp)) => UDP,
                Some(_) => return Err(reason),
            };
            let layout = layout.filter(|layout| layout.protocol == protocol);
            if !self.segment {
                return Err(reason);
            }
            let size = joined
                .map(|joined| joined.segment_len)
                .filter(|size| *size > 0);
            let cut = layout.and_then(|layout| Segmented::new(frame, layout, limit, size));
            let cut = cut.ok_or(reason)?;
            let fits = !self.keep_sizes || size.is_none_or(|size| cut.is_of(size));
            return match fits {
                true => Ok(Plan::Segments(cut)),
                false => Err(Reason::TooLong),
            };
        }
        // A datagram over IPv4 may have none.
        let has_none = |layout: &Layout| {
            layout.protocol == UDP && !layout.is_v6 && word(frame, layout.transport + 6) == Some(0)
        };
        let layout = layout.filter(|layout| is_partial || !has_none(layout));
        let is_filled = layout.is_some_and(|layout| fill_checksum(frame, layout));
        match is_partial && !is_filled {
            true => Err(Reason::Checksum),
            false => Ok(Plan::Whole),
        }
    }
}
