//! Frames that an injector sends, as an independent socket at the other end sees them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use netring_afpacket::{CopyMode, Injector, InjectorBuilder};
use netring_sys::{Count, Error, Interface, PacketSink, PacketSlot, wait};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sniffer, number, numbered};

pub(crate) const LIMIT: Duration = Duration::from_secs(10);
pub(crate) const SILENCE: Duration = Duration::from_millis(50);

pub(crate) const MODES: [CopyMode; 2] = [CopyMode::Copy, CopyMode::ZeroCopy];

/// The settings of an injector on `v0`.
pub(crate) fn builder(mode: CopyMode) -> InjectorBuilder {
    Injector::builder("v0").copy_mode(mode)
}

/// Sends frames with these numbers in groups that the sniffer's socket can hold, and checks each on
/// the other side.
pub(crate) fn send_and_look(
    injector: &mut Injector,
    sniffer: &Sniffer,
    count: u64,
    len: impl Fn(u64) -> usize,
) {
    for from in (0..count).step_by(50) {
        let to = count.min(from + 50);
        for n in from..to {
            assert!(wait::send(injector, &numbered(n, len(n)), LIMIT.into()).unwrap());
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        for n in from..to {
            let frame = sniffer.receive(LIMIT).unwrap();
            let frame = frame.unwrap_or_else(|| panic!("frame {n} did not come"));
            assert_eq!(frame, numbered(n, len(n)));
        }
    }
    assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
}

/// Checks that all committed frames were sent, and nothing else happened.
#[track_caller]
pub(crate) fn all_sent(injector: &mut Injector, count: u64) {
    let stats = injector.stats().unwrap();
    assert_eq!((stats.committed, stats.pending), (count, 0), "{stats}");
    let none = Count::Exact(0);
    assert_eq!(
        (stats.sent, stats.dropped, stats.rejected),
        (Count::Exact(count), none, none),
        "{stats}"
    );
}

/// With the default geometry, and with some whose slots do not divide their blocks, or cross pages.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s1_every_frame_is_on_the_wire_byte_for_byte_past_the_end_of_the_ring() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for mode in MODES {
        for (slots, slot, block) in [
            (64, 2048, 65_536),
            (64, 1584, 4096),
            (21, 1696, 12_288),
            (50, 3008, 65_536),
            (1, 2048, 4096),
        ] {
            let builder = builder(mode).slots(slots).slot_size(slot).block_size(block);
            let mut injector = builder.build().unwrap();
            let ring = injector.ring();
            assert_eq!(ring.slot_size, Some(slot));
            assert!(ring.slots().unwrap() >= slots);
            assert_eq!(injector.is_zero_copy(), mode == CopyMode::ZeroCopy);
            send_and_look(&mut injector, &sniffer, 500, |n| 60 + n as usize % 1455);
            all_sent(&mut injector, 500);
        }
    }
}

/// The kernel's own test: a frame that is written into the slot of one that was sent does not
/// change that one, although nobody has received it yet.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn txring_overwrite() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for mode in MODES {
        let builder = builder(mode).slots(1).slot_size(4096).block_size(4096);
        let mut injector = builder.build().unwrap();
        assert_eq!(injector.room().unwrap(), 1);
        for letter in *b"ab" {
            let mut slot = injector.slot(100).unwrap().unwrap();
            slot.copy_from_slice(&numbered(letter.into(), 100));
            slot[50..].fill(letter);
            slot.commit();
            assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        }
        for letter in *b"ab" {
            let mut expected = numbered(letter.into(), 100);
            expected[50..].fill(letter);
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(expected));
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s2_frames_leave_in_the_order_of_their_commits_and_a_dropped_slot_holds_up_none() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for mode in MODES {
        let mut injector = builder(mode).slots(32).build().unwrap();
        for round in 0..5 {
            for n in 0..63 {
                let mut slot = injector.slot(100).unwrap().unwrap();
                slot.copy_from_slice(&numbered(round * 64 + n, 100));
                if n % 2 == 0 {
                    slot.commit();
                }
            }
            assert_eq!(injector.drain(LIMIT).unwrap(), 0);
            for n in 0..32 {
                let frame = sniffer.receive(LIMIT).unwrap().unwrap();
                assert_eq!(number(&frame), Some(round * 64 + 2 * n));
            }
        }
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
        all_sent(&mut injector, 160);
    }
}

/// Nothing is truncated, neither in the ring nor at the limit; and frames behind a rejected one are
/// sent.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p20_a_frame_over_the_mtu_is_refused_and_nothing_of_it_is_on_the_wire() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for mode in MODES {
        let mut injector = builder(mode).build().unwrap();
        assert_eq!(injector.max_len(), 1518);
        let plain = |len| numbered(len as u64, len);
        let tagged = |len, kind: [u8; 2]| {
            let mut frame = numbered(len as u64, len);
            frame[12..14].copy_from_slice(&kind);
            frame
        };
        for (frame, max) in [
            (plain(1515), 1514),
            (plain(1518), 1514),
            (tagged(1518, [0x88, 0xa8]), 1514),
            (tagged(1519, [0x81, 0]), 1518),
        ] {
            let refused = injector.send(&frame).unwrap_err();
            let expected = (frame.len(), max);
            assert!(
                matches!(refused, Error::FrameLength { len, max } if (len, max) == expected),
                "{refused}"
            );
        }
        let short = injector.send(&[0; 13]).unwrap_err();
        assert!(short.to_string().contains("13 bytes"), "{short}");
        assert!(injector.slot(1519).is_err() && injector.slot(0).is_err());
        // Refused only when the slot is committed; the others are sent.
        let sent = [plain(1514), tagged(1518, [0x81, 0]), plain(60)];
        for frame in [
            &sent[0],
            &plain(1515),
            &sent[1],
            &tagged(1518, [8, 0]),
            &vec![1; 13],
            &sent[2],
        ] {
            let mut slot = injector.slot(frame.len()).unwrap().unwrap();
            slot.copy_from_slice(frame);
            slot.commit();
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        let stats = injector.stats().unwrap();
        assert_eq!((stats.committed, stats.refused, stats.pending), (6, 7, 0));
        assert_eq!(
            (stats.sent, stats.rejected),
            (Count::Exact(3), Count::Exact(3))
        );
        let rejected = injector.rejected();
        assert_eq!(
            (rejected.too_long, rejected.too_short, rejected.invalid),
            (2, 1, 0)
        );
        for frame in &sent {
            let received = sniffer.receive(LIMIT).unwrap().unwrap();
            // The kernel moves a tag out of the bytes of a plain socket.
            match frame[12..14] == [0x81, 0] {
                true => assert_eq!(received[..12], frame[..12]),
                false => assert_eq!(received, *frame),
            }
        }
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
    }
}

