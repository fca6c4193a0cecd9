//! What the kernel knows about an interface, in this thread's network namespace.
//!
//! It is asked by netlink and ioctl. `/sys/class/net` shows the namespace of whoever mounted it,
//! and is never read.

use std::os::fd::{AsFd, BorrowedFd};

use crate::kernel::packet::{ARPHRD_ETHER, ARPHRD_LOOPBACK};
use crate::os::netlink::{self, Link, Message};
use crate::syscall::{InterfaceByIoctl, ethtool_channels, interface_by_ioctl, interface_socket};
use crate::{Error, InterfaceAddress, LinkType, SyscallError, XdpProgram};

/// Bytes of the longest alternative name (`ALTIFNAMSIZ`, which counts a zero byte).
const LONGEST_NAME: usize = 127;

/// An interface, as it was when it was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Its index, unique in its namespace and never used again.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Other names that it can be opened by, each up to 127 bytes (kernel 5.5).
    #[doc(alias = "altname")]
    pub alternative_names: Vec<String>,
    /// What the administrator wrote about it (`ip link set dev NAME alias TEXT`), up to 255 bytes.
    #[doc(alias = "ifalias")]
    pub description: Option<String>,
    /// The largest network layer packet it sends, in bytes: the link layer header is not in it.
    pub mtu: u32,
    /// `IFF_*` bits.
    pub flags: u32,
    /// `ARPHRD_*`.
    pub hardware_type: u16,
    /// Its hardware address; `None` where it has none of six bytes.
    pub address: Option<[u8; 6]>,
    /// Receive queues in use: what the driver says (`ETHTOOL_GCHANNELS`), else how many the kernel
    /// made.
    pub rx_queues: u32,
    /// Transmit queues in use, likewise.
    pub tx_queues: u32,
    /// What went through it since it was made.
    pub counters: InterfaceCounters,
    /// The XDP program that is attached to it, whoever attached it.
    pub xdp: Option<XdpProgram>,
    /// Whether a sandbox forbids netlink, and ioctl had to do: the other names, the description,
    /// the counters and the XDP program are not known then (`None`, empty or 0), nor is the
    /// number of queues unless the driver says it (1).
    pub is_partial: bool,
}

/// An interface's own counters (`rtnl_link_stats64`): everything that went through it, captured or
/// not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received and dropped by the interface itself.
    pub rx_dropped: u64,
    /// Packets to send that were dropped by the interface itself.
    pub tx_dropped: u64,
}

impl Interface {
    /// All interfaces of this thread's network namespace, in the order of their indexes, whether
    /// they are up or not.
    ///
    /// ```
    /// for interface in netring_sys::Interface::all()? {
    ///     let state = if interface.is_up() { "up" } else { "down" };
    ///     println!(
    ///         "{} {} {state} {:?}",
    ///         interface.index,
    ///         interface.name,
    ///         interface.link_type()
    ///     );
    /// }
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// The failed call; `EAGAIN` if interfaces come and go so fast that no list of them is complete
    /// within a second.
    #[doc(alias = "pcap_findalldevs")]
    #[doc(alias = "if_nameindex")]
    pub fn all() -> Result<Vec<Self>, Error> {
        let (mut all, socket) = netlink::ask_all(|link| Self::from(link))?;
        // One that is gone since is left out.
        all.retain_mut(|interface| interface.ask_for_queues(socket.as_fd()));
        all.sort_unstable_by_key(|interface| interface.index);
        Ok(all)
    }

