//! An independent witness: a plain packet socket without a ring, on one interface.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::{AsFd, OwnedFd};

use netring_sys::kernel::packet::{ARPHRD_LOOPBACK, ETH_P_ALL, PACKET_OUTGOING};
use netring_sys::syscall::{bind_packet, packet_socket, receive};
use netring_sys::{Direction, Interface, LinkType, PacketBuf};

/// What is known about a packet: interface, link type, direction, bytes.
pub(crate) type Seen = (u32, LinkType, Option<Direction>, Vec<u8>);

/// Sees what passes an interface in both directions; on a loopback interface, what it receives.
pub(crate) struct Witness {
    pub(crate) index: u32,
    socket: OwnedFd,
}

impl Witness {
    pub(crate) fn on(interface: &str) -> Self {
        let index = Interface::by_name(interface).unwrap().index;
        let socket = packet_socket().unwrap();
        bind_packet(socket.as_fd(), index, ETH_P_ALL).unwrap();
        Self { index, socket }
    }

    /// Everything so far, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        // An error means that the interface went down meanwhile; packets may follow it in the
        // queue.
        while let Some((len, from)) = receive(self.socket.as_fd(), &mut buffer)
            .or_else(|_| receive(self.socket.as_fd(), &mut buffer))
            .unwrap()
        {
            if from.sll_hatype == ARPHRD_LOOPBACK && from.sll_pkttype == PACKET_OUTGOING {
                continue;
            }
            let direction = match from.sll_pkttype {
                0 => Direction::Host,
                1 => Direction::Broadcast,
                2 => Direction::Multicast,
                3 => Direction::OtherHost,
                4 => Direction::Outgoing,
                other => panic!("packet type {other}"),
            };
            let link_type = LinkType::of_hardware(from.sll_hatype);
            let index = u32::try_from(from.sll_ifindex).unwrap();
            seen.push((index, link_type, Some(direction), buffer[..len].to_vec()));
        }
        seen
    }
}

/// The packets of one interface among these, in the form in which a witness sees them.
pub(crate) fn of(packets: &[PacketBuf], interface: u32) -> Vec<Seen> {
    let mut seen = Vec::new();
    for packet in packets {
        if packet.interface() == interface {
            seen.push((
                interface,
                packet.link_type(),
                packet.direction(),
                packet.data().to_vec(),
            ));
        }
    }
    seen
}
