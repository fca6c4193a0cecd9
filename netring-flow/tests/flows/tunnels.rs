//! Tunnels: which flow a packet inside one belongs to, and what a hostile header does.

use netring_flow::extract::{
    Extract, Extracted, FiveTuple, FiveTupleKey, Skip, TunnelKind, Tunnels,
};
use netring_sys::{LinkType, Packet};

use crate::common::{ACK, CLIENT, SERVER, at, tcp};

pub(crate) const INNER: &str = "tcp 192.0.2.10:443 192.0.2.200:40000";

pub(crate) fn all() -> FiveTuple {
    FiveTuple::bidirectional()
        .with_tunnels(Tunnels::all())
        .with_tunnel_id()
        .with_vlan()
}

/// The frame inside: a TCP segment with three bytes.
pub(crate) fn inner() -> Vec<u8> {
    tcp(CLIENT, SERVER, 1, 1, ACK, b"abc")
}

/// The IP packet inside.
pub(crate) fn inner_ip() -> Vec<u8> {
    inner()[14..].to_vec()
}

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2.
pub(crate) fn ip(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    packet[2..4].copy_from_slice(&((20 + body.len()) as u16).to_be_bytes());
    packet.extend(body);
    packet
}

/// An IPv6 packet from 2001:db8::1 to 2001:db8::2.
fn ip6(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    for last in [1, 2] {
        packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(body);
    packet
}

/// An IPv4 packet with a datagram from port 55555.
pub(crate) fn datagram(port: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = 55_555_u16.to_be_bytes().to_vec();
    bytes.extend(port.to_be_bytes());
    bytes.extend(((8 + body.len()) as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(body);
    ip(17, &bytes)
}

/// A frame with this packet.
pub(crate) fn frame(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    frame
}

pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn read(extract: FiveTuple, frame: &[u8]) -> Result<Extracted<FiveTupleKey>, Skip> {
    extract.extract(&Packet::new(frame, at(0.0), LinkType::ETHERNET))
}

pub(crate) fn key(extract: FiveTuple, frame: &[u8]) -> String {
    match read(extract, frame) {
        Ok(found) => found.key.to_string(),
        Err(skip) => format!("{skip:?}"),
    }
}

/// Each kind of tunnel in each of its forms, with the key and the payload's place.
fn tunnels() -> Vec<(Vec<u8>, &'static str)> {
    let (eth, v4) = (&inner()[..], &inner_ip()[..]);
    let vlan = join(&[&eth[..12], &[0x81, 0, 0, 9], &eth[12..]]);
    let mpls = [0, 0, 16, 0, 0, 1, 1, 64];
    let gre = |header: &[u8], body: &[u8]| ip(47, &join(&[header, body]));
    let gtp = |flags: u8, optional: &[u8]| {
        let len = (optional.len() + v4.len()) as u16;
        let header = join(&[&[flags, 255], &len.to_be_bytes(), &[0, 0, 1, 2]]);
        datagram(2152, &join(&[&header, optional, v4]))
    };
    let six = ip6(6, &v4[20..]);
    let pptp_len = (v4.len() + 4) as u16;
    vec![
        (gre(&[0, 0, 8, 0], v4), "gre"),
        (
            gre(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], v4),
            "gre 7",
        ),
        (gre(&[0x20, 0, 0x65, 0x58, 0, 0, 5, 1], eth), "gre 1281"),
        (gre(&[0, 0, 0x88, 0x47], &join(&[&mpls, v4])), "gre"),
        // A source route of four bytes, and its end.
        (
            gre(
                &[
                    0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 9, 9, 9, 9, 0, 0, 0, 0,
                ],
                v4,
            ),
            "gre",
        ),
        (
            gre(
                &join(&[
                    &[0x30, 0x81, 0x88, 0x0b],
                    &pptp_len.to_be_bytes(),
                    &[0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 3, 0, 0x21],
                ]),
                v4,
            ),
            "gre",
        ),
        (gre(&[0, 0, 0x88, 0xbe], eth), "erspan"),
        (
            gre(
                &join(&[
                    &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1],
                    &[0x10, 5, 0x18, 0x2a, 0, 0, 0, 1],
                ]),
                eth,
            ),
            "erspan 42",
        ),
        (
            gre(
                &join(&[
                    &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1],
                    &[0x20, 5, 0, 43],
                    &[0; 8],
                ]),
                eth,
            ),
            "erspan 43",
        ),
        (
            gre(
                &join(&[
                    &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1],
                    &[0x20, 5, 0, 44],
                    &[0; 7],
                    &[1],
                    &[0; 8],
                ]),
                eth,
            ),
            "erspan 44",
        ),
        (
            datagram(4789, &join(&[&[8, 0, 0, 0, 0, 1, 0, 0], eth])),
            "vxlan 256",
        ),
        (
            datagram(4789, &join(&[&[8, 0, 0, 0, 0, 1, 0, 0], &vlan])),
            "vlan 9 in vxlan 256",
        ),
        (
            datagram(4790, &join(&[&[12, 0, 0, 1, 0, 0, 5, 0], v4])),
            "vxlan 5",
        ),
        (
            datagram(4790, &join(&[&[12, 0, 0, 2, 0, 0, 5, 0], &six])),
            "vxlan 5",
        ),
        (
            datagram(6081, &join(&[&[0, 0, 0x65, 0x58, 0, 0, 6, 0], eth])),
            "geneve 6",
        ),
        (
            datagram(6081, &join(&[&[2, 0x40, 8, 0, 0, 0, 6, 0], &[1; 8], v4])),
            "geneve 6",
        ),
        (gtp(0x30, &[]), "gtp-u 258"),
        (gtp(0x32, &[0, 1, 0, 0]), "gtp-u 258"),
        (
            gtp(
                0x34,
                &[0, 0, 0, 0x85, 1, 0, 9, 0x84, 2, 0, 0, 0, 0, 0, 0, 0],
            ),
            "gtp-u 258",
        ),
        (ip(4, v4), "ip-in-ip"),
        (ip(41, &six), "ip-in-ip"),
        (ip(97, &join(&[&[0x30, 0], eth])), "ether-ip"),
        (ip(137, &join(&[&mpls, v4])), "mpls"),
        (ip(137, &join(&[&mpls, &[0; 4], eth])), "mpls"),
        (datagram(3544, &six), "teredo"),
        (
            datagram(3544, &join(&[&[0, 1, 0, 2, 7, 7], &[0; 9], &[0; 8], &six])),
            "teredo",
        ),
    ]
}

