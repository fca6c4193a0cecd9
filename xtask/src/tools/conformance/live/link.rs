//! Where the network packet is below a link layer, by the definitions of the link types.
//!
//! This is written after the [registry] and the RFCs, apart from the library's own parser: what
//! that parser makes of a file is compared with what it makes of the Ethernet frames that are built
//! from here.
//!
//! [registry]: https://www.tcpdump.org/linktypes.html

mod wide;

use netring_sys::LinkType;

/// A field of an Ethernet header and what follows it: an EtherType, or below 0x0600 the length of
/// an LLC packet.
pub(super) type Network<'a> = (u16, &'a [u8]);

/// Why there is no network packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The packet carries something else, or ends too early.
    NoNetwork,
    /// The link type is not in this file.
    LinkType,
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const PPPOE_SESSION: u16 = 0x8864;
/// The smallest EtherType.
const SMALLEST: u16 = 0x0600;
/// The longest LLC packet, by its length field.
const LONGEST_LLC: usize = 1500;

/// The hardware types of "cooked" captures whose protocol is not an EtherType.
const FRAD: u16 = 770;
const RADIOTAP: u16 = 803;
const NETLINK: u16 = 824;

/// The network packet in a packet of a link type.
pub(super) fn network(link_type: LinkType, data: &[u8]) -> Result<Network<'_>, Absent> {
    let found = match link_type.0 {
        // LINKTYPE_NULL: an address family in the byte order of the host; LINKTYPE_LOOP: in that of
        // the network.
        0 => loopback(data, true),
        108 => loopback(data, false),
        // LINKTYPE_PPP and LINKTYPE_PPP_HDLC.
        9 | 50 => serial(data),
        // LINKTYPE_PPP_ETHER: a PPPoE header (RFC 2516).
        51 => Some((PPPOE_SESSION, data)),
        // LINKTYPE_RAW, and two numbers of it that systems had before.
        12 | 14 | 101 => match data.first().map(|first| first >> 4) {
            Some(4) => Some((IPV4, data)),
            Some(6) => Some((IPV6, data)),
            _ => None,
        },
        228 => Some((IPV4, data)),
        229 => Some((IPV6, data)),
        // LINKTYPE_C_HDLC.
        104 => cisco(data),
        // LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2.
        113 => cooked(word(data, 14), word(data, 2), data.get(16..)),
        276 => cooked(word(data, 0), word(data, 8), data.get(20..)),
        117 => pflog(data),
        239 => nflog(data),
        107 => wide::frame_relay(data),
        226 => wide::ipnet(data),
        242 => wide::infiniband(data),
        178..=181 => wide::juniper(link_type.0, data),
        _ => return Err(Absent::LinkType),
    };
    found.ok_or(Absent::NoNetwork)
}

fn word(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn loopback(data: &[u8], of_host: bool) -> Option<Network<'_>> {
    let (family, packet) = data.split_first_chunk::<4>()?;
    match *family {
        [0, 0, 0, family] => of_family(family, packet),
        [family, 0, 0, 0] if of_host => of_family(family, packet),
        _ => None,
    }
}

/// `AF_INET`, or `AF_INET6` of Linux, of NetBSD and OpenBSD, of FreeBSD, and of macOS.
fn of_family(family: u8, packet: &[u8]) -> Option<Network<'_>> {
    match family {
        2 => Some((IPV4, packet)),
        10 | 24 | 28 | 30 => Some((IPV6, packet)),
        _ => None,
    }
}

/// Cisco's HDLC (RFC 1547), or PPP (RFC 1662), with its two bytes of HDLC or without.
fn serial(data: &[u8]) -> Option<Network<'_>> {
    match *data {
        [0x0f | 0x8f, ..] => cisco(data),
        [0xff, 3, ..] => ppp(&data[2..]),
        _ => ppp(data),
    }
}

/// An address, a control byte, and an EtherType.
fn cisco(data: &[u8]) -> Option<Network<'_>> {
    ether_type(data, 2)
}

