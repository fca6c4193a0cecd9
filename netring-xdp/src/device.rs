//! Identifies an interface across network namespaces, each of which has an interface with index 1,
//! and mostly one with index 2.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::fs::MetadataExt;

use netring_sys::syscall::{interface_socket, network_namespace};
use netring_sys::{Error, Interface, SyscallError};

/// An interface and its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    namespace: u64,
    index: u32,
}

impl Device {
    /// The interface with this index in the namespace of a socket that this thread has just
    /// created.
    pub(crate) fn of_socket(socket: BorrowedFd<'_>, index: u32) -> Result<Self, SyscallError> {
        let namespace = match network_namespace(socket)? {
            Some(cookie) => cookie,
            None => inode_of_this_thread(),
        };
        Ok(Self { namespace, index })
    }

    /// The interface with this index in the namespace of this thread.
    pub(crate) fn here(index: u32) -> Result<Self, SyscallError> {
        Self::of_socket(interface_socket()?.as_fd(), index)
    }

    pub(crate) const fn index(self) -> u32 {
        self.index
    }

    /// Returns an error if this thread is in another namespace, where the index of `interface`,
    /// which is this one, means another interface.
    pub(crate) fn check_here(self, interface: &Interface) -> Result<(), Error> {
        if self == Self::here(self.index)? {
            return Ok(());
        }
        Err(Error::Config {
            setting: "network namespace",
            why: format!(
                "{} is in another one than this thread: call this from a thread in that namespace \
                 (`setns`, `ip netns exec`)",
                interface.name
            ),
        })
    }

    /// An interface of a simulated kernel.
    #[cfg(test)]
    pub(crate) const fn simulated(index: u32) -> Self {
        Self {
            namespace: 0,
            index,
        }
    }
}

/// The inode of this thread's namespace, for kernels before 5.14. Without /proc it is 0: an
/// interface of another namespace is then taken for the same, and the kernel refuses the socket.
fn inode_of_this_thread() -> u64 {
    std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |file| file.st_ino())
}
