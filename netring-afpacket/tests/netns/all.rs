//! All interfaces of a namespace at once.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::net::UdpSocket;
use std::time::Duration;

use netring_afpacket::{
    Capture, CaptureBuilder, Fanout, FanoutGroup, FanoutMode, LinkState, Profile, SockFilter,
};
use netring_sys::wait::{InterfaceChange, InterfaceTable, Merge};
use netring_sys::{Count, Direction, Error, Filter, Interface, LinkType, PacketSource, Readiness};
use xtask::load::cost;
use xtask::netns::{Netns, ip, ip_batch, veth};
use xtask::wire::{Sender, collect, number, numbered};

use crate::plain::{Witness, of};

const SECOND: Duration = Duration::from_secs(1);

fn all() -> CaptureBuilder {
    let builder = Capture::builder().profile(Profile::LowMemory);
    builder.all_interfaces()
}

/// Datagrams over the loopback interface.
fn over_loopback(count: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..count {
        let sent = socket.send_to(&vec![7; 100 + n], socket.local_addr().unwrap());
        assert_eq!(sent.unwrap(), 100 + n);
    }
}

/// A tagged frame; the receiving side removes the tag.
fn tagged() -> Vec<u8> {
    let mut frame = numbered(77, 90);
    frame.splice(12..12, [0x81, 0, 0, 5]);
    frame
}