/// An EtherType at this place, and what follows it.
fn ether_type(data: &[u8], at: usize) -> Option<Network<'_>> {
    let number = word(data, at).filter(|&number| number >= SMALLEST)?;
    Some((number, &data[at + 2..]))
}

/// A number of two bytes, or of one if that is odd (RFC 1661, 6.5).
fn ppp(data: &[u8]) -> Option<Network<'_>> {
    let (number, packet) = match *data {
        [odd, ..] if odd % 2 == 1 => (u16::from(odd), &data[1..]),
        _ => (word(data, 0)?, &data[2..]),
    };
    let ether_type = match number {
        0x0021 => IPV4,
        0x0057 => IPV6,
        // MPLS (RFC 3032, 4.3).
        0x0281 => 0x8847,
        0x0283 => 0x8848,
        _ => return None,
    };
    Some((ether_type, packet))
}

/// The protocol field of a "cooked" header: an EtherType, or 4 for LLC.
fn cooked<'a>(
    protocol: Option<u16>,
    hardware: Option<u16>,
    packet: Option<&'a [u8]>,
) -> Option<Network<'a>> {
    let packet = packet?;
    match (protocol?, hardware?) {
        (_, FRAD | RADIOTAP | NETLINK) => None,
        (4, _) => Some((packet.len().min(LONGEST_LLC) as u16, packet)),
        (..SMALLEST, _) => None,
        (ether_type, _) => Some((ether_type, packet)),
    }
}

/// A header that begins with its length, without the padding to a multiple of four bytes, and the
/// address family.
fn pflog(data: &[u8]) -> Option<Network<'_>> {
    let (&len, &family) = (data.first()?, data.get(1)?);
    // The oldest header has an interface, a rule, a reason, an action and a direction, and more.
    if len < 45 {
        return None;
    }
    let packet = data.get(usize::from(len).div_ceil(4) * 4..)?;
    of_family(family, packet)
}

