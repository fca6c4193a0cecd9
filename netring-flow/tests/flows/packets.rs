//! How packets are read: link layers, network layers, and errors in them.

use etherparse::PacketBuilder;
use netring_flow::extract::{Extract, Extracted, FiveTuple, IcmpError, Orientation, Skip};
use netring_flow::{FlowEvent, FlowTracker};
use netring_sys::{LinkType, Packet, VlanTag};
use proptest::prelude::*;

use crate::common::{Bench, CLIENT, SERVER, at, side, udp};

type Key = netring_flow::extract::FiveTupleKey;

fn read(data: &[u8], link_type: LinkType) -> Result<Extracted<Key>, Skip> {
    FiveTuple::bidirectional().extract(&Packet::new(data, at(0.0), link_type))
}

fn key(data: &[u8], link_type: LinkType) -> String {
    read(data, link_type).map_or_else(|skip| format!("{skip:?}"), |found| found.key.to_string())
}

/// The IP packet of an Ethernet frame.
fn ip(frame: &[u8]) -> &[u8] {
    &frame[14..]
}

fn udp6() -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([0xfd; 16], [0xfe; 16], 64)
        .udp(53, 9)
        .write(&mut bytes, b"six")
        .unwrap();
    bytes
}

const V4: &str = "udp 192.0.2.10:443 192.0.2.200:40000";
const V6: &str =
    "udp [fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd]:53 [fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:9";

#[test]
fn every_link_type_leads_to_ip() {
    let (four, six) = (udp(CLIENT, SERVER, b"x"), udp6());
    let with = |header: &[u8], frame: &[u8]| [header, ip(frame)].concat();
    let sll =
        |protocol: [u8; 2]| [&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &protocol].concat();
    let sll2 = |protocol: [u8; 2]| {
        [
            &protocol[..],
            &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0],
        ]
        .concat()
    };
    assert_eq!(key(&four, LinkType::ETHERNET), V4);
    assert_eq!(key(&six, LinkType::ETHERNET), V6);
    for link in [LinkType::RAW_IP, LinkType::IPV4] {
        assert_eq!(key(ip(&four), link), V4);
    }
    for link in [LinkType::RAW_IP, LinkType::IPV6] {
        assert_eq!(key(ip(&six), link), V6);
    }
    assert_eq!(key(&with(&[2, 0, 0, 0], &four), LinkType::NULL), V4);
    assert_eq!(key(&with(&[0, 0, 0, 2], &four), LinkType::NULL), V4);
    assert_eq!(key(&with(&[0, 0, 0, 2], &four), LinkType::LOOP), V4);
    for family in [10, 24, 28, 30] {
        assert_eq!(key(&with(&[family, 0, 0, 0], &six), LinkType::NULL), V6);
        assert_eq!(key(&with(&[0, 0, 0, family], &six), LinkType::LOOP), V6);
    }
    assert_eq!(key(&with(&sll([8, 0]), &four), LinkType::LINUX_SLL), V4);
    assert_eq!(
        key(&with(&sll([0x86, 0xdd]), &six), LinkType::LINUX_SLL),
        V6
    );
    assert_eq!(key(&with(&sll2([8, 0]), &four), LinkType::LINUX_SLL2), V4);
    assert_eq!(
        key(&with(&sll2([0x86, 0xdd]), &six), LinkType::LINUX_SLL2),
        V6
    );
    // A tag after the cooked header, and netlink, whose protocol is not an EtherType.
    let tagged = [&sll([0x81, 0])[..], &[0, 5, 8, 0], ip(&four)].concat();
    assert_eq!(key(&tagged, LinkType::LINUX_SLL), V4);
    let mut netlink = with(&sll([8, 0]), &four);
    netlink[2..4].copy_from_slice(&824_u16.to_be_bytes());
    assert_eq!(read(&netlink, LinkType::LINUX_SLL).err(), Some(Skip::NotIp));
    assert_eq!(read(&four, LinkType(127)).err(), Some(Skip::LinkType));
    assert_eq!(read(&[], LinkType::RAW_IP).err(), Some(Skip::Short));
}

