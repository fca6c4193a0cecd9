//! How much of a packet is payload: what the lengths of transport, network and wire agree on.

use netring_sys::{LinkType, Packet, VlanTag};

use crate::common::at;
use crate::raw::{bare, ethernet, frame, ip4, ip6, line, tcp, tracked, udp};

const UDP4: &str = "udp 192.0.2.1:5000 192.0.2.9:53";
const TCP4: &str = "tcp 192.0.2.1:5000 192.0.2.9:53";
const UDP6: &str = "udp [2001:db8::1]:5000 [2001:db8::9]:53";
const TCP6: &str = "tcp [2001:db8::1]:5000 [2001:db8::9]:53";

#[test]
fn an_ipv4_length_of_0_is_the_frames() {
    for behind in [100, 1500, 70_000] {
        let segment = ethernet(&ip4(0, 6, &tcp(20, behind)));
        assert_eq!(
            line(&frame(&segment, segment.len())),
            format!("{TCP4} {behind}")
        );
        // If a snap length cut it, the wire's length counts.
        assert_eq!(
            line(&frame(&segment[..60], segment.len())),
            format!("{TCP4} {behind} cut")
        );
        assert_eq!(
            line(&bare(&ip4(0, 6, &tcp(32, behind)))),
            format!("{TCP4} {}", behind - 12)
        );
    }
    // Below a tag, and a label.
    let packet = ip4(0, 6, &tcp(20, 300));
    for between in [
        &[0x81, 0, 0, 7, 8, 0][..],
        &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0],
        &[0x88, 0x47, 0, 1, 1, 64],
        &[0x88, 0x64, 0x11, 0, 0, 1, 0, 31, 0, 0x21],
    ] {
        let bytes = [&[2; 12][..], between, &packet].concat();
        assert_eq!(
            line(&frame(&bytes, bytes.len())),
            format!("{TCP4} 300"),
            "{between:?}"
        );
    }
}

#[test]
fn a_tag_beside_the_bytes_is_not_in_an_ip_length_of_0() {
    let segment = ethernet(&ip4(0, 6, &tcp(20, 300)));
    let tag = VlanTag {
        tpid: 0x8100,
        tci: 5,
    };
    let beside = frame(&segment, segment.len()).with_vlan(Some(tag));
    assert_eq!(line(&beside), format!("{TCP4} 300"));
    let cut = frame(&segment[..60], segment.len()).with_vlan(Some(tag));
    assert_eq!(line(&cut), format!("{TCP4} 300 cut"));
}

#[test]
fn an_ipv6_length_of_0_is_the_frames_if_something_can_be_there() {
    for behind in [100, 70_000] {
        let segment = ethernet(&ip6(0, 6, &tcp(20, behind)));
        assert_eq!(
            line(&frame(&segment, segment.len())),
            format!("{TCP6} {behind}")
        );
        assert_eq!(
            line(&frame(&segment[..80], segment.len())),
            format!("{TCP6} {behind} cut")
        );
        let datagram = ethernet(&ip6(0, 17, &udp(0, behind)));
        assert_eq!(
            line(&frame(&datagram[..80], datagram.len())),
            format!("{UDP6} {behind} cut")
        );
    }
    // Six bytes after the header are the padding of a frame and not a header.
    let nothing = ethernet(&ip6(0, 6, b""));
    assert_eq!(nothing.len(), 60);
    assert_eq!(
        line(&frame(&nothing, 60)),
        "tcp [2001:db8::1]:- [2001:db8::9]:- 0 malformed"
    );
    // "No next header" means that nothing follows.
    for behind in [6, 100] {
        let nothing = ethernet(&ip6(0, 59, &vec![0; behind]));
        let flow = "proto 59 [2001:db8::1]:0 [2001:db8::9]:0 0";
        assert_eq!(line(&frame(&nothing, nothing.len())), flow);
    }
}

/// A hop-by-hop header of 8 bytes with an option of 4 bytes: 0xc2 is the jumbo option.
fn hop(next: u8, option: u8, value: u32) -> Vec<u8> {
    [&[next, 0, option, 4][..], &value.to_be_bytes()].concat()
}

