//! Stopping a source from any thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::SyscallError;
use crate::syscall::{event, event_signal};

/// Ends a source from any thread: whoever waits for it wakes up, and it is [`Readiness::Ended`].
///
/// ```no_run
/// # fn example(handle: netring_sys::wait::StopHandle) {
/// let stop = handle.clone();
/// std::thread::spawn(move || stop.stop());
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Stop>);

#[derive(Debug)]
struct Stop {
    stopped: AtomicBool,
    event: OwnedFd,
}

impl StopHandle {
    pub(super) fn new() -> Result<Self, SyscallError> {
        Ok(Self(Arc::new(Stop {
            stopped: AtomicBool::new(false),
            event: event()?,
        })))
    }

    /// Readable from the stop on.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }

    /// Stops the source; a second time does nothing more.
    pub fn stop(&self) {
        // Relaxed: the flag carries no other memory with it. Its partner is the load in
        // `is_stopped`; a reader that sleeps is woken by the event, whose system calls
        // order the two.
        self.0.stopped.store(true, Ordering::Relaxed);
        // It fails only for a descriptor that is no event, and this one is.
        let _ = event_signal(self.0.event.as_fd());
    }

    /// Whether the source was stopped.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // Relaxed: see `stop`.
        self.0.stopped.load(Ordering::Relaxed)
    }
}
