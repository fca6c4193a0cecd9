//! Waiting: `epoll(7)`, `ppoll(2)`, `eventfd(2)`, `timerfd_create(2)`.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::c_int;

use super::{check, check_len, timespec, would_block};
use crate::SyscallError;

/// Creates an epoll set: a set of descriptors that can itself be waited for.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
// [`do_epoll_create`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventpoll.c#L2398
#[doc(alias = "epoll_create1")]
pub fn epoll() -> Result<OwnedFd, SyscallError> {
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let fd = check(
        unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) },
        "epoll_create1",
    )?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds a descriptor to a set, which is readable while one of its members is readable or has an
/// error. `token` identifies the member.
///
/// # Errors
/// `EEXIST` if it is in the set, `EPERM` if it cannot be waited for.
// [`ep_insert`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventpoll.c#L1827
#[doc(alias = "epoll_ctl")]
pub fn epoll_add(set: BorrowedFd<'_>, fd: BorrowedFd<'_>, token: u64) -> Result<(), SyscallError> {
    epoll_control(libc::EPOLL_CTL_ADD, set, fd, libc::EPOLLIN, token)
}

/// Adds a descriptor to a set, which becomes readable each time that the descriptor announces that
/// it is writable or has an error, and stays so until [`epoll_ready`] has returned its token
/// (`EPOLLET`).
///
/// # Errors
/// The errors of [`epoll_add`].
#[doc(alias = "EPOLLET")]
pub fn epoll_add_writable(
    set: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    token: u64,
) -> Result<(), SyscallError> {
    let events = libc::EPOLLOUT | libc::EPOLLET;
    epoll_control(libc::EPOLL_CTL_ADD, set, fd, events, token)
}

/// Mutes a member, so that only its errors make the set readable, or unmutes it. `token` is the one
/// it was added with.
///
/// # Errors
/// `ENOENT` if it is not in the set.
// [`ep_modify`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventpoll.c#L1910
#[doc(alias = "EPOLL_CTL_MOD")]
pub fn epoll_mute(
    set: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    token: u64,
    muted: bool,
) -> Result<(), SyscallError> {
    let events = if muted { 0 } else { libc::EPOLLIN };
    epoll_control(libc::EPOLL_CTL_MOD, set, fd, events, token)
}

/// Removes a member from a set.
///
/// # Errors
/// `ENOENT` if it is not in the set.
// [`EPOLL_CTL_DEL`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventpoll.c#L2588
#[doc(alias = "EPOLL_CTL_DEL")]
pub fn epoll_remove(set: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<(), SyscallError> {
    epoll_control(libc::EPOLL_CTL_DEL, set, fd, 0, 0)
}

fn epoll_control(
    operation: c_int,
    set: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    events: c_int,
    token: u64,
) -> Result<(), SyscallError> {
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: token,
    };
    let (set, fd) = (set.as_raw_fd(), fd.as_raw_fd());
    // SAFETY: the event is on this stack; nobody else uses it; the kernel reads one.
    check(
        unsafe { libc::epoll_ctl(set, operation, fd, &raw mut event) },
        "epoll_ctl",
    )
    .map(drop)
}

/// The tokens of up to four members that are readable or have an error now; does not block.
///
/// # Errors
/// The descriptor is not an epoll set.
// [`ep_poll`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventpoll.c#L2161
#[doc(alias = "epoll_wait")]
pub fn epoll_ready(set: BorrowedFd<'_>) -> Result<impl Iterator<Item = u64> + use<>, SyscallError> {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
    let room = events.len() as c_int;
    // SAFETY: the events are on this stack; nobody else uses them; the kernel writes at most
    // `room`.
    let count = match check(
        unsafe { libc::epoll_wait(set.as_raw_fd(), events.as_mut_ptr(), room, 0) },
        "epoll_wait",
    ) {
        Err(error) if would_block(&error) => 0,
        other => other?,
    };
    Ok(events
        .into_iter()
        .take(count as usize)
        .map(|event| event.u64))
}

/// Creates an event: a descriptor that becomes readable when it is signalled.
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
// [`do_eventfd`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventfd.c#L379
#[doc(alias = "eventfd")]
pub fn event() -> Result<OwnedFd, SyscallError> {
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let fd = check(
        unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) },
        "eventfd",
    )?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes an event readable.
///
/// # Errors
/// The descriptor is not an event.
// [`eventfd_write`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventfd.c#L247
pub fn event_signal(event: BorrowedFd<'_>) -> Result<(), SyscallError> {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: the bytes are on this stack; nobody writes to them; their length goes with them.
    let written = unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    match check_len(written, "write(eventfd)") {
        // The counter is full, so it is readable.
        Err(error) if would_block(&error) => Ok(()),
        other => other.map(drop),
    }
}

