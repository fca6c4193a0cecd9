//! A bound socket: the part that its halves share.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netring_sys::errno::{ENETDOWN, ENODEV, ENXIO};
use netring_sys::{Error, Interface, SyscallError};

use crate::device::Device;
use crate::memory::accounting::Rings;
use crate::memory::umem::Shared;

/// A socket bound to a queue. Its halves share it; it is closed with the last of them.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) interface: Interface,
    pub(crate) device: Device,
    pub(crate) queue: u32,
    pub(crate) zero_copy: bool,
    pub(crate) why_not_zero_copy: Option<SyscallError>,
    pub(crate) busy_polls: bool,
    pub(crate) shares_queue: Arc<AtomicBool>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rings: Rings,
}

impl BoundSocket {
    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether another socket over the same UMEM is bound to the same queue, and so shares its fill
    /// and completion rings.
    pub(crate) fn is_queue_shared(&self) -> bool {
        // Relaxed, with no partner: it is set once, and only says how to read the counters.
        self.shares_queue.load(Ordering::Relaxed)
    }

    /// The error of a failed call; it reports an interface that is down or removed as such.
    pub(crate) fn failed(&self, error: SyscallError) -> Error {
        let removed = error.is(ENXIO) || error.is(ENODEV);
        if !removed && !error.is(ENETDOWN) {
            return error.into();
        }
        let (interface, was_up) = (self.interface.current_name(), false);
        match removed {
            true => Error::InterfaceRemoved { interface },
            false => Error::LinkDown { interface, was_up },
        }
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        self.shared
            .accounting(|accounting| accounting.close(&self.rings));
    }
}
