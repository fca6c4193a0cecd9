//! Queries for interfaces: by netlink, or by ioctl in a sandbox that forbids netlink.

use std::os::fd::{AsFd, BorrowedFd};

use super::{IFF_LOWER_UP, Interface, InterfaceCounters};
use crate::kernel::packet::{ARPHRD_ETHER, ARPHRD_LOOPBACK};
use crate::os::netlink::{self, Link, Message};
use crate::syscall::{
    InterfaceByIoctl, ethtool_channels, interface_by_ioctl, interface_socket, netlink_socket,
};
use crate::{Error, Namespace, SyscallError};

/// Bytes of the longest alternative name (`ALTIFNAMSIZ`, which includes a terminating zero byte).
// [`ALTIFNAMSIZ`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if.h#L36
const LONGEST_NAME: usize = 127;

impl Interface {
    /// All interfaces of this thread's network namespace, up or down, sorted by index.
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
    /// The failed call; `EAGAIN` if interfaces come and go so fast that no complete list can be
    /// read within a second.
    #[doc(alias = "pcap_findalldevs")]
    #[doc(alias = "if_nameindex")]
    pub fn all() -> Result<Vec<Self>, Error> {
        let socket = netlink_socket(0)?;
        let mut all = netlink::ask_all(socket.as_fd(), |link| Self::from(link))?;
        // Leaves out interfaces that are gone by now.
        all.retain_mut(|interface| interface.ask_for_queues(socket.as_fd()));
        all.sort_unstable_by_key(|interface| interface.index);
        Ok(all)
    }

    /// The interface with this name or alternative name.
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
            namespace: None,
        };
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            return Err(missing());
        }
        Self::ask(0, name)?.ok_or_else(missing)
    }

    /// The interface with this index.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`], whose name is the index, or the failed call.
    #[doc(alias = "if_indextoname")]
    pub fn by_index(index: u32) -> Result<Self, Error> {
        Self::ask(index, "")?.ok_or_else(|| Error::NoSuchInterface {
            name: index.to_string(),
            namespace: None,
        })
    }

    /// All interfaces of a network namespace, as [`all`](Self::all) returns those of the thread's.
    ///
    /// # Errors
    /// Those of [`all`](Self::all) and of [`Namespace::run`].
    pub fn all_in(namespace: &Namespace) -> Result<Vec<Self>, Error> {
        let all = namespace.run(Self::all)??;
        Ok(all.into_iter().map(|found| found.of(namespace)).collect())
    }

    /// The interface with this name or alternative name in a network namespace, as
    /// [`by_name`](Self::by_name) finds those of the thread's.
    ///
    /// ```no_run
    /// use netring_sys::{Interface, Namespace};
    ///
    /// let eth0 = Interface::by_name_in(&Namespace::by_name("blue")?, "eth0")?;
    /// println!("{:?}", eth0.addresses()?);
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`by_name`](Self::by_name) and of [`Namespace::run`].
    pub fn by_name_in(namespace: &Namespace, name: &str) -> Result<Self, Error> {
        match namespace.run(|| Self::by_name(name))? {
            Ok(found) => Ok(found.of(namespace)),
            Err(Error::NoSuchInterface { name, .. }) => Err(Error::NoSuchInterface {
                name,
                namespace: Some(namespace.to_string()),
            }),
            Err(error) => Err(error),
        }
    }

    fn of(self, namespace: &Namespace) -> Self {
        let namespace = Some(namespace.clone());
        Self { namespace, ..self }
    }

    fn ask(index: u32, name: &str) -> Result<Option<Self>, SyscallError> {
        match Self::ask_netlink(index, name) {
            Err(error) if netlink::is_forbidden(&error) => match Self::ask_by_ioctl(index, name) {
                Ok(interface) => Ok(Some(interface)),
                Err(gone) if gone.is_no_device() => Ok(None),
                // Reports the netlink error: that is what the sandbox should allow.
                Err(_) => Err(error),
            },
            other => other,
        }
    }

    /// The fallback for a sandbox that forbids netlink. ioctl has no room for names of more than 15
    /// bytes.
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
                // Kernels that do not know alternative names, or none of this length, answer with
                // the last two.
                Message::Refused {
                    errno: libc::ENODEV | libc::EINVAL | libc::ERANGE,
                } => Some(Ok(None)),
                Message::Refused { errno } => Some(Err(netlink::refused(errno))),
                _ => None,
            }
        })?
    }

    /// Asks the driver how many queues are in use; false if the interface is gone. If the driver
    /// does not answer, or a sandbox forbids the question, the kernel's own figures stay.
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
            namespace: None,
        }
    }
}

impl From<InterfaceByIoctl> for Interface {
    fn from(reported: InterfaceByIoctl) -> Self {
        let flags = u32::from(reported.flags);
        // `IFF_LOWER_UP` itself does not fit into 16 bits.
        let running = flags & libc::IFF_RUNNING as u32 != 0;
        let has_ethernet_address = matches!(reported.hardware_type, ARPHRD_ETHER | ARPHRD_LOOPBACK);
        Self {
            index: reported.index,
            name: reported.name,
            alternative_names: Vec::new(),
            description: None,
            mtu: reported.mtu,
            flags: if running { flags | IFF_LOWER_UP } else { flags },
            hardware_type: reported.hardware_type,
            address: has_ethernet_address.then_some(reported.address),
            rx_queues: 1,
            tx_queues: 1,
            counters: InterfaceCounters::default(),
            xdp: None,
            is_partial: true,
            namespace: None,
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
                matches!(&error, Error::NoSuchInterface { name: reported, .. } if reported == name),
                "{error}"
            );
        }
        assert!(matches!(
            Interface::by_index(0x7fff_fff0),
            Err(Error::NoSuchInterface { .. })
        ));
    }
}
