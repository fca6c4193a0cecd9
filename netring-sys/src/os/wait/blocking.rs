//! Blocking waits: for packets, for room, and until everything is sent.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::syscall::{poll_readable, poll_writable};
use crate::{Error, PacketSink, PacketSource, Readiness};

/// Waits until a source has a batch or has ended, or the timeout expires; `None` waits forever.
/// Returns [`Readiness::Empty`] only if it expired.
///
/// It is [`PacketSource::wait`] for a source with a descriptor, which must become readable when
/// [`ready`](PacketSource::ready) has something new to report. The timeout is kept to the
/// microsecond, however many signals interrupt the wait.
///
/// # Errors
/// The errors of [`PacketSource::ready`], or the failed call.
pub fn ready<S: PacketSource + AsFd>(
    source: &mut S,
    timeout: Option<Duration>,
) -> Result<Readiness, Error> {
    let mut deadline = None;
    loop {
        let found = source.ready()?;
        if found != Readiness::Empty {
            return Ok(found);
        }
        let left = match timeout {
            None => None,
            Some(timeout) => {
                let now = Instant::now();
                // A timeout that no clock can represent waits forever.
                let deadline = deadline.get_or_insert_with(|| now.checked_add(timeout));
                let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
                if left == Some(Duration::ZERO) {
                    return Ok(Readiness::Empty);
                }
                left
            }
        };
        poll_readable(source.as_fd(), left)?;
    }
}

/// Sends one frame, waiting for room if necessary. Returns false if the timeout expires first;
/// `None` waits forever.
///
/// If there is no room, frames that were committed before are flushed. The frame itself is sent by
/// the next [`PacketSink::flush`].
///
/// # Errors
/// The errors of [`PacketSink::slot`] and [`PacketSink::flush`].
pub fn send<S: PacketSink + AsFd>(
    sink: &mut S,
    frame: &[u8],
    timeout: Option<Duration>,
) -> Result<bool, Error> {
    let mut pause = Pause::new(timeout);
    loop {
        if sink.send(frame)? {
            return Ok(true);
        }
        sink.flush()?;
        // Tries again instead of checking the room: a long frame may need more than there is.
        if sink.send(frame)? {
            return Ok(true);
        }
        if !pause.wait(sink.as_fd())? {
            return Ok(false);
        }
    }
}

/// Flushes all committed frames and waits until the fate of each is known, or the timeout expires;
/// `None` waits forever. Returns the number of frames that are still pending.
///
/// # Errors
/// The errors of [`PacketSink::flush`].
pub fn drain<S: PacketSink + AsFd>(sink: &mut S, timeout: Option<Duration>) -> Result<u64, Error> {
    let mut pause = Pause::new(timeout);
    loop {
        sink.flush()?;
        sink.room()?;
        let pending = sink.pending()?;
        if pending == 0 || !pause.wait(sink.as_fd())? {
            return Ok(pending);
        }
    }
}

/// Waits for a sink, which may be writable long before it has room: each futile wait is longer than
/// the one before.
struct Pause {
    deadline: Option<Instant>,
    next: Duration,
}

impl Pause {
    const LONGEST: Duration = Duration::from_millis(1);

    fn new(timeout: Option<Duration>) -> Self {
        Self {
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            next: Duration::from_micros(10),
        }
    }

    /// Returns false if the timeout has expired.
    fn wait(&mut self, fd: BorrowedFd<'_>) -> Result<bool, Error> {
        let left = self.deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            return Ok(false);
        }
        let time = self.next.min(left);
        let start = Instant::now();
        poll_writable(fd, Some(time))?;
        std::thread::sleep(time.saturating_sub(start.elapsed()));
        self.next = (self.next * 2).min(Self::LONGEST);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::event;
    use std::os::fd::OwnedFd;

    /// A sink with room for short frames, but never for this one.
    struct Narrow(OwnedFd);

    impl PacketSink for Narrow {
        type Slot<'a> = Never<'a>;

        fn room(&mut self) -> Result<usize, Error> {
            Ok(1)
        }

        fn slot(&mut self, _: usize) -> Result<Option<Never<'_>>, Error> {
            Ok(None)
        }

        fn flush(&mut self) -> Result<usize, Error> {
            Ok(1)
        }

        fn stats(&mut self) -> Result<crate::SinkStats, Error> {
            Ok(crate::SinkStats::counted(1, 0))
        }

        fn max_len(&self) -> usize {
            9000
        }
    }

    impl AsFd for Narrow {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    struct Never<'a>(&'a mut [u8]);

    impl std::ops::Deref for Never<'_> {
        type Target = [u8];
        fn deref(&self) -> &[u8] {
            self.0
        }
    }

    impl std::ops::DerefMut for Never<'_> {
        fn deref_mut(&mut self) -> &mut [u8] {
            self.0
        }
    }

    impl crate::PacketSlot for Never<'_> {
        fn commit(self) {}
    }

    /// Whatever room the sink reports.
    #[test]
    fn a_wait_to_send_a_long_frame_ends_in_time() {
        let mut sink = Narrow(event().unwrap());
        let start = Instant::now();
        let time = Duration::from_millis(30);
        assert!(!send(&mut sink, &[0; 9000], Some(time)).unwrap());
        assert!(start.elapsed() >= time);
    }
}
