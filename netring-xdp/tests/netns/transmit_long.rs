//! Frames longer than a chunk, written in slots: what is refused, what is counted, and a ring
//! without room for a whole frame. Also runs in a user namespace, where 8 MiB of memory may be
//! locked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::time::Duration;

use common::*;
use netring_sys::{Count, Error, Interface, PacketSink, PacketSlot, wait};
use netring_xdp::{Umem, XdpInjector, XdpSocket};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sniffer, numbered, tai};

fn jumbo() -> Sniffer {
    veth("v0", "v1").unwrap();
    for end in ["v0", "v1"] {
        ip(&format!("link set dev {end} mtu 9000")).unwrap();
    }
    Sniffer::on("v1").unwrap()
}

fn long(entries: u32) -> XdpInjector {
    XdpInjector::builder("v0")
        .transmit_ring(ring(entries))
        .multi_buffer(true)
        .build()
        .unwrap()
}

/// A frame whose every byte differs from its neighbours.
fn of(n: u64, len: usize) -> Vec<u8> {
    let mut frame = numbered(n, len);
    for (at, byte) in frame.iter_mut().enumerate().skip(50) {
        *byte = (at * 7 + at / 256 + n as usize) as u8;
    }
    frame
}

fn comes(sniffer: &Sniffer, frames: impl IntoIterator<Item = Vec<u8>>) {
    for frame in frames {
        let came = sniffer.receive(LIMIT).unwrap();
        assert!(
            came.as_ref() == Some(&frame),
            "{} bytes: {:?}",
            frame.len(),
            came.map(|came| came.len())
        );
    }
    assert_eq!(sniffer.receive(Duration::from_millis(20)).unwrap(), None);
}

fn set_up(end: &str, up: bool) {
    ip(&format!(
        "link set {end} {}",
        if up { "up" } else { "down" }
    ))
    .unwrap();
    let is_up =
        || Interface::by_name("v0").unwrap().is_up() && Interface::by_name("v1").unwrap().is_up();
    while is_up() != up {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_longest_frame_is_what_the_injector_says_and_no_longer() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    let sniffer = jumbo();
    ip("link set dev v0 mtu 65535").unwrap();
    ip("link set dev v1 mtu 65535").unwrap();
    for (entries, max) in [(64, 18 * 2048), (16, 16 * 2048), (4, 4 * 2048), (1, 2048)] {
        let mut injector = long(entries);
        assert_eq!(injector.max_len(), max);
        for len in [0, max + 1, usize::MAX] {
            let refused = injector.slot(len).map(drop).unwrap_err();
            let Error::FrameLength {
                len: reported,
                max: most,
            } = refused
            else {
                panic!("{refused}")
            };
            assert_eq!((reported, most), (len, max));
        }
        assert!(injector.send(&of(1, max)).unwrap());
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        comes(&sniffer, [of(1, max)]);
        let stats = injector.stats().unwrap();
        assert_eq!(
            (stats.committed, stats.sent, stats.refused),
            (1, Count::Exact(1), 3)
        );
    }
    // Multi-buffer is off unless requested; and a frame has no more chunks than exist.
    assert_eq!(injector(64).max_len(), 2048);
    Umem::scope(&small(), |umem| {
        let builder = XdpSocket::builder("v0", 0).transmit_ring(ring(64));
        let tx = builder
            .multi_buffer(true)
            .transmit_chunks(3)
            .open_transmitter(umem)?;
        assert_eq!(tx.max_len(), 3 * 2048);
        Ok(())
    })
    .unwrap();
}

/// While the link is down the ring stays full: a long frame for which there is not enough room is
/// not begun, and a short one is accepted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x14_a_ring_without_room_for_all_of_a_frame_takes_none_of_it() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    let sniffer = jumbo();
    let mut injector = long(8);
    for n in 0..20 {
        assert!(wait::send(&mut injector, &of(n, 5000), Some(LIMIT)).unwrap());
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        comes(&sniffer, [of(n, 5000)]);
    }
    set_up("v0", false);
    // Three chunks each, of eight.
    assert!(injector.send(&of(20, 5000)).unwrap());
    assert!(injector.send(&of(21, 5000)).unwrap());
    assert_eq!(injector.room().unwrap(), 2);
    for _ in 0..3 {
        assert!(!injector.send(&of(99, 5000)).unwrap());
        assert!(injector.slot(4097).unwrap().is_none());
        assert!(injector.flush().is_err());
        let stats = injector.stats().unwrap();
        // The figures count frames, not chunks; and what was sent stays sent.
        assert_eq!((stats.committed, stats.pending), (22, 2), "{stats}");
        assert_eq!((stats.sent, stats.refused), (Count::Exact(20), 0));
        assert_eq!(injector.census().total(), 8 + 64);
    }
    assert!(injector.send(&of(22, 4096)).unwrap(), "two chunks do fit");
    assert_eq!(
        (injector.room().unwrap(), injector.pending().unwrap()),
        (0, 3)
    );
    assert!(injector.slot(1).unwrap().is_none());
    let sniffer = {
        drop(sniffer);
        set_up("v0", true);
        Sniffer::on("v1").unwrap()
    };
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    comes(&sniffer, [of(20, 5000), of(21, 5000), of(22, 4096)]);
    let stats = injector.stats().unwrap();
    assert_eq!(
        (stats.committed, stats.sent, stats.pending),
        (23, Count::Exact(23), 0)
    );
    assert_eq!(injector.census().total(), 8 + 64);
}