fn each_packet_is_seen_once(builder: CaptureBuilder) {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let witnesses = ["lo", "a", "b", "c", "d"].map(Witness::on);
    let mut capture = builder.build().unwrap();
    for n in 0..50 {
        Sender::on(["a", "b", "c", "d"][n as usize % 4])
            .unwrap()
            .send(&numbered(n, 60 + 20 * n as usize))
            .unwrap();
    }
    Sender::on("b").unwrap().send(&tagged()).unwrap();
    over_loopback(10);
    // Both ends of each pair see a frame.
    let packets = collect(&mut capture, 112, SECOND).unwrap();
    assert!(collect(&mut capture, 1, SECOND / 4).unwrap().is_empty());
    assert_eq!(packets.len(), 2 * 51 + 10);
    for witness in &witnesses {
        let seen = witness.seen();
        assert!(seen.len() >= 10);
        assert_eq!(of(&packets, witness.index), seen);
    }
    let tags = packets.iter().filter_map(|packet| {
        let tag = packet.vlan()?;
        Some((packet.interface(), tag.tpid, tag.tci))
    });
    let a = witnesses[1].index;
    assert_eq!(tags.collect::<Vec<_>>(), [(a, 0x8100, 5)]);
    let stats = capture.stats().unwrap();
    let exact = (stats.offered, stats.delivered, stats.dropped);
    assert_eq!(
        exact,
        (Count::Exact(112), Count::Exact(112), Count::Exact(0))
    );
    assert_eq!(stats.link_downs, Count::Unavailable);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p18_all_interfaces_show_each_packet_once_as_plain_sockets_see_it() {
    each_packet_is_seen_once(all());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p18_all_interfaces_show_each_packet_once_and_at_once() {
    each_packet_is_seen_once(all().profile(Profile::Immediate).snap_len(2000));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_loopback_sends_is_seen_if_asked_for_and_what_others_send_is_left_out_if_asked_for() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for (ignore, expected) in [
        (Some(false), 2 * 5 + 2 * 3),
        (Some(true), 5 + 3),
        (None, 5 + 6),
    ] {
        let builder = match ignore {
            Some(ignore) => all().ignore_outgoing(ignore),
            None => all(),
        };
        let mut capture = builder.build().unwrap();
        over_loopback(5);
        let sender = Sender::on("a").unwrap();
        for n in 0..3 {
            sender.send(&numbered(n, 60)).unwrap();
        }
        let packets = collect(&mut capture, expected, SECOND).unwrap();
        assert_eq!(packets.len(), expected, "{ignore:?}");
        assert!(collect(&mut capture, 1, SECOND / 4).unwrap().is_empty());
        assert_eq!(
            capture.stats().unwrap().offered,
            Count::from(expected as u64)
        );
    }
}

/// Interfaces that appear are captured from their first packet on.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn interfaces_come_and_go_and_the_capture_goes_on() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut table = InterfaceTable::new().unwrap();
    let mut capture = all().build().unwrap();
    let mut expected = Vec::new();
    for round in 0..5_u64 {
        let [one, other] = ["new", "peer"].map(|name| format!("{name}{round}"));
        veth(&one, &other).unwrap();
        let indexes = [&one, &other].map(|name| Interface::by_name(name).unwrap().index);
        let sender = Sender::on(&one).unwrap();
        for n in 0..10 {
            sender.send(&numbered(10 * round + n, 60)).unwrap();
            expected.extend([(indexes[0], 10 * round + n), (indexes[1], 10 * round + n)]);
        }
        if round % 2 == 0 {
            ip(&format!("link set dev {one} down")).unwrap();
            ip(&format!("link del dev {other}")).unwrap();
        }
    }
    ip("link set dev a down").unwrap();
    let packets = collect(&mut capture, 100, SECOND).unwrap();
    let mut seen: Vec<_> = packets
        .iter()
        .map(|packet| (packet.interface(), number(packet.data()).unwrap()))
        .collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    // Also for interfaces that are gone.
    for (index, number) in &seen {
        let name = table.name(*index).unwrap();
        assert!(name.ends_with(&(number / 10).to_string()), "{name}");
    }
    // Nothing wakes the reader, and nothing is an error.
    let (next, cost) = cost(|| capture.wait(Some(SECOND)));
    assert!(matches!(next, Ok(Readiness::Empty)), "{next:?}");
    assert!(cost.sleeps < 10 && cost.cpu < SECOND / 20, "{cost:?}");
    assert_eq!(capture.stats().unwrap().offered, Count::Exact(100));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_filter_and_a_snap_length_apply_to_all_interfaces() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    // `ld len; jgt #100; ret #-1; ret #0`, and a program that relies on A and X being 0.
    let long = [
        SockFilter::stmt(0x80, 0),
        SockFilter::jump(0x25, 100, 0, 1),
        SockFilter::stmt(0x06, u32::MAX),
        SockFilter::stmt(0x06, 0),
    ];
    let start = SockFilter::jump(0x15, 0, 0, 3);
    let filters = [
        Filter::from(long),
        Filter::from([&[start], &long[..]].concat()),
    ];
    for filter in filters {
        let mut capture = all().filter(filter).snap_len(64).build().unwrap();
        let sender = Sender::on("a").unwrap();
        for len in [60, 100, 101, 1000] {
            sender.send(&numbered(1, len)).unwrap();
        }
        over_loopback(1);
        let packets = collect(&mut capture, 5, SECOND).unwrap();
        let mut facts: Vec<_> = packets
            .iter()
            .map(|packet| (packet.wire_len(), packet.data().len()))
            .collect();
        facts.sort_unstable();
        let cut = |len| (len, 64);
        assert_eq!(facts, [101, 101, 142, 1000, 1000].map(cut));
        assert_eq!(capture.stats().unwrap().offered, Count::Exact(5));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_of_all_interfaces_says_what_it_has_not() {
    let _ns = Netns::enter().unwrap();
    let mut capture = all().build().unwrap();
    let interface = capture.interface();
    assert_eq!((interface.index, interface.name.as_str()), (0, "any"));
    assert_eq!(interface.link_type(), LinkType::UNKNOWN);
    assert_eq!(capture.link_state().unwrap(), LinkState::Unknown);
    assert!(capture.why_link_unwatched().is_none());
    let refused = capture.link_monitor().unwrap_err();
    assert!(
        refused.to_string().contains("LinkMonitor::new"),
        "{refused}"
    );
    let refused = all().promiscuous(true).build().unwrap_err();
    assert!(
        matches!(&refused, Error::Config { setting: "promiscuous", why } if why.contains("Captures")),
        "{refused}"
    );
    let stop = capture.stop_handle();
    stop.stop();
    assert!(capture.next_batch().unwrap().is_none());
}

/// The workers of a group share the packets of all interfaces; loopback delivers each once.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_fanout_group_takes_all_interfaces() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let fanout = Fanout::new(FanoutMode::LoadBalance).workers(2);
    let group = FanoutGroup::open(all(), fanout).unwrap();
    let sender = Sender::on("a").unwrap();
    for n in 0..10 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    over_loopback(10);
    let mut merge = Merge::new(group.into_workers()).unwrap();
    let packets = collect(&mut merge, 30, SECOND).unwrap();
    assert!(collect(&mut merge, 1, SECOND / 4).unwrap().is_empty());
    for name in ["lo", "a", "b"] {
        let index = Interface::by_name(name).unwrap().index;
        let seen = packets.iter().filter(|packet| packet.interface() == index);
        assert_eq!(seen.count(), 10, "{name}");
    }
    // Not half each: the kernel also assigns a worker to what loopback sends, which is then
    // rejected.
    let of_each = merge.sources_mut();
    let of_each = of_each.map(|(_, worker)| worker.stats().unwrap().delivered);
    assert_eq!(of_each.sum::<Count>(), Count::Exact(30));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_may_be_called_any() {
    let _ns = Netns::enter().unwrap();
    let missing = Capture::open("any").unwrap_err();
    assert_eq!(
        missing.to_string(),
        "there is no interface \"any\" in this network namespace; `ip link` lists those that exist; \
         `Capture::builder().all_interfaces()` captures from all of them"
    );
    veth("any", "b").unwrap();
    let builder = Capture::builder().profile(Profile::LowMemory);
    let mut capture = builder.interface("any").build().unwrap();
    over_loopback(1);
    Sender::on("b").unwrap().send(&numbered(1, 60)).unwrap();
    let packets = collect(&mut capture, 2, SECOND / 2).unwrap();
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].direction(), Some(Direction::OtherHost));
}

/// The socket of the table holds about a thousand messages; later ones are lost, and the table is
/// right nevertheless, also if it is updated from another namespace.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_table_of_interfaces_survives_lost_notifications() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut table = InterfaceTable::new().unwrap();
    let (a, b) = (
        Interface::by_name("a").unwrap(),
        Interface::by_name("b").unwrap(),
    );
    let mut batch = String::new();
    for n in 0..4000 {
        batch += &format!("link set dev a mtu {}\n", 1000 + n % 2);
    }
    batch += "link set dev b name renamed\nlink add name x type bridge\nlink add name y type bridge\nlink del dev x\n";
    ip_batch(&batch).unwrap();
    let elsewhere = Netns::new().unwrap();
    let updated = elsewhere.run(|| {
        let mut changes = Vec::new();
        let updated = table.update(|change| {
            changes.push(match change {
                InterfaceChange::Appeared { name, .. } => format!("+{name}"),
                InterfaceChange::Removed { name, .. } => format!("-{name}"),
                InterfaceChange::Renamed { from, to, .. } => format!("{from} is {to}"),
            });
        });
        updated.map(|()| changes).map_err(std::io::Error::from)
    });
    let changes = updated.unwrap();
    // The interface that came and went meanwhile is in no list.
    assert_eq!(changes, ["b is renamed", "+y"]);
    assert_eq!(table.name(a.index), Some("a"));
    assert_eq!(table.name(b.index), Some("renamed"));
    assert_eq!(table.iter().count(), 4);
    assert_eq!(table.name(u32::MAX), None);
}
