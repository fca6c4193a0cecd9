//! The options of a socket, and the results.

use std::fmt;
use std::time::Duration;

use netring_sys::{Error, Profile};

/// Entries of a ring: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize(u32);

impl RingSize {
    /// 2048 entries.
    pub(crate) const DEFAULT: Self = Self(2048);

    /// A ring with this number of entries.
    ///
    /// ```
    /// use netring_xdp::RingSize;
    ///
    /// assert_eq!(RingSize::new(2048)?.entries(), 2048);
    /// let error = RingSize::new(1500).unwrap_err();
    /// assert!(error.to_string().ends_with("the next is 2048"), "{error}");
    /// # Ok::<(), netring_xdp::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] if the number is not a power of two, or above 2³⁰.
    pub fn new(entries: u32) -> Result<Self, Error> {
        const MAX: u32 = 1 << 30;
        if entries.is_power_of_two() && entries <= MAX {
            return Ok(Self(entries));
        }
        Err(Error::Config {
            setting: "ring",
            why: format!(
                "{entries} entries is not a power of two from 1 to {MAX}; the next is {}",
                entries.min(MAX).next_power_of_two()
            ),
        })
    }

    /// How many entries the ring has.
    pub const fn entries(self) -> u32 {
        self.0
    }

    /// The smallest ring that holds this many.
    pub(crate) fn for_entries(entries: u32) -> Self {
        Self(entries.clamp(1, 1 << 30).next_power_of_two())
    }
}

/// Whether packets are copied between the driver's memory and the UMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyMode {
    /// Without a copy if the driver supports it, otherwise with one. The resulting mode is
    /// reported, with the reason if it is not zero-copy.
    #[default]
    Best,
    /// Without a copy; if the driver does not support it, opening fails.
    #[doc(alias = "XDP_ZEROCOPY")]
    ZeroCopy,
    /// With a copy.
    #[doc(alias = "XDP_COPY")]
    Copy,
}

/// Whether to ask the driver for metadata of each packet: the VLAN tag that it moved out of the
/// bytes, the hash of the flow, the hardware timestamp (kernel 6.3; VLAN tags 6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverMetadata {
    /// The driver is not asked.
    No,
    /// The driver is asked if possible, which requires native mode;
    /// [`XdpCapture::why_no_metadata`](crate::XdpCapture::why_no_metadata) reports why not.
    #[default]
    Try,
    /// The driver is asked; if that is not possible, opening fails.
    Require,
}

/// How packets reach a socket, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mode {
    /// The driver runs the program, and the card writes into the UMEM.
    ZeroCopy,
    /// The driver runs the program; packets are copied into the UMEM.
    NativeCopy,
    /// The kernel's stack runs the program; packets are copied into the UMEM.
    GenericCopy,
    /// Packets are copied into the UMEM; the program is a foreign one, and where it runs is not
    /// known.
    Copy,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroCopy => "zero-copy",
            Self::NativeCopy => "native, copy",
            Self::GenericCopy => "generic, copy",
            Self::Copy => "copy",
        })
    }
}

/// Busy polling: the application's own calls drive the interface, and its interrupts stay off
/// (kernel 5.11).
///
/// The interface's NAPI must be kept quiet as well, which only the administrator can do:
/// `napi_defer_hard_irqs` and `gro_flush_timeout` of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "SO_PREFER_BUSY_POLL")]
#[doc(alias = "SO_BUSY_POLL")]
#[doc(alias = "SO_BUSY_POLL_BUDGET")]
pub struct BusyPoll {
    /// How long one call polls at most (`SO_BUSY_POLL`). Default: 20 µs.
    pub time: Duration,
    /// How many packets one call takes at most (`SO_BUSY_POLL_BUDGET`). Default: 64.
    pub budget: u16,
}

impl Default for BusyPoll {
    fn default() -> Self {
        Self {
            time: Duration::from_micros(20),
            budget: 64,
        }
    }
}

/// The settings of a [`Profile`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Entries of the receive ring and of the transmit ring.
    pub(crate) ring: RingSize,
    pub(crate) multi_buffer: bool,
    /// Bytes of a chunk; `None`: the smallest that fits.
    pub(crate) chunk_size: Option<u32>,
    /// How long a wait lets packets gather.
    pub(crate) moderation: Duration,
}

impl Sizes {
    pub(crate) const fn of(profile: Profile) -> Self {
        let entries = match profile {
            Profile::HighThroughput => 8192,
            Profile::Jumbo => 4096,
            Profile::LowMemory => 512,
            // Packets are handed over one by one in any case.
            _ => RingSize::DEFAULT.0,
        };
        let jumbo = matches!(profile, Profile::Jumbo);
        let micros = match profile {
            Profile::HighThroughput => 50,
            _ => 0,
        };
        Self {
            ring: RingSize(entries),
            multi_buffer: jumbo,
            // The smallest page there is.
            chunk_size: if jumbo { Some(4096) } else { None },
            moderation: Duration::from_micros(micros),
        }
    }

    /// Chunks for both rings of a socket, or for a receive ring and its fill ring.
    pub(crate) const fn chunks(self) -> u32 {
        2 * self.ring.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_documented_sizes() {
        for (profile, ring, chunks, chunk_size, multi_buffer, micros) in [
            (Profile::Default, 2048, 4096, None, false, 0),
            (Profile::LowLatency, 2048, 4096, None, false, 0),
            (Profile::HighThroughput, 8192, 16_384, None, false, 50),
            (Profile::LowMemory, 512, 1024, None, false, 0),
            (Profile::Jumbo, 4096, 8192, Some(4096), true, 0),
            (Profile::Immediate, 2048, 4096, None, false, 0),
        ] {
            let sizes = Sizes::of(profile);
            assert_eq!(
                (sizes.ring.entries(), sizes.chunks(), sizes.chunk_size),
                (ring, chunks, chunk_size),
                "{profile:?}"
            );
            assert_eq!(sizes.multi_buffer, multi_buffer, "{profile:?}");
            assert_eq!(
                sizes.moderation,
                Duration::from_micros(micros),
                "{profile:?}"
            );
        }
    }
}
