//! Waiting for packets, for a stop, and for the interface to go.
//!
//! A live source waits for three things at once, and a runtime takes one descriptor: [`Waiter`] is
//! a set of the packet socket, the event behind [`StopHandle`]s, and the kernel's notifications
//! about interfaces, and can be waited for as one. The notifications are needed because the socket
//! alone does not tell: once it is down, the kernel removes an interface without another word to
//! it.

mod link;
mod pace;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::syscall::{
    epoll, epoll_add, epoll_ready, event, event_signal, poll_readable, poll_writable,
    take_socket_error,
};
use crate::{Count, Error, Interface, PacketSink, PacketSource, Readiness, SyscallError};

use link::LinkWatch;

/// Waits until a source has a batch, and lends it; `Ok(None)` where the time was over first. No
/// time waits for ever.
///
/// The wait is as long as was asked, to the microsecond, however many signals interrupt it.
///
/// # Errors
/// [`Error::Closed`] once the source has ended or was stopped, and whatever [`PacketSource::ready`]
/// reports.
pub fn next_batch<S: PacketSource + AsFd>(
    source: &mut S,
    timeout: Option<Duration>,
) -> Result<Option<S::Batch<'_>>, Error> {
    let mut deadline = None;
    loop {
        match source.ready()? {
            Readiness::Ready => break,
            Readiness::Ended => return Err(Error::Closed),
            Readiness::Empty => {}
        }
        let left = match timeout {
            None => None,
            Some(timeout) => {
                let now = Instant::now();
                // A time so long that no clock holds it is for ever.
                let deadline = deadline.get_or_insert_with(|| now.checked_add(timeout));
                let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
                if left == Some(Duration::ZERO) {
                    return Ok(None);
                }
                left
            }
        };
        poll_readable(source.as_fd(), left)?;
    }
    Ok(Some(source.batch()))
}

/// Sends one frame, waiting for room; false where the time was over first. No time waits for ever.
///
/// What was committed before is flushed where there is no room; the frame itself is on its way
/// after the next [`PacketSink::flush`].
///
/// # Errors
/// As [`PacketSink::slot`] and [`PacketSink::flush`].
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
        // Again, and not by how much room there is: a long frame may need more than there is.
        if sink.send(frame)? {
            return Ok(true);
        }
        if !pause.wait(sink.as_fd())? {
            return Ok(false);
        }
    }
}

/// Sends everything that was committed, and waits until it is known what became of it, or the time
/// is over: how many frames are still pending. No time waits for ever.
///
/// # Errors
/// As [`PacketSink::flush`].
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

/// Waits for a sink, which may call itself writable long before it has room: each wait in vain is
/// longer than the one before.
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

    /// False where the time is over.
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

/// What a live source waits for, as one descriptor: readable when there may be packets, when it was
/// stopped, and when something happened to its interface.
#[derive(Debug)]
pub struct Waiter {
    // The set goes first: what it holds is still open then, and the kernel has nothing to clean up
    // behind it.
    set: OwnedFd,
    // Boxed: no packet needs it, and a waiter is a part of every source.
    link: Box<LinkWatch>,
    stop: StopHandle,
    pace: pace::Pace,
}

const SOCKET: u64 = 0;
const STOP: u64 = 1;
const LINK: u64 = 2;
const PACE: u64 = 3;

impl Waiter {
    /// Waits for `socket`, which is bound to `interface`. Call it from the namespace of the two.
    ///
    /// A sandbox that forbids netlink does not make it fail: see
    /// [`why_link_unwatched`](Self::why_link_unwatched).
    ///
    /// # Errors
    /// The call that failed: there are too many open files, or not enough memory.
    pub fn new(socket: BorrowedFd<'_>, interface: &Interface) -> Result<Self, Error> {
        let (set, link, stop) = (epoll()?, Box::new(LinkWatch::new(interface)?), event()?);
        epoll_add(set.as_fd(), socket, SOCKET)?;
        epoll_add(set.as_fd(), stop.as_fd(), STOP)?;
        if let Some(link) = link.fd() {
            epoll_add(set.as_fd(), link, LINK)?;
        }
        Ok(Self {
            set,
            link,
            stop: StopHandle(Arc::new(Stop {
                stopped: AtomicBool::new(false),
                event: stop,
            })),
            pace: pace::Pace::default(),
        })
    }

