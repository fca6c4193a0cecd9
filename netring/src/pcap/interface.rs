//! What a pcapng file says about an interface.

use std::borrow::Cow;

use super::block::{
    COMMENT, IF_DESCRIPTION, IF_FILTER, IF_HARDWARE, IF_MAC_ADDRESS, IF_NAME, IF_OS, IF_SPEED,
};
use super::options::Options;
use crate::{Interface, LinkType};

/// The resolution of an interface that does not state one: microseconds.
pub(super) const MICROS: u8 = 6;
/// The finest resolution that is written: nanoseconds.
const NANOS: u8 = 9;

/// An interface of a pcapng file: its link type, the resolution of its timestamps, its name and
/// other attributes.
///
/// Options without a method here (addresses, time zone, custom ones) survive reading and writing.
///
/// ```
/// use netring::LinkType;
/// use netring::pcap::InterfaceDescription;
///
/// let uplink = InterfaceDescription::new(LinkType::ETHERNET)
///     .with_name("eth0")
///     .with_filter("tcp port 443");
/// assert_eq!(uplink.name().as_deref(), Some("eth0"));
/// assert_eq!(uplink.resolution(), 9);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "IDB")]
pub struct InterfaceDescription {
    pub(super) link_type: LinkType,
    pub(super) snap_len: u32,
    /// As in `if_tsresol`.
    pub(super) resolution: u8,
    pub(super) offset: i64,
    pub(super) options: Options,
}

impl InterfaceDescription {
    /// An interface of this link type, without a name and with timestamps in nanoseconds.
    pub fn new(link_type: LinkType) -> Self {
        Self {
            link_type,
            snap_len: 0,
            resolution: NANOS,
            offset: 0,
            options: Options::default(),
        }
    }

    /// The link type of its packets.
    pub const fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// The maximum number of captured bytes of a packet; 0 if there is no limit.
    pub const fn snap_len(&self) -> u32 {
        self.snap_len
    }

    /// The resolution of its timestamps (`if_tsresol`): 9 if they are in units of 10⁻⁹ s, 6 for
    /// microseconds; with the highest bit set, in units of a power of 1/2.
    #[doc(alias = "if_tsresol")]
    pub const fn resolution(&self) -> u8 {
        self.resolution
    }

    /// Its name.
    #[doc(alias = "if_name")]
    pub fn name(&self) -> Option<Cow<'_, str>> {
        self.options.text(IF_NAME)
    }

    /// A description of it.
    #[doc(alias = "if_description")]
    pub fn description(&self) -> Option<Cow<'_, str>> {
        self.options.text(IF_DESCRIPTION)
    }

    /// The expression of the filter that its packets passed; `None` also for a filter that is
    /// stored as a program.
    #[doc(alias = "if_filter")]
    pub fn filter(&self) -> Option<Cow<'_, str>> {
        match self.options.get(IF_FILTER)? {
            [0, expression @ ..] => Some(super::options::text(expression)),
            _ => None,
        }
    }

    /// The operating system of its machine.
    #[doc(alias = "if_os")]
    pub fn os(&self) -> Option<Cow<'_, str>> {
        self.options.text(IF_OS)
    }

    /// Its hardware.
    #[doc(alias = "if_hardware")]
    pub fn hardware(&self) -> Option<Cow<'_, str>> {
        self.options.text(IF_HARDWARE)
    }

    /// Its speed in bits per second.
    #[doc(alias = "if_speed")]
    pub fn speed(&self) -> Option<u64> {
        let value = self.options.get(IF_SPEED)?.try_into().ok()?;
        Some(u64::from_le_bytes(value))
    }

    /// Its comments, in order.
    #[doc(alias = "opt_comment")]
    pub fn comments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.options.comments()
    }

    /// Sets the maximum number of captured bytes of a packet. It describes the packets and does not
    /// cut them.
    #[must_use]
    pub const fn with_snap_len(mut self, bytes: u32) -> Self {
        self.snap_len = bytes;
        self
    }

    /// Sets the resolution of its timestamps as a number of decimal digits, 0 (seconds) to 9
    /// (nanoseconds, the default). Times are rounded down to it. More digits are written as 9.
    #[must_use]
    pub const fn with_resolution(mut self, digits: u8) -> Self {
        self.resolution = if digits > NANOS { NANOS } else { digits };
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn with_name(self, text: &str) -> Self {
        self.with(IF_NAME, text.as_bytes())
    }

    /// Sets the description.
    #[must_use]
    pub fn with_description(self, text: &str) -> Self {
        self.with(IF_DESCRIPTION, text.as_bytes())
    }

    /// Sets the expression of the filter that its packets passed. It only describes the packets.
    #[must_use]
    pub fn with_filter(self, expression: &str) -> Self {
        self.with(IF_FILTER, &[&[0], expression.as_bytes()].concat())
    }

    /// Sets the operating system.
    #[must_use]
    pub fn with_os(self, text: &str) -> Self {
        self.with(IF_OS, text.as_bytes())
    }

    /// Sets the hardware.
    #[must_use]
    pub fn with_hardware(self, text: &str) -> Self {
        self.with(IF_HARDWARE, text.as_bytes())
    }

    /// Sets the speed in bits per second.
    #[must_use]
    pub fn with_speed(self, bits: u64) -> Self {
        self.with(IF_SPEED, &bits.to_le_bytes())
    }

    /// Adds a comment.
    #[must_use]
    pub fn with_comment(mut self, text: &str) -> Self {
        self.options.push(COMMENT, text.as_bytes());
        self
    }

    fn with(mut self, code: u16, value: &[u8]) -> Self {
        self.options.set(code, value);
        self
    }

    /// Nanoseconds of a tick, as it is written.
    pub(super) const fn tick(&self) -> u64 {
        10_u64.pow((NANOS - self.written_resolution()) as u32)
    }

    /// The resolution that is written: of those finer than nanoseconds or in powers of two, only
    /// nanoseconds are left when they are read.
    pub(super) const fn written_resolution(&self) -> u8 {
        if self.resolution > NANOS {
            NANOS
        } else {
            self.resolution
        }
    }
}

/// Its link type, its name, its alias as the description, and its address.
impl From<&Interface> for InterfaceDescription {
    fn from(interface: &Interface) -> Self {
        let mut described = Self::new(interface.link_type()).with_name(&interface.name);
        if let Some(alias) = &interface.description {
            described = described.with_description(alias);
        }
        match interface.address {
            Some(address) => described.with(IF_MAC_ADDRESS, &address),
            None => described,
        }
    }
}
