//! A sink as a writer of packets.

use crate::contract::{PacketSink, PacketSlot, PacketWriter, WireBytes};
use crate::{Error, Packet};

/// Sends packets that are written to it: adapts a [`PacketSink`] to [`PacketWriter`].
///
/// A sink takes bytes only, so timestamp, interface and other metadata are not sent. A VLAN tag
/// that was removed from the bytes is put back in its place. A checksum that the sending host left
/// to its interface ([`Checksum::Partial`](crate::Checksum::Partial)) is sent as it is.
#[derive(Debug)]
pub struct SinkWriter<K> {
    sink: K,
}

impl<K> SinkWriter<K> {
    /// Wraps a sink.
    pub const fn new(sink: K) -> Self {
        Self { sink }
    }

    /// The sink.
    pub const fn get_ref(&self) -> &K {
        &self.sink
    }

    /// The sink, to which frames can also be sent directly.
    pub const fn get_mut(&mut self) -> &mut K {
        &mut self.sink
    }

    /// The sink.
    pub fn into_inner(self) -> K {
        self.sink
    }
}

impl<K: PacketSink> SinkWriter<K> {
    fn put(&mut self, bytes: &WireBytes<'_>) -> Result<bool, Error> {
        let Some(mut slot) = self.sink.slot(bytes.len())? else {
            return Ok(false);
        };
        bytes.copy_to(&mut slot);
        slot.commit();
        Ok(true)
    }
}

impl<K: PacketSink> PacketWriter for SinkWriter<K> {
    /// Commits the packet; if the sink is full, frames that were committed before are flushed to
    /// make room.
    ///
    /// # Errors
    /// [`Error::Request`] for a packet that a snap length cut, as it is incomplete; the errors of
    /// [`PacketSink::slot`] and [`PacketSink::flush`].
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        if packet.is_cut() {
            return Err(Error::Request {
                request: "write",
                why: format!(
                    "the packet was cut to {} of its {} bytes; only whole packets can be sent",
                    packet.data().len(),
                    packet.frame_len()
                ),
            });
        }
        let bytes = packet.wire_bytes();
        if self.put(&bytes)? {
            return Ok(true);
        }
        self.sink.flush()?;
        self.sink.room()?;
        self.put(&bytes)
    }

    fn flush(&mut self) -> Result<bool, Error> {
        Ok(self.sink.flush()? == 0)
    }
}