#[test]
fn a_jumbogram_has_the_length_of_its_option_and_no_more_than_the_wire() {
    let jumbo = |value: u32, behind: usize| {
        ethernet(&ip6(0, 0, &[hop(6, 0xc2, value), tcp(20, behind)].concat()))
    };
    let whole = jumbo(70_028, 70_000);
    assert_eq!(line(&frame(&whole, whole.len())), format!("{TCP6} 70000"));
    assert_eq!(
        line(&frame(&whole[..100], whole.len())),
        format!("{TCP6} 70000 cut")
    );
    // 9 more bytes after it.
    let trailer = jumbo(70_028, 70_009);
    assert_eq!(
        line(&frame(&trailer, trailer.len())),
        format!("{TCP6} 70000")
    );
    let long = jumbo(90_000, 70_000);
    assert_eq!(
        line(&frame(&long, long.len())),
        format!("{TCP6} 70000 malformed")
    );
    // RFC 2675: a length that would fit in the header's own field is an error.
    let small = jumbo(128, 100);
    assert_eq!(
        line(&frame(&small, small.len())),
        format!("{TCP6} 100 malformed")
    );
    // After padding, and before other options.
    let mut options = vec![6, 1, 0, 1, 0, 0xc2, 4];
    options.extend(70_036_u32.to_be_bytes());
    options.extend([5, 2, 0, 0, 0]);
    let late = ethernet(&ip6(0, 0, &[options, tcp(20, 70_000)].concat()));
    assert_eq!(line(&frame(&late, late.len())), format!("{TCP6} 70000"));
}

#[test]
fn a_hop_by_hop_header_without_a_jumbo_option_leaves_a_length_of_0_empty() {
    let bytes = ethernet(&ip6(0, 0, &[hop(17, 1, 0), udp(38, 30)].concat()));
    let flow = "proto 0 [2001:db8::1]:0 [2001:db8::9]:0 0 malformed";
    assert_eq!(line(&frame(&bytes, bytes.len())), flow);
    // If it was cut before the option, the option may be there.
    let cut = line(&frame(&bytes[..56], bytes.len()));
    assert_eq!(cut, "udp [2001:db8::1]:- [2001:db8::9]:- 30 cut");
}

#[test]
fn a_udp_length_bounds_the_payload() {
    for (field, payload, marks) in [
        (8, 0, ""),
        (10, 2, ""),
        (38, 30, ""),
        (39, 30, " malformed"),
        (65_535, 30, " malformed"),
        (0, 0, " malformed"),
        (4, 0, " malformed"),
        (7, 0, " malformed"),
    ] {
        let bytes = ip4(58, 17, &udp(field, 30));
        assert_eq!(
            line(&bare(&bytes)),
            format!("{UDP4} {payload}{marks}"),
            "{field}"
        );
    }
    // RFC 2675: zero means all of a jumbogram. Linux accepts it in any IPv6 packet, and writes it
    // into large segments.
    assert_eq!(line(&bare(&ip6(38, 17, &udp(0, 30)))), format!("{UDP6} 30"));
    assert_eq!(line(&bare(&ip6(38, 17, &udp(10, 30)))), format!("{UDP6} 2"));
    assert_eq!(
        line(&bare(&ip6(38, 17, &udp(7, 30)))),
        format!("{UDP6} 0 malformed")
    );
    assert_eq!(
        line(&bare(&ip4(0, 17, &udp(0, 70_000)))),
        format!("{UDP4} 70000")
    );
    assert_eq!(line(&bare(&ip4(0, 17, &udp(38, 30)))), format!("{UDP4} 30"));
}

