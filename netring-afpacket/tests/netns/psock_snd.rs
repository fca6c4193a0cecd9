//! The kernel's own test `psock_snd`, row by row, over the loopback interface.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use netring_afpacket::{CopyMode, Injector, Segmentation};
use netring_sys::{Error, PacketSink, PacketSlot};
use xtask::netns::{Netns, ip};
use xtask::wire::{Sniffer, udp4};

use crate::inject::{LIMIT, MODES, SILENCE};

const MTU: usize = 1500;

/// A namespace whose loopback interface has an ordinary MTU.
fn enter() -> (Netns, Sniffer) {
    let ns = Netns::enter().unwrap();
    ip(&format!("link set lo mtu {MTU}")).unwrap();
    (ns, Sniffer::on("lo").unwrap())
}

fn injector(mode: CopyMode) -> Injector {
    Injector::builder("lo").copy_mode(mode).build().unwrap()
}

/// A frame of this length with all headers.
fn frame(len: usize) -> Vec<u8> {
    udp4(1, 2, &vec![0xa5; len - 42])
}

#[track_caller]
fn arrives(injector: &mut Injector, sniffer: &Sniffer, frame: &[u8]) {
    assert!(injector.send(frame).unwrap());
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    assert_eq!(sniffer.receive(LIMIT).unwrap().as_deref(), Some(frame));
}

#[track_caller]
fn is_refused(injector: &mut Injector, sniffer: &Sniffer, frame: &[u8]) {
    let refused = injector.send(frame).unwrap_err();
    assert!(!refused.is_terminal(), "{refused}");
    assert_eq!(injector.flush().unwrap(), 0);
    assert_eq!(sniffer.receive(SILENCE).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_and_raw_bind() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        arrives(&mut injector(mode), &sniffer, &frame(100));
    }
}

/// A plain socket of this host sees such frames only on the receiving side, as here.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_qdisc_bypass() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        let builder = Injector::builder("lo").copy_mode(mode);
        let mut injector = builder.qdisc_bypass(true).build().unwrap();
        arrives(&mut injector, &sniffer, &frame(100));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_vlan() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        let mut tagged = frame(100);
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        let mut injector = injector(mode);
        assert!(injector.send(&tagged).unwrap());
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        // The kernel moves the tag out of the bytes of a plain socket.
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(frame(100)));
    }
}

fn with_offloads(mode: CopyMode) -> Injector {
    let builder = Injector::builder("lo").copy_mode(mode);
    builder.offloads(true).build().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_vnet_hdr() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        arrives(&mut with_offloads(mode), &sniffer, &frame(100));
    }
}

/// On the loopback interface the checksum stays as submitted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_csum_off_and_bad_csum_offset() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        let (mut injector, frame) = (with_offloads(mode), frame(100));
        let mut slot = injector.slot(100).unwrap().unwrap();
        slot.copy_from_slice(&frame);
        for (start, offset) in [(34, 65), (99, 0), (100, 0), (34, 0xffff), (usize::MAX, 2)] {
            let refused = slot.request_checksum(start, offset).unwrap_err();
            assert!(matches!(
                refused,
                Error::Request {
                    request: "checksum",
                    ..
                }
            ));
        }
        slot.request_checksum(34, 6).unwrap();
        slot.commit();
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(frame));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_min_size_mtu_size_and_one_more() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        let mut injector = injector(mode);
        arrives(&mut injector, &sniffer, &frame(42));
        arrives(&mut injector, &sniffer, &frame(MTU + 14));
        is_refused(&mut injector, &sniffer, &frame(MTU + 15));
    }
}

/// The allowance of four bytes for a tag applies to Ethernet only, not to the loopback interface.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_vlan_mtu_size_and_one_more() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        let mut injector = injector(mode);
        for len in [MTU + 14, MTU + 15] {
            let mut tagged = frame(len);
            tagged.splice(12..12, [0x81, 0, 0, 5]);
            is_refused(&mut injector, &sniffer, &tagged);
        }
    }
}

/// Shorter than the link layer header: by `send`, and committed as a slot.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_truncated_header() {
    let (_ns, sniffer) = enter();
    for mode in MODES {
        for mut injector in [injector(mode), with_offloads(mode)] {
            for len in [1, 10, 13] {
                is_refused(&mut injector, &sniffer, &frame(60)[..len]);
                injector.slot(len).unwrap().unwrap().commit();
            }
            is_refused(&mut injector, &sniffer, &[]);
            assert_eq!(injector.rejected().too_short, 3);
            arrives(&mut injector, &sniffer, &frame(60)[..14]);
        }
    }
}

/// A frame of at least two segments, and at most the longest IP packet. The loopback interface
/// segments only the longer one, which exceeds its `gso_max_size`.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_snd_raw_gso_min_max_and_one_more() {
    const SEGMENT: usize = MTU - 28;
    let (_ns, sniffer) = enter();
    for mode in MODES {
        let mut injector = with_offloads(mode);
        for len in [42 + SEGMENT + 1, 14 + 65_535] {
            let frame = frame(len);
            let mut slot = injector.slot(len).unwrap().unwrap();
            slot.copy_from_slice(&frame);
            slot.request_checksum(34, 6).unwrap();
            slot.request_segmentation(Segmentation::Udp, 42, SEGMENT)
                .unwrap();
            slot.commit();
            assert_eq!(injector.drain(LIMIT).unwrap(), 0);
            let mut payload = Vec::new();
            while payload.len() < len - 42 {
                let part = sniffer.receive(LIMIT).unwrap().unwrap();
                assert!(part == frame || part.len() <= MTU + 14, "{}", part.len());
                payload.extend_from_slice(&part[42..]);
            }
            assert_eq!(payload, frame[42..]);
        }
        // One segment is not segmented.
        let mut slot = injector.slot(42 + SEGMENT).unwrap().unwrap();
        slot.request_checksum(34, 6).unwrap();
        assert!(
            slot.request_segmentation(Segmentation::Udp, 42, SEGMENT)
                .is_err()
        );
        assert!(
            slot.request_segmentation(Segmentation::Udp, 42, SEGMENT + 1)
                .is_err()
        );
        // Longer than the longest IP packet.
        assert_eq!(injector.max_len(), 14 + 65_535);
        assert!(injector.slot(14 + 65_536).is_err());
    }
}