const INNER_6: &str = "tcp [2001:db8::1]:40000 [2001:db8::2]:443";

#[test]
fn each_kind_leads_to_the_flow_inside_with_its_identifier_on_request() {
    for (packet, tunnel) in tunnels() {
        let frame = frame(0x0800, &packet);
        let found = read(all(), &frame).unwrap();
        let text = found.key.to_string();
        let (vlan, tunnel) = match tunnel.split_once(" in ") {
            Some((vlan, tunnel)) => (format!(" {vlan}"), tunnel),
            None => (String::new(), tunnel),
        };
        let is_6 = found.key.is_ipv6();
        let flow = if is_6 { INNER_6 } else { INNER };
        assert_eq!(text, format!("{flow}{vlan} in {tunnel}"));
        assert_eq!(text.parse(), Ok(found.key));
        // The payload is that of the segment inside.
        let packet = Packet::new(&frame, at(0.0), LinkType::ETHERNET);
        assert_eq!(found.payload(&packet), b"abc", "{text}");
        assert!(!found.malformed, "{text}");
        let plain = FiveTuple::bidirectional().with_tunnels(Tunnels::all());
        assert_eq!(key(plain, &frame), flow);
        // Off by default, and each kind alone.
        let kind = found.key.tunnel().unwrap();
        let off = key(FiveTuple::bidirectional(), &frame);
        assert!(off.contains("10.0.0.1"), "{off}");
        let only = FiveTuple::bidirectional().with_tunnels(Tunnels::none().with(kind));
        assert_eq!(key(only, &frame), flow, "{kind}");
        let others = FiveTuple::bidirectional().with_tunnels(Tunnels::all().without(kind));
        assert_eq!(key(others, &frame), off, "{kind}");
    }
}