#[test]
fn the_udp_length_of_a_first_fragment_is_that_of_all_fragments() {
    let mut first = ip4(58, 17, &udp(2000, 30));
    first[6] = 0x20;
    assert_eq!(line(&bare(&first)), format!("{UDP4} 30"));
    let fragment = [&[17, 0, 0, 1, 0, 0, 0, 9][..], &udp(2000, 30)].concat();
    assert_eq!(line(&bare(&ip6(46, 44, &fragment))), format!("{UDP6} 30"));
    let whole = [&[17, 0, 0, 0, 0, 0, 0, 9][..], &udp(2000, 30)].concat();
    assert_eq!(
        line(&bare(&ip6(46, 44, &whole))),
        format!("{UDP6} 30 malformed")
    );
}

#[test]
fn an_ip_length_beyond_the_wire_is_not_accepted() {
    let datagram = ip4(65_535, 17, &udp(65_515, 18));
    assert_eq!(line(&bare(&datagram)), format!("{UDP4} 18 malformed"));
    assert_eq!(
        line(&bare(&ip4(65_535, 6, &tcp(20, 6)))),
        format!("{TCP4} 6 malformed")
    );
    assert_eq!(
        line(&bare(&ip6(65_535, 6, &tcp(20, 6)))),
        format!("{TCP6} 6 malformed")
    );
    assert_eq!(
        line(&bare(&ip4(1000, 132, &udp(0, 12)))),
        "sctp 192.0.2.1:5000 192.0.2.9:53 8 malformed"
    );
    assert_eq!(
        line(&bare(&ip4(1000, 47, &[0; 30]))),
        "proto 47 192.0.2.1:0 192.0.2.9:0 30 malformed"
    );
    // A snap length cut this one: it was complete on the wire.
    let cut = frame(&ethernet(&datagram)[..60], 65_549).data().to_vec();
    assert_eq!(line(&frame(&cut, 65_549)), format!("{UDP4} 65507 cut"));
}

#[test]
fn padding_behind_the_ip_length_never_counts() {
    for (packet, flow) in [
        (ip4(40, 6, &tcp(20, 0)), format!("{TCP4} 0")),
        (ip4(28, 17, &udp(8, 0)), format!("{UDP4} 0")),
        (ip4(29, 17, &udp(9, 1)), format!("{UDP4} 1")),
        (
            ip4(22, 47, &[0, 0]),
            "proto 47 192.0.2.1:0 192.0.2.9:0 2".into(),
        ),
        (
            ip4(20, 50, &[]),
            "proto 50 192.0.2.1:0 192.0.2.9:0 0".into(),
        ),
    ] {
        let bytes = ethernet(&packet);
        assert_eq!(bytes.len(), 60);
        assert_eq!(line(&frame(&bytes, 60)), flow);
    }
}

#[test]
fn a_frame_has_at_least_the_bytes_that_were_captured() {
    let bytes = ethernet(&ip4(58, 17, &udp(38, 30)));
    let packet = frame(&bytes, 1);
    let (flow, stats) = tracked(&packet);
    assert_eq!((packet.wire_len(), packet.is_cut()), (72, false));
    assert_eq!((flow.unwrap().1.bytes(), stats.tracked_bytes), (72, 72));
    assert_eq!(line(&packet), format!("{UDP4} 30"));
}

#[test]
fn a_tag_counts_in_a_flow_wherever_it_stands() {
    let packet = ip4(58, 17, &udp(38, 30));
    let inside = [&[2; 12][..], &[0x81, 0, 0, 5, 8, 0], &packet].concat();
    let outside = ethernet(&packet);
    let tag = VlanTag {
        tpid: 0x8100,
        tci: 5,
    };
    let whole = |bytes| Packet::new(bytes, at(0.0), LinkType::ETHERNET);
    let file = tracked(&whole(&inside)).0.unwrap();
    let live = tracked(&whole(&outside).with_vlan(Some(tag))).0.unwrap();
    assert_eq!(file.1.bytes(), 76);
    assert_eq!(file, live);
    // The same if a snap length cut both.
    let file = tracked(&frame(&inside[..50], 76)).0.unwrap();
    let live = tracked(&frame(&outside[..46], 72).with_vlan(Some(tag)))
        .0
        .unwrap();
    assert_eq!((file.1.bytes(), file.1.cut), (76, true));
    assert_eq!(file, live);
}