/// A slot dropped between others, long or short, and after it was written: none of it is sent, and
/// it delays no other frame.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s2_a_long_slot_that_is_dropped_sends_nothing() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    let sniffer = jumbo();
    let mut injector = long(64);
    for round in 0..20 {
        let sent = [of(round, 60), of(round, 9000), of(round, 2049)];
        for frame in &sent {
            for len in [9000, 3000, 100] {
                let mut slot = injector.slot(len).unwrap().unwrap();
                assert_eq!(slot.len(), len);
                slot.fill(0xee);
            }
            let mut slot = injector.slot(frame.len()).unwrap().unwrap();
            slot.copy_from_slice(frame);
            assert_eq!(*slot, **frame);
            slot.commit();
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        comes(&sniffer, sent);
    }
    let stats = injector.stats().unwrap();
    assert_eq!((stats.committed, stats.sent), (60, Count::Exact(60)));
    assert_eq!(injector.census().total(), 128);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_timestamp_of_a_long_frame_comes_once_and_its_checksum_is_not_made_of_a_part() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    let sniffer = jumbo();
    for software in [false, true] {
        let mut injector = XdpInjector::builder("v0")
            .transmit_ring(ring(64))
            .multi_buffer(true)
            .transmit_metadata(true)
            .software_checksum(software)
            .build()
            .unwrap();
        assert_eq!(injector.max_len(), 18 * 2024);
        let before = tai().unwrap();
        for n in 0..10 {
            let frame = of(n, 1000 + 800 * n as usize);
            let mut slot = injector.slot(frame.len()).unwrap().unwrap();
            let asked = slot
                .request_checksum(34, 6)
                .map_err(|error| error.to_string());
            assert_eq!(asked.is_ok(), !software || frame.len() <= 2024, "{asked:?}");
            // The checksum has to be in the first chunk.
            assert!(slot.request_checksum(2023, 0).is_err());
            drop(slot);
            let mut slot = injector.slot(frame.len()).unwrap().unwrap();
            slot.copy_from_slice(&frame);
            slot.request_timestamp(n).unwrap();
            slot.commit();
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        comes(&sniffer, (0..10).map(|n| of(n, 1000 + 800 * n as usize)));
        let after = tai().unwrap();
        let came: Vec<_> = injector.transmit_timestamps().collect();
        assert_eq!(
            came.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            (0..10).collect::<Vec<_>>()
        );
        assert!(
            came.iter()
                .all(|(_, time)| (before..=after).contains(&time.as_nanos()))
        );
        assert_eq!(injector.census().total(), 128);
    }
}

/// The kernel completes a frame once all of it is sent, and reserves room for that: a frame with
/// more chunks than the completion ring has entries would never be completed.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_frame_is_no_longer_than_its_completion_ring() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    let sniffer = jumbo();
    Umem::scope(&small(), |umem| {
        let builder = XdpSocket::builder("v0", 0).transmit_ring(ring(64));
        let builder = builder.transmit_chunks(64).multi_buffer(true);
        let first = builder.clone().completion_ring(ring(2));
        let mut first = first.open_transmitter(umem)?;
        // Its frames complete in the ring of the first socket.
        let second = builder.open_transmitter(umem)?;
        assert_eq!((first.max_len(), second.max_len()), (2 * 2048, 2 * 2048));
        drop(second);
        assert!(first.send_frame(&of(1, 4096)));
        assert!(first.send_frame(&of(2, 3000)));
        assert_eq!(first.drain(LIMIT)?, 0);
        comes(&sniffer, [of(1, 4096), of(2, 3000)]);
        let mut chunks: Vec<_> = std::iter::from_fn(|| first.take()).take(3).collect();
        let refused = first.send_chain(&mut chunks).unwrap_err();
        assert!(matches!(refused, Error::FramePieces { count: 3, max: 2 }));
        Ok(())
    })
    .unwrap();
}