#[test]
fn what_ipv6_carries_is_found_behind_its_extension_headers() {
    for (protocol, body) in [
        (4, inner_ip()),
        (
            0,
            join(&[&[41, 0, 1, 4, 0, 0, 0, 0], &ip6(6, &inner_ip()[20..])]),
        ),
    ] {
        let frame = frame(0x86dd, &ip6(protocol, &body));
        let text = key(all(), &frame);
        assert!(text.ends_with("in ip-in-ip"), "{text}");
    }
}

#[test]
fn pseudowires_and_sessions_are_link_layers() {
    let labels = [0, 0, 16, 0, 0, 1, 1, 64, 0, 0, 0, 0];
    let pseudowire = frame(0x8847, &join(&[&labels, &inner()]));
    assert_eq!(key(all(), &pseudowire), format!("{INNER} in mpls"));
    assert_eq!(key(FiveTuple::bidirectional(), &pseudowire), "NotIp");

    let session = join(&[&[0x11, 0, 0, 77, 0, 0, 0, 0x21], &inner_ip()]);
    let session = frame(0x8864, &session);
    assert_eq!(key(FiveTuple::bidirectional(), &session), INNER);
    let with_id = FiveTuple::bidirectional().with_tunnel_id();
    for extract in [with_id, all()] {
        assert_eq!(key(extract, &session), format!("{INNER} in pppoe 77"));
    }
}

#[test]
fn the_vlan_in_the_key_is_that_of_the_innermost_frame() {
    let tagged = |packet: &[u8]| frame(0x8100, &join(&[&[0, 5, 8, 0], packet]));
    let vxlan = datagram(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner()]));
    assert_eq!(key(all(), &tagged(&vxlan)), format!("{INNER} in vxlan 1"));
    // IP in IP has no frame of its own.
    assert_eq!(
        key(all(), &tagged(&ip(4, &inner_ip()))),
        format!("{INNER} vlan 5 in ip-in-ip")
    );
}

#[test]
fn ports_are_settings_and_both_ends_may_have_them() {
    let body = join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner()]);
    let on_8472 = frame(0x0800, &datagram(8472, &body));
    assert!(key(all(), &on_8472).starts_with("udp"));
    let tunnels = Tunnels::all().port(TunnelKind::Vxlan, 8472);
    let extract = FiveTuple::bidirectional().with_tunnels(tunnels);
    assert_eq!(key(extract, &on_8472), INNER);
    assert!(key(extract, &frame(0x0800, &datagram(4789, &body))).starts_with("udp"));
    let mut from = datagram(1, &body);
    from[20..22].copy_from_slice(&8472_u16.to_be_bytes());
    assert_eq!(key(extract, &frame(0x0800, &from)), INNER);
}

