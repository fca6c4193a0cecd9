//! Stopping a source from any thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::adapters::{Filtered, Limit, Tee};
use crate::syscall::{event, event_signal, poll_readable};
use crate::{PacketSource, PacketWriter, SyscallError};

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
pub struct StopHandle(Arc<State>);

/// A source that can be stopped from any thread; so can an adapter around it, and a flow stream of
/// it.
pub trait Stop: PacketSource {
    /// Returns a handle that stops this source.
    fn stop_handle(&self) -> StopHandle;
}

#[derive(Debug)]
struct State {
    stopped: AtomicBool,
    event: OwnedFd,
}

impl StopHandle {
    /// Creates an independent handle, for a loop that [`wait`](Self::wait)s on it.
    ///
    /// # Errors
    /// `eventfd` failed: the process has too many descriptors.
    pub fn new() -> Result<Self, SyscallError> {
        Ok(Self(Arc::new(State {
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

    /// Waits until it is stopped and returns true, or false if the timeout expires or a signal
    /// arrives. The system's timers lengthen the timeout by about 60 µs.
    ///
    /// # Errors
    /// `ppoll` failed.
    pub fn wait(&self, time: Duration) -> Result<bool, SyscallError> {
        poll_readable(self.event(), Some(time))
    }

    /// Whether the source was stopped.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // Relaxed: the partner is the store in `stop`.
        self.0.stopped.load(Ordering::Relaxed)
    }
}

/// Readable once it is stopped.
impl AsFd for StopHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event()
    }
}

impl<S: Stop + ?Sized> Stop for &mut S {
    fn stop_handle(&self) -> StopHandle {
        (**self).stop_handle()
    }
}

impl<S: Stop> Stop for Filtered<S> {
    fn stop_handle(&self) -> StopHandle {
        self.get_ref().stop_handle()
    }
}

impl<S: Stop> Stop for Limit<S> {
    fn stop_handle(&self) -> StopHandle {
        self.get_ref().stop_handle()
    }
}

impl<S: Stop, W: PacketWriter> Stop for Tee<S, W> {
    fn stop_handle(&self) -> StopHandle {
        self.get_ref().stop_handle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_wait_ends_in_its_time_or_by_a_stop() {
        let handle = StopHandle::new().unwrap();
        let (start, time) = (Instant::now(), Duration::from_millis(20));
        // A signal may end it earlier.
        while start.elapsed() < time {
            let left = time.saturating_sub(start.elapsed());
            assert!(!handle.wait(left).unwrap());
        }
        let other = handle.clone();
        let stopper = std::thread::spawn(move || other.stop());
        while !handle.wait(Duration::from_secs(600)).unwrap() {}
        assert!(handle.is_stopped() && handle.wait(Duration::MAX).unwrap());
        stopper.join().unwrap();
    }
}
