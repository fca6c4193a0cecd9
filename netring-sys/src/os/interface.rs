//! What the kernel knows about an interface, in this thread's network namespace.
//!
//! It is asked by netlink and ioctl. `/sys/class/net` shows the namespace of whoever mounted it,
//! and is never read.

mod lookup;

use crate::os::netlink;
use crate::{Error, InterfaceAddress, LinkType, XdpProgram};

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
// [`IFF_LOWER_UP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if.h#L131
const IFF_LOWER_UP: u32 = 1 << 16;

/// Set up by the administrator, and with a carrier.
pub(crate) const fn link_is_up(flags: u32) -> bool {
    let both = libc::IFF_UP as u32 | IFF_LOWER_UP;
    flags & both == both
}
