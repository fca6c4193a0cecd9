//! What a decision sees, and what becomes of the frame.

use netring::bridge::{Bridge, Side, Verdict, Way};
use netring::{Direction, Filter, Matcher};
use xtask::netns::Netns;
use xtask::wire::{Sender, Sniffer, number, numbered, tcp4};

use super::{LIMIT, SILENCE, run_until, settled, wires};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_frame_is_forwarded_dropped_or_changed_in_place() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffers = ["a1", "b1"].map(|name| Sniffer::on(name).unwrap());
    let senders = ["a1", "b1"].map(|name| Sender::on(name).unwrap());
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    for n in 0..30 {
        senders[0].send(&numbered(n, 100)).unwrap();
        senders[1].send(&numbered(n, 100)).unwrap();
    }
    let mut seen = 0;
    while seen < 60 {
        let step = bridge.step(|frame| {
            seen += 1;
            assert_eq!(frame.packet().data(), frame.data());
            assert_eq!(frame.packet().direction(), Some(Direction::OtherHost));
            let n = number(frame.data()).unwrap();
            match (frame.way(), n % 3) {
                (Way::AToB, 0) => Verdict::Drop,
                (Way::AToB, 1) => {
                    frame.data_mut()[42..50].copy_from_slice(&(1000 + n).to_be_bytes());
                    frame.data_mut()[0] ^= 4;
                    Verdict::Forward
                }
                // A change to a dropped frame is lost with it.
                (Way::BToA, 0) => {
                    frame.data_mut().fill(0);
                    Verdict::Drop
                }
                _ => Verdict::Forward,
            }
        });
        step.unwrap();
    }
    let stats = run_until(&mut bridge, |stats| {
        stats.a_to_b.pending() + stats.b_to_a.pending() == 0
    });
    settled(&stats);
    for way in [stats.a_to_b, stats.b_to_a] {
        assert_eq!((way.received, way.dropped, way.forwarded), (30, 10, 20));
        assert_eq!(way.bytes, 2000);
    }
    for n in (0..30).filter(|n| n % 3 != 0) {
        let mut changed = numbered(n, 100);
        if n % 3 == 1 {
            changed = numbered(1000 + n, 100);
            // The checksum is up to the sender.
            changed[40..42].copy_from_slice(&numbered(n, 100)[40..42]);
            changed[0] ^= 4;
        }
        assert_eq!(sniffers[1].receive(LIMIT).unwrap(), Some(changed));
        assert_eq!(sniffers[0].receive(LIMIT).unwrap(), Some(numbered(n, 100)));
    }
    for sniffer in &sniffers {
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
    }
    assert_eq!((Way::AToB.from(), Way::AToB.to()), (Side::A, Side::B));
    assert_eq!((Way::BToA.from(), Way::BToA.to()), (Side::B, Side::A));
}

/// The tag is beside the packet and in the bytes of the frame.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_an_expression_decides_about_tagged_frames() {
    let _ns = Netns::enter().unwrap();
    wires();
    let sniffer = Sniffer::on("b1").unwrap();
    let sender = Sender::on("a1").unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let filter: Filter = "vlan 5 and tcp dst port 23".parse().unwrap();
    let matcher = Matcher::new(&filter).unwrap();
    for vlan in [5, 6] {
        for port in [23, 24] {
            let mut frame = tcp4(1, port, vlan.into(), 2, &[0; 20]);
            frame.splice(12..12, [0x81, 0x00, 0x00, vlan]);
            sender.send(&frame).unwrap();
        }
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let step = bridge.step(|frame| {
            let vlan = frame.packet().vlan().unwrap();
            assert_eq!(frame.data()[12..14], vlan.tpid.to_be_bytes());
            assert_eq!(frame.data()[14..16], vlan.tci.to_be_bytes());
            seen.push(matcher.matches(frame.packet()));
            match seen.last() {
                Some(true) => Verdict::Drop,
                _ => Verdict::Forward,
            }
        });
        step.unwrap();
    }
    assert_eq!(seen, [true, false, false, false]);
    let stats = run_until(&mut bridge, |stats| stats.a_to_b.forwarded == 3);
    settled(&stats);
    // A plain socket does not show the tag.
    for (vlan, port) in [(5, 24), (6, 23), (6, 24)] {
        let frame = tcp4(1, port, vlan, 2, &[0; 20]);
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(frame));
    }
}
