//! The owned form of a packet.

use std::ops::Deref;

use super::{Meta, Packet};

/// A packet that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PacketBuf {
    data: Box<[u8]>,
    meta: Meta,
}

impl Packet<'_> {
    /// Copies the packet into owned memory.
    pub fn to_buf(&self) -> PacketBuf {
        PacketBuf {
            data: self.data.into(),
            meta: self.meta,
        }
    }
}

impl PacketBuf {
    /// The captured bytes, starting with the link layer header.
    #[inline]
    pub const fn data(&self) -> &[u8] {
        &self.data
    }

    /// A view of the packet, as sources lend it.
    #[inline]
    pub const fn as_packet(&self) -> Packet<'_> {
        Packet {
            data: &self.data,
            meta: self.meta,
        }
    }

    /// Returns the bytes without the metadata.
    pub fn into_data(self) -> Box<[u8]> {
        self.data
    }
}

impl Deref for PacketBuf {
    type Target = Meta;

    #[inline]
    fn deref(&self) -> &Meta {
        &self.meta
    }
}

/// The captured bytes: [`PacketBuf::data`].
impl AsRef<[u8]> for PacketBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl From<Packet<'_>> for PacketBuf {
    fn from(packet: Packet<'_>) -> Self {
        packet.to_buf()
    }
}