    /// The interface with this name, which may be an alternative one.
    ///
    /// ```
    /// let lo = netring_sys::Interface::by_name("lo")?;
    /// assert!(lo.is_loopback());
    /// assert_eq!(lo.link_type(), netring_sys::LinkType::ETHERNET);
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`], or the failed call.
    #[doc(alias = "if_nametoindex")]
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let missing = || Error::NoSuchInterface {
            name: name.to_owned(),
        };
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            return Err(missing());
        }
        Self::ask(0, name)?.ok_or_else(missing)
    }

    /// The interface of this index.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`], with the index for a name, or the failed call.
    #[doc(alias = "if_indextoname")]
    pub fn by_index(index: u32) -> Result<Self, Error> {
        Self::ask(index, "")?.ok_or_else(|| Error::NoSuchInterface {
            name: index.to_string(),
        })
    }

    fn ask(index: u32, name: &str) -> Result<Option<Self>, SyscallError> {
        match Self::ask_netlink(index, name) {
            Err(error) if netlink::is_forbidden(&error) => match Self::ask_by_ioctl(index, name) {
                Ok(interface) => Ok(Some(interface)),
                Err(gone) if gone.is_no_device() => Ok(None),
                // What was asked first is what should be allowed.
                Err(_) => Err(error),
            },
            other => other,
        }
    }

    /// What is left to a process in a sandbox that forbids netlink. ioctl has no room for names of
    /// more than 15 bytes.
    fn ask_by_ioctl(index: u32, name: &str) -> Result<Self, SyscallError> {
        if name.len() >= libc::IFNAMSIZ {
            return Err(netlink::refused(libc::ENAMETOOLONG));
        }
        let socket = interface_socket()?;
        let mut interface = Self::from(interface_by_ioctl(socket.as_fd(), index, name)?);
        match interface.ask_for_queues(socket.as_fd()) {
            true => Ok(interface),
            false => Err(netlink::refused(libc::ENODEV)),
        }
    }

    fn ask_netlink(index: u32, name: &str) -> Result<Option<Self>, SyscallError> {
        netlink::ask(&netlink::get_link(index, name), |socket, message| {
            match message {
                Message::Link(link) => {
                    let mut interface = Self::from(link);
                    let is_there = interface.ask_for_queues(socket);
                    Some(Ok(is_there.then_some(interface)))
                }
                // The last two are what a kernel says that knows no alternative names, or none so
                // long.
                Message::Refused {
                    errno: libc::ENODEV | libc::EINVAL | libc::ERANGE,
                } => Some(Ok(None)),
                Message::Refused { errno } => Some(Err(netlink::refused(errno))),
                _ => None,
            }
        })?
    }

    /// Asks the driver how many queues are in use; false if the interface is gone. What the driver
    /// does not say, or a sandbox does not let it say, stays as the kernel says it.
    fn ask_for_queues(&mut self, socket: BorrowedFd<'_>) -> bool {
        match ethtool_channels(socket, &self.name) {
            Ok(Some((rx, tx))) => {
                (self.rx_queues, self.tx_queues) = (rx, tx);
                true
            }
            Ok(None) => true,
            Err(error) => !error.is_no_device(),
        }
    }

    /// Its IPv4 and IPv6 addresses now, in this thread's network namespace.
    ///
    /// ```
    /// for address in netring_sys::Interface::by_name("lo")?.addresses()? {
    ///     println!("{}/{}", address.ip, address.prefix_len);
    /// }
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// The failed call, also if a sandbox forbids netlink; `EAGAIN` if addresses keep changing for
    /// a second.
    #[doc(alias = "getifaddrs")]
    pub fn addresses(&self) -> Result<Vec<InterfaceAddress>, Error> {
        Ok(netlink::addresses(self.index)?)
    }

    /// The name that this interface has now, in this thread's network namespace, if it was renamed;
    /// its name here if it is gone.
    pub fn current_name(&self) -> String {
        match Self::by_index(self.index) {
            // The same index in another namespace is another interface.
            Ok(now) if now.address == self.address => now.name,
            _ => self.name.clone(),
        }
    }

    /// Whether it was set up and has a carrier.
    pub const fn is_up(&self) -> bool {
        link_is_up(self.flags)
    }

    /// Whether what it sends comes back to this host.
    pub const fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK as u32 != 0
    }

    /// What a packet of it starts with, as a raw packet socket gives it. Some interfaces can change
    /// it (TUN, a bond, Wi-Fi in monitor mode): a packet has its own.
    pub const fn link_type(&self) -> LinkType {
        LinkType::of_hardware(self.hardware_type)
    }
}

/// The driver signals a carrier; libc has no name for it on every target.
const IFF_LOWER_UP: u32 = 1 << 16;

/// Set up by the administrator, and with a carrier.
pub(crate) const fn link_is_up(flags: u32) -> bool {
    let both = libc::IFF_UP as u32 | IFF_LOWER_UP;
    flags & both == both
}

impl From<Link<'_>> for Interface {
    fn from(link: Link<'_>) -> Self {
        let counter = |n: usize| {
            let bytes = link.counters.get(8 * n..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
        };
        Self {
            index: link.index,
            name: text(link.name),
            alternative_names: link.alternative_names().map(text).collect(),
            description: (!link.alias.is_empty()).then(|| text(link.alias)),
            mtu: link.mtu,
            flags: link.flags,
            hardware_type: link.hardware_type,
            address: link.address.try_into().ok(),
            rx_queues: link.rx_queues,
            tx_queues: link.tx_queues,
            counters: InterfaceCounters {
                rx_packets: counter(0),
                tx_packets: counter(1),
                rx_bytes: counter(2),
                tx_bytes: counter(3),
                rx_dropped: counter(6),
                tx_dropped: counter(7),
            },
            xdp: link.xdp,
            is_partial: false,
        }
    }
}

impl From<InterfaceByIoctl> for Interface {
    fn from(told: InterfaceByIoctl) -> Self {
        let flags = u32::from(told.flags);
        // The bit of the carrier itself has no place in 16.
        let running = flags & libc::IFF_RUNNING as u32 != 0;
        let has_ethernet_address = matches!(told.hardware_type, ARPHRD_ETHER | ARPHRD_LOOPBACK);
        Self {
            index: told.index,
            name: told.name,
            alternative_names: Vec::new(),
            description: None,
            mtu: told.mtu,
            flags: if running { flags | IFF_LOWER_UP } else { flags },
            hardware_type: told.hardware_type,
            address: has_ethernet_address.then_some(told.address),
            rx_queues: 1,
            tx_queues: 1,
            counters: InterfaceCounters::default(),
            xdp: None,
            is_partial: true,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_by_index() {
        let lo = Interface::by_name("lo").unwrap();
        assert_eq!(
            (lo.index, lo.mtu, lo.hardware_type),
            (1, 65536, ARPHRD_LOOPBACK)
        );
        assert_eq!((lo.rx_queues, lo.tx_queues), (1, 1));
        assert_eq!(Interface::by_index(1).unwrap().name, "lo");
    }

    #[test]
    fn names_that_cannot_be_are_refused_with_the_name() {
        for name in ["", "no-such-iface", "lo-but-longer-than-sixteen", "lo\0"] {
            let error = Interface::by_name(name).unwrap_err();
            assert!(
                matches!(&error, Error::NoSuchInterface { name: told } if told == name),
                "{error}"
            );
        }
        assert!(matches!(
            Interface::by_index(0x7fff_fff0),
            Err(Error::NoSuchInterface { .. })
        ));
    }
}
