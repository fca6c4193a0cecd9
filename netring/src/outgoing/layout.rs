//! The positions of a frame's headers, as needed to send it.

use crate::LinkType;

const ETHERNET: usize = 14;
const TAG: usize = 4;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Bytes of the shortest Ethernet frame. A shorter packet is followed by padding.
const PADDED: usize = 60;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;

/// An unfragmented IP packet in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where the IP header begins.
    pub(crate) ip: usize,
    pub(crate) is_v6: bool,
    /// Where the IP header ends. The header of a jumbo length may follow it.
    pub(crate) ip_end: usize,
    /// Where the transport header begins.
    pub(crate) transport: usize,
    pub(crate) protocol: u8,
    /// Where the IP packet ends; padding may follow it.
    pub(crate) end: usize,
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

/// Bytes before the IP header, and whether it is one of IPv6; `None` for another protocol.
fn network(frame: &[u8], link: LinkType) -> Option<(usize, bool)> {
    let at = match link {
        LinkType::ETHERNET => {
            let mut at = ETHERNET;
            while TAGS.contains(&word(frame, at - 2)?) {
                at += TAG;
            }
            if !matches!(word(frame, at - 2)?, IPV4 | IPV6) {
                return None;
            }
            at
        }
        LinkType::RAW_IP | LinkType::IPV4 | LinkType::IPV6 => 0,
        _ => return None,
    };
    match frame.get(at)? >> 4 {
        4 => Some((at, false)),
        6 => Some((at, true)),
        _ => None,
    }
}

/// Whether the IP header leaves its length out, as that of a packet that the card was to segment.
pub(crate) fn has_no_length(frame: &[u8], link: LinkType) -> bool {
    match network(frame, link) {
        Some((at, false)) => word(frame, at + 2) == Some(0),
        Some((at, true)) => {
            let next = frame.get(at + 6);
            word(frame, at + 4) == Some(0)
                && next.is_some_and(|next| [HOP_BY_HOP, TCP, UDP].contains(next))
        }
        None => false,
    }
}

impl Layout {
    /// The layout of the frame; `None` if it is not a complete, unfragmented IP packet.
    pub(crate) fn of(frame: &[u8], link: LinkType) -> Option<Self> {
        let (ip, is_v6) = network(frame, link)?;
        let found = match is_v6 {
            false => Self::v4(frame, ip)?,
            true => Self::v6(frame, ip)?,
        };
        (found.transport <= found.end && found.end <= frame.len()).then_some(found)
    }

    fn v4(frame: &[u8], ip: usize) -> Option<Self> {
        let header = usize::from(frame.get(ip)? & 0xf) * 4;
        let fragment = word(frame, ip + 6)? & 0x3fff;
        if header < 20 || fragment != 0 {
            return None;
        }
        let end = match word(frame, ip + 2)? {
            // Padding cannot be recognised.
            0 if frame.len() <= PADDED => return None,
            0 => frame.len(),
            length => ip + usize::from(length),
        };
        Some(Self {
            ip,
            is_v6: false,
            ip_end: ip + header,
            transport: ip + header,
            protocol: *frame.get(ip + 9)?,
            end,
        })
    }

    fn v6(frame: &[u8], ip: usize) -> Option<Self> {
        let ip_end = ip + 40;
        let (length, next) = (word(frame, ip + 4)?, *frame.get(ip + 6)?);
        let mut found = Self {
            ip,
            is_v6: true,
            ip_end,
            transport: ip_end,
            protocol: next,
            end: ip_end + usize::from(length),
        };
        if length == 0 && next == HOP_BY_HOP {
            // A jumbo length and nothing else (RFC 2675), as Linux writes it.
            let jumbo: [u8; 8] = *frame.get(ip_end..)?.first_chunk()?;
            let [protocol, 0, 0xc2, 4, length @ ..] = jumbo else {
                return None;
            };
            let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
            (found.protocol, found.transport) = (protocol, ip_end + jumbo.len());
            found.end = ip_end.checked_add(length)?;
        } else if length == 0 {
            found.end = frame.len();
        }
        Some(found)
    }
}
