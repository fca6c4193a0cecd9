//! Network interfaces of this thread's network namespace, or of a given one.
//!
//! They are queried by netlink and ioctl, never from `/sys/class/net`, which shows the namespace of
//! the process that mounted it.

mod information;
mod lookup;
mod timestamping;

use crate::kernel::packet::ARPHRD_VOID;
use crate::os::netlink;
use crate::{Error, InterfaceAddress, LinkType, Namespace, XdpProgram};

pub use information::{
    Adjustable, CardRings, Driver, Duplex, InterfaceFeature, InterfaceInformation, QueueCounts,
};
pub use timestamping::Timestamping;
pub(super) use timestamping::is_unsupported;

/// An interface, as it was when it was queried.
///
/// ```
/// use netring_sys::Interface;
///
/// for interface in Interface::all()? {
///     println!("{} {}: MTU {}", interface.index, interface.name, interface.mtu);
/// }
/// let lo = Interface::by_name("lo")?;
/// assert!(lo.is_loopback());
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Its index, unique in its namespace and never used again.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Alternative names that it can be opened by, each up to 127 bytes (kernel 5.5).
    #[doc(alias = "altname")]
    pub alternative_names: Vec<String>,
    /// The administrator's description (`ip link set dev NAME alias TEXT`), up to 255 bytes.
    #[doc(alias = "ifalias")]
    pub description: Option<String>,
    /// The largest network layer packet that it sends, in bytes, without the link layer header.
    pub mtu: u32,
    /// `IFF_*` bits.
    pub flags: u32,
    /// `ARPHRD_*`.
    pub hardware_type: u16,
    /// Its hardware address; `None` if it has none of six bytes.
    pub address: Option<[u8; 6]>,
    /// Receive queues in use, as the driver reports them (`ETHTOOL_GCHANNELS`); if it does not, the
    /// number that the kernel allocated.
    pub rx_queues: u32,
    /// Transmit queues in use, likewise.
    pub tx_queues: u32,
    /// Its traffic counters.
    pub counters: InterfaceCounters,
    /// The XDP program that is attached to it, whoever attached it.
    pub xdp: Option<XdpProgram>,
    /// True if a sandbox forbids netlink and the interface was queried by ioctl. Then the
    /// alternative names, the description, the counters and the XDP program are unknown (`None`,
    /// empty or 0), and the number of queues is 1 unless the driver reports it.
    pub is_partial: bool,
    /// The network namespace that it was looked up in, if one was given
    /// ([`by_name_in`](Self::by_name_in)); `None` for that of the thread. Its methods, and
    /// functions that take the interface, then act in that namespace.
    pub namespace: Option<Namespace>,
}

/// An interface's own counters (`rtnl_link_stats64`) of all its traffic, captured or not.
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
    /// Received packets that the interface itself dropped.
    pub rx_dropped: u64,
    /// Packets to send that the interface itself dropped.
    pub tx_dropped: u64,
}

impl Interface {
    /// Stands for all interfaces, in places that need one: index 0, which no interface has and no
    /// packet carries, and the name `any`. Everything else is unknown: 0, empty or `None`, and its
    /// [`link_type`](Self::link_type) is [`LinkType::UNKNOWN`].
    #[doc(alias = "pcap_open_live")]
    pub fn any() -> Self {
        Self {
            index: 0,
            name: "any".into(),
            alternative_names: Vec::new(),
            description: None,
            mtu: 0,
            flags: 0,
            hardware_type: ARPHRD_VOID,
            address: None,
            rx_queues: 0,
            tx_queues: 0,
            counters: InterfaceCounters::default(),
            xdp: None,
            is_partial: false,
            namespace: None,
        }
    }

    /// Queries its current IPv4 and IPv6 addresses, in its [namespace](Self::namespace).
    ///
    /// ```
    /// for address in netring_sys::Interface::by_name("lo")?.addresses()? {
    ///     println!("{}/{}", address.ip, address.prefix_len);
    /// }
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// The failed call, including one that a sandbox forbids (netlink); `EAGAIN` if the addresses
    /// keep changing for a second.
    #[doc(alias = "getifaddrs")]
    pub fn addresses(&self) -> Result<Vec<InterfaceAddress>, Error> {
        Ok(self.inside(|| netlink::addresses(self.index))??)
    }

    /// Queries whether a default route (IPv4 or IPv6, in any table) of its
    /// [namespace](Self::namespace) leads through it, or through an interface that is stacked on
    /// it: a bridge or bond that it is a port of, or a VLAN. If so, taking its packets cuts the
    /// host off.
    ///
    /// True if a default route uses a nexthop object that the kernel names no interface for
    /// (`net.ipv4.nexthop_compat_mode` is 0): it may be this one.
    ///
    /// ```
    /// assert!(!netring_sys::Interface::by_name("lo")?.carries_default_route()?);
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// The failed call, including one that a sandbox forbids (netlink); `EAGAIN` if the routes keep
    /// changing for a second.
    pub fn carries_default_route(&self) -> Result<bool, Error> {
        Ok(self.inside(|| netlink::carries_default_route(self.index))??)
    }

    /// The current name of this interface in its [namespace](Self::namespace), in case it was
    /// renamed. If it is gone, the name it had.
    pub fn current_name(&self) -> String {
        let now = self.inside(|| Self::by_index(self.index));
        match now.and_then(|found| found) {
            // The same index in another namespace is another interface.
            Ok(now) if now.address == self.address => now.name,
            _ => self.name.clone(),
        }
    }

    /// Runs `work` in its [namespace](Self::namespace): on the calling thread, or as
    /// [`Namespace::run`] does if the interface was looked up in a given one.
    ///
    /// # Errors
    /// Those of [`Namespace::run`].
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        match &self.namespace {
            Some(namespace) => namespace.run(work),
            None => Ok(work()),
        }
    }

    /// Whether it is up and has a carrier.
    pub const fn is_up(&self) -> bool {
        link_is_up(self.flags)
    }

    /// Whether it delivers sent packets back to this host.
    pub const fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK as u32 != 0
    }

    /// The link type of its packets, as a raw packet socket delivers them. Some interfaces can
    /// change it (TUN, a bond, Wi-Fi in monitor mode), so each packet carries its own.
    pub const fn link_type(&self) -> LinkType {
        LinkType::of_hardware(self.hardware_type)
    }
}

/// The driver signals a carrier; libc does not define it on every target.
// [`IFF_LOWER_UP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if.h#L131
const IFF_LOWER_UP: u32 = 1 << 16;

/// Up, as set by the administrator, and with a carrier.
pub(crate) const fn link_is_up(flags: u32) -> bool {
    let both = libc::IFF_UP as u32 | IFF_LOWER_UP;
    flags & both == both
}
