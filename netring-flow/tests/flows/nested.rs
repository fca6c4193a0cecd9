//! Headers in headers, up to the most that are read and beyond.

use netring_flow::extract::Skip;
use netring_sys::LinkType;

use crate::raw::{bare, ip4, line, read, tracked, udp};

const FLOW: &str = "udp 192.0.2.1:5000 192.0.2.9:53 30";

/// The most headers before the transport header: Ethernet, IP, and what is between them.
const MOST: usize = 32;

fn packet() -> Vec<u8> {
    ip4(58, 17, &udp(38, 30))
}

/// An Ethernet frame with so many VLAN tags.
fn tagged(tags: usize) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for id in 0..tags {
        frame.extend([0x81, 0, 0, id as u8]);
    }
    frame.extend([8, 0]);
    frame.extend(packet());
    frame
}

/// An Ethernet frame with so many MPLS labels.
fn labelled(labels: usize) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x88, 0x47]);
    for label in 1..=labels {
        frame.extend([0, 1, u8::from(label == labels), 64]);
    }
    frame.extend(packet());
    frame
}

fn ethernet(frame: &[u8]) -> netring_sys::Packet<'_> {
    crate::raw::frame(frame, frame.len())
}

#[test]
fn packets_nest_to_the_bound_and_no_deeper() {
    for nested in [tagged, labelled] {
        for between in [1, 2, 3, MOST - 3, MOST - 2] {
            assert_eq!(line(&ethernet(&nested(between))), FLOW, "{between}");
        }
        for between in [MOST - 1, MOST, 300] {
            let frame = nested(between);
            assert_eq!(read(&ethernet(&frame)).err(), Some(Skip::TooDeep));
            let (flow, stats) = tracked(&ethernet(&frame));
            assert!(flow.is_none());
            assert_eq!((stats.untracked.too_deep, stats.untracked.total()), (1, 1));
        }
    }
}

#[test]
fn headers_of_every_kind_count_for_the_bound() {
    // PPP, a label, and no more: the IP header is the third.
    let mut ppp = vec![2, 0x81, 0, 1, 1, 64];
    ppp.extend(packet());
    let ppp = bare(&ppp);
    let ppp = netring_sys::Packet::new(ppp.data(), ppp.timestamp(), LinkType::PPP);
    assert_eq!(line(&ppp), FLOW);
    // Ethernet, tags, PPPoE, PPP, labels, IP.
    let all = |tags: usize, labels: usize| {
        let mut frame = tagged(tags);
        frame.truncate(12 + 4 * tags);
        frame.extend([0x88, 0x64, 0x11, 0, 0, 1, 0, 60, 2, 0x81]);
        frame.extend(&labelled(labels)[14..]);
        frame
    };
    assert_eq!(line(&ethernet(&all(14, MOST - 18))), FLOW);
    let deeper = all(14, MOST - 17);
    assert_eq!(read(&ethernet(&deeper)).err(), Some(Skip::TooDeep));
}

#[test]
fn what_ends_within_the_bound_is_short_and_not_too_deep() {
    let frame = tagged(MOST - 2);
    for end in 0..12 + 4 * (MOST - 2) + 2 + 20 {
        assert_eq!(read(&ethernet(&frame[..end])).err(), Some(Skip::Short));
    }
}
