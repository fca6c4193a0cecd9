//! The capabilities and settings of an interface: its driver, link, queues, rings and offloads.

mod text;

use std::os::fd::AsFd;

use super::{Interface, Timestamping, is_unsupported};
use crate::os::netlink::{self, Ethtool, Setting, XdpFeatures};
use crate::syscall::{ethtool_driver, interface_socket};
use crate::{Error, SyscallError};

/// The capabilities and settings of an interface, from [`Interface::information`].
///
/// Values that its driver does not report are `None`. So is everything but the driver if a sandbox
/// forbids netlink, or if the kernel is older than 5.6, unless a field says otherwise.
///
/// `{}` prints it in lines, and omits unknown values.
///
/// ```
/// use netring_sys::Interface;
///
/// let information = Interface::by_name("lo")?.information()?;
/// assert_eq!(information.speed, None);
/// if let Some(gro) = information.feature("rx-gro") {
///     println!("receive offload: {}", if gro.active { "on" } else { "off" });
/// }
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceInformation {
    /// Its driver; `None` for an interface without one, such as `lo`. On any kernel.
    #[doc(alias = "ETHTOOL_GDRVINFO")]
    pub driver: Option<Driver>,
    /// Its speed in Mbit/s; `None` also while it has no link.
    #[doc(alias = "ETHTOOL_MSG_LINKMODES_GET")]
    pub speed: Option<u32>,
    /// Whether it sends and receives at the same time; `None` also while it has no link.
    pub duplex: Option<Duplex>,
    /// Whether it negotiates the two with its peer.
    pub negotiates: Option<bool>,
    /// Its queues, current and possible. [`Interface::rx_queues`] has those that are in use on any
    /// interface.
    #[doc(alias = "ETHTOOL_MSG_CHANNELS_GET")]
    pub queues: Option<QueueCounts>,
    /// The rings of the card, in entries.
    #[doc(alias = "ETHTOOL_MSG_RINGS_GET")]
    pub rings: Option<CardRings>,
    /// Offloads and other features, all that the kernel knows; see [`feature`](Self::feature).
    #[doc(alias = "ETHTOOL_MSG_FEATURES_GET")]
    pub features: Option<Vec<InterfaceFeature>>,
    /// Its driver's support for XDP programs and AF_XDP sockets (kernel 6.3).
    pub xdp: Option<XdpFeatures>,
    /// Its hardware timestamping. On any kernel; `None` in a sandbox that forbids the query.
    pub timestamping: Option<Timestamping>,
    /// Whether a default route leads through it ([`Interface::carries_default_route`]), on any
    /// kernel; `None` if that cannot be found out.
    pub carries_default_route: Option<bool>,
}

/// The driver of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its version; the kernel's unless it has its own.
    pub version: String,
    /// The version of the card's firmware.
    pub firmware: Option<String>,
    /// The card's bus address, such as `0000:00:03.0`.
    pub bus: Option<String>,
}

/// Whether an interface sends and receives at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duplex {
    /// One at a time.
    Half,
    /// Both at the same time.
    Full,
}

/// A number that can be set, and its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Adjustable {
    /// The current number.
    pub current: u32,
    /// The largest possible one.
    pub max: u32,
}

/// The queues of an interface; `None` for a kind that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct QueueCounts {
    /// Queues that only receive.
    pub rx: Option<Adjustable>,
    /// Queues that only transmit.
    pub tx: Option<Adjustable>,
    /// Queues for other events, such as a change of the link.
    pub other: Option<Adjustable>,
    /// Queues that receive and transmit.
    pub combined: Option<Adjustable>,
}

/// Entries of the rings of a card; `None` for a kind that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CardRings {
    /// Receive ring of each queue.
    pub rx: Option<Adjustable>,
    /// Receive ring for small packets.
    pub rx_mini: Option<Adjustable>,
    /// Receive ring for large packets.
    pub rx_jumbo: Option<Adjustable>,
    /// Transmit ring of each queue.
    pub tx: Option<Adjustable>,
}

/// An offload or another feature of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct InterfaceFeature {
    /// Its name in the kernel, as `rx-gro`. `ethtool -k` has other names for some.
    pub name: String,
    /// It is on.
    pub active: bool,
    /// It was requested. It may still be off, because another setting excludes it.
    pub wanted: bool,
    /// It can be switched.
    pub changeable: bool,
}

