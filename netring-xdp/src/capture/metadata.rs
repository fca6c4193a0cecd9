//! Whether a capture asks the driver about packets, and why not.

use netring_sys::{Error, Interface, XdpFeatures};

use super::{CaptureBuilder, Feed};
use crate::options::DriverMetadata;
use crate::program::{AttachMode, Attachment, MetadataFields, Redirect, SocketMap};
use crate::socket::rx::MetadataPlacement;

impl CaptureBuilder {
    /// Settings that cannot be, whatever the interface.
    pub(super) fn check_metadata(&self) -> Result<(), Error> {
        let setting = match (self.rx_hash, self.hardware_timestamps) {
            (true, _) => "rx_hash",
            (_, true) => "hardware_timestamps",
            _ => return Ok(()),
        };
        if self.metadata == DriverMetadata::No {
            return Err(Error::Config {
                setting,
                why: "it is a part of the metadata, which is not to be asked for".into(),
            });
        }
        Ok(())
    }

    /// The program that asks the driver, on the interface. `None` where it is not to be asked, or
    /// cannot be: the reason stands in `feed`.
    ///
    /// It is tried in native mode only, where alone it can be, and before the program without: what
    /// mode that one gets does not depend on it.
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
                    why: "in generic mode there is no driver to ask".into(),
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

    /// What the driver is to be asked for, and what it cannot tell of what is wanted. An error
    /// where that is all, or all is required.
    fn wanted(&self, interface: &Interface) -> Result<(MetadataFields, Option<Error>), Error> {
        let all = MetadataFields {
            vlan: true,
            hash: self.rx_hash,
            timestamp: self.hardware_timestamps,
        };
        // A kernel that does not say what the driver can is asked by the program itself.
        let told = XdpFeatures::of(interface.index);
        let told = told.ok().flatten().and_then(|told| told.metadata);
        let Some(told) = told else {
            return Ok((all, None));
        };
        let wanted = MetadataFields {
            vlan: told.vlan,
            hash: all.hash && told.hash,
            timestamp: all.timestamp && told.timestamp,
        };
        let names = [
            ("VLAN tags", all.vlan && !wanted.vlan),
            ("hashes", all.hash && !wanted.hash),
            ("the card's time", all.timestamp && !wanted.timestamp),
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
                "the driver of {} does not tell an XDP program {}",
                interface.name,
                lacks.join(" nor ")
            ),
        };
        let is_none = !wanted.vlan && !wanted.hash && !wanted.timestamp;
        if is_none || self.metadata == DriverMetadata::Require {
            return Err(why);
        }
        Ok((wanted, Some(why)))
    }

    /// Before which packets of a program that is not generated here metadata is read: before none,
    /// unless it is one that `asks` ([`Redirect::metadata`]), or was said to write it.
    pub(super) fn believes(&self, feed: &mut Feed, asks: bool) -> Option<MetadataPlacement> {
        match self.metadata {
            DriverMetadata::No => None,
            _ if asks => Some(MetadataPlacement::Anywhere),
            DriverMetadata::Require => Some(MetadataPlacement::Default),
            DriverMetadata::Try => {
                feed.why_no_metadata = Some(Error::Config {
                    setting: "metadata",
                    why: "whether the user's own program writes it is not known: one of `Redirect::metadata` does; of another, \
                          say so (`DriverMetadata::Require`)"
                        .into(),
                });
                None
            }
        }
    }
}