/// Clears an event, so that it is not readable before it is signalled again. Returns how often it
/// was signalled.
///
/// # Errors
/// The descriptor is not an event.
// [`eventfd_read`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/eventfd.c#L214
pub fn event_clear(event: BorrowedFd<'_>) -> Result<u64, SyscallError> {
    read_count(event, "read(eventfd)")
}

/// Creates a timer that is not running. Once [started](timer_start), it becomes readable at the end
/// of each period and stays so until it is [cleared](timer_clear).
///
/// # Errors
/// `EMFILE`, `ENOMEM`.
// [`timerfd_create`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/timerfd.c#L410
#[doc(alias = "timerfd_create")]
pub fn timer() -> Result<OwnedFd, SyscallError> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let fd = check(
        unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) },
        "timerfd_create",
    )?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Starts a timer with this period; a period of zero stops it.
///
/// # Errors
/// The descriptor is not a timer.
// [`do_timerfd_settime`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/timerfd.c#L470
#[doc(alias = "timerfd_settime")]
pub fn timer_start(timer: BorrowedFd<'_>, period: Duration) -> Result<(), SyscallError> {
    let period = libc::itimerspec {
        it_interval: timespec(period),
        it_value: timespec(period),
    };
    // SAFETY: the period is on this stack; nobody writes to it; the kernel reads one, and writes
    // none back.
    let set = unsafe {
        libc::timerfd_settime(
            timer.as_raw_fd(),
            0,
            &raw const period,
            std::ptr::null_mut(),
        )
    };
    check(set, "timerfd_settime").map(drop)
}

/// Clears a timer, so that it is not readable before the next period ends. Returns the number of
/// periods that have ended.
///
/// # Errors
/// The descriptor is not a timer.
// [`timerfd_read_iter`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/timerfd.c#L265
pub fn timer_clear(timer: BorrowedFd<'_>) -> Result<u64, SyscallError> {
    read_count(timer, "read(timerfd)")
}

/// Reads and resets the count of an event or a timer; 0 if there is none.
fn read_count(fd: BorrowedFd<'_>, call: &'static str) -> Result<u64, SyscallError> {
    let mut count = [0; 8];
    // SAFETY: the bytes are on this stack; nobody else uses them; the kernel writes at most as many
    // as there are.
    let read = unsafe { libc::read(fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    match check_len(read, call) {
        Err(error) if would_block(&error) => Ok(0),
        other => other.map(|_| u64::from_ne_bytes(count)),
    }
}

/// Waits until a descriptor is readable or has an error and returns true; false if the timeout
/// expires or a signal arrives. `None` waits forever. The timeout is kept to the nanosecond.
///
/// # Errors
/// `ENOMEM`.
// [`do_poll`]: https://elixir.bootlin.com/linux/v6.12.117/source/fs/select.c#L884
#[doc(alias = "ppoll")]
pub fn poll_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<bool, SyscallError> {
    poll(fd, libc::POLLIN, timeout)
}

/// Waits until a descriptor is writable or has an error, like [`poll_readable`].
///
/// # Errors
/// `ENOMEM`.
pub fn poll_writable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<bool, SyscallError> {
    poll(fd, libc::POLLOUT, timeout)
}

/// Waits like [`poll_readable`] until one of up to four descriptors is readable or has an error;
/// more are not waited for.
///
/// # Errors
/// `ENOMEM`.
pub fn poll_readable_any<'a>(
    fds: impl IntoIterator<Item = BorrowedFd<'a>>,
    timeout: Option<Duration>,
) -> Result<bool, SyscallError> {
    // The kernel passes over negative descriptors.
    let mut entries = [libc::pollfd {
        fd: -1,
        events: libc::POLLIN,
        revents: 0,
    }; 4];
    for (entry, fd) in entries.iter_mut().zip(fds) {
        entry.fd = fd.as_raw_fd();
    }
    poll_all(&mut entries, timeout)
}

fn poll(
    fd: BorrowedFd<'_>,
    events: libc::c_short,
    timeout: Option<Duration>,
) -> Result<bool, SyscallError> {
    let entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    poll_all(&mut [entry], timeout)
}

fn poll_all(entries: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<bool, SyscallError> {
    let time = timeout.map(timespec);
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = entries.len() as libc::nfds_t;
    // SAFETY: the entries are borrowed, and the time is on this stack; nobody else uses them; the
    // kernel is given as many entries as there are.
    let ready = unsafe { libc::ppoll(entries.as_mut_ptr(), count, time, std::ptr::null()) };
    match check(ready, "ppoll") {
        Err(error) if would_block(&error) => Ok(false),
        other => other.map(|ready| ready > 0),
    }
}