#[test]
fn tags_labels_and_sessions_are_passed_over() {
    let four = udp(CLIENT, SERVER, b"x");
    let below = |between: &[u8]| [&four[..12], between, ip(&four)].concat();
    for between in [
        &[0x81, 0, 0, 7, 8, 0][..],
        &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0],
        &[0x91, 0, 0, 7, 0x81, 0, 0, 8, 0x81, 0, 0, 9, 8, 0],
        // Two labels; the second is the bottom.
        &[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64],
        &[0x88, 0x64, 0x11, 0, 0, 1, 0, 31, 0, 0x21],
        // A length, LLC, SNAP.
        &[0, 200, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0],
    ] {
        assert_eq!(key(&below(between), LinkType::ETHERNET), V4, "{between:?}");
    }
    for between in [&[0x08, 0x06][..], &[0, 100, 0x42, 0x42, 3, 0, 0, 0, 0, 0]] {
        let skip = read(&below(between), LinkType::ETHERNET).err();
        assert_eq!(skip, Some(Skip::NotIp), "{between:?}");
    }
}

#[test]
fn vlans_are_in_the_key_on_request_wherever_the_tag_is() {
    let four = udp(CLIENT, SERVER, b"x");
    let inline = [&four[..12], &[0x81, 0, 0xe0, 7, 8, 0], ip(&four)].concat();
    let tag = |tci| Some(VlanTag { tpid: 0x8100, tci });
    let outside = Packet::new(&four, at(0.0), LinkType::ETHERNET).with_vlan(tag(7));
    let both = Packet::new(&inline, at(0.0), LinkType::ETHERNET).with_vlan(tag(9));
    let inline = Packet::new(&inline, at(0.0), LinkType::ETHERNET);
    let vlan = FiveTuple::bidirectional().with_vlan();
    let ids = |packet| {
        let key = vlan.extract(packet).unwrap().key;
        (key.vlan(), key.inner_vlan())
    };
    assert_eq!(ids(&inline), (7, 0));
    assert_eq!(ids(&outside), (7, 0));
    assert_eq!(ids(&both), (9, 7));
    assert_eq!(
        vlan.extract(&both).unwrap().key.to_string(),
        format!("{V4} vlan 9 inner vlan 7")
    );
    let plain = FiveTuple::bidirectional();
    for packet in [inline, outside, both] {
        assert_eq!(plain.extract(&packet).unwrap().key.to_string(), V4);
    }
}

#[test]
fn a_header_that_is_not_valid_counts_nowhere_but_by_its_cause() {
    let whole = udp(CLIENT, SERVER, b"x");
    let broken = |at: usize, byte: u8| {
        let mut frame = whole.clone();
        frame[at] = byte;
        frame
    };
    let mut bench = Bench::new();
    bench.frame(0.0, &broken(14, 0x55));
    bench.frame(0.0, &broken(14, 0x44));
    let mut short_total = broken(16, 0);
    short_total[17] = 19;
    bench.frame(0.0, &short_total);
    bench.frame(0.0, &whole[..33]);
    bench.frame(0.0, &broken(12, 0x22));
    bench.frame(0.0, &broken(21, 8));
    bench.balance();
    let untracked = bench.tracker.stats().untracked;
    assert_eq!(untracked.ip_version, 1);
    assert_eq!(untracked.ip_header_length, 1);
    assert_eq!(untracked.ip_total_length, 1);
    assert_eq!(untracked.short, 1);
    assert_eq!(untracked.not_ip, 1);
    assert_eq!(untracked.waiting, 1);
    assert_eq!(untracked.total(), 6);
    assert_eq!(bench.events.len(), 0);
    bench.finish();
    let untracked = bench.tracker.stats().untracked;
    assert_eq!((untracked.fragments, untracked.total()), (1, 6));
}

#[test]
fn ports_behind_the_total_length_are_padding() {
    let mut frame = udp(CLIENT, SERVER, b"x");
    frame[17] = 20;
    assert_eq!(
        key(&frame, LinkType::ETHERNET),
        "udp 192.0.2.10:- 192.0.2.200:-"
    );
}

