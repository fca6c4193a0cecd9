//! An injector as a packet sink.

use std::os::fd::{AsFd, BorrowedFd};

use netring_sys::{Error, OpenSink, PacketSink, PacketSlot, SinkStats};

#[cfg(doc)]
use super::builder::InjectorBuilder;
use super::injector::Injector;
use super::limits::Fault;
use super::request::Request;
use super::slot::Slot;

impl PacketSink for Injector {
    type Slot<'a> = Slot<'a>;

    #[inline]
    fn room(&mut self) -> Result<usize, Error> {
        self.reclaim();
        Ok(self.ring.room())
    }

    #[inline]
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        if len == 0 || len > self.max_len() {
            self.accept_larger_mtu(len);
            let max = self.max_len();
            if len == 0 || len > max {
                return Err(self.refuse(len, max));
            }
        }
        if self.ring.room() == 0 {
            self.reclaim();
            if self.ring.room() == 0 {
                return Ok(None);
            }
        }
        self.request = Request::default();
        Ok(Some(Slot::new(self, len)))
    }

    fn flush(&mut self) -> Result<usize, Error> {
        self.send_committed()
    }

    fn stats(&mut self) -> Result<SinkStats, Error> {
        self.reclaim();
        Ok(self.counts.stats())
    }

    /// The longest frame that the interface sends, with a VLAN tag if it is Ethernet, as of the
    /// last check of its MTU; with [`offloads`](InjectorBuilder::offloads) the longest frame that
    /// can be segmented.
    #[inline]
    fn max_len(&self) -> usize {
        match self.has_offloads() {
            true => self.limits.longest_segmented(),
            false => self.limits.longest,
        }
    }

    fn max_whole_len(&self, tagged: bool) -> usize {
        match tagged {
            true => self.limits.longest,
            false => self.limits.plain,
        }
    }

    fn pending(&mut self) -> Result<u64, Error> {
        self.reclaim();
        Ok(self.counts.pending())
    }

    /// Copies a frame into a slot and commits it; false if there is no room now.
    ///
    /// # Errors
    /// [`Error::FrameLength`] for a frame that is empty, or longer than the MTU allows;
    /// [`Error::Request`] for one shorter than the link layer header.
    #[inline]
    fn send(&mut self, frame: &[u8]) -> Result<bool, Error> {
        let mut fault = self.limits.check(frame, false);
        if matches!(fault, Err(Fault::TooLong { .. })) {
            self.accept_larger_mtu(frame.len());
            fault = self.limits.check(frame, false);
        }
        match fault {
            Ok(()) => {}
            Err(Fault::TooLong { max }) => return Err(self.refuse(frame.len(), max)),
            Err(Fault::TooShort { .. }) if frame.is_empty() => {
                let max = self.max_len();
                return Err(self.refuse(0, max));
            }
            Err(Fault::TooShort { min }) => {
                self.counts.refused += 1;
                return Err(Error::Request {
                    request: "frame",
                    why: format!(
                        "{} bytes; the link layer header of the interface alone has {min}",
                        frame.len()
                    ),
                });
            }
        }
        let Some(mut slot) = self.slot(frame.len())? else {
            return Ok(false);
        };
        slot.copy_from_slice(frame);
        slot.commit();
        Ok(true)
    }
}

/// The packet socket. That it is writable does not mean that the ring has room, and it has a
/// pending error while there are timestamps that were not read.
impl AsFd for Injector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl OpenSink for Injector {
    fn open(interface: &str) -> Result<Self, Error> {
        Self::open(interface)
    }
}
