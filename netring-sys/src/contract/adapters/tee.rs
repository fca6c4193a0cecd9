//! Writing the packets of a source as they are read.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::contract::{PacketBatch, PacketSource, PacketWriter, Readiness, Stats};
use crate::{Error, Packet};

/// A source whose packets are also written, to a capture file or another interface, when the reader
/// takes them.
///
/// The reader never waits for the writer. If the writer has no room for a packet, it is counted
/// ([`missed`](Self::missed)) but still lent, so `written + missed` is the number of packets in the
/// batches that were taken. The writer is flushed when the source has nothing more to lend, now or
/// ever.
///
/// An error of the writer is reported once, by the next [`ready`](PacketSource::ready). A terminal
/// one ends the tee: nothing more is written, and `ready` reports [`Error::Closed`] from then on.
/// Errors about one packet are not returned by [`next_batch`](PacketSource::next_batch); `missed`
/// counts the packet. [`into_parts`](Self::into_parts) returns the source, for use without the
/// writer.
///
/// Packets that are still buffered when a tee is dropped may be lost without an error: call
/// [`finish`](Self::finish), or `ready` until the source has ended.
///
/// ```
/// use netring_sys::adapters::Tee;
/// use netring_sys::{Error, PacketSource, PacketWriter};
///
/// /// Writes all packets of a source, and adds up their bytes.
/// fn record(source: impl PacketSource, writer: impl PacketWriter) -> Result<u64, Error> {
///     let mut tee = Tee::new(source, writer);
///     let mut bytes = 0;
///     tee.for_each(|packet| bytes += u64::from(packet.wire_len()))?;
///     tee.finish()?;
///     Ok(bytes)
/// }
/// ```
#[derive(Debug)]
pub struct Tee<S, W> {
    source: S,
    copying: Writing<W>,
}

/// The writer, and the fate of its packets.
#[derive(Debug)]
struct Writing<W> {
    writer: W,
    written: u64,
    missed: u64,
    is_flushed: bool,
    /// An error that is not reported yet.
    error: Option<Error>,
    /// The writer had a terminal error.
    is_lost: bool,
}

impl<S, W> Tee<S, W> {
    /// Wraps a source; its packets go to `writer` from now on.
    pub const fn new(source: S, writer: W) -> Self {
        Self {
            source,
            copying: Writing {
                writer,
                written: 0,
                missed: 0,
                is_flushed: true,
                error: None,
                is_lost: false,
            },
        }
    }

    /// Packets that the writer took.
    pub const fn written(&self) -> u64 {
        self.copying.written
    }

    /// Packets that were lent and not written: the writer had no room, or an error.
    pub const fn missed(&self) -> u64 {
        self.copying.missed
    }

    /// The source inside.
    pub const fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source inside. Packets that are taken from it directly are not written.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// The writer.
    pub const fn writer(&self) -> &W {
        &self.copying.writer
    }

    /// The writer.
    pub const fn writer_mut(&mut self) -> &mut W {
        &mut self.copying.writer
    }

    /// Returns the source and the writer, without a flush.
    pub fn into_parts(self) -> (S, W) {
        (self.source, self.copying.writer)
    }
}

impl<S, W: PacketWriter> Tee<S, W> {
    /// Flushes the writer and returns both parts. If some packets must wait
    /// ([`PacketWriter::flush`]), flush the writer again.
    ///
    /// # Errors
    /// An error of the writer that was not reported yet, or that the flush returned.
    pub fn finish(mut self) -> Result<(S, W), Error> {
        self.copying.report()?;
        self.copying.flush()?;
        Ok(self.into_parts())
    }
}

impl<W: PacketWriter> Writing<W> {
    fn write(&mut self, packet: &Packet<'_>) {
        if self.is_lost {
            self.missed += 1;
            return;
        }
        match self.writer.write(packet) {
            Ok(true) => {
                self.written += 1;
                self.is_flushed = false;
            }
            Ok(false) => self.missed += 1,
            Err(error) => {
                self.missed += 1;
                self.is_lost = error.is_terminal();
                // The first report of a batch represents the others; a final error represents all.
                if self.is_lost || self.error.is_none() {
                    self.error = Some(error);
                }
            }
        }
    }

    /// Reports the error of the last batch, and the end after a terminal one.
    fn report(&mut self) -> Result<(), Error> {
        match self.error.take() {
            Some(error) => Err(error),
            None if self.is_lost => Err(Error::Closed),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.is_flushed {
            let flushed = self.writer.flush();
            self.is_lost = flushed.as_ref().is_err_and(Error::is_terminal);
            self.is_flushed = flushed?;
        }
        Ok(())
    }
}

impl<S: PacketSource, W: PacketWriter> PacketSource for Tee<S, W> {
    type Batch<'a>
        = S::Batch<'a>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        self.copying.report()?;
        let found = self.source.ready()?;
        if found != Readiness::Ready {
            self.copying.flush()?;
        }
        Ok(found)
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        let batch = self.source.batch();
        // Not a `for` loop: the iterators of batches hand a packet to a closure without a copy.
        let packets = batch.packets();
        packets.for_each(|packet| self.copying.write(&packet));
        batch
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        // Flushes, so that no packet stays in the writer during the wait.
        let found = self.ready()?;
        if found != Readiness::Empty {
            return Ok(found);
        }
        let found = self.source.wait(timeout)?;
        if found != Readiness::Ready {
            self.copying.flush()?;
        }
        Ok(found)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.source.stats()
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }
}

impl<S: AsFd, W> AsFd for Tee<S, W> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
