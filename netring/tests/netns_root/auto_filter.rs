//! A filter with automatic backend selection: a backend that cannot express it is rejected, and no
//! backend accepts more.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use netring::auto::{self, AutoCapture, Backend, NoBackend};
use netring::{Count, Error, Filter, PacketSource, SockFilter};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, collect, numbered, tcp4, udp4};

const SILENCE: Duration = Duration::from_millis(200);
const YES: SockFilter = SockFilter::stmt(0x06, u32::MAX);
const NO: SockFilter = SockFilter::stmt(0x06, 0);

/// `ether[12:2] = 0x0800 and ip[9] = 17`
const UDP: [SockFilter; 6] = [
    SockFilter::stmt(0x28, 12),
    SockFilter::jump(0x15, 0x800, 0, 3),
    SockFilter::stmt(0x30, 23),
    SockFilter::jump(0x15, 17, 0, 1),
    YES,
    NO,
];

fn received(capture: &mut AutoCapture) -> Vec<Vec<u8>> {
    let packets = collect(capture, 1000, SILENCE).unwrap();
    packets
        .iter()
        .map(|packet| packet.data().to_vec())
        .collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_means_the_same_by_every_backend() {
    let chosen: Vec<_> = (0..50).map(|n| udp4(n, 53, &[7; 200])).collect();
    let others: Vec<_> = (0..50)
        .flat_map(|n| {
            // One of another protocol, and one with another Ethertype.
            let mut local = numbered(n.into(), 60);
            local[12..14].copy_from_slice(&[0x88, 0xb5]);
            [tcp4(n, 53, 1, 2, b""), local]
        })
        .collect();
    for backend in [Backend::XdpNative, Backend::XdpGeneric, Backend::AfPacket] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let builder = auto::builder()
            .interface("v1")
            .divert(true)
            .backends([backend]);
        let mut capture = builder.filter(UDP).build().unwrap();
        let stack = Sniffer::on("v1").unwrap();
        let sender = Sender::on("v0").unwrap();
        for (frame, others) in chosen.iter().zip(others.chunks(2)) {
            for frame in [&others[0], frame, &others[1]] {
                sender.send(frame).unwrap();
            }
        }
        assert_eq!(received(&mut capture), chosen, "{backend}");
        let stats = capture.stats().unwrap();
        let all = (Count::Exact(50), Count::Exact(50));
        assert_eq!((stats.offered, stats.delivered), all, "{backend}");
        // The host's own stack still received the others.
        let mut seen = Vec::new();
        while let Some(frame) = stack.receive(SILENCE).unwrap() {
            seen.push(frame);
        }
        seen.retain(|frame| !chosen.contains(frame));
        assert_eq!(seen, others, "{backend}");
    }
}

/// The filter needs packet metadata that only the kernel knows, not an XDP program: AF_PACKET is
/// opened, and accepts no more than the filter.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_backend_that_cannot_express_a_filter_is_passed_over() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    const SKF_AD_PKTTYPE: u32 = -0x1000_i32 as u32 + 4;
    const PACKET_BROADCAST: u32 = 1;
    let broadcast = [
        SockFilter::stmt(0x30, SKF_AD_PKTTYPE),
        SockFilter::jump(0x15, PACKET_BROADCAST, 0, 1),
        YES,
        NO,
    ];
    let builder = auto::builder()
        .interface("v1")
        .divert(true)
        .filter(broadcast);
    let mut capture = builder.clone().build().unwrap();
    assert_eq!(capture.backend(), Backend::AfPacket);
    let (last, others) = capture.attempts().split_last().unwrap();
    assert!(last.why_not().is_none());
    let backends = others.iter().flat_map(|attempt| attempt.backends());
    assert_eq!(backends.copied().collect::<Vec<_>>(), Backend::ALL[..3]);
    for attempt in others {
        let Some(Error::Config { setting, why }) = attempt.why_not() else {
            panic!("{attempt}");
        };
        assert_eq!(*setting, "filter");
        assert!(
            why.starts_with("instruction 0 (code 0x30, k 0xfffff004): it loads what the kernel"),
            "{attempt}"
        );
    }
    let mut to_all = numbered(1, 60);
    to_all[..6].fill(0xff);
    let sender = Sender::on("v0").unwrap();
    for frame in [&numbered(0, 60), &to_all, &numbered(2, 60)] {
        sender.send(frame).unwrap();
    }
    assert_eq!(received(&mut capture), [to_all]);
    drop(capture);

    // If AF_PACKET is excluded, none is left, and the reason is stated once for both.
    let xdp = [Backend::XdpNative, Backend::XdpGeneric];
    let error = builder.backends(xdp).build().unwrap_err();
    let none = error.downcast_ref::<NoBackend>().unwrap();
    assert_eq!(none.attempts().len(), 1);
    assert_eq!(none.attempts()[0].backends(), xdp);
    let text = error.to_string();
    assert_eq!(text.matches("SKF_AD_OFF + 4").count(), 1, "{text}");
}

