//! Waiting for the packets of a socket.

use std::time::{Duration, Instant};

use netring_sys::syscall::{poll_readable, take_socket_error};
use netring_sys::{Error, SyscallError};

use super::Receiver;
use crate::waiting::moderation::time_left;

impl Receiver<'_> {
    /// Waits for packets: whether there are some. `None` for a time waits for ever.
    ///
    /// While packets come fast, one by one, it lets them gather first
    /// ([`SocketBuilder::moderation`](super::SocketBuilder::moderation)). The wait is as long as
    /// was asked, however many signals interrupt it. An interface that is down does not end it;
    /// one that is removed does.
    ///
    /// # Errors
    /// [`Error::InterfaceRemoved`], or the call that failed.
    pub fn wait(&mut self, timeout: impl Into<Option<Duration>>) -> Result<bool, Error> {
        if self.half.look() {
            return Ok(true);
        }
        self.wait_further(timeout.into())
    }

    fn wait_further(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        let now = Instant::now();
        // A time so long that no clock holds it is for ever.
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        let (seen, room) = (self.half.seen(), self.half.capacity());
        let mut left = timeout;
        if let Some(sleep) = self.moderation.sleep(now, seen, room) {
            self.waits += 1;
            std::thread::sleep(timeout.map_or(sleep, |timeout| sleep.min(timeout)));
            if self.half.look() {
                return Ok(true);
            }
            left = time_left(deadline);
        }
        loop {
            self.waits += 1;
            let woken = poll_readable(self.half.socket.fd(), left)?;
            if self.half.look() {
                return Ok(true);
            }
            if woken {
                self.take_error()?;
            }
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            left = time_left(deadline);
        }
    }

    /// The error that woke the reader, where one did.
    #[cold]
    fn take_error(&self) -> Result<(), Error> {
        let errno = match take_socket_error(self.half.socket.fd())? {
            0 => return Ok(()),
            errno => errno,
        };
        let source = std::io::Error::from_raw_os_error(errno);
        let call = "poll(AF_XDP)";
        // The socket itself says only that its interface went for good.
        let interface = self.half.socket.interface.name.clone();
        match self.half.socket.failed(SyscallError { call, source }) {
            Error::LinkDown { .. } => Err(Error::InterfaceRemoved { interface }),
            other => Err(other),
        }
    }

    /// System calls made to receive: to wait, and to wake the kernel.
    pub const fn system_calls(&self) -> u64 {
        self.waits + self.half.kicks
    }
}