impl InterfaceInformation {
    /// The feature with this name in the kernel; `None` if the kernel does not know it, or if
    /// [`features`](Self::features) are not known. One that the interface cannot have is off, and
    /// cannot be switched.
    ///
    /// The features that matter to a capture are `rx-gro` and `rx-lro`, which join packets (also
    /// `rx-gro-hw`, `rx-gro-list` and `rx-udp-gro-forwarding`), `rx-checksum`, `rx-vlan-hw-parse`,
    /// which takes the tag out of the bytes, `rx-hashing` and `rx-ntuple-filter`; to a sender
    /// `tx-generic-segmentation`, `tx-tcp-segmentation`, `tx-checksum-ip-generic` and
    /// `tx-vlan-hw-insert`.
    pub fn feature(&self, name: &str) -> Option<&InterfaceFeature> {
        let mut features = self.features.iter().flatten();
        features.find(|feature| feature.name == name)
    }

    /// Whether this feature is on; `None` if [`features`](Self::features) are not known.
    pub fn is_active(&self, name: &str) -> Option<bool> {
        self.features.as_ref()?;
        Some(self.feature(name).is_some_and(|feature| feature.active))
    }
}

impl Interface {
    /// Queries its driver and the kernel for its capabilities and settings, in its
    /// [namespace](Self::namespace). Takes about ten system calls and needs no privilege.
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`] if it is gone, or the failed call. A driver that does not answer
    /// is not an error.
    #[doc(alias = "ethtool")]
    pub fn information(&self) -> Result<InterfaceInformation, Error> {
        match self.inside(|| ask(self.index))? {
            Err(error) if error.is_no_device() => Err(Error::NoSuchInterface {
                name: self.name.clone(),
                namespace: self.namespace.as_ref().map(ToString::to_string),
            }),
            other => {
                let mut information = other?;
                information.timestamping = match self.timestamping() {
                    Ok(timestamping) => Some(timestamping),
                    Err(error) if is_forbidden(&error) => None,
                    Err(error) => return Err(error),
                };
                Ok(information)
            }
        }
    }
}

/// Asks in the namespace of this thread.
fn ask(index: u32) -> Result<InterfaceInformation, SyscallError> {
    let mut found = InterfaceInformation {
        driver: driver(index)?,
        xdp: XdpFeatures::of(index)?,
        carries_default_route: netlink::carries_default_route(index).ok(),
        ..InterfaceInformation::default()
    };
    let Some(ethtool) = Ethtool::of(index)? else {
        return Ok(found);
    };
    let modes = ethtool.link_modes()?.unwrap_or_default();
    found.speed = modes.speed;
    found.negotiates = modes.negotiates;
    found.duplex = match modes.duplex {
        Some(0) => Some(Duplex::Half),
        Some(1) => Some(Duplex::Full),
        _ => None,
    };
    found.queues = ethtool.channels()?.map(|four| {
        let [rx, tx, other, combined] = four.map(|setting| setting.map(Adjustable::from));
        QueueCounts {
            rx,
            tx,
            other,
            combined,
        }
    });
    found.rings = ethtool.rings()?.map(|four| {
        let [rx, rx_mini, rx_jumbo, tx] = four.map(|setting| setting.map(Adjustable::from));
        CardRings {
            rx,
            rx_mini,
            rx_jumbo,
            tx,
        }
    });
    found.features = ethtool.features()?.map(features);
    Ok(found)
}

fn driver(index: u32) -> Result<Option<Driver>, SyscallError> {
    let socket = interface_socket()?;
    let name = crate::syscall::interface_by_ioctl(socket.as_fd(), index, "")?.name;
    let driver = match ethtool_driver(socket.as_fd(), &name) {
        Err(error) if is_unsupported(&error) => return Ok(None),
        Err(error) if netlink::is_forbidden(&error) => return Ok(None),
        other => other?,
    };
    let known = |text: String| (!text.is_empty() && text != "N/A").then_some(text);
    Ok(known(driver.name).map(|name| Driver {
        name,
        version: driver.version,
        firmware: known(driver.firmware),
        bus: known(driver.bus),
    }))
}

fn features(sets: netlink::Features) -> Vec<InterfaceFeature> {
    let feature = |name: &String| InterfaceFeature {
        name: name.clone(),
        active: sets.active.contains(name),
        wanted: sets.wanted.contains(name),
        changeable: sets.changeable.contains(name) && !sets.fixed.contains(name),
    };
    sets.all.iter().map(feature).collect()
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Syscall(error) if netlink::is_forbidden(error))
}

impl From<Setting> for Adjustable {
    fn from(Setting { current, max }: Setting) -> Self {
        Self { current, max }
    }
}
