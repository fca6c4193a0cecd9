//! Promiscuous mode, for as long as somebody wants it.

use std::os::fd::{AsFd, OwnedFd};

use crate::kernel::packet::{PACKET_MR_PROMISC, packet_mreq};
use crate::syscall::{add_packet_membership, drop_packet_membership, packet_socket};
use crate::{Error, Interface, SyscallError};

/// An interface is in promiscuous mode at least for as long as this lives. The kernel counts who
/// wants it: others are not disturbed.
///
/// It is a packet socket's membership. That is taken back as this is dropped, and not left to the
/// closing of the socket: a child that is being started at that moment has the descriptor a while
/// longer. It ends with the process too.
#[doc(alias = "PACKET_MR_PROMISC")]
#[derive(Debug)]
pub struct Promiscuous {
    socket: OwnedFd,
    membership: packet_mreq,
}

impl Promiscuous {
    /// Sets the mode.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without CAP_NET_RAW; `ENODEV` where the interface is gone.
    pub fn set(interface: &Interface) -> Result<Self, Error> {
        // Not bound to a protocol: it is given no packets.
        let socket = packet_socket().map_err(SyscallError::needs_net_raw)?;
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
        // It fails where the interface is gone, and the mode with it.
        let _ = drop_packet_membership(self.socket.as_fd(), &self.membership);
    }
}