/// A family, a version and a resource; then attributes with lengths and types in the byte order of
/// the host. That with type 9 is the packet.
fn nflog(data: &[u8]) -> Option<Network<'_>> {
    let ether_type = match *data.first()? {
        2 => IPV4,
        10 => IPV6,
        _ => return None,
    };
    let mut rest = data.get(4..)?;
    loop {
        let [l0, l1, t0, t1] = *rest.first_chunk()?;
        // All types are small numbers, so the other byte is 0 but for two flags.
        let (len, number) = match t0 & 0x3f {
            0 => (u16::from_be_bytes([l0, l1]), t1),
            number => (u16::from_le_bytes([l0, l1]), number),
        };
        let len = usize::from(len);
        if number == 9 {
            return Some((ether_type, rest.get(4..len)?));
        }
        if len < 4 {
            return None;
        }
        rest = rest.get(len.div_ceil(4) * 4..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of packets, and what is found 8 bytes before their end.
    const FOUND: &[(u16, &[u8], u16)] = &[
        (0, &[2, 0, 0, 0], IPV4),
        (0, &[0, 0, 0, 2], IPV4),
        (0, &[30, 0, 0, 0], IPV6),
        (0, &[0, 0, 0, 24], IPV6),
        (108, &[0, 0, 0, 28], IPV6),
        (108, &[0, 0, 0, 2], IPV4),
        (9, &[0xff, 3, 0, 0x21], IPV4),
        (9, &[0xff, 3, 0, 0x57], IPV6),
        (9, &[0, 0x21], IPV4),
        (9, &[0x21], IPV4),
        (50, &[0xff, 3, 0x57], IPV6),
        (50, &[0xff, 3, 2, 0x81], 0x8847),
        (50, &[0x0f, 0, 8, 0], IPV4),
        (50, &[0x8f, 0, 0x86, 0xdd], IPV6),
        (104, &[0x0f, 0, 8, 0], IPV4),
        (104, &[0x8f, 0, 0x88, 0x47], 0x8847),
        (228, &[], IPV4),
        (229, &[], IPV6),
        // An IPv4 packet to this host over Ethernet; an ARP from it; one with a VLAN tag.
        (113, &[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0], IPV4),
        (
            113,
            &[0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 6],
            0x0806,
        ),
        (
            113,
            &[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x81, 0],
            0x8100,
        ),
        // LLC: the field is the length.
        (113, &[0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0, 4], 8),
        (
            276,
            &[
                0x86, 0xdd, 0, 0, 0, 0, 0, 2, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
            IPV6,
        ),
        // NFLOG of a little-endian and of a big-endian host: a prefix and then the payload.
        (
            239,
            &[2, 0, 0, 1, 6, 0, 10, 0, b'a', 0, 0, 0, 12, 0, 9, 0],
            IPV4,
        ),
        (
            239,
            &[10, 0, 0, 1, 0, 6, 0, 10, b'a', 0, 0, 0, 0, 12, 0, 9],
            IPV6,
        ),
    ];

    #[test]
    fn the_packet_follows_the_header_of_its_link_type() {
        const PACKET: [u8; 8] = *b"a packet";
        for &(link_type, header, ether_type) in FOUND {
            let data = [header, &PACKET].concat();
            let found = network(LinkType(link_type), &data);
            assert_eq!(
                found,
                Ok((ether_type, &PACKET[..])),
                "{link_type} {header:?}"
            );
            // Without its last byte the header is not whole, or it is that of something else.
            if let Some((_, short)) = header.split_last()
                && header.len() > 2
            {
                assert_eq!(
                    network(LinkType(link_type), short),
                    Err(Absent::NoNetwork),
                    "{link_type} {short:?}"
                );
            }
        }
        for (len, family, start) in [(45, 2, 48), (61, 2, 64), (61, 24, 64), (100, 30, 100)] {
            let mut data = vec![0; start];
            (data[0], data[1]) = (len, family);
            data.extend(PACKET);
            let expected = if family == 2 { IPV4 } else { IPV6 };
            assert_eq!(
                network(LinkType(117), &data),
                Ok((expected, &PACKET[..])),
                "{len}"
            );
        }
        // The version is the only header.
        for link_type in [12, 14, 101] {
            for (first, expected) in [(0x45, Ok(IPV4)), (0x60, Ok(IPV6)), (0x55, Err(()))] {
                let data = [first, 1, 2, 3];
                let found = network(LinkType(link_type), &data);
                let expected = expected.map(|number| (number, &data[..]));
                assert_eq!(found, expected.map_err(|()| Absent::NoNetwork));
            }
        }
        let session = [0x11, 0, 0, 9, 0, 3, 0, 0x21, 0x45];
        let whole = Ok((PPPOE_SESSION, &session[..]));
        assert_eq!(network(LinkType(51), &session), whole);
    }

    #[test]
    fn what_carries_no_network_packet_has_none() {
        let cooked = |hardware: u16, protocol: u16| {
            let [h0, h1] = hardware.to_be_bytes();
            let [p0, p1] = protocol.to_be_bytes();
            vec![0, 0, h0, h1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, p0, p1, 0x45, 0]
        };
        let packets: [(u16, Vec<u8>); 11] = [
            (0, vec![7, 0, 0, 0, 0x45]),
            (0, vec![2, 0, 0, 1, 0x45]),
            (108, vec![2, 0, 0, 0, 0x45]),
            // LCP, and Cisco's keep-alives.
            (9, vec![0xff, 3, 0xc0, 0x21, 1]),
            (50, vec![]),
            (104, vec![0x8f, 0, 0, 1]),
            (113, cooked(824, 0x0800)),
            (113, cooked(803, 0x0800)),
            (113, cooked(1, 1)),
            (117, vec![44, 2, 0, 0]),
            (239, vec![2, 0, 0, 0, 3, 0, 10, 0]),
        ];
        for (link_type, data) in packets {
            let found = network(LinkType(link_type), &data);
            assert_eq!(found, Err(Absent::NoNetwork), "{link_type} {data:?}");
        }
        for link_type in [105, 127, 195, u16::MAX] {
            let found = network(LinkType(link_type), &[0x45; 40]);
            assert_eq!(found, Err(Absent::LinkType), "{link_type}");
        }
    }
}
