//! Additional packets that an interface receives, for the lifetime of a value.

use std::os::fd::{AsFd, OwnedFd};

use crate::kernel::packet::{
    ARPHRD_ETHER, MAX_ADDR_LEN, PACKET_MR_ALLMULTI, PACKET_MR_MULTICAST, PACKET_MR_PROMISC,
    PACKET_MR_UNICAST, packet_mreq_max,
};
use crate::syscall::{add_packet_membership, drop_packet_membership, packet_socket};
use crate::{Error, Interface, SyscallError};

/// Packets that an interface should receive although they are not for this host or for a group that
/// it joined.
///
/// Interfaces that do not filter by address (veth, bridges, TAP) receive them anyway. Network cards
/// and macvlan interfaces filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Membership {
    /// All packets, including those to other hosts.
    #[doc(alias = "PACKET_MR_PROMISC")]
    Promiscuous,
    /// Packets to all multicast addresses.
    #[doc(alias = "PACKET_MR_ALLMULTI")]
    AllMulticast,
    /// Packets to this multicast address of the link layer.
    #[doc(alias = "PACKET_MR_MULTICAST")]
    Multicast(Vec<u8>),
    /// Packets to this unicast address of the link layer, in addition to the interface's own. An
    /// interface without room for it becomes promiscuous.
    #[doc(alias = "PACKET_MR_UNICAST")]
    Unicast(Vec<u8>),
}

impl Membership {
    /// The setting, as the builders name it.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Promiscuous => "promiscuous",
            Self::AllMulticast => "all_multicast",
            Self::Multicast(_) => "multicast",
            Self::Unicast(_) => "unicast",
        }
    }

    fn address(&self) -> &[u8] {
        match self {
            Self::Promiscuous | Self::AllMulticast => &[],
            Self::Multicast(address) | Self::Unicast(address) => address,
        }
    }

    const fn kind(&self) -> u16 {
        match self {
            Self::Promiscuous => PACKET_MR_PROMISC,
            Self::AllMulticast => PACKET_MR_ALLMULTI,
            Self::Multicast(_) => PACKET_MR_MULTICAST,
            Self::Unicast(_) => PACKET_MR_UNICAST,
        }
    }

    /// Refuses an address that the interface cannot have. The kernel would accept an Ethernet
    /// address of the wrong kind, and receive nothing for it.
    fn check(&self, interface: &Interface) -> Result<(), Error> {
        let address = match self {
            Self::Promiscuous | Self::AllMulticast => return Ok(()),
            Self::Multicast(address) | Self::Unicast(address) => address,
        };
        let (bytes, name) = (address.len(), &interface.name);
        if let Some(own) = interface.address.filter(|own| own.len() != bytes) {
            let why = format!(
                "{bytes} bytes; a hardware address of {name} has {}",
                own.len()
            );
            return Err(self.refused(why));
        }
        if bytes == 0 || bytes > MAX_ADDR_LEN {
            let why = format!("{bytes} bytes; a hardware address has 1 to {MAX_ADDR_LEN}");
            return Err(self.refused(why));
        }
        let is_group = address[0] & 1 != 0;
        if interface.hardware_type == ARPHRD_ETHER && is_group != matches!(self, Self::Multicast(_))
        {
            let (is, setting) = match is_group {
                true => ("a multicast address", "multicast"),
                false => ("a unicast address", "unicast"),
            };
            return Err(self.refused(format!("{} is {is}; use `{setting}`", text(address))));
        }
        Ok(())
    }

    fn refused(&self, why: String) -> Error {
        let setting = self.setting();
        Error::Config { setting, why }
    }
}

/// Keeps memberships of an interface at least for the lifetime of this value. The kernel counts the
/// users of each, so others are not disturbed.
///
/// They belong to a separate packet socket. Dropping the value removes them explicitly, because a
/// child process that is being started may keep the descriptor open a little longer. They also end
/// with the process.
#[doc(alias = "PACKET_ADD_MEMBERSHIP")]
#[derive(Debug, Default)]
pub struct Memberships {
    /// `None` if there are no memberships.
    socket: Option<OwnedFd>,
    list: Vec<Membership>,
    interface: u32,
}

impl Memberships {
    /// Sets the memberships (`PACKET_ADD_MEMBERSHIP`), or none of them if it fails.
    ///
    /// # Errors
    /// [`Error::Config`] for an address that the interface cannot have; [`Error::NotPermitted`]
    /// without CAP_NET_RAW; `ENODEV` if the interface is gone.
    pub fn set(interface: &Interface, list: &[Membership]) -> Result<Self, Error> {
        list.iter().try_for_each(|one| one.check(interface))?;
        let mut set = Self {
            socket: None,
            list: Vec::with_capacity(list.len()),
            interface: interface.index,
        };
        if list.is_empty() {
            return Ok(set);
        }
        // Without a protocol the socket receives no packets.
        let socket = interface.inside(packet_socket)?;
        let socket = set
            .socket
            .insert(socket.map_err(SyscallError::needs_net_raw)?);
        for one in list {
            let request = request(interface.index, one);
            add_packet_membership(socket.as_fd(), &request).map_err(|error| {
                match error.is(libc::EINVAL) {
                    true => one.refused(format!(
                        "{} does not take an address of {} bytes",
                        interface.name,
                        one.address().len()
                    )),
                    false => error.into(),
                }
            })?;
            set.list.push(one.clone());
        }
        Ok(set)
    }

    /// The memberships that are set.
    pub fn list(&self) -> &[Membership] {
        &self.list
    }
}

impl Drop for Memberships {
    fn drop(&mut self) {
        let Some(socket) = &self.socket else {
            return;
        };
        for one in &self.list {
            // It fails if the interface is gone, and the membership with it.
            let _ = drop_packet_membership(socket.as_fd(), &request(self.interface, one));
        }
    }
}

fn request(interface: u32, membership: &Membership) -> packet_mreq_max {
    let address = membership.address();
    let mut request = packet_mreq_max {
        mr_ifindex: interface as i32,
        mr_type: membership.kind(),
        mr_alen: address.len() as u16,
        ..packet_mreq_max::default()
    };
    // `Membership::check` made sure that it fits.
    request.mr_address[..address.len()].copy_from_slice(address);
    request
}

/// An address as it is written.
fn text(address: &[u8]) -> String {
    let bytes: Vec<_> = address.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}
