//! Information from drivers and cards: the generic netlink family "ethtool"
//! (`Documentation/networking/ethtool-netlink.rst`, kernel 5.6).

use super::generic::{ask, family, request, u32_of};
use super::wire::{NLA_F_NESTED, attribute, attributes, value_of};
use crate::SyscallError;

// [`ETHTOOL_MSG_LINKMODES_GET`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L20
const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
// [`ETHTOOL_MSG_FEATURES_GET`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L27
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
// [`ETHTOOL_MSG_RINGS_GET`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L31
const ETHTOOL_MSG_RINGS_GET: u8 = 15;
// [`ETHTOOL_MSG_CHANNELS_GET`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L33
const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;

/// The header of each request and answer is its attribute 1.
const HEADER: u16 = 1;
// [`ETHTOOL_A_HEADER_DEV_INDEX`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L137
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;

// [`ETHTOOL_A_LINKMODES_AUTONEG`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L257
const ETHTOOL_A_LINKMODES_AUTONEG: u16 = 2;
const ETHTOOL_A_LINKMODES_SPEED: u16 = 5;
const ETHTOOL_A_LINKMODES_DUPLEX: u16 = 6;
// [`SPEED_UNKNOWN`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool.h#L2172
const SPEED_UNKNOWN: u32 = u32::MAX;

// [`ETHTOOL_A_FEATURES_HW`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L319
const ETHTOOL_A_FEATURES_HW: u16 = 2;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_FEATURES_NOCHANGE: u16 = 5;

// [`ETHTOOL_A_BITSET_BITS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L173
const ETHTOOL_A_BITSET_BITS: u16 = 3;
// [`ETHTOOL_A_BITSET_NOMASK`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L171
const ETHTOOL_A_BITSET_NOMASK: u16 = 1;
// [`ETHTOOL_A_BITSET_BITS_BIT`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L162
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
// [`ETHTOOL_A_BITSET_BIT_NAME`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L152
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

/// A number that can be set, and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) current: u32,
    pub(crate) max: u32,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkModes {
    /// Mbit/s.
    pub(crate) speed: Option<u32>,
    /// `DUPLEX_*`.
    pub(crate) duplex: Option<u8>,
    pub(crate) negotiates: Option<bool>,
}

/// The names of features, by what holds of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// All that the kernel knows.
    pub(crate) all: Vec<String>,
    pub(crate) changeable: Vec<String>,
    pub(crate) wanted: Vec<String>,
    pub(crate) active: Vec<String>,
    pub(crate) fixed: Vec<String>,
}

/// The family, for questions about one interface of this thread's network namespace. Each answer is
/// `None` if the driver does not support the question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ethtool {
    family: u16,
    index: u32,
}

impl Ethtool {
    /// `None` if the kernel does not have the family or a sandbox forbids netlink.
    pub(crate) fn of(index: u32) -> Result<Option<Self>, SyscallError> {
        let found = family(b"ethtool\0")?;
        Ok(found.map(|family| Self { family, index }))
    }

    // [`linkmodes_fill_reply`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/linkmodes.c#L100
    pub(crate) fn link_modes(self) -> Result<Option<LinkModes>, SyscallError> {
        self.ask(ETHTOOL_MSG_LINKMODES_GET, link_modes)
    }

    // [`features_fill_reply`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/features.c#L86
    pub(crate) fn features(self) -> Result<Option<Features>, SyscallError> {
        self.ask(ETHTOOL_MSG_FEATURES_GET, features)
    }

    /// Receive, small receive, large receive and transmit rings of the card.
    // [`rings_fill_reply`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/rings.c#L67
    pub(crate) fn rings(self) -> Result<Option<[Option<Setting>; 4]>, SyscallError> {
        self.ask(ETHTOOL_MSG_RINGS_GET, settings)
    }

    /// Receive, transmit, other and combined queues.
    // [`channels_fill_reply`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/channels.c#L57
    pub(crate) fn channels(self) -> Result<Option<[Option<Setting>; 4]>, SyscallError> {
        self.ask(ETHTOOL_MSG_CHANNELS_GET, settings)
    }

    fn ask<T>(self, command: u8, read: impl Fn(&[u8]) -> T) -> Result<Option<T>, SyscallError> {
        let mut device = Vec::new();
        let index = self.index.to_ne_bytes();
        attribute(&mut device, ETHTOOL_A_HEADER_DEV_INDEX, &index);
        let mut header = Vec::new();
        attribute(&mut header, HEADER | NLA_F_NESTED, &device);
        let asked = ask(&request(self.family, command, &header), |answer| {
            let header = value_of(answer, HEADER)?;
            let index = u32_of(header, ETHTOOL_A_HEADER_DEV_INDEX)?;
            (index == self.index).then(|| read(answer))
        });
        match asked {
            Err(error) if error.is(libc::EOPNOTSUPP) => Ok(None),
            other => other.map(Some),
        }
    }
}

fn link_modes(answer: &[u8]) -> LinkModes {
    let byte = |kind| value_of(answer, kind).and_then(|value| value.first().copied());
    let speed = u32_of(answer, ETHTOOL_A_LINKMODES_SPEED);
    LinkModes {
        speed: speed.filter(|speed| *speed != SPEED_UNKNOWN),
        duplex: byte(ETHTOOL_A_LINKMODES_DUPLEX),
        negotiates: byte(ETHTOOL_A_LINKMODES_AUTONEG).map(|on| on != 0),
    }
}

