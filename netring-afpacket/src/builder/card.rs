//! Timestamps of the card.

use std::sync::Arc;

use netring_sys::{Error, HardwareTimestamps, Interface};

use super::CaptureBuilder;
use crate::socket::TimestampSource;

impl CaptureBuilder {
    /// Whether to make the card stamp every packet that it receives, for as long as the capture
    /// lives, and to deliver these timestamps ([`TimestampSource::RawHardware`]). Default: no.
    ///
    /// Stamping is a setting of the interface: it holds for all programs, needs CAP_NET_ADMIN, and
    /// some drivers reset the link to change it. [`build`](Self::build) fails if the card cannot do
    /// it ([`Interface::timestamping`] says what it can), or if another program has set it up in
    /// another way. See [`HardwareTimestamps`] for how the setting is restored.
    ///
    /// Packets that the card did not stamp still come, with the kernel's time: those that this host
    /// sends, and all of them if another program changes the setting. Each packet reports its clock
    /// ([`Timestamp::clock`](netring_sys::Timestamp::clock)).
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

    /// Has the card stamp packets, if that was requested.
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

    /// Refuses timestamps of the card that no packet would show.
    pub(super) fn check_card(&self) -> Result<(), Error> {
        if self.enable_hardware_timestamps && self.all_interfaces {
            let why = "it is a setting of one interface; keep a `netring_sys::HardwareTimestamps` for each that shall have it, or capture \
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
