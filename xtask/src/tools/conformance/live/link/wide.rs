//! Link types of wide area networks, clusters and routers.

use super::{IPV4, IPV6, Network, SMALLEST, ether_type, ppp, serial, word};

/// An address of two to four bytes, the last of which is odd (Q.922); then a control byte and a
/// network layer protocol identifier (RFC 2427), or an EtherType as Cisco writes it.
pub(super) fn frame_relay(data: &[u8]) -> Option<Network<'_>> {
    let last = data.iter().take(4).position(|byte| byte % 2 == 1)?;
    let rest = data.get(last + 1..).filter(|_| last > 0)?;
    match *rest {
        [3, 0, protocol, ..] => multiprotocol(protocol, &rest[3..]),
        [3, protocol, ..] => multiprotocol(protocol, &rest[2..]),
        [3] => None,
        _ => ether_type(rest, 0),
    }
}

/// IPv4, IPv6, PPP, and SNAP with an EtherType or an Ethernet frame.
fn multiprotocol(protocol: u8, data: &[u8]) -> Option<Network<'_>> {
    match (protocol, data) {
        (0xcc, _) => Some((IPV4, data)),
        (0x8e, _) => Some((IPV6, data)),
        (0xcf, _) => ppp(data),
        (0x80, [0, 0, 0, rest @ ..]) => ether_type(rest, 0),
        (0x80, [0, 0x80, 0xc2, 0, 1 | 7, frame @ ..]) => ethernet(frame),
        _ => None,
    }
}

/// RFC 4391, section 6, behind the 40 bytes of a global route header.
pub(super) fn infiniband(data: &[u8]) -> Option<Network<'_>> {
    let packet = data.get(44..)?;
    let number = word(data, 40).filter(|&number| number >= SMALLEST)?;
    Some((number, packet))
}

/// `dl_ipnetinfo_t` of Solaris: a version, an address family, and 22 more bytes.
pub(super) fn ipnet(data: &[u8]) -> Option<Network<'_>> {
    let packet = data.get(24..)?;
    match data[..2] {
        [1 | 2, 2] => Some((IPV4, packet)),
        [1 | 2, 26] => Some((IPV6, packet)),
        _ => None,
    }
}

/// "MGC", flags, and by these flags extensions; then a frame, or four bytes and a packet.
pub(super) fn juniper(link_type: u16, data: &[u8]) -> Option<Network<'_>> {
    let [b'M', b'G', b'C', flags, rest @ ..] = data else {
        return None;
    };
    let rest = match flags & 0x80 {
        0 => rest,
        _ => rest.get(2 + usize::from(word(rest, 0)?)..)?,
    };
    if flags & 2 != 0 {
        let packet = rest.get(4..)?;
        return match packet.first()? >> 4 {
            4 => Some((IPV4, packet)),
            6 => Some((IPV6, packet)),
            _ => None,
        };
    }
    match link_type {
        178 => ethernet(rest),
        179 => serial(rest),
        180 => frame_relay(rest),
        _ => super::cisco(rest),
    }
}

fn ethernet(frame: &[u8]) -> Option<Network<'_>> {
    Some((word(frame, 12)?, &frame[14..]))
}

#[cfg(test)]
mod tests {
    use netring_sys::LinkType;

    use super::super::{Absent, network};
    use super::*;

    const PACKET: [u8; 8] = *b"E packet";

    #[test]
    fn the_packet_follows_the_header_of_its_link_type() {
        let ethernet = [2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 0];
        let juniper = |flags: u8, rest: &[u8]| [b"MGC", &[flags][..], rest].concat();
        let infiniband = [&[0; 40][..], &[0x86, 0xdd, 0, 0]].concat();
        let ipnet = |version: u8, family: u8| [&[version, family][..], &[7; 22]].concat();
        let headers = [
            (107, vec![0x18, 0x41, 3, 0xcc], IPV4),
            (107, vec![0x18, 0x40, 0x01, 3, 0x8e], IPV6),
            (107, vec![0x18, 0x40, 0x40, 0x01, 3, 0, 0xcc], IPV4),
            (107, vec![0x18, 0x41, 3, 0xcf, 0, 0x57], IPV6),
            (107, vec![0x18, 0x41, 8, 0], IPV4),
            (107, vec![0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 0x86, 0xdd], IPV6),
            (
                107,
                [
                    &[0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7],
                    &ethernet[..],
                ]
                .concat(),
                IPV4,
            ),
            (242, infiniband, IPV6),
            (226, ipnet(1, 2), IPV4),
            (226, ipnet(2, 26), IPV6),
            (178, juniper(0, &ethernet), IPV4),
            (
                178,
                juniper(0x80, &[&[0, 3, 9, 9, 9], &ethernet[..]].concat()),
                IPV4,
            ),
            (178, juniper(2, &[2, 0, 0, 0]), IPV4),
            (179, juniper(1, &[0xff, 3, 0, 0x57]), IPV6),
            (180, juniper(0, &[0x18, 0x41, 3, 0xcc]), IPV4),
            (181, juniper(0, &[0x0f, 0, 0x86, 0xdd]), IPV6),
        ];
        for (link_type, header, number) in headers {
            let data = [&header[..], &PACKET].concat();
            let found = network(LinkType(link_type), &data);
            assert_eq!(found, Ok((number, &PACKET[..])), "{link_type} {header:?}");
            let short = network(LinkType(link_type), &header[..header.len() - 1]);
            assert_eq!(short, Err(Absent::NoNetwork), "{link_type} {header:?}");
        }
    }

    #[test]
    fn what_carries_no_network_packet_has_none() {
        let packets: [(u16, &[u8]); 7] = [
            // One byte is too short for an address, and five are too long. LMI has another control.
            (107, &[0x19, 3, 0xcc, 0x45]),
            (107, &[0x18, 0x40, 0x40, 0x40, 0x01, 3, 0xcc, 0x45]),
            (107, &[0x00, 0x01, 3, 0x08, 0x00, 0x75]),
            (107, &[0x18, 0x41, 0, 4, 0x45]),
            (242, &[0; 60]),
            (226, &[3; 60]),
            (178, b"MGD\0aaaaaabbbbbb\x08\0E"),
        ];
        for (link_type, data) in packets {
            let found = network(LinkType(link_type), data);
            assert_eq!(found, Err(Absent::NoNetwork), "{link_type} {data:?}");
        }
    }
}
