//! The Ethernet frames that carry the packets of a file.
//!
//! A packet of another link type is sent as the network packet in it, behind an Ethernet header of
//! ours. Then its length on the wire is another than in the file, by the same number for all
//! packets of a file, so that the bytes of each flow are known: where headers have different
//! lengths, zeros follow the packet, as Ethernet's own padding does.
//!
//! Zeros also take the place of what a snap length cut off. What arrives is cut again.

use std::borrow::Cow;

use netring_flow::extract::{Extract, Skip};
use netring_sys::{LinkType, Packet, PacketVec};

use super::flows::{KEYS, missing};
use super::link::{Absent, Network, network};

/// Why a packet is not sent.
pub(super) type Cause = Cow<'static, str>;

/// The longest packet that a veth pair takes, in bytes.
pub(super) const MTU: u32 = 65_535;
/// The cause for one that is longer.
pub(super) const TOO_LONG: &str = "longer than the MTU of 65,535";

/// Two addresses of ours.
const ADDRESSES: [u8; 12] = *b"\x02neta\x01\x02netb\x01";

/// The packets of a file as they are sent.
#[derive(Default)]
pub(super) struct Frames {
    /// Ethernet frames. Where there is none, the packet of the file.
    pub(super) packets: PacketVec,
    /// The packets without a frame, by index, in order.
    pub(super) left_out: Vec<(usize, Cause)>,
    /// How many more bytes each frame has than the packet in the file.
    pub(super) growth: i64,
    /// Packets that carry no network packet, in which the library reads one nevertheless.
    misread: Vec<usize>,
}

impl Frames {
    /// Makes frames of the packets of a file.
    pub(super) fn of(file: &PacketVec) -> Self {
        let mut frames = Self::default();
        let carried: Vec<_> = file.iter().map(|packet| Carried::of(&packet)).collect();
        let sizes = file.iter().zip(&carried);
        let growth = sizes.filter_map(|(packet, carried)| carried.growth(&packet));
        frames.growth = growth.max().unwrap_or_default();
        for (index, (packet, carried)) in file.iter().zip(carried).enumerate() {
            match carried.frame(&packet, frames.growth) {
                Ok(None) => frames.packets.push(&packet),
                Ok(Some(frame)) => {
                    let time = packet.timestamp();
                    let frame = Packet::new(&frame, time, LinkType::ETHERNET);
                    frames.packets.push(&frame);
                }
                Err(cause) => {
                    frames.packets.push(&packet);
                    frames.left_out.push((index, cause));
                }
            }
            if matches!(carried, Carried::Absent(Absent::NoNetwork)) && is_read(&packet) {
                frames.misread.push(index);
            }
        }
        frames
    }

    /// One line for each packet in which the library reads what its link type does not define.
    pub(super) fn misread(&self) -> Vec<String> {
        let lines = self.misread.iter().map(|index| {
            let number = index + 1;
            format!("packet {number} carries no network packet, but IP is read in it")
        });
        lines.collect()
    }
}

/// What of a packet is sent.
enum Carried<'a> {
    /// All of it.
    Frame,
    Network(Network<'a>),
    Absent(Absent),
    /// A snap length cut it where the network packet is not known.
    Cut,
}

impl<'a> Carried<'a> {
    fn of(packet: &Packet<'a>) -> Self {
        match packet.link_type() {
            LinkType::ETHERNET => Self::Frame,
            // Its packets do not extend to the end.
            LinkType::NFLOG if packet.is_cut() => Self::Cut,
            // Without a flow there is nothing to compare.
            _ if is_not_looked_into(packet) => Self::Absent(Absent::LinkType),
            link_type => match network(link_type, packet.data()) {
                Ok(network) => Self::Network(network),
                Err(Absent::NoNetwork) if packet.is_cut() => Self::Cut,
                Err(absent) => Self::Absent(absent),
            },
        }
    }

    /// How many more bytes the frame has without padding.
    fn growth(&self, packet: &Packet<'_>) -> Option<i64> {
        match self {
            Self::Frame => Some(0),
            Self::Network((_, bytes)) => {
                let len = ADDRESSES.len() + 2 + bytes.len();
                Some(len as i64 - packet.data().len() as i64)
            }
            Self::Absent(_) | Self::Cut => None,
        }
    }

    /// The frame, padded to a growth; `None` if the packet is one already.
    fn frame(&self, packet: &Packet<'_>, growth: i64) -> Result<Option<Vec<u8>>, Cause> {
        let mut frame = match self {
            _ if missing(packet) > MTU as usize => return Err(TOO_LONG.into()),
            Self::Frame if packet.is_cut() => packet.data().to_vec(),
            Self::Frame if growth == 0 || packet.data().len() < ADDRESSES.len() + 2 => {
                return Ok(None);
            }
            Self::Frame => packet.wire_bytes().pieces().concat(),
            Self::Network((ether_type, bytes)) => {
                [&ADDRESSES, &ether_type.to_be_bytes()[..], bytes].concat()
            }
            Self::Absent(Absent::NoNetwork) => return Err("no network layer".into()),
            Self::Absent(Absent::LinkType) => {
                let link_type = packet.link_type();
                return Err(format!("no IP is looked for in link type {link_type}").into());
            }
            Self::Cut => return Err("cut where its network layer is not known".into()),
        };
        frame.resize(frame.len() + missing(packet), 0);
        let len = i64::from(packet.wire_len()) + growth;
        let padding = usize::try_from(len).unwrap_or_default() - frame.len();
        let bare = ip_len(packet, &frame);
        frame.resize(frame.len() + padding, 0);
        if padding > 0 && (!is_paddable(packet) || ip_len(packet, &frame) != bare) {
            return Err("padding would be read as a part of it".into());
        }
        Ok(Some(frame))
    }
}

/// The length of the IP packet in a frame: that of the frame if the IP header has none.
fn ip_len(packet: &Packet<'_>, frame: &[u8]) -> Option<u32> {
    let (_, extract) = KEYS[0];
    let frame = Packet::new(frame, packet.timestamp(), LinkType::ETHERNET);
    extract().ip_len(&frame)
}

/// Whether bytes that follow the packet are not part of it: all that it announces is there.
fn is_paddable(packet: &Packet<'_>) -> bool {
    KEYS.iter().all(|(_, extract)| {
        let extract = extract();
        match extract.extract_whole(packet) {
            _ if packet.is_cut() => false,
            Ok(found) => !found.malformed,
            Err(Skip::NotIp | Skip::IpVersion) => true,
            Err(Skip::Fragment) => {
                let mut is_whole = true;
                extract.fragments(packet, &mut |fragment| is_whole &= !fragment.malformed);
                is_whole
            }
            Err(_) => false,
        }
    })
}

/// Whether the library does not read packets of this link type.
fn is_not_looked_into(packet: &Packet<'_>) -> bool {
    let (_, extract) = KEYS[0];
    extract().extract_whole(packet).err() == Some(Skip::LinkType)
}

/// Whether the library finds an IP header.
fn is_read(packet: &Packet<'_>) -> bool {
    KEYS.iter().any(|(_, extract)| {
        let nothing = [Skip::LinkType, Skip::NotIp, Skip::IpVersion, Skip::Short];
        match extract().extract_whole(packet) {
            Ok(_) => true,
            Err(skip) => !nothing.contains(&skip),
        }
    })
}