#[test]
fn what_cannot_be_read_inside_counts_in_the_flow_that_carries_it() {
    let (eth, v4) = (&inner()[..], &inner_ip()[..]);
    let arp = frame(0x0806, &[0; 28]);
    let vxlan = |body: &[u8]| datagram(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], body]));
    let outer = "udp 10.0.0.1:55555 10.0.0.2:4789";
    for body in [
        &arp[..],
        &eth[..30],
        &eth[..14],
        &[],
        &frame(0x0800, &[0x55; 40]),
    ] {
        assert_eq!(key(all(), &frame(0x0800, &vxlan(body))), outer);
    }
    let of = |port: u16, body: &[u8]| key(all(), &frame(0x0800, &datagram(port, body)));
    for (port, body) in [
        // No identifier; a version that does not exist; for the ends; options beyond the end.
        (4789, join(&[&[0; 8], eth])),
        (6081, join(&[&[0x40, 0, 0x65, 0x58, 0, 0, 0, 0], eth])),
        (6081, join(&[&[0, 0x80, 0x65, 0x58, 0, 0, 0, 0], eth])),
        (6081, join(&[&[0x3f, 0, 0x65, 0x58, 0, 0, 0, 0], eth])),
        // An echo request, GTP', an extension of no length, and one beyond the end.
        (2152, join(&[&[0x30, 1, 0, 40, 0, 0, 0, 1], v4])),
        (2152, join(&[&[0x20, 255, 0, 40, 0, 0, 0, 1], v4])),
        (
            2152,
            join(&[
                &[0x34, 255, 0, 48, 0, 0, 0, 1, 0, 0, 0, 0x85, 0, 0, 0, 0],
                v4,
            ]),
        ),
        (
            2152,
            join(&[
                &[0x34, 255, 0, 48, 0, 0, 0, 1, 0, 0, 0, 0x85, 255, 0, 0, 0],
                v4,
            ]),
        ),
        (2152, vec![0x34, 255, 0, 0, 0, 0, 0, 1]),
        (3544, join(&[&[0, 1, 255, 255], v4])),
        (3544, v4.to_vec()),
    ] {
        assert_eq!(
            of(port, &body),
            format!("udp 10.0.0.1:55555 10.0.0.2:{port}")
        );
    }
    for header in [
        &[0, 2, 8, 0][..],
        &[0, 1, 8, 0],
        &[0x20, 1, 0x88, 0x0b, 0, 0, 0, 0],
        &[0, 0, 0, 0],
        &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 0, 0, 0],
        &[
            0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7c, 0,
        ],
    ] {
        let packet = ip(47, &join(&[header, v4]));
        assert_eq!(
            key(all(), &frame(0x0800, &packet)),
            "proto 47 10.0.0.1:0 10.0.0.2:0"
        );
    }
    assert_eq!(
        key(all(), &frame(0x0800, &ip(97, &join(&[&[0x20, 0], eth])))),
        "proto 97 10.0.0.1:0 10.0.0.2:0"
    );
}

#[test]
fn a_snap_length_in_any_layer_leaves_the_innermost_flow_that_is_readable() {
    for (packet, tunnel) in tunnels() {
        let whole = frame(0x0800, &packet);
        let mut last = String::new();
        for captured in 34..=whole.len() {
            let packet = Packet::new(&whole[..captured], at(0.0), LinkType::ETHERNET)
                .with_wire_len(whole.len() as u32);
            let found = all().extract(&packet).unwrap();
            assert!(!found.malformed, "{tunnel} cut at {captured}");
            last = found.key.to_string();
            let is_outer = last.contains("10.0.0.1");
            assert_eq!(found.key.tunnel().is_none(), is_outer, "{last}");
        }
        assert!(last.starts_with("tcp"), "{last}");
    }
}

#[test]
fn a_length_of_0_means_the_rest_of_the_frame_inside_and_outside() {
    let (mut v4, eth) = (inner_ip(), inner());
    v4[2..4].fill(0);
    let inside = join(&[&eth[..14], &v4]);
    let mut packet = datagram(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inside]));
    let found = read(all(), &frame(0x0800, &packet)).unwrap();
    assert_eq!((found.payload_len, found.malformed), (3, false));
    packet[2..4].fill(0);
    packet[24..26].fill(0);
    // UDP over IPv4 has no length of 0 in a packet that states its own.
    let found = read(all(), &frame(0x0800, &packet)).unwrap();
    assert_eq!(found.key.to_string(), format!("{INNER} in vxlan 1"));
    assert_eq!((found.payload_len, found.malformed), (3, false));
    // Never more than what carries it has.
    let len = packet.len() as u16;
    packet[2..4].copy_from_slice(&(len - 2).to_be_bytes());
    packet[24..26].copy_from_slice(&(len - 22).to_be_bytes());
    let found = read(all(), &frame(0x0800, &packet)).unwrap();
    assert_eq!(found.payload_len, 1);
}

#[test]
fn a_length_inside_that_exceeds_what_carries_it_is_malformed() {
    let mut v4 = inner_ip();
    v4[3] += 1;
    let found = read(all(), &frame(0x0800, &ip(4, &v4))).unwrap();
    assert!(found.malformed);
    assert_eq!(found.payload_len, 3);
}
