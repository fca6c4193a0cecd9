//! The information about an interface in lines.

use std::fmt;

use super::{Adjustable, CardRings, Driver, Duplex, InterfaceInformation, QueueCounts};
use crate::os::netlink::XdpFeatures;

/// A line for each thing that is known, such as `queues: rx 2 of 4, tx 2 of 4`. Of the features
/// those that are on.
impl fmt::Display for InterfaceInformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = [
            self.speed.map(|speed| format!("{speed} Mbit/s")),
            self.duplex.map(|duplex| duplex.to_string()),
            self.negotiates
                .filter(|on| *on)
                .map(|_| "negotiated".into()),
        ];
        let link: Vec<_> = link.into_iter().flatten().collect();
        let features = self.features.as_ref().map(|features| {
            let on = features.iter().filter(|feature| feature.active);
            let names: Vec<_> = on.map(|feature| &*feature.name).collect();
            names.join(" ")
        });
        let route = self.carries_default_route.map(|carries| match carries {
            true => "leads through it".into(),
            false => "does not lead through it".into(),
        });
        let lines = [
            ("driver", self.driver.as_ref().map(ToString::to_string)),
            ("link", (!link.is_empty()).then(|| link.join(", "))),
            ("queues", self.queues.map(|queues| queues.to_string())),
            ("rings", self.rings.map(|rings| rings.to_string())),
            ("features", features),
            ("XDP", self.xdp.map(|xdp| xdp.to_string())),
            ("timestamps", self.timestamping.map(|it| it.to_string())),
            ("default route", route),
        ];
        let known = lines
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)));
        for (n, (name, text)) in known.enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{name}: {text}")?;
        }
        Ok(())
    }
}

/// `2 of 4`.
impl fmt::Display for Adjustable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.current, self.max)
    }
}

impl fmt::Display for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Half => "half duplex",
            Self::Full => "full duplex",
        })
    }
}

/// `virtio_net 1.0.0 at 0000:00:03.0, firmware 7.2`.
impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)?;
        if let Some(bus) = &self.bus {
            write!(f, " at {bus}")?;
        }
        match &self.firmware {
            Some(firmware) => write!(f, ", firmware {firmware}"),
            None => Ok(()),
        }
    }
}

/// `rx 2 of 4, tx 2 of 4`.
impl fmt::Display for QueueCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("rx", self.rx),
            ("tx", self.tx),
            ("combined", self.combined),
            ("other", self.other),
        ];
        write_kinds(&kinds, f)
    }
}

/// `rx 256 of 4096, tx 256 of 4096`.
impl fmt::Display for CardRings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("rx", self.rx),
            ("rx mini", self.rx_mini),
            ("rx jumbo", self.rx_jumbo),
            ("tx", self.tx),
        ];
        write_kinds(&kinds, f)
    }
}

/// What is supported: `native, redirect, zero-copy`; or `generic mode only`.
impl fmt::Display for XdpFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metadata = self.metadata.unwrap_or_default();
        let all = [
            (self.native, "native"),
            (self.redirect, "redirect"),
            (self.redirect_target, "target of redirects"),
            (self.receive_segments, "packets in several buffers"),
            (self.zero_copy, "zero-copy"),
            (self.transmit_timestamp, "transmit timestamps"),
            (self.transmit_checksum, "transmit checksums"),
            (self.transmit_launch_time, "launch times"),
            (metadata.timestamp, "metadata with timestamps"),
            (metadata.hash, "metadata with hashes"),
            (metadata.vlan, "metadata with VLAN tags"),
        ];
        let names: Vec<_> = all.iter().filter(|(on, _)| *on).map(|it| it.1).collect();
        match self.native {
            true => f.write_str(&names.join(", ")),
            false => f.write_str("generic mode only"),
        }
    }
}

fn write_kinds(kinds: &[(&str, Option<Adjustable>)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let known = kinds
        .iter()
        .filter_map(|(name, setting)| Some((name, (*setting)?)));
    for (n, (name, setting)) in known.enumerate() {
        let separator = if n == 0 { "" } else { ", " };
        write!(f, "{separator}{name} {setting}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::interface::InterfaceFeature;

    #[test]
    fn what_is_known_is_in_lines() {
        assert_eq!(InterfaceInformation::default().to_string(), "");
        let setting = |current, max| Some(Adjustable { current, max });
        let feature = |name: &str, active| InterfaceFeature {
            name: name.into(),
            active,
            wanted: active,
            changeable: true,
        };
        let information = InterfaceInformation {
            driver: Some(Driver {
                name: "ice".into(),
                version: "6.12".into(),
                firmware: Some("4.40".into()),
                bus: Some("0000:3b:00.0".into()),
            }),
            speed: Some(100_000),
            duplex: Some(Duplex::Full),
            negotiates: Some(true),
            queues: Some(QueueCounts {
                other: setting(1, 1),
                combined: setting(16, 64),
                ..QueueCounts::default()
            }),
            rings: Some(CardRings {
                rx: setting(2048, 8160),
                tx: setting(256, 8160),
                ..CardRings::default()
            }),
            features: Some(vec![
                feature("rx-gro", true),
                feature("rx-lro", false),
                feature("rx-hashing", true),
            ]),
            xdp: Some(XdpFeatures {
                native: true,
                redirect: true,
                zero_copy: true,
                ..XdpFeatures::default()
            }),
            timestamping: None,
            carries_default_route: Some(true),
        };
        let lines = "driver: ice 6.12 at 0000:3b:00.0, firmware 4.40
link: 100000 Mbit/s, full duplex, negotiated
queues: combined 16 of 64, other 1 of 1
rings: rx 2048 of 8160, tx 256 of 8160
features: rx-gro rx-hashing
XDP: native, redirect, zero-copy
default route: leads through it";
        assert_eq!(information.to_string(), lines);
        assert_eq!(XdpFeatures::default().to_string(), "generic mode only");
    }
}
