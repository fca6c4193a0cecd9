//! The contract of a sink: frames are written in place.

use std::ops::DerefMut;

use crate::{Error, Offload, SinkStats};

/// Sends frames in the order in which they are committed. A transmit ring and any wrapper around
/// one implement it. For packets with timestamps, as a capture file takes them, see
/// [`PacketWriter`](crate::PacketWriter).
///
/// A frame is written directly into the memory from which it is sent: [`room`](Self::room) looks
/// for a slot, [`slot`](Self::slot) lends it, and [`PacketSlot::commit`] hands it over. A slot that
/// is dropped instead leaves no trace and does not delay those after it. Committed frames are sent
/// by the next [`flush`](Self::flush), one call for many frames. None of the four blocks. As with
/// [`PacketSource`](crate::PacketSource), looking and lending are two steps, so that a wait fits
/// between them.
///
/// ```
/// use netring_sys::{Count, Error, PacketSink, PacketSlot, SinkStats};
///
/// /// Keeps the frames.
/// #[derive(Default)]
/// struct Keep {
///     frames: Vec<Vec<u8>>,
///     flushed: usize,
/// }
///
/// struct Slot<'a>(&'a mut Keep, Vec<u8>);
///
/// impl std::ops::Deref for Slot<'_> {
///     type Target = [u8];
///     fn deref(&self) -> &[u8] {
///         &self.1
///     }
/// }
/// impl std::ops::DerefMut for Slot<'_> {
///     fn deref_mut(&mut self) -> &mut [u8] {
///         &mut self.1
///     }
/// }
/// impl PacketSlot for Slot<'_> {
///     fn commit(self) {
///         self.0.frames.push(self.1)
///     }
/// }
///
/// impl PacketSink for Keep {
///     type Slot<'a> = Slot<'a>;
///
///     fn room(&mut self) -> Result<usize, Error> {
///         Ok(usize::MAX)
///     }
///     fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
///         Ok(Some(Slot(self, vec![0; len])))
///     }
///     fn flush(&mut self) -> Result<usize, Error> {
///         self.flushed = self.frames.len();
///         Ok(0)
///     }
///     fn stats(&mut self) -> Result<SinkStats, Error> {
///         Ok(SinkStats::counted(
///             self.frames.len() as u64,
///             self.flushed as u64,
///         ))
///     }
///     fn max_len(&self) -> usize {
///         65_535
///     }
/// }
///
/// let mut sink = Keep::default();
/// assert!(sink.send(b"first")?);
/// let mut slot = sink.slot(6)?.unwrap();
/// slot.copy_from_slice(b"second");
/// slot.commit();
/// drop(sink.slot(100)?);
/// assert_eq!(sink.flush()?, 0);
/// assert_eq!(sink.frames, [b"first".to_vec(), b"second".to_vec()]);
/// assert_eq!(sink.stats()?.sent, Count::Exact(2));
/// # Ok::<(), Error>(())
/// ```
///
/// Two slots of one sink cannot be held at once:
///
/// ```compile_fail,E0499
/// fn two_at_once<S: netring_sys::PacketSink>(sink: &mut S) -> Result<(), netring_sys::Error> {
///     let first = sink.slot(60)?;
///     let second = sink.slot(60)?;
///     drop((first, second));
///     Ok(())
/// }
/// ```
///
/// and a slot cannot be written to once it is committed:
///
/// ```compile_fail,E0382
/// use netring_sys::{PacketSink, PacketSlot};
///
/// fn late<S: PacketSink>(sink: &mut S) -> Result<(), netring_sys::Error> {
///     let mut slot = sink.slot(60)?.unwrap();
///     slot.commit();
///     slot[0] = 1;
///     Ok(())
/// }
/// ```
pub trait PacketSink {
    /// The slot that [`slot`](Self::slot) lends, bound to the sink.
    type Slot<'a>: PacketSlot
    where
        Self: 'a;

    /// The number of slots that are free now; a long frame may take several. Reclaims the memory of
    /// completed frames; never blocks, lends nothing.
    ///
    /// # Errors
    /// If [`Error::is_terminal`] is false, the error is a report that is made once: call again.
    fn room(&mut self) -> Result<usize, Error>;

