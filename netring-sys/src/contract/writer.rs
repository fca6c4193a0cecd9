//! The contract for writing packets together with what is known about them.

use crate::{Error, Packet};

/// Takes packets as a source lends them: their bytes with timestamp, wire length, link type,
/// interface, direction and VLAN tag. A capture file, an index, a network exporter implement it.
///
/// [`PacketSink`](crate::PacketSink) is the counterpart for frames to send, which are bytes and
/// nothing else; [`SinkWriter`](crate::adapters::SinkWriter) makes a writer of one.
/// [`Tee`](crate::adapters::Tee) writes all that a source lends.
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
    /// Takes a copy of the packet; false if there is no room now, and nothing was taken. It never
    /// waits for room. What the writer has no place for is left out, and its documentation says so.
    ///
    /// # Errors
    /// The packet was not taken. If [`Error::is_terminal`] is false, this packet cannot be written
    /// and the writer goes on ([`Error::Request`], [`Error::FrameLength`]), or the error is a
    /// report ([`Error::LinkDown`]). Any other error is final.
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error>;

    /// Hands on what was written and is still buffered: to the file, to the interface. False if
    /// some of it has to wait, and another flush goes on with it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
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
