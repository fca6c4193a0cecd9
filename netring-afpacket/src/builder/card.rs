//! Hardware timestamps.

use std::sync::Arc;

use netring_sys::{Error, HardwareTimestamps, Interface};

use super::CaptureBuilder;
use crate::socket::TimestampSource;

impl CaptureBuilder {
    /// Whether to make the card stamp every packet that it receives, for the lifetime of the
    /// capture, and to deliver these timestamps ([`TimestampSource::RawHardware`]). Default: no.
    ///
    /// Stamping is a setting of the interface: it affects all programs, needs CAP_NET_ADMIN, and
    /// some drivers reset the link to change it. [`build`](Self::build) fails if the card does not
    /// support it (see [`Interface::timestamping`]), or if another program has configured it
    /// differently. See [`HardwareTimestamps`] for how the setting is restored.
    ///
    /// Packets that the card did not stamp still arrive, with the kernel's time: those that this
    /// host sends, and all of them if another program changes the setting. Each packet reports its
    /// clock ([`Timestamp::clock`](netring_sys::Timestamp::clock)).
    #[doc(alias = "SIOCSHWTSTAMP")]
    pub const fn enable_hardware_timestamps(mut self, enable: bool) -> Self {
        self.enable_hardware_timestamps = enable;
        if enable {
            self.timestamps = TimestampSource::RawHardware;
        }
        self
    }

    /// Whether [`enable_hardware_timestamps`](Self::enable_hardware_timestamps) may replace a
    /// setting of another program, such as a PTP daemon, whose packets then continue to be stamped.
    /// Default: no.
    pub const fn replace_hardware_timestamps(mut self, replace: bool) -> Self {
        self.replace_hardware_timestamps = replace;
        self
    }

    /// Makes the card stamp packets, if requested.
    pub(crate) fn set_card(
        &self,
        interface: &Interface,
    ) -> Result<Option<Arc<HardwareTimestamps>>, Error> {
        if !self.enable_hardware_timestamps {
            return Ok(None);
        }
        let replace = self.replace_hardware_timestamps;
        let card = HardwareTimestamps::enable(interface, replace)?;
        Ok(Some(Arc::new(card)))
    }

    /// Refuses hardware timestamps that no packet would show.
    pub(super) fn check_card(&self) -> Result<(), Error> {
        if self.enable_hardware_timestamps && self.all_interfaces {
            let why = "it is a setting of one interface; keep a `netring_sys::HardwareTimestamps` for each interface that needs it, or capture \
                       from each by `Captures`";
            return Err(Error::Config {
                setting: "enable_hardware_timestamps",
                why: why.into(),
            });
        }
        let is_shown = matches!(self.timestamps, TimestampSource::RawHardware);
        if self.enable_hardware_timestamps && !is_shown {
            let why = format!(
                "set to {:?} after `enable_hardware_timestamps`, which needs RawHardware",
                self.timestamps
            );
            let setting = "timestamps";
            return Err(Error::Config { setting, why });
        }
        Ok(())
    }
}
