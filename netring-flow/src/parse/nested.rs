//! The fast path for packets in tunnels: headers that are all usual, to a TCP segment or UDP
//! datagram. [`innermost`](super::layers::innermost) walks through all others, and through these to
//! the same end.
//!
//! No function on the way gets a reference, so the walk stays in registers, and the result is
//! written once, at its destination. A copy of it would cost as much as a tunnel.

use netring_sys::Packet;

use super::layers::Tags;
use super::plain::{Before, Place, Usual};
use super::{Layer, Part, Rules, general, link, plain, tunnel};
use crate::extract::{Extracted, FiveTupleKey, Skip};

/// Reads the innermost packet. `place` is that of the outermost IP packet's body. A tunnel before
/// that packet does not matter, as it is not the innermost.
#[inline(never)]
pub(super) fn read(
    packet: &Packet<'_>,
    rules: &Rules,
    place: Place,
    before: Before,
) -> Result<Extracted<FiveTupleKey>, Skip> {
    let (start, wire) = (place.start as usize, place.wire as usize);
    let Some(data) = packet.data().get(start..) else {
        return general(packet, rules, before.whole);
    };
    let data = &data[..data.len().min(wire)];
    let mut body = Part { data, wire, start };
    let tunnels = &rules.tunnels;
    let (mut protocol, mut in_udp) = (before.protocol, before.in_udp);
    let mut tags = Tags {
        vlans: before.vlans,
        tunnel: None,
    };
    let (mut left, mut deeper) = (before.left, tunnels.depth());
    while let Some(inside) = tunnel::usual(protocol, in_udp, body, tunnels)
        && let Some(rest) = deeper.checked_sub(1)
    {
        deeper = rest;
        tags.enter(inside.kind, inside.id, inside.layer);
        match next_ip(inside.layer, inside.part, &mut tags, &mut left) {
            Some(Ip::V4(ip)) => match ip.read(|from, to| tunnels.find(from, to)) {
                Ok(found) => return Ok(rules.tagged(found, &tags)),
                Err(kind) => (protocol, in_udp, body) = (ip.protocol, kind, ip.part()),
            },
            Some(Ip::V6(ip)) => match ip.read(|from, to| tunnels.find(from, to)) {
                Ok(found) => return Ok(rules.tagged(found, &tags)),
                Err(kind) => (protocol, in_udp, body) = (ip.protocol, kind, ip.part()),
            },
            None => break,
        }
    }
    general(packet, rules, before.whole)
}