/// Including frames in the ring that fit when they were committed.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p19_frames_that_a_smaller_mtu_makes_too_long_are_rejected_and_the_others_go_out() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for mode in MODES {
        ip("link set v0 mtu 1500").unwrap();
        let mut injector = builder(mode).slots(64).build().unwrap();
        for n in 0..60 {
            let len = if n % 3 == 0 { 1514 } else { 1414 };
            assert!(injector.send(&numbered(n, len)).unwrap());
        }
        ip("link set v0 mtu 1400").unwrap();
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        for n in (0..60).filter(|n| n % 3 != 0) {
            let frame = sniffer.receive(LIMIT).unwrap().unwrap();
            assert_eq!(frame, numbered(n, 1414));
        }
        assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
        let stats = injector.stats().unwrap();
        assert_eq!(
            (stats.sent, stats.rejected),
            (Count::Exact(40), Count::Exact(20))
        );
        assert_eq!(injector.rejected().too_long, 20);
        assert_eq!(injector.max_len(), 1418);
        assert!(injector.send(&numbered(0, 1415)).is_err());
        // A larger MTU is noticed at once, even if nothing was sent since.
        ip("link set v0 mtu 1500").unwrap();
        assert!(injector.send(&numbered(1, 1514)).unwrap());
        assert!(injector.send(&numbered(1, 1515)).is_err());
        // An error that reveals a smaller MTU does not hide it from the frames that wait.
        ip("link set v0 mtu 1400").unwrap();
        assert!(injector.slot(1519).is_err());
        assert!(injector.send(&numbered(1, 60)).unwrap());
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        assert_eq!(injector.rejected().too_long, 21);
        ip("link set v0 mtu 1500").unwrap();
        assert!(injector.send(&numbered(2, 1514)).unwrap());
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(1, 60)));
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(2, 1514)));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_goes_down_and_up_again_sends_what_was_in_the_ring() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for (mode, bypass) in [(CopyMode::Copy, false), (CopyMode::ZeroCopy, true)] {
        // Our end, and the other one, whose loss takes the carrier with it.
        for end in ["v0", "v1"] {
            let sniffer = Sniffer::on("v1").unwrap();
            let mut injector = builder(mode).qdisc_bypass(bypass).build().unwrap();
            send_and_look(&mut injector, &sniffer, 50, |_| 200);
            drop(sniffer);
            ip(&format!("link set {end} down")).unwrap();
            until(|| !Interface::by_name("v0").unwrap().is_up());
            for n in 0..20 {
                assert!(injector.send(&numbered(n, 300)).unwrap());
                let report = injector.flush().unwrap_err();
                assert!(
                    matches!(&report, Error::LinkDown { interface, .. } if interface == "v0"),
                    "{report}"
                );
                assert!(!report.is_terminal());
            }
            assert_eq!(injector.pending().unwrap(), 20);
            ip(&format!("link set {end} up")).unwrap();
            until(|| {
                ["v0", "v1"]
                    .iter()
                    .all(|end| Interface::by_name(end).unwrap().is_up())
            });
            let sniffer = Sniffer::on("v1").unwrap();
            assert_eq!(injector.drain(LIMIT).unwrap(), 0);
            for n in 0..20 {
                assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 300)));
            }
            assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
            all_sent(&mut injector, 70);
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_is_removed_is_an_error_of_each_flush_and_nothing_counts_as_sent() {
    let _ns = Netns::enter().unwrap();
    for (mode, down_first) in [(CopyMode::Copy, false), (CopyMode::ZeroCopy, true)] {
        veth("v0", "v1").unwrap();
        let mut injector = builder(mode).slots(32).build().unwrap();
        assert!(injector.send(&numbered(0, 60)).unwrap());
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        if down_first {
            ip("link set v0 down").unwrap();
        }
        ip("link del v0").unwrap();
        assert_eq!(injector.flush().unwrap(), 0);
        for n in 0..40 {
            assert_eq!(injector.send(&numbered(n, 60)).unwrap(), n < 32);
            let removed = injector.flush().unwrap_err();
            assert!(
                matches!(&removed, Error::InterfaceRemoved { interface } if interface == "v0"),
                "{removed}"
            );
        }
        let error = injector.drain(LIMIT).unwrap_err();
        assert!(error.is_terminal());
        let stats = injector.stats().unwrap();
        assert_eq!((stats.sent, stats.pending), (Count::Exact(1), 32));
        assert_eq!(injector.discard(), 32);
        let stats = injector.stats().unwrap();
        assert_eq!((stats.dropped, stats.pending), (Count::Exact(32), 0));
    }
}

/// Waits until the condition holds, for changes that the kernel makes asynchronously.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !condition() {
        assert!(std::time::Instant::now() < end, "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
