//! Filters: the rules by which they are checked, and the packets that they accept, compared with
//! the kernel's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod bounds;
mod chains;
mod corpora;
mod expressions;
mod facts;
mod fuzzed;
mod machine;
mod places;
mod printed;
mod programs;
mod rules;
mod tunnels;

use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

use netring_sys::SyscallError;
use netring_sys::kernel::filter::SockFilter;
use netring_sys::syscall::attach_filter;

/// The kernel's interpreter, on a socket. It needs no privilege.
struct Kernel {
    from: UnixDatagram,
    to: UnixDatagram,
}

impl Kernel {
    fn new(program: &[SockFilter]) -> Result<Self, SyscallError> {
        let (from, to) = UnixDatagram::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        attach_filter(to.as_fd(), program)?;
        Ok(Self { from, to })
    }

    /// How many bytes of the packet it keeps; `None` if it rejects the packet.
    fn keeps(&self, packet: &[u8]) -> Option<usize> {
        assert_eq!(self.from.send(packet).unwrap(), packet.len());
        self.to.recv(&mut vec![0; packet.len() + 1]).ok()
    }
}
