//! The metadata of a packet that a filter can load.

use netring_sys::filter::Ancillary;
use netring_sys::kernel::filter::{SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, SockFilter};
use netring_sys::{Direction, Error, Filter, LinkType, Matcher, Packet, Timestamp, VlanTag};

/// The result of a load; `None` if it ends the program, which would return the marker otherwise.
fn load(code: u16, k: u32, packet: Packet<'_>) -> Option<u32> {
    let value = [SockFilter::stmt(code, k), SockFilter::stmt(0x16, 0)];
    let passes = [SockFilter::stmt(code, k), SockFilter::stmt(0x06, 77)];
    let passes = Matcher::new(passes).unwrap().run(&packet);
    assert!(passes == 0 || passes == 77);
    (passes == 77).then(|| Matcher::new(value).unwrap().run(&packet))
}

fn fact(fact: Ancillary, packet: Packet<'_>) -> Option<u32> {
    load(0x20, SKF_AD_OFF + fact.number(), packet)
}

fn of(link_type: LinkType, bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, Timestamp::EPOCH, link_type)
}

#[test]
fn what_a_packet_carries_is_what_the_kernel_would_say() {
    let bare = of(LinkType::ETHERNET, &[0; 60]);
    let tag = VlanTag {
        tpid: 0x88a8,
        tci: 0x6005,
    };
    let full = bare
        .with_interface(7)
        .with_direction(Some(Direction::Multicast))
        .with_queue(Some(3))
        .with_rx_hash(Some(0xdead_beef))
        .with_vlan(Some(tag));
    for (what, expected, without) in [
        (Ancillary::Interface, 7, None),
        (Ancillary::PacketType, 2, None),
        (Ancillary::Queue, 4, None),
        (Ancillary::RxHash, 0xdead_beef, None),
        (Ancillary::VlanTag, 0x6005, Some(0)),
        (Ancillary::VlanTagPresent, 1, Some(0)),
        (Ancillary::VlanTpid, 0x88a8, Some(0)),
    ] {
        assert_eq!(fact(what, full), Some(expected), "{what:?}");
        assert_eq!(fact(what, bare), without, "{what:?}");
    }
    // The tag is neither in the bytes that the filter sees nor in their length.
    assert_eq!(load(0x80, 0, full), Some(60));
    for (direction, number) in [
        (Direction::Host, 0),
        (Direction::Broadcast, 1),
        (Direction::OtherHost, 3),
        (Direction::Outgoing, 4),
    ] {
        let packet = bare.with_direction(Some(direction));
        assert_eq!(fact(Ancillary::PacketType, packet), Some(number));
    }
}

#[test]
fn the_protocol_is_that_of_the_link_header() {
    let ethernet = |kind: [u8; 4]| [&[0; 12][..], &kind, &[0; 46]].concat();
    for (kind, expected) in [
        ([0x08, 0x00, 0x45, 0], 0x0800),
        ([0x86, 0xdd, 0x60, 0], 0x86dd),
        ([0x06, 0x00, 0, 0], 0x0600),
        ([0x05, 0xff, 0, 0], 0x0004),
        ([0x00, 0x20, 0xff, 0xff], 0x0001),
    ] {
        let bytes = ethernet(kind);
        let packet = of(LinkType::ETHERNET, &bytes);
        assert_eq!(fact(Ancillary::Protocol, packet), Some(expected));
    }
    for (link_type, bytes, expected) in [
        (LinkType::ETHERNET, &[0; 13][..], None),
        (LinkType::RAW_IP, &[0x45], Some(0x0800)),
        (LinkType::IPV6, &[0x60], Some(0x86dd)),
        (LinkType::RAW_IP, &[0x15], None),
        (LinkType::RAW_IP, &[], None),
        (LinkType::LINUX_SLL2, &[0x08, 0x06], Some(0x0806)),
        (LinkType::UNKNOWN, &[0x45], None),
    ] {
        let packet = of(link_type, bytes);
        assert_eq!(fact(Ancillary::Protocol, packet), expected, "{packet:?}");
    }
    let mut cooked = [0; 16];
    cooked[14] = 0x08;
    let packet = of(LinkType::LINUX_SLL, &cooked);
    assert_eq!(fact(Ancillary::Protocol, packet), Some(0x0800));
}

#[test]
fn negative_offsets_count_from_a_header() {
    let bytes: Vec<u8> = (0..60).collect();
    for (link_type, network) in [
        (LinkType::ETHERNET, Some(14)),
        (LinkType::NULL, Some(4)),
        (LinkType::LINUX_SLL, Some(16)),
        (LinkType::LINUX_SLL2, Some(20)),
        (LinkType::RAW_IP, Some(0)),
        (LinkType::PPP, None),
    ] {
        let packet = of(link_type, &bytes);
        assert_eq!(load(0x30, SKF_LL_OFF + 9, packet), Some(9));
        let expected = network.map(|begin: u32| begin + 9);
        assert_eq!(load(0x30, SKF_NET_OFF + 9, packet), expected);
        assert_eq!(load(0x30, SKF_LL_OFF + 60, packet), None);
        assert_eq!(load(0x20, SKF_NET_OFF + 57, packet), None);
        assert_eq!(load(0x30, SKF_LL_OFF - 1, packet), None);
        // By an X of 0, too.
        assert_eq!(load(0x50, SKF_NET_OFF + 9, packet), expected);
    }
}

#[test]
fn what_no_packet_carries_is_refused() {
    let refused = [12, 16, 20, 28, 36, 52, 56];
    for fact in Ancillary::ALL {
        let program = [
            SockFilter::stmt(0x28, SKF_AD_OFF + fact.number()),
            SockFilter::stmt(0x16, 0),
        ];
        assert!(Filter::from(program).check().is_ok());
        match Matcher::new(program) {
            Ok(_) => assert!(!refused.contains(&fact.number()), "{fact:?}"),
            Err(Error::Config { setting, why }) => {
                assert_eq!(setting, "filter");
                assert!(refused.contains(&fact.number()), "{why}");
                let named = format!("(SKF_AD_OFF + {})", fact.number());
                assert!(why.starts_with("instruction 0 (code 0x28"), "{why}");
                assert!(why.contains(&named), "{why}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