enum Ip<'a> {
    V4(Usual<'a, u32>),
    V6(Usual<'a, [u64; 2]>),
}

/// Reads the headers up to the next IP header, inclusive.
#[inline(always)]
fn next_ip<'a>(
    mut layer: Layer,
    mut part: Part<'a>,
    tags: &mut Tags,
    left: &mut u8,
) -> Option<Ip<'a>> {
    // The two most frequent paths are one step each.
    if layer == Layer::Ethernet
        && let Some(ip) = plain::framed_v4(part)
    {
        *left = left.checked_sub(2)?;
        return Some(Ip::V4(ip));
    }
    if layer == Layer::V4 {
        *left = left.checked_sub(1)?;
        return plain::v4(part).map(Ip::V4);
    }
    loop {
        *left = left.checked_sub(1)?;
        layer = match layer {
            Layer::V4 => return plain::v4(part).map(Ip::V4),
            Layer::V6 => return plain::v6(part).map(Ip::V6),
            Layer::Ethernet => link::ethernet(&mut part).ok()?,
            Layer::Vlan => {
                let (next, tci) = link::vlan(&mut part).ok()?;
                tags.vlans.push(tci);
                next
            }
            Layer::Mpls => link::label(&mut part).ok()?,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use netring_sys::{LinkType, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::extract::Tunnels;

    fn rules([vlan, tunnel]: [bool; 2]) -> Rules {
        Rules {
            vlan,
            tunnel,
            quoted: true,
            whole: false,
            tunnels: Tunnels::all(),
        }
    }

    /// A frame with an IP packet, behind a tag for some.
    fn framed(packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        match packet.len() % 3 {
            0 => frame.extend([0x81, 0, 0, 5]),
            1 => frame.extend([0x88, 0xa8, 0, 6, 0x81, 0, 0, 7]),
            _ => {}
        }
        frame.extend(ether_type(packet));
        frame.extend(packet);
        frame
    }

    fn ether_type(packet: &[u8]) -> [u8; 2] {
        match packet[0] >> 4 {
            6 => [0x86, 0xdd],
            _ => [8, 0],
        }
    }

    fn v4(protocol: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let [high, low] = (20 + body.len() as u16).to_be_bytes();
        let mut packet = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(body);
        packet
    }

    fn v6(protocol: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let [high, low] = (body.len() as u16).to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, high, low, protocol, 64];
        packet.extend([3; 32]);
        packet.extend(body);
        packet
    }

    fn udp(port: u16, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let mut datagram = [0xc001, port, 8 + body.len() as u16, 0]
            .map(u16::to_be_bytes)
            .concat();
        datagram.extend(body);
        datagram
    }

    /// A packet in a tunnel of this kind.
    fn wrapped(kind: u8, inner: &[u8]) -> Vec<u8> {
        let number = if inner[0] >> 4 == 6 { 41 } else { 4 };
        let [high, low] = ether_type(inner);
        let [len_high, len_low] = (inner.len() as u16).to_be_bytes();
        let vxlan = udp(4789, &[&[8, 0, 0, 0, 0, 0, 5, 0], &framed(inner)]);
        let geneve = [1, 0, 0x65, 0x58, 0, 0, 6, 0, 1, 2, 3, 4];
        let gtp = [0x30, 255, len_high, len_low, 0, 0, 0, 7];
        let [opt_high, opt_low] = (inner.len() as u16 + 8).to_be_bytes();
        // A session of 5G: an extension of four bytes.
        let with_pdu = [
            0x34, 255, opt_high, opt_low, 0, 0, 0, 7, 0, 0, 0, 0x85, 1, 16, 5, 0,
        ];
        let [opt_high, opt_low] = (inner.len() as u16 + 4).to_be_bytes();
        let numbered = [0x32, 255, opt_high, opt_low, 0, 0, 0, 7, 0, 1, 0, 0];
        let gpe = if inner[0] >> 4 == 6 { 2 } else { 1 };
        let with_key = [0x30, 0, 0x65, 0x58, 0, 0, 0, 9, 0, 0, 0, 1];
        match kind {
            0 => v4(number, &[inner]),
            1 => v6(number, &[inner]),
            2 => v4(47, &[&[0, 0, high, low], inner]),
            3 => v6(47, &[&with_key, &framed(inner)]),
            4 => v4(17, &[&vxlan]),
            5 => v6(17, &[&vxlan]),
            6 => v4(17, &[&udp(6081, &[&geneve, &framed(inner)])]),
            7 => v4(17, &[&udp(2152, &[&gtp, inner])]),
            8 => v4(97, &[&[0x30, 0], &framed(inner)]),
            9 => v4(137, &[&[0, 1, 0, 64, 0, 2, 1, 64], inner]),
            10 => v4(
                47,
                &[
                    &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 3, 0, 0, 0, 0],
                    &framed(inner),
                ],
            ),
            11 => v4(17, &[&udp(2152, &[&with_pdu, inner])]),
            12 => v6(17, &[&udp(2152, &[&numbered, inner])]),
            13 => v4(17, &[&udp(4790, &[&[12, 0, 0, gpe, 0, 0, 5, 0], inner])]),
            14 => v4(17, &[&udp(3544, &[&[0, 0, 0, 0, 0, 0, 0, 0], inner])]),
            15 => v4(17, &[&udp(6081, &[&[0, 0, high, low, 0, 0, 5, 0], inner])]),
            // IPv4 with options.
            16 => {
                let mut packet = v4(number, &[&[1; 8], inner]);
                packet[0] = 0x47;
                packet
            }
            // Destination options.
            _ => v6(60, &[&[number, 0, 1, 4, 0, 0, 0, 0], inner]),
        }
    }

    /// A segment or a datagram in up to five tunnels, with bytes changed.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        (
            any::<bool>(),
            prop::collection::vec((0..18_u8, 0..4_usize), 0..=5),
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        )
            .prop_map(|(is_tcp, kinds, changes)| {
                let segment = [
                    1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0x50, 16, 1, 0, 0, 0, 0, 0, 9,
                ];
                let mut packet = match is_tcp {
                    true => v4(6, &[&segment]),
                    false => v6(17, &[&udp(53, &[b"data"])]),
                };
                for (kind, padding) in kinds {
                    // Bytes behind the end of the packet.
                    packet.extend(&[0; 3][..padding]);
                    packet = wrapped(kind, &packet);
                }
                let mut frame = framed(&packet);
                for (at, value) in changes {
                    let at = at.index(frame.len());
                    frame[at] = value;
                }
                frame
            })
    }

    /// What both ways find in a frame.
    fn both(packet: &Packet<'_>, rules: &Rules, whole: bool) -> [String; 2] {
        let short = crate::parse::packet(packet, rules, whole);
        let long = general(packet, rules, whole);
        [format!("{short:?}"), format!("{long:?}")]
    }

    /// Each tunnel in UDP ends where its datagram does.
    #[test]
    fn nothing_is_read_behind_the_end_of_a_datagram() {
        let inner = v6(17, &[&udp(53, &[b"data"])]);
        for (kind, ip_len) in [(4, 20), (6, 20), (7, 20), (12, 40), (13, 20), (14, 20)] {
            let packet = wrapped(kind, &inner);
            let stated = packet.len() - ip_len;
            for len in 0..=stated {
                let mut packet = packet.clone();
                packet[ip_len + 4..ip_len + 6].copy_from_slice(&(len as u16).to_be_bytes());
                let frame = framed(&packet);
                let packet = Packet::new(&frame, Timestamp::default(), LinkType::ETHERNET);
                let [short, long] = both(&packet, &rules([true; 2]), false);
                assert_eq!(short, long, "kind {kind}, {len} bytes");
                if len == stated {
                    assert!(short.contains("]:53 "), "kind {kind}: {short}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_short_way_through_tunnels_ends_where_the_long_one_does(
            frame in frames(),
            cut in 0..=200_usize,
            in_key: [bool; 2],
            whole: bool,
        ) {
            let rules = rules(in_key);
            let captured = frame.len().saturating_sub(cut.saturating_sub(100));
            let packet = Packet::new(&frame[..captured], Timestamp::default(), LinkType::ETHERNET)
                .with_wire_len(frame.len() as u32);
            let [short, long] = both(&packet, &rules, whole);
            prop_assert_eq!(short, long);
        }
    }
}
