//! The length of an IP packet, read separately because only some visitors need it.

use netring_sys::Packet;

use super::{Part, Rules, Version, carrier, header, layers, reached_packet};
use crate::extract::Skip;

/// Bytes of the outermost IP packet on the wire, with its header and without padding; no more than
/// the frame has. `None` if the packet is not IP.
pub(crate) fn ip_len(packet: &Packet<'_>) -> Option<u32> {
    layers::walk(packet, |version, part, _| of(version, part)).ok()
}

/// The same for the IP packet of the flow that [`packet`](super::packet) returns.
pub(crate) fn innermost_ip_len(packet: &Packet<'_>, rules: Rules) -> Option<u32> {
    if rules.tunnels.is_none() {
        return ip_len(packet);
    }
    let most = rules.tunnels.depth();
    let (skip, depth) = match layers::innermost(packet, &rules.tunnels, most, |_| ()) {
        Ok(reached) => match reached_packet(&reached, rules) {
            Err(skip) if !matches!(skip, Skip::Fragment | Skip::TooDeep) => (skip, reached.depth),
            _ => return of(reached.version, reached.part).ok(),
        },
        Err(why) => why,
    };
    let reached = carrier(packet, rules, skip, depth).ok()?;
    of(reached.version, reached.part).ok()
}

fn of(version: Version, part: Part<'_>) -> Result<u32, Skip> {
    let stated = match version {
        Version::V4 => {
            let header = header::v4(part.data)?;
            Some(header.total_len).filter(|len| *len >= header.len)
        }
        Version::V6 => {
            let header = header::v6(part.data)?;
            Some(40 + header.payload_len).filter(|_| header.payload_len != 0)
        }
    };
    // A packet without a length, such as a jumbogram or a segment that a card has yet to split, has
    // the length of the frame.
    let len = stated.unwrap_or(part.wire).min(part.wire);
    u32::try_from(len).map_err(|_| Skip::IpTotalLength)
}

#[cfg(test)]
mod tests {
    use netring_sys::{LinkType, Timestamp};

    use super::*;

    fn len(frame: &[u8], link: LinkType) -> Option<u32> {
        ip_len(&Packet::new(frame, Timestamp::default(), link))
    }

    #[test]
    fn padding_does_not_count_and_headers_do() {
        let mut frame = [0; 60];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14..18].copy_from_slice(&[0x45, 0, 0, 33]);
        assert_eq!(len(&frame, LinkType::ETHERNET), Some(33));
        // A length beyond the frame, and 0 for the length of the frame.
        for total in [200, 0] {
            frame[17] = total;
            assert_eq!(len(&frame, LinkType::ETHERNET), Some(46));
        }
        assert_eq!(len(&frame[..20], LinkType::ETHERNET), None);
        frame[12..14].copy_from_slice(&[8, 6]);
        assert_eq!(len(&frame, LinkType::ETHERNET), None);
    }

    #[test]
    fn a_cut_packet_has_its_length_on_the_wire() {
        let mut packet = [0; 40];
        packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 3, 232, 17, 64]);
        let cut = Packet::new(&packet, Timestamp::default(), LinkType::IPV6).with_wire_len(1040);
        assert_eq!(ip_len(&cut), Some(1040));
    }
}
