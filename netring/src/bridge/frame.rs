//! A frame on its way through a bridge, and the decision about it.

use std::fmt;

use crate::Packet;

/// One of the two directions of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Received on side A, to be sent out of side B.
    AToB,
    /// Received on side B, to be sent out of side A.
    BToA,
}

/// One of the two ends of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first port.
    A,
    /// The second port.
    B,
}

/// The decision about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// Sends it out of the other side, including any changes.
    Forward,
    /// Drops it, and counts it
    /// ([`BridgeDirectionStats::dropped`](super::BridgeDirectionStats::dropped)).
    Drop,
}

/// A frame that is about to be forwarded, in the memory from which it is sent.
#[derive(Debug)]
pub struct Frame<'a> {
    packet: &'a Packet<'a>,
    data: &'a mut [u8],
    way: Way,
}

impl Way {
    /// Where frames come from.
    pub const fn from(self) -> Side {
        match self {
            Self::AToB => Side::A,
            Self::BToA => Side::B,
        }
    }

    /// Where frames go.
    pub const fn to(self) -> Side {
        match self {
            Self::AToB => Side::B,
            Self::BToA => Side::A,
        }
    }
}

impl<'a> Frame<'a> {
    #[inline]
    pub(super) const fn new(packet: &'a Packet<'a>, data: &'a mut [u8], way: Way) -> Self {
        Self { packet, data, way }
    }

    /// The direction of the frame.
    #[inline]
    pub const fn way(&self) -> Way {
        self.way
    }

    /// The packet as the source lent it: its metadata, and the bytes before any change. A VLAN tag
    /// that the kernel took out of the bytes is in [`vlan`](crate::Meta::vlan) here, as a
    /// [`Matcher`](crate::Matcher) expects it.
    #[inline]
    pub const fn packet(&self) -> &Packet<'a> {
        self.packet
    }

    /// The bytes that are sent, from the link layer header on, with a VLAN tag in its place.
    #[inline]
    pub const fn data(&self) -> &[u8] {
        self.data
    }

    /// The bytes that are sent, to be changed in place.
    ///
    /// If the packet reports a [partial checksum](crate::Checksum::Partial), the field holds the
    /// sum of the pseudo header and the rest is added later: changes to the payload need no
    /// correction, and changes to addresses must correct that sum. A frame may be longer than the
    /// MTU and is then segmented after this bridge; each segment inherits these headers.
    #[inline]
    pub const fn data_mut(&mut self) -> &mut [u8] {
        self.data
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "side A of the bridge",
            Self::B => "side B of the bridge",
        })
    }
}
