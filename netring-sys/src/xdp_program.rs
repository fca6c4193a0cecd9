//! An attached XDP program: its ID and its mode.

use std::fmt;
use std::str::FromStr;

use crate::ParseError;

/// An XDP program that is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpProgram {
    /// Its mode: where it runs.
    pub mode: XdpMode,
    /// Its ID, unique on this host.
    pub id: u32,
}

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum XdpMode {
    /// In the driver, before the kernel builds a packet (`sk_buff`).
    #[doc(alias = "XDP_FLAGS_DRV_MODE")]
    Native,
    /// In the kernel's network stack: slower, but available on any interface.
    #[doc(alias = "XDP_FLAGS_SKB_MODE")]
    Generic,
    /// On the network card itself.
    #[doc(alias = "XDP_FLAGS_HW_MODE")]
    Offloaded,
}

impl XdpMode {
    /// From `IFLA_XDP_ATTACHED`.
    // [`XDP_ATTACHED_NONE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L1885
    pub(crate) const fn from_kernel(attached: u8) -> Option<Self> {
        match attached {
            1 => Some(Self::Native),
            2 => Some(Self::Generic),
            3 => Some(Self::Offloaded),
            _ => None,
        }
    }

    /// `XDP_FLAGS_*`.
    // [`XDP_FLAGS_SKB_MODE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L1873
    pub(crate) const fn flag(self) -> u32 {
        match self {
            Self::Generic => 1 << 1,
            Self::Native => 1 << 2,
            Self::Offloaded => 1 << 3,
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        })
    }
}

/// Reads what a mode is displayed as.
impl FromStr for XdpMode {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "native" => Ok(Self::Native),
            "generic" => Ok(Self::Generic),
            "offloaded" => Ok(Self::Offloaded),
            _ => Err(ParseError::new(text, "mode of an XDP program", "native")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_read_as_it_is_displayed() {
        for mode in [XdpMode::Native, XdpMode::Generic, XdpMode::Offloaded] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("drv".parse::<XdpMode>().is_err());
    }
}
