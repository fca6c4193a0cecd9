//! Memberships: additional addresses that an interface receives for a packet socket.

/// A membership of an interface: a `packet_mreq` with room for the longest hardware address, as the
/// kernel takes it.
// [`packet_mreq_max`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L160
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct packet_mreq_max {
    /// The interface.
    pub mr_ifindex: i32,
    /// `PACKET_MR_PROMISC` …
    pub mr_type: u16,
    /// Bytes of the address.
    pub mr_alen: u16,
    /// The address.
    pub mr_address: [u8; MAX_ADDR_LEN],
}

/// Bytes of the longest hardware address.
// [`MAX_ADDR_LEN`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdevice.h#L35
pub const MAX_ADDR_LEN: usize = 32;

/// Receive packets to this multicast address.
// [`PACKET_MR_MULTICAST`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_packet.h#L315
pub const PACKET_MR_MULTICAST: u16 = 0;
/// Receive all packets on the interface, including those to other hosts.
pub const PACKET_MR_PROMISC: u16 = 1;
/// Receive packets to all multicast addresses.
pub const PACKET_MR_ALLMULTI: u16 = 2;
/// Receive packets to this unicast address too.
pub const PACKET_MR_UNICAST: u16 = 3;