/// An invalid program is refused by each backend, and nothing is captured without it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_what_is_no_filter_is_refused_by_every_backend() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for bad in [
        &[][..],
        &[SockFilter::stmt(0x05, 7), YES],
        &[SockFilter::stmt(0x07, 0)],
    ] {
        let builder = auto::builder().interface("v1").divert(true).filter(bad);
        let error = builder.build().unwrap_err();
        let none = error.downcast_ref::<NoBackend>().unwrap();
        let backends = none.attempts().iter().flat_map(|one| one.backends());
        assert_eq!(backends.copied().collect::<Vec<_>>(), Backend::ALL);
        for attempt in none.attempts() {
            let is_it = matches!(
                attempt.why_not(),
                Some(Error::Config {
                    setting: "filter",
                    ..
                })
            );
            assert!(is_it, "{attempt}");
        }
    }
}

/// The difference: with AF_PACKET the tag is beside the bytes, and the filter sees what follows it;
/// with AF_XDP it is in them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_sees_the_bytes_of_its_backend() {
    let plain = udp4(1, 53, &[7; 60]);
    let mut tagged = udp4(2, 53, &[7; 60]);
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    for (backend, sees) in [
        (Backend::XdpNative, 1),
        (Backend::XdpGeneric, 1),
        (Backend::AfPacket, 2),
    ] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let builder = auto::builder()
            .interface("v1")
            .divert(true)
            .backends([backend]);
        let mut capture = builder.filter(UDP).build().unwrap();
        let sender = Sender::on("v0").unwrap();
        sender.send(&plain).unwrap();
        sender.send(&tagged).unwrap();
        let got = received(&mut capture);
        assert_eq!(got.len(), sees, "{backend}");
        assert_eq!(got[0], plain);
    }
}

/// An expression means the same with every backend, whether a tag is in the bytes or not.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_an_expression_means_the_same_by_every_backend() {
    let plain = udp4(1, 53, &[7; 60]);
    let mut tagged = udp4(2, 53, &[7; 60]);
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    for (text, chosen) in [
        ("udp port 53", &plain),
        ("vlan 5 and udp port 53", &tagged),
        ("not vlan", &plain),
    ] {
        for backend in [Backend::XdpNative, Backend::XdpGeneric, Backend::AfPacket] {
            let _ns = Netns::enter().unwrap();
            veth("v0", "v1").unwrap();
            let builder = auto::builder()
                .interface("v1")
                .divert(true)
                .backends([backend]);
            let filter: Filter = text.parse().unwrap();
            let mut capture = builder.filter(filter).build().unwrap();
            let sender = Sender::on("v0").unwrap();
            for frame in [&plain, &tagged] {
                sender.send(frame).unwrap();
            }
            let packets = collect(&mut capture, 1, Duration::from_secs(10)).unwrap();
            let bytes = packets[0].as_packet().wire_bytes().pieces().concat();
            assert_eq!(&bytes, chosen, "{text}: {backend}");
            assert_eq!(received(&mut capture), Vec::<Vec<u8>>::new(), "{text}");
        }
    }
}

/// The direction is not in the bytes that AF_XDP sees.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_backend_that_cannot_express_a_term_is_passed_over() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let filter: Filter = "inbound and udp".parse().unwrap();
    let builder = auto::builder().interface("v1").divert(true).filter(filter);
    let mut capture = builder.clone().build().unwrap();
    assert_eq!(capture.backend(), Backend::AfPacket);
    let attempts = capture.attempts();
    assert_eq!(attempts[0].backends(), &Backend::ALL[..3]);
    let why = attempts[0].why_not().unwrap().to_string();
    assert!(
        why.starts_with("filter: `inbound`: the direction is not in the bytes"),
        "{why}"
    );
    let sender = Sender::on("v0").unwrap();
    sender.send(&tcp4(1, 53, 1, 2, b"")).unwrap();
    sender.send(&udp4(1, 53, b"a query")).unwrap();
    assert_eq!(received(&mut capture), [udp4(1, 53, b"a query")]);
    drop(capture);
    // A term that no backend can express is reported once for all of them.
    let impossible: Filter = "ah[0] = 1".parse().unwrap();
    let error = builder.filter(impossible).build().unwrap_err();
    let text = error.to_string();
    assert_eq!(text.matches("no fixed place").count(), 1, "{text}");
}