#[test]
fn later_fragments_never_are_a_flow_and_the_first_has_its_ports() {
    let mut frame = udp(CLIENT, SERVER, b"0123456789012345");
    frame[20] = 0x20;
    assert_eq!(key(&frame, LinkType::ETHERNET), V4);
    frame[20] = 0;
    frame[21] = 2;
    assert_eq!(read(&frame, LinkType::ETHERNET).err(), Some(Skip::Fragment));

    // IPv6: hop-by-hop, then a fragment header, then UDP.
    let six = udp6();
    let with = |offset: u8, more: u8| {
        let mut bytes = six[..54].to_vec();
        bytes[18..20].copy_from_slice(&((six.len() - 54 + 16) as u16).to_be_bytes());
        bytes[20] = 0;
        bytes.extend([44, 0, 1, 4, 0, 0, 0, 0]);
        bytes.extend([17, 0, 0, offset << 3 | more, 0, 0, 0, 9]);
        bytes.extend(&six[54..]);
        bytes
    };
    assert_eq!(key(&with(0, 0), LinkType::ETHERNET), V6);
    assert_eq!(key(&with(0, 1), LinkType::ETHERNET), V6);
    let skip = read(&with(1, 0), LinkType::ETHERNET).err();
    assert_eq!(skip, Some(Skip::Fragment));
}

/// Port unreachable from the server, about a datagram of the client.
fn unreachable() -> Vec<u8> {
    let quoted = udp(CLIENT, SERVER, b"x");
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 10], [192, 0, 2, 200], 64)
        .icmpv4_raw(3, 3, [0; 4])
        .write(&mut bytes, &ip(&quoted)[..28])
        .unwrap();
    bytes
}

#[test]
fn an_icmp_error_is_reported_against_the_flow_it_quotes_and_opens_none() {
    let mut bench = Bench::new();
    bench.frame(0.0, &unreachable());
    assert_eq!(bench.events.len(), 0);
    bench.frame(1.0, &udp(CLIENT, SERVER, b"x"));
    bench.frame(2.0, &unreachable());
    bench.balance();
    let stats = bench.tracker.stats();
    assert_eq!((stats.icmp_errors, stats.untracked.icmp_errors), (1, 1));
    let error = IcmpError {
        icmp_type: 3,
        code: 3,
    };
    assert!(matches!(
        bench.events[..],
        [FlowEvent::Started { flow: one, .. }, FlowEvent::IcmpError { flow: two, error: reported, .. }]
            if one == two && reported == error
    ));
    bench.finish();
    assert_eq!(bench.ended()[0].stats.packets(), 1);
}

#[test]
fn icmp_errors_can_be_flows_of_their_own() {
    let extract = FiveTuple::bidirectional().with_icmp_errors_as_flows();
    let mut tracker = FlowTracker::new(extract);
    let mut events = Vec::new();
    let frame = unreachable();
    tracker.track(
        &Packet::new(&frame, at(0.0), LinkType::ETHERNET),
        &mut events,
    );
    let key = *events[0].key().unwrap();
    assert_eq!(key.to_string(), "icmp 192.0.2.10:0 192.0.2.200:0");
    assert_eq!(side(key, "192.0.2.10:0"), Orientation::Forward);
}