    /// Why the state of the interface is not watched: a sandbox forbids netlink sockets. `None` if
    /// it is watched.
    ///
    /// The source then reports what its own socket says: AF_PACKET, that the interface was set
    /// down, and its removal if it was up; a lost carrier is not reported, and the removal of
    /// an interface that is down only to a reader that waits with a timeout.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        self.link.why_unwatched()
    }

    /// Waits for one more socket of the same source: a queue of its own of the same interface.
    ///
    /// # Errors
    /// The call that failed: there is not enough memory.
    pub fn add(&self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        Ok(epoll_add(self.set.as_fd(), socket, SOCKET)?)
    }

    /// A handle that stops the source.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Whether the source was stopped. One load: a source asks before each batch.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Sleeps for so long, whatever comes meanwhile; a stop ends it.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn sleep(&self, time: Duration) -> Result<(), SyscallError> {
        poll_readable(self.stop.0.event.as_fd(), Some(time)).map(drop)
    }

    /// How often the interface went down since the waiter was made, as the kernel announced it: a
    /// carrier that is lost and back before the kernel looks (up to a second) is not announced.
    /// At least so often, if announcements were lost or are not watched.
    pub fn link_downs(&self) -> Count {
        self.link.downs()
    }

    /// Whether the interface was removed, as far as [`take_news`](Self::take_news) has heard.
    pub const fn is_removed(&self) -> bool {
        self.link.is_removed()
    }

    /// Looks what woke the reader, when there was no packet: takes in the news about the interface,
    /// and takes the error off `socket` that would make every wait return at once. Does not
    /// wait.
    ///
    /// Taking in and [reporting](Self::report) are two steps: between them a source looks for
    /// packets once more, so that those that came before the link went down are lent before the
    /// report, and no report is lost over them.
    ///
    /// # Errors
    /// The call that failed.
    pub fn take_news(&mut self, socket: BorrowedFd<'_>) -> Result<(), SyscallError> {
        let mut errno = 0;
        for token in epoll_ready(self.set.as_fd())? {
            match token {
                // Readable without a packet: a down interface leaves ENETDOWN there. The
                // notification says it better.
                SOCKET => errno = take_socket_error(socket)?,
                LINK => self.link.read()?,
                PACE => self.pace.take()?,
                _ => {}
            }
        }
        self.link.socket_says(socket, errno);
        Ok(())
    }

    /// Reports what happened to the interface, under the name that it has now.
    ///
    /// # Errors
    /// [`Error::LinkDown`] once each time the interface goes down, and once if it was down from the
    /// start; [`Error::InterfaceRemoved`] from then on when it was removed.
    pub fn report(&mut self) -> Result<(), Error> {
        self.link.report()
    }
}

impl AsFd for Waiter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_makes_the_waiter_readable_and_stays() {
        let socket = event().unwrap();
        let waiter = Waiter::new(socket.as_fd(), &Interface::by_name("lo").unwrap()).unwrap();
        let handle = waiter.stop_handle();
        assert!(!waiter.is_stopped());
        handle.stop();
        handle.clone().stop();
        assert!(waiter.is_stopped());
        assert!(poll_readable(waiter.as_fd(), Some(Duration::ZERO)).unwrap());
    }

    /// A sink with room for short frames, and never for this one.
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

    /// Whatever the sink says of its room.
    #[test]
    fn a_wait_to_send_a_long_frame_ends_in_time() {
        let mut sink = Narrow(event().unwrap());
        let start = Instant::now();
        let time = Duration::from_millis(30);
        assert!(!send(&mut sink, &[0; 9000], Some(time)).unwrap());
        assert!(start.elapsed() >= time);
    }
}
