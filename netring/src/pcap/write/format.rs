//! The formats that are written.

use crate::LinkType;

/// The format of a capture file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pcap with timestamps in nanoseconds, of packets of this link type.
    Pcap(LinkType),
    /// pcapng.
    PcapNg,
}

/// A link type stands for pcap.
impl From<LinkType> for Format {
    fn from(link_type: LinkType) -> Self {
        Self::Pcap(link_type)
    }
}