    /// Lends room for one frame of `len` bytes; `None` if there is none now. The slot contains old
    /// data: write all of it.
    ///
    /// # Errors
    /// [`Error::FrameLength`] for a frame that is empty or longer than [`max_len`](Self::max_len).
    fn slot(&mut self, len: usize) -> Result<Option<Self::Slot<'_>>, Error>;

    /// Sends committed frames, and returns how many of them are still in the ring because the
    /// kernel takes no more now; another flush continues with them. Never blocks.
    ///
    /// # Errors
    /// [`Error::LinkDown`] while the interface is down: frames stay in the ring and are sent once
    /// it is up; [`Error::InterfaceRemoved`], or the failed call.
    fn flush(&mut self) -> Result<usize, Error>;

    /// The fate of every frame so far. Reading resets nothing.
    ///
    /// # Errors
    /// The system call that reads the figures failed.
    fn stats(&mut self) -> Result<SinkStats, Error>;

    /// The longest frame that fits a slot, in bytes.
    fn max_len(&self) -> usize;

    /// The longest frame that is sent as it is, without segmentation, in bytes: `tagged` if it has
    /// a VLAN tag of type 0x8100, for which an interface may allow four more. As far as the sink
    /// knows it, or else [`max_len`](Self::max_len).
    fn max_whole_len(&self, tagged: bool) -> usize {
        let _ = tagged;
        self.max_len()
    }

    /// Frames whose fate is not known yet ([`SinkStats::pending`]), for sinks that know it without
    /// querying all figures.
    ///
    /// # Errors
    /// The system call that reads the figures failed.
    fn pending(&mut self) -> Result<u64, Error> {
        Ok(self.stats()?.pending)
    }

    /// Copies a frame into a slot and commits it; false if there is no room now.
    ///
    /// # Errors
    /// [`Error::FrameLength`] for a frame that is empty or longer than [`max_len`](Self::max_len).
    fn send(&mut self, frame: &[u8]) -> Result<bool, Error> {
        let Some(mut slot) = self.slot(frame.len())? else {
            return Ok(false);
        };
        slot.copy_from_slice(frame);
        slot.commit();
        Ok(true)
    }
}

/// A sink that is opened by the name of its interface.
pub trait OpenSink: PacketSink + Sized {
    /// Opens the interface with this name, with the default settings.
    ///
    /// # Errors
    /// There is no such interface, a capability is missing, or a call failed.
    fn open(interface: &str) -> Result<Self, Error>;
}

/// Room for one frame of the requested length in a sink. Dropping it returns it unsent.
#[must_use = "a slot that is not committed is not sent"]
pub trait PacketSlot: DerefMut<Target = [u8]> {
    /// Hands the frame over. It keeps its place among the frames committed before and after it.
    fn commit(self);

    /// Requests the remaining work for the written frame in the slot: a checksum, and segmentation.
    /// Returns false, and requests nothing, if the sink cannot do all of it; the frame must then be
    /// complete. Default: it cannot.
    fn request_offload(&mut self, offload: &Offload) -> bool {
        let _ = offload;
        false
    }
}

impl<S: PacketSink + ?Sized> PacketSink for &mut S {
    type Slot<'a>
        = S::Slot<'a>
    where
        Self: 'a;

    #[inline]
    fn room(&mut self) -> Result<usize, Error> {
        (**self).room()
    }

    #[inline]
    fn slot(&mut self, len: usize) -> Result<Option<Self::Slot<'_>>, Error> {
        (**self).slot(len)
    }

    #[inline]
    fn flush(&mut self) -> Result<usize, Error> {
        (**self).flush()
    }

    fn stats(&mut self) -> Result<SinkStats, Error> {
        (**self).stats()
    }

    fn max_len(&self) -> usize {
        (**self).max_len()
    }

    fn max_whole_len(&self, tagged: bool) -> usize {
        (**self).max_whole_len(tagged)
    }

    fn pending(&mut self) -> Result<u64, Error> {
        (**self).pending()
    }
}
