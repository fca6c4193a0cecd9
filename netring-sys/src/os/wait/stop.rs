//! Stopping a source from any thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::SyscallError;
use crate::syscall::{event, event_signal};

/// Stops a source from any thread: all its waits return, and it reports
/// [`Readiness::Ended`](crate::Readiness::Ended).
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

    /// The descriptor that a stop makes readable.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }

    /// Stops the source. Further calls have no effect.
    pub fn stop(&self) {
        // Relaxed: the flag publishes no other memory. Its partner is the load in `is_stopped`; a
        // sleeping reader is woken by the event, whose system calls order the two.
        self.0.stopped.store(true, Ordering::Relaxed);
        // It fails only for a descriptor that is not an event.
        let _ = event_signal(self.0.event.as_fd());
    }

    /// Whether the source was stopped.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // Relaxed: the partner is the store in `stop`.
        self.0.stopped.load(Ordering::Relaxed)
    }
}