/// Of rings and of channels alike, attributes 2 to 5 are the limits and 6 to 9 the current numbers
/// of four kinds. A kind that the device does not have is left out.
// [`ETHTOOL_A_RINGS_RX_MAX`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L352
// [`ETHTOOL_A_CHANNELS_RX_MAX`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool_netlink.h#L378
fn settings(answer: &[u8]) -> [Option<Setting>; 4] {
    [2, 3, 4, 5].map(|kind| {
        Some(Setting {
            max: u32_of(answer, kind)?,
            current: u32_of(answer, kind + 4)?,
        })
    })
}

fn features(answer: &[u8]) -> Features {
    let set = |kind| value_of(answer, kind).unwrap_or_default();
    let names = |kind| names(set(kind), true);
    Features {
        // The only set that also lists names that are not in it.
        all: self::names(set(ETHTOOL_A_FEATURES_HW), false),
        changeable: names(ETHTOOL_A_FEATURES_HW),
        wanted: names(ETHTOOL_A_FEATURES_WANTED),
        active: names(ETHTOOL_A_FEATURES_ACTIVE),
        fixed: names(ETHTOOL_A_FEATURES_NOCHANGE),
    }
}

/// The names that a set lists; `inside` only those that are in it. A set without a mask lists no
/// others; one with a mask marks those that are in it.
fn names(set: &[u8], inside: bool) -> Vec<String> {
    let no_mask = value_of(set, ETHTOOL_A_BITSET_NOMASK).is_some();
    let bits = value_of(set, ETHTOOL_A_BITSET_BITS).unwrap_or_default();
    let bits = attributes(bits).filter(|(kind, _)| *kind == ETHTOOL_A_BITSET_BITS_BIT);
    let bits = bits.filter(|(_, bit)| {
        !inside || no_mask || value_of(bit, ETHTOOL_A_BITSET_BIT_VALUE).is_some()
    });
    let names = bits.filter_map(|(_, bit)| value_of(bit, ETHTOOL_A_BITSET_BIT_NAME));
    names
        .map(|name| {
            let name = name.strip_suffix(&[0]).unwrap_or(name);
            String::from_utf8_lossy(name).into_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::generic::messages;
    use super::*;

    fn numbers(attributes: &[(u16, u32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in attributes {
            attribute(&mut bytes, *kind, &value.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_kind_that_the_device_does_not_have_is_none() {
        let answer = numbers(&[(2, 4096), (6, 512), (5, 4096), (9, 256), (7, 1)]);
        let setting = |current, max| Some(Setting { current, max });
        let expected = [setting(512, 4096), None, None, setting(256, 4096)];
        assert_eq!(settings(&answer), expected);
        assert_eq!(settings(&[]), [None; 4]);
    }

    #[test]
    fn a_speed_that_is_unknown_is_none() {
        let mut answer = numbers(&[(ETHTOOL_A_LINKMODES_SPEED, 25_000)]);
        attribute(&mut answer, ETHTOOL_A_LINKMODES_DUPLEX, &[1]);
        attribute(&mut answer, ETHTOOL_A_LINKMODES_AUTONEG, &[0]);
        let expected = LinkModes {
            speed: Some(25_000),
            duplex: Some(1),
            negotiates: Some(false),
        };
        assert_eq!(link_modes(&answer), expected);
        let unknown = numbers(&[(ETHTOOL_A_LINKMODES_SPEED, u32::MAX)]);
        assert_eq!(link_modes(&unknown), LinkModes::default());
    }

    /// A set of these names; with a mask if one of them is not in it, as `-name`.
    fn set(names: &[&str]) -> Vec<u8> {
        let has_mask = names.iter().any(|name| name.starts_with('-'));
        let mut bits = Vec::new();
        for name in names {
            let mut bit = numbers(&[(1, 7)]);
            let text = [name.trim_start_matches('-').as_bytes(), &[0]].concat();
            attribute(&mut bit, ETHTOOL_A_BITSET_BIT_NAME, &text);
            if has_mask && !name.starts_with('-') {
                attribute(&mut bit, ETHTOOL_A_BITSET_BIT_VALUE, &[]);
            }
            attribute(&mut bits, ETHTOOL_A_BITSET_BITS_BIT | NLA_F_NESTED, &bit);
        }
        let mut set = Vec::new();
        if !has_mask {
            attribute(&mut set, ETHTOOL_A_BITSET_NOMASK, &[]);
        }
        attribute(&mut set, ETHTOOL_A_BITSET_BITS | NLA_F_NESTED, &bits);
        set
    }

    #[test]
    fn the_names_of_features_are_read_and_damage_ends_the_walk() {
        let mut answer = Vec::new();
        for (kind, names) in [
            (
                ETHTOOL_A_FEATURES_HW,
                &["rx-gro", "rx-lro", "-loopback"][..],
            ),
            (ETHTOOL_A_FEATURES_WANTED, &["rx-gro"]),
            (ETHTOOL_A_FEATURES_ACTIVE, &["rx-gro", "loopback"]),
            (ETHTOOL_A_FEATURES_NOCHANGE, &["loopback"]),
        ] {
            attribute(&mut answer, kind | NLA_F_NESTED, &set(names));
        }
        let read = features(&answer);
        assert_eq!(read.all, ["rx-gro", "rx-lro", "loopback"]);
        assert_eq!(read.changeable, ["rx-gro", "rx-lro"]);
        assert_eq!(read.wanted, ["rx-gro"]);
        assert_eq!(read.active, ["rx-gro", "loopback"]);
        assert_eq!(read.fixed, ["loopback"]);

        let bytes = request(30, ETHTOOL_MSG_FEATURES_GET, &answer);
        for (at, value) in (0..bytes.len()).flat_map(|at| [0, 1, 3, 255].map(|value| (at, value))) {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            for answer in messages(&damaged).flatten() {
                let _ = (features(answer), settings(answer), link_modes(answer));
            }
        }
    }
}
