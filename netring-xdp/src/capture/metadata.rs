//! Whether a capture asks the driver about packets, and why not.

use netring_sys::{Error, Interface, XdpFeatures};

use super::{CaptureBuilder, Feed};
use crate::options::DriverMetadata;
use crate::program::{AttachMode, Attachment, MetadataFields, Redirect, SocketMap};
use crate::socket::rx::MetadataPlacement;

impl CaptureBuilder {
    /// Refuses settings that are impossible on any interface.
    pub(super) fn check_metadata(&self) -> Result<(), Error> {
        let setting = match (self.rx_hash, self.hardware_timestamps) {
            (true, _) => "rx_hash",
            (_, true) => "hardware_timestamps",
            _ => return Ok(()),
        };
        if self.metadata == DriverMetadata::No {
            return Err(Error::Config {
                setting,
                why: "it requires driver metadata, but `metadata(DriverMetadata::No)` was set"
                    .into(),
            });
        }
        Ok(())
    }

    /// Attaches the program that asks the driver. Returns `None` if the driver should not or cannot
    /// be asked; the reason is then in `feed`.
    ///
    /// It is tried in native mode, the only one that supports it, and before the program that does
    /// not ask, whose mode does not depend on it.
    pub(super) fn attach_asking(
        &self,
        feed: &mut Feed,
        settings: &Redirect,
        put: impl FnOnce(&mut SocketMap) -> Result<(), Error>,
    ) -> Result<Option<Attachment>, Error> {
        if self.metadata == DriverMetadata::No {
            return Ok(None);
        }
        let attach = || {
            if self.attach_mode == AttachMode::Generic {
                return Err(Error::Config {
                    setting: "metadata",
                    why: "generic mode has no driver to ask".into(),
                });
            }
            let (wanted, lacks) = self.wanted(&feed.interface)?;
            let settings = settings.clone().asking(&feed.interface, wanted);
            settings.check_kernel()?;
            let mut program = settings.load()?;
            put(program.sockets_mut())?;
            let attachment = program.attach(&feed.interface, AttachMode::Native)?;
            Ok((attachment, lacks))
        };
        match attach() {
            Ok((attachment, lacks)) => {
                feed.why_no_metadata = lacks;
                Ok(Some(attachment))
            }
            Err(why) if self.metadata == DriverMetadata::Require => Err(why),
            Err(why) => {
                feed.why_no_metadata = Some(why);
                Ok(None)
            }
        }
    }

    /// The metadata to ask the driver for, and an error about requested metadata that it does not
    /// provide. Fails if it provides none, or if all is required.
    fn wanted(&self, interface: &Interface) -> Result<(MetadataFields, Option<Error>), Error> {
        let all = MetadataFields {
            vlan: true,
            hash: self.rx_hash,
            timestamp: self.hardware_timestamps,
        };
        // If the kernel does not report what the driver provides, the program itself asks it.
        let offered = XdpFeatures::of(interface.index);
        let offered = offered.ok().flatten().and_then(|offered| offered.metadata);
        let Some(offered) = offered else {
            return Ok((all, None));
        };
        let wanted = MetadataFields {
            vlan: offered.vlan,
            hash: all.hash && offered.hash,
            timestamp: all.timestamp && offered.timestamp,
        };
        let names = [
            ("VLAN tags", all.vlan && !wanted.vlan),
            ("hashes", all.hash && !wanted.hash),
            ("hardware timestamps", all.timestamp && !wanted.timestamp),
        ];
        let lacks: Vec<_> = names
            .iter()
            .filter_map(|(name, lacks)| lacks.then_some(*name))
            .collect();
        if lacks.is_empty() {
            return Ok((wanted, None));
        }
        let why = Error::Config {
            setting: "metadata",
            why: format!(
                "the driver of {} does not provide {} to XDP programs",
                interface.name,
                lacks.join(" or ")
            ),
        };
        let is_none = !wanted.vlan && !wanted.hash && !wanted.timestamp;
        if is_none || self.metadata == DriverMetadata::Require {
            return Err(why);
        }
        Ok((wanted, Some(why)))
    }

    /// Whether to read metadata before the packets of a program that is not generated here: no,
    /// unless it `asks` ([`Redirect::metadata`]), or the caller requires it.
    pub(super) fn trusted_placement(
        &self,
        feed: &mut Feed,
        asks: bool,
    ) -> Option<MetadataPlacement> {
        match self.metadata {
            DriverMetadata::No => None,
            _ if asks => Some(MetadataPlacement::Anywhere),
            DriverMetadata::Require => Some(MetadataPlacement::Default),
            DriverMetadata::Try => {
                feed.why_no_metadata = Some(Error::Config {
                    setting: "metadata",
                    why: "it is not known whether the user's own program writes it; load one with \
                          `Redirect::metadata`, or set `DriverMetadata::Require` if it does"
                        .into(),
                });
                None
            }
        }
    }
}
