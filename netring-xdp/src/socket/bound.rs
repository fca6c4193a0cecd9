//! A bound socket: what both of its halves share.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netring_sys::errno::{ENETDOWN, ENODEV, ENXIO};
use netring_sys::{Error, Interface, SyscallError};

use crate::device::Device;
use crate::memory::accounting::Rings;
use crate::memory::umem::Shared;

/// A socket that is bound to a queue. Both halves share it; it is closed with the last of them.
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

    /// Whether another socket of the same UMEM is bound to the same queue, and so uses the same
    /// fill and completion rings.
    pub(crate) fn is_queue_shared(&self) -> bool {
        // Relaxed: it is set once, and only says how to read the counters.
        self.shares_queue.load(Ordering::Relaxed)
    }

    /// A socket for tests that play the kernel themselves.
    #[cfg(test)]
    pub(crate) fn simulated(
        fd: OwnedFd,
        interface: Interface,
        shared: &Arc<Shared>,
        rings: &Rings,
    ) -> Self {
        shared.books(|books| books.add(rings.clone()));
        Self {
            shared: shared.clone(),
            rings: rings.clone(),
            fd: Arc::new(fd),
            device: Device::simulated(interface.index),
            interface,
            queue: 0,
            zero_copy: false,
            why_not_zero_copy: None,
            busy_polls: false,
            shares_queue: Arc::default(),
        }
    }

    /// The error of a failed call: that the interface is down or removed, if that is why.
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
        self.shared.books(|books| books.close(&self.rings));
    }
}
