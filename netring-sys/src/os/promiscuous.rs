//! Promiscuous mode, for as long as a value lives.

use std::os::fd::{AsFd, OwnedFd};

use crate::kernel::packet::{PACKET_MR_PROMISC, packet_mreq};
use crate::syscall::{add_packet_membership, drop_packet_membership, packet_socket};
use crate::{Error, Interface, SyscallError};

/// Keeps an interface in promiscuous mode at least for as long as it lives. The kernel counts the
/// users of the mode, so others are not disturbed.
///
/// It is a membership of a packet socket. Dropping the value removes the membership explicitly,
/// because a child process that is being started may keep the descriptor open a little longer. It
/// also ends with the process.
#[doc(alias = "PACKET_MR_PROMISC")]
#[derive(Debug)]
pub struct Promiscuous {
    socket: OwnedFd,
    membership: packet_mreq,
}

impl Promiscuous {
    /// Sets the mode (`PACKET_ADD_MEMBERSHIP`).
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without CAP_NET_RAW; `ENODEV` if the interface is gone.
    pub fn set(interface: &Interface) -> Result<Self, Error> {
        // Without a protocol the socket receives no packets.
        let socket = interface.inside(packet_socket)?;
        let socket = socket.map_err(SyscallError::needs_net_raw)?;
        let membership = packet_mreq {
            mr_ifindex: interface.index as i32,
            mr_type: PACKET_MR_PROMISC,
            ..packet_mreq::default()
        };
        add_packet_membership(socket.as_fd(), &membership)?;
        Ok(Self { socket, membership })
    }
}

impl Drop for Promiscuous {
    fn drop(&mut self) {
        // It fails if the interface is gone, and the mode with it.
        let _ = drop_packet_membership(self.socket.as_fd(), &self.membership);
    }
}
