//! The contract for writing packets with their metadata.

use crate::{Error, Packet};

/// Writes packets as a source lends them: bytes with timestamp, wire length, link type, interface,
/// direction and VLAN tag. A capture file, an index or a network exporter can implement it.
///
/// [`PacketSink`](crate::PacketSink) is the counterpart for frames to send, which are bytes only;
/// [`SinkWriter`](crate::adapters::SinkWriter) turns one into a writer.
/// [`Tee`](crate::adapters::Tee) writes all packets that a source lends.
///
/// ```
/// use netring_sys::{Error, LinkType, Packet, PacketBuf, PacketWriter, Timestamp};
///
/// /// Keeps what it is given.
/// #[derive(Default)]
/// struct Keep(Vec<PacketBuf>);
///
/// impl PacketWriter for Keep {
///     fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
///         self.0.push(packet.to_buf());
///         Ok(true)
///     }
///     fn flush(&mut self) -> Result<bool, Error> {
///         Ok(true)
///     }
/// }
///
/// let mut keep = Keep::default();
/// let packet = Packet::new(&[0; 60], Timestamp::EPOCH, LinkType::ETHERNET);
/// assert!(keep.write(&packet.with_wire_len(1514))?);
/// assert_eq!(keep.0[0].wire_len(), 1514);
/// # Ok::<(), Error>(())
/// ```
pub trait PacketWriter {
    /// Copies the packet; returns false if there is no room now, and nothing was copied. It never
    /// waits for room. Metadata that the writer cannot store is left out, as its documentation
    /// says.
    ///
    /// # Errors
    /// The packet was not written. If [`Error::is_terminal`] is false, only this packet cannot be
    /// written ([`Error::Request`], [`Error::FrameLength`]), or the error is a report
    /// ([`Error::LinkDown`]), and the writer can still be used. Any other error is final.
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error>;

    /// Passes buffered packets on, to the file or to the interface. Returns false if some of them
    /// must wait; another flush continues with them.
    ///
    /// # Errors
    /// The errors of [`write`](Self::write).
    fn flush(&mut self) -> Result<bool, Error>;
}

impl<W: PacketWriter + ?Sized> PacketWriter for &mut W {
    #[inline]
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        (**self).write(packet)
    }

    #[inline]
    fn flush(&mut self) -> Result<bool, Error> {
        (**self).flush()
    }
}