#[cfg(feature = "flowscope")]
#[test]
fn a_flowscope_extractor_makes_flows() {
    use netring_flow::extract::Flowscope;
    let mut tracker = FlowTracker::new(Flowscope(flowscope::extract::FiveTuple::bidirectional()));
    let mut events = Vec::new();
    for (time, frame) in [
        (0.0, crate::common::tcp(CLIENT, SERVER, 1, 0, 2, b"")),
        (0.1, crate::common::tcp(SERVER, CLIENT, 1, 2, 18, b"")),
        (0.2, crate::common::tcp(CLIENT, SERVER, 2, 2, 16, b"abc")),
    ] {
        tracker.track(
            &Packet::new(&frame, at(time), LinkType::ETHERNET),
            &mut events,
        );
    }
    tracker.track(
        &Packet::new(&[0; 60], at(0.3), LinkType::RAW_IP),
        &mut events,
    );
    tracker.track(
        &Packet::new(&[0; 60], at(0.3), LinkType::ETHERNET),
        &mut events,
    );
    while tracker.finish(&mut events) {}
    assert_eq!(tracker.stats().untracked.link_type, 1);
    assert_eq!(tracker.stats().untracked.no_key, 1);
    let [
        FlowEvent::Started { .. },
        FlowEvent::Established { .. },
        FlowEvent::Ended {
            key,
            history,
            stats,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(history.to_string(), "ShD");
    assert_eq!(stats.by_initiator().payload_bytes, 3);
    let ours = read(
        &crate::common::tcp(CLIENT, SERVER, 1, 0, 2, b""),
        LinkType::ETHERNET,
    );
    assert_eq!(
        *key,
        flowscope::extract::FiveTupleKey::from(ours.unwrap().key)
    );
}

/// What a second parser reads from an Ethernet frame: the key and the orientation.
fn second_opinion(frame: &[u8]) -> Option<(Key, Orientation)> {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let (source, target): (std::net::IpAddr, std::net::IpAddr) = match sliced.net? {
        NetSlice::Ipv4(v4) => (
            v4.header().source_addr().into(),
            v4.header().destination_addr().into(),
        ),
        NetSlice::Ipv6(v6) => (
            v6.header().source_addr().into(),
            v6.header().destination_addr().into(),
        ),
        NetSlice::Arp(_) => return None,
    };
    let (protocol, from, to) = match sliced.transport? {
        TransportSlice::Tcp(tcp) => (6, tcp.source_port(), tcp.destination_port()),
        TransportSlice::Udp(udp) => (17, udp.source_port(), udp.destination_port()),
        _ => return None,
    };
    Some(Key::new(
        protocol,
        (source, from).into(),
        (target, to).into(),
    ))
}

proptest! {
    #[test]
    fn no_bytes_panic(
        data in prop::collection::vec(any::<u8>(), 0..200),
        link in prop::sample::select(vec![0_u16, 1, 101, 108, 113, 228, 229, 276, 9, 12, 14, 50, 51, 104, 117, 127, 239]),
        wire in any::<u32>(),
    ) {
        let mut bench = Bench::new();
        let packet = Packet::new(&data, at(0.0), LinkType(link)).with_wire_len(wire);
        bench.tracker.track(&packet, &mut bench.events);
        bench.finish();
    }

    /// Random bytes rarely get far. Here a valid frame is broken in a few places and cut.
    #[test]
    fn no_broken_frame_panics(
        start in 0_usize..4,
        blows in prop::collection::vec((0_usize..80, any::<u8>()), 0..5),
        cut in 0_usize..90,
    ) {
        let mut frame = match start {
            0 => udp(CLIENT, SERVER, b"payload"),
            1 => udp6(),
            2 => unreachable(),
            _ => crate::common::tcp(CLIENT, SERVER, 1, 2, 18, b"payload"),
        };
        for (at, byte) in blows {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.truncate(cut);
        let mut bench = Bench::new();
        bench.frame(0.0, &frame);
        bench.finish();
    }

    #[test]
    fn a_second_parser_reads_the_same(
        v6 in any::<bool>(),
        tcp in any::<bool>(),
        ends in any::<([u8; 16], [u8; 16], u16, u16)>(),
        tags in prop::collection::vec(0_u16..4096, 0..3),
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let (from, to, source, target) = ends;
        let eth = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let id = |n: usize| etherparse::VlanId::try_new(tags[n]).unwrap();
        let mut frame = Vec::new();
        macro_rules! build {
            ($link:expr) => {
                if v6 {
                    let ip = $link.ipv6(from, to, 64);
                    if tcp { ip.tcp(source, target, 7, 9).write(&mut frame, &payload) } else { ip.udp(source, target).write(&mut frame, &payload) }
                } else {
                    let ip = $link.ipv4(*from.first_chunk().unwrap(), *to.first_chunk().unwrap(), 64);
                    if tcp { ip.tcp(source, target, 7, 9).write(&mut frame, &payload) } else { ip.udp(source, target).write(&mut frame, &payload) }
                }
            };
        }
        match tags.len() {
            0 => build!(eth).unwrap(),
            1 => build!(eth.single_vlan(id(0))).unwrap(),
            _ => build!(eth.double_vlan(id(0), id(1))).unwrap(),
        }
        let ours = read(&frame, LinkType::ETHERNET).unwrap();
        prop_assert_eq!(second_opinion(&frame), Some((ours.key, ours.orientation)));
        prop_assert_eq!(ours.payload_len as usize, payload.len());
        let tagged = FiveTuple::bidirectional().with_vlan();
        let key = tagged.extract(&Packet::new(&frame, at(0.0), LinkType::ETHERNET)).unwrap().key;
        let want = [tags.first(), tags.get(1)].map(|tag| tag.copied().unwrap_or(0));
        prop_assert_eq!([key.vlan(), key.inner_vlan()], want);
    }
}
