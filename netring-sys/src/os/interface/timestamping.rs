//! The hardware timestamping of an interface.

use std::fmt;
use std::os::fd::AsFd;

use super::Interface;
use crate::errno::{EINVAL, ENOTTY, EOPNOTSUPP};
use crate::kernel::packet::SOF_TIMESTAMPING_RAW_HARDWARE;
use crate::kernel::timestamping::{
    HWTSTAMP_FILTER_ALL, HWTSTAMP_FILTER_NONE, SOF_TIMESTAMPING_RX_HARDWARE,
    SOF_TIMESTAMPING_RX_SOFTWARE, ethtool_ts_info, hwtstamp_config,
};
use crate::syscall::{ethtool_timestamping, hardware_timestamping, interface_socket};
use crate::{Error, SyscallError};

/// Which packets an interface can stamp with its own clock, and which it stamps now. From
/// [`Interface::timestamping`].
///
/// ```
/// let can = netring_sys::Interface::by_name("lo")?.timestamping()?;
/// assert!(!can.stamps_any_packet());
/// assert_eq!(can.to_string(), "no hardware timestamps");
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamping {
    info: ethtool_ts_info,
    now: Option<hwtstamp_config>,
}

impl Interface {
    /// Queries which packets its driver and card can stamp, and which they stamp now, in its
    /// [namespace](Self::namespace).
    ///
    /// # Errors
    /// The failed call; `ENODEV` if the interface is gone.
    #[doc(alias = "ETHTOOL_GET_TS_INFO")]
    #[doc(alias = "SIOCGHWTSTAMP")]
    pub fn timestamping(&self) -> Result<Timestamping, Error> {
        let socket = self.inside(interface_socket)??;
        let name = self.current_name();
        let info = match ethtool_timestamping(socket.as_fd(), &name) {
            Err(error) if is_unsupported(&error) => ethtool_ts_info::default(),
            other => other?,
        };
        let now = match hardware_timestamping(socket.as_fd(), &name) {
            Err(error) if is_unsupported(&error) => None,
            other => Some(other?),
        };
        Ok(Timestamping { info, now })
    }
}

/// Whether a driver knows no such call.
pub(in crate::os) fn is_unsupported(error: &SyscallError) -> bool {
    [EOPNOTSUPP, ENOTTY, EINVAL]
        .iter()
        .any(|&errno| error.is(errno))
}

impl Timestamping {
    /// Whether the card can stamp every packet that it receives. If not, some cards stamp only
    /// packets of the precision time protocol.
    #[doc(alias = "HWTSTAMP_FILTER_ALL")]
    pub const fn stamps_any_packet(&self) -> bool {
        self.receives_hardware() && self.info.rx_filters >> HWTSTAMP_FILTER_ALL & 1 != 0
    }

    /// Whether the card stamps every packet that it receives now.
    pub fn stamps_every_packet_now(&self) -> bool {
        self.now
            .is_some_and(|now| now.rx_filter == HWTSTAMP_FILTER_ALL)
    }

    /// Whether the kernel stamps packets before they reach a socket.
    #[doc(alias = "SOF_TIMESTAMPING_RX_SOFTWARE")]
    pub const fn is_software_available(&self) -> bool {
        self.info.so_timestamping & SOF_TIMESTAMPING_RX_SOFTWARE != 0
    }

    /// The number of the card's clock, `/dev/ptpN`; `None` if it has none.
    #[doc(alias = "phc_index")]
    pub fn clock(&self) -> Option<u32> {
        u32::try_from(self.info.phc_index)
            .ok()
            .filter(|_| self.info.so_timestamping & SOF_TIMESTAMPING_RAW_HARDWARE != 0)
    }

    /// Which packets the card stamps now, in the kernel's encoding; `None` if the driver does not
    /// report it.
    pub const fn config(&self) -> Option<hwtstamp_config> {
        self.now
    }

    /// Which packets the card can stamp, in the kernel's encoding.
    pub const fn info(&self) -> ethtool_ts_info {
        self.info
    }

    const fn receives_hardware(&self) -> bool {
        let both = SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
        self.info.so_timestamping & both == both
    }
}

/// In a few words: `hardware timestamps of every packet, off`.
impl fmt::Display for Timestamping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.receives_hardware() {
            return f.write_str("no hardware timestamps");
        }
        f.write_str(match self.stamps_any_packet() {
            true => "hardware timestamps of every packet",
            false => "hardware timestamps of some packets",
        })?;
        f.write_str(match self.now.map(|now| now.rx_filter) {
            None => "",
            Some(HWTSTAMP_FILTER_NONE) => ", off",
            Some(HWTSTAMP_FILTER_ALL) => ", on",
            Some(_) => ", on for some",
        })?;
        match self.clock() {
            Some(number) => write!(f, ", clock /dev/ptp{number}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_described_in_a_few_words() {
        let both = SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
        let card = |so_timestamping, rx_filters, phc_index, now: Option<i32>| Timestamping {
            info: ethtool_ts_info {
                so_timestamping,
                rx_filters,
                phc_index,
                ..ethtool_ts_info::default()
            },
            now: now.map(|rx_filter| hwtstamp_config {
                rx_filter,
                ..hwtstamp_config::default()
            }),
        };
        for (card, text) in [
            (card(0x1a, 0, -1, None), "no hardware timestamps"),
            (card(4, 3, -1, Some(0)), "no hardware timestamps"),
            (
                card(both, 3, 0, Some(0)),
                "hardware timestamps of every packet, off, clock /dev/ptp0",
            ),
            (
                card(both, 3, -1, Some(1)),
                "hardware timestamps of every packet, on",
            ),
            (
                card(both, 1 << 12 | 1, 2, Some(12)),
                "hardware timestamps of some packets, on for some, clock /dev/ptp2",
            ),
            (
                card(both, 2, -1, None),
                "hardware timestamps of every packet",
            ),
        ] {
            assert_eq!(card.to_string(), text);
            assert_eq!(card.stamps_any_packet(), text.contains("every"));
            assert_eq!(
                card.stamps_every_packet_now(),
                text.contains(", on") && text.contains("every")
            );
        }
    }
}
