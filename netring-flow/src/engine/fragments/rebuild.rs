//! The IP packet that fragments were cut from.

use std::net::IpAddr;

use netring_sys::LinkType;

use super::partial::Partial;
use crate::extract::Datagram;

/// Bytes of the IPv4 header, without options.
pub(super) const V4_HEADER: u32 = 20;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Writes a header and the bytes of a packet. Returns the length of the header, and the link type
/// of such packets. Options, and the IPv6 headers repeated in each fragment, are left out: they do
/// not affect how the payload is read.
pub(super) fn header(
    datagram: &Datagram,
    protocol: u8,
    partial: &Partial,
    to: &mut Vec<u8>,
) -> (usize, LinkType) {
    let (header, link_type) = match (datagram.source(), datagram.destination()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            to.extend([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0]);
            to.extend(source.octets());
            to.extend(destination.octets());
            (V4_HEADER as usize, LinkType::IPV4)
        }
        (source, destination) => {
            to.extend([0x60, 0, 0, 0, 0, 0, protocol, 64]);
            for end in [source, destination] {
                match end {
                    IpAddr::V4(end) => to.extend(end.to_ipv6_mapped().octets()),
                    IpAddr::V6(end) => to.extend(end.octets()),
                }
            }
            (40, LinkType::IPV6)
        }
    };
    partial.copy_to(to);
    // The length of an IPv4 packet includes its header.
    let (at, len) = match link_type {
        LinkType::IPV4 => (2, to.len()),
        _ => (4, to.len() - header),
    };
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    to[at..at + 2].copy_from_slice(&len.to_be_bytes());
    (header, link_type)
}

/// Whether a packet has a transport checksum that is wrong.
pub(super) fn has_wrong_checksum(datagram: &Datagram, protocol: u8, body: &[u8]) -> bool {
    let pseudo = match (datagram.source(), datagram.destination()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            sum(&source.octets()) + sum(&destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            sum(&source.octets()) + sum(&destination.octets())
        }
        _ => return false,
    };
    let pseudo = pseudo + u64::from(protocol) + body.len() as u64;
    let total = match protocol {
        UDP if body.get(6..8) == Some(&[0, 0]) => return false,
        TCP | UDP => pseudo + sum(body),
        ICMP => sum(body),
        _ => return false,
    };
    // The sum of 16-bit words with the carry added at the end, which is 0 or all ones if it is
    // right.
    total % 0xffff != 0
}

/// The sum of the 16-bit words.
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|word| match *word {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high] => u64::from(high) << 8,
        _ => 0,
    });
    words.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_seen_if_there_is_a_checksum() {
        let (a, b) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        let build = || etherparse::PacketBuilder::ipv4(a, b, 64);
        let mut datagrams = vec![Vec::new(), Vec::new(), Vec::new()];
        let data = b"odd length!";
        build().udp(1, 2).write(&mut datagrams[0], data).unwrap();
        build()
            .tcp(1, 2, 3, 4)
            .write(&mut datagrams[1], data)
            .unwrap();
        let echo = build().icmpv4_echo_request(1, 2);
        echo.write(&mut datagrams[2], data).unwrap();
        for (mut packet, protocol) in datagrams.into_iter().zip([UDP, TCP, ICMP]) {
            let datagram = Datagram::v4(a.into(), b.into(), protocol, 1);
            assert!(!has_wrong_checksum(&datagram, protocol, &packet[20..]));
            *packet.last_mut().unwrap() += 1;
            assert!(has_wrong_checksum(&datagram, protocol, &packet[20..]));
            if protocol == UDP {
                packet[26..28].fill(0);
                assert!(!has_wrong_checksum(&datagram, protocol, &packet[20..]));
            }
            assert!(!has_wrong_checksum(&datagram, 47, &packet[20..]));
        }
    }
}
