//! Packet memory, rings and sending, without a program. Also runs in a user namespace, where 8 MiB
//! of memory may be locked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use netring_sys::{Count, Error, PacketSink, PacketSlot, wait};
use netring_xdp::{NotSent, Umem, UmemConfig, XdpInjector, XdpSocket};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sniffer, number, numbered};

/// Sends frames with these numbers in groups that the sniffer's socket can hold, and checks each on
/// the other side.
fn send_and_look(
    injector: &mut XdpInjector,
    sniffer: &Sniffer,
    count: u64,
    len: impl Fn(u64) -> usize,
) {
    for from in (0..count).step_by(50) {
        let to = count.min(from + 50);
        for n in from..to {
            assert!(wait::send(injector, &numbered(n, len(n)), Some(LIMIT)).unwrap());
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        for n in from..to {
            let frame = sniffer.receive(LIMIT).unwrap();
            assert_eq!(
                frame.unwrap_or_else(|| panic!("frame {n} did not come")),
                numbered(n, len(n))
            );
        }
    }
    assert_eq!(sniffer.receive(Duration::from_millis(20)).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s1_every_frame_is_on_the_wire_byte_for_byte_past_the_end_of_the_ring() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let mut injector = injector(64);
    send_and_look(&mut injector, &sniffer, 1000, |n| 60 + n as usize % 1454);
    let stats = injector.stats().unwrap();
    assert_eq!((stats.committed, stats.pending), (1000, 0));
    assert_eq!(
        (stats.sent, stats.dropped, stats.rejected),
        (Count::Exact(1000), Count::Exact(0), Count::Exact(0))
    );
    assert_eq!(injector.census().total(), 64 + 64);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s2_a_slot_that_is_dropped_is_not_sent_and_holds_nobody_up() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let mut injector = injector(64);
    for n in 0..40 {
        let mut slot = injector.slot(100).unwrap().unwrap();
        slot.copy_from_slice(&numbered(n, 100));
        if n % 2 == 0 {
            slot.commit();
        }
    }
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    for n in 0..20 {
        let frame = sniffer.receive(LIMIT).unwrap().unwrap();
        assert_eq!(number(&frame), Some(2 * n));
    }
    assert_eq!(sniffer.receive(Duration::from_millis(20)).unwrap(), None);
    assert_eq!(injector.census().total(), 128);
}

/// Two thousand frames, of which the kernel sends 32 in one call: all of them are sent, and no call
/// is wasted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x5_a_full_ring_is_drained_by_repeated_kicks() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let received = || {
        netring_sys::Interface::by_name("v1")
            .unwrap()
            .counters
            .rx_packets
    };
    for (budget, kicks) in [(Some(32), 64..=65), (None, 1..=2)] {
        let mut builder = XdpInjector::builder("v0");
        if let Some(budget) = budget {
            builder = builder.transmit_budget(budget);
        }
        let mut injector = builder.build().unwrap();
        let before = received();
        for n in 0..2048 {
            assert!(injector.send(&numbered(n, 64)).unwrap(), "frame {n}");
        }
        assert!(
            !injector.send(&numbered(0, 64)).unwrap(),
            "the ring is full"
        );
        assert_eq!(injector.flush().unwrap(), 0);
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        assert_eq!(received() - before, 2048);
        assert!(
            kicks.contains(&injector.kicks()),
            "{} calls",
            injector.kicks()
        );
        assert_eq!(injector.stats().unwrap().sent, Count::Exact(2048));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x4_what_the_kernel_would_not_complete_is_refused_and_comes_back() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    Umem::scope(&small(), |umem| {
        let mut tx = XdpSocket::builder("v0", 0)
            .transmit_ring(ring(16))
            .open_transmitter(umem)?;
        let mut chunk = tx.take().unwrap();
        // Across the end, behind the end, empty: refused, and nothing changes.
        for range in [0..2049, 2048..2049, 2000..2000, 9000..9064, 0..usize::MAX] {
            let refused = chunk.set_range(range.clone()).unwrap_err();
            assert!(
                matches!(refused, Error::FrameLength { max: 2048, .. }),
                "{range:?}"
            );
            assert_eq!(chunk.range(), 0..2048);
        }
        assert!(chunk.set_len(9001).is_err());
        // Up to the end is fine.
        chunk.set_range(2048 - 64..2048).unwrap();
        chunk.copy_from_slice(&numbered(7, 64));
        tx.send(chunk).unwrap();
        assert_eq!(tx.drain(LIMIT)?, 0);
        assert_eq!(sniffer.receive(LIMIT)?.unwrap(), numbered(7, 64));
        for len in [0, 2049] {
            let refused = tx.slot(len).map(|_| ()).unwrap_err();
            assert!(matches!(refused, Error::FrameLength { max: 2048, .. }));
            assert!(!refused.is_terminal());
        }
        // A full ring returns the chunk.
        let mut held: Vec<_> = (0..16).map(|_| tx.take().unwrap()).collect();
        for mut chunk in held.drain(..) {
            chunk.set_len(64).unwrap();
            tx.send(chunk).unwrap();
        }
        conserved(umem);
        tx.flush()?;
        tx.drain(LIMIT)?;
        let mut first = tx.take().unwrap();
        first.set_len(64).unwrap();
        conserved(umem);
        let Ok(()) = tx.send(first) else {
            panic!("there is room")
        };
        conserved(umem);
        drop(tx.take());
        conserved(umem);
        let stats = tx.stats()?;
        assert_eq!(
            (stats.committed, stats.refused, stats.rejected),
            (18, 2, Count::Exact(0))
        );
        Ok(())
    })
    .unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_chunk_that_finds_no_room_comes_back() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    Umem::scope(&small(), |umem| {
        let builder = XdpSocket::builder("v0", 0)
            .transmit_ring(ring(2))
            .transmit_chunks(4);
        let mut tx = builder.open_transmitter(umem)?;
        let mut held: Vec<_> = (0..4).map(|_| tx.take().unwrap()).collect();
        assert!(tx.take().is_none());
        for _ in 0..2 {
            tx.send(held.remove(0)).unwrap();
        }
        let Err(NotSent::Full(back)) = tx.send(held.remove(0)) else {
            panic!("the ring has two entries")
        };
        assert_eq!((back.len(), umem.census().user), (2048, 2));
        drop(back);
        conserved(umem);
        drop(held);
        assert_eq!((umem.census().user, umem.census().transmit), (0, 2));
        conserved(umem);
        // The frames are longer than the MTU: the kernel either drops or sends them, and completes
        // them in both cases.
        assert_eq!(tx.drain(LIMIT)?, 0);
        conserved(umem);
        Ok(())
    })
    .unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x8_a_drain_over_a_link_that_is_down_says_so_and_what_is_in_the_ring_goes_out_later() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let mut injector = injector(64);
    ip("link set v0 down").unwrap();
    for n in 0..10 {
        assert!(injector.send(&numbered(n, 64)).unwrap());
    }
    let down = injector.drain(Duration::from_millis(50)).unwrap_err();
    assert!(
        matches!(&down, Error::LinkDown { interface, .. } if interface == "v0"),
        "{down}"
    );
    assert_eq!(injector.stats().unwrap().pending, 10);
    assert_eq!(injector.census().total(), 128);
    ip("link set v0 up").unwrap();
    let up = |end| netring_sys::Interface::by_name(end).unwrap().is_up();
    while !(up("v0") && up("v1")) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let sniffer = Sniffer::on("v1").unwrap();
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    sniff_numbered(&sniffer, 10, 64);
    ip("link del v0").unwrap();
    assert!(injector.send(&numbered(0, 64)).unwrap());
    let gone = injector.flush().unwrap_err();
    assert!(matches!(gone, Error::InterfaceRemoved { .. }), "{gone}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn rings_of_one_entry_and_of_many() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for entries in [1, 2, 1024] {
        let config = UmemConfig::new().chunks(2048);
        Umem::scope(&config, |umem| {
            let builder = XdpSocket::builder("v0", 0)
                .transmit_ring(ring(entries))
                .completion_ring(ring(entries));
            let mut tx = builder.open_transmitter(umem)?;
            for n in 0..40 {
                assert!(wait::send(&mut tx, &numbered(n, 70), Some(LIMIT))?);
            }
            assert_eq!(tx.drain(LIMIT)?, 0);
            sniff_numbered(&sniffer, 40, 70);
            conserved(umem);
            Ok(())
        })
        .unwrap();
    }
    // The completion ring is smaller than the transmit ring: the kernel waits for room in it, and
    // so does the flush.
    Umem::scope(&small(), |umem| {
        let builder = XdpSocket::builder("v0", 0)
            .transmit_ring(ring(64))
            .completion_ring(ring(4));
        let mut tx = builder.open_transmitter(umem)?;
        for n in 0..50 {
            assert!(tx.send_frame(&numbered(n, 70)));
        }
        assert_eq!(tx.drain(LIMIT)?, 0);
        sniff_numbered(&sniffer, 50, 70);
        conserved(umem);
        Ok(())
    })
    .unwrap();
}

/// Two interfaces over one packet memory, from two threads: each frame leaves by the right
/// interface, and every chunk is there afterwards.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn one_umem_for_two_interfaces_and_two_threads() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let sniffers = ["v1", "w1"].map(|name| Sniffer::on(name).unwrap());
    Umem::scope(&small(), |umem| {
        let open = |name| {
            XdpSocket::builder(name, 0)
                .transmit_ring(ring(64))
                .open_transmitter(umem)
        };
        let mut senders = [open("v0")?, open("w0")?];
        std::thread::scope(|scope| {
            for (tx, first) in senders.iter_mut().zip([0, 100]) {
                scope.spawn(move || {
                    for n in first..first + 50 {
                        assert!(wait::send(tx, &numbered(n, 80), Some(LIMIT)).unwrap());
                    }
                    assert_eq!(tx.drain(LIMIT).unwrap(), 0);
                });
            }
        });
        for (sniffer, first) in sniffers.iter().zip([0, 100]) {
            let got: Vec<_> = (0..50)
                .map(|_| sniffer.receive(LIMIT).unwrap().unwrap())
                .collect();
            let sent: Vec<_> = (first..first + 50).map(|n| numbered(n, 80)).collect();
            assert_eq!(got, sent);
        }
        conserved(umem);
        // A chunk of one half is sent by the other, and returns to its owner.
        let [v, w] = &mut senders;
        let mut chunk = v.take().unwrap();
        chunk.set_len(64).unwrap();
        chunk.copy_from_slice(&numbered(9, 64));
        w.send(chunk).unwrap();
        assert_eq!(w.drain(LIMIT)?, 0);
        assert_eq!(sniffers[1].receive(LIMIT)?.unwrap(), numbered(9, 64));
        conserved(umem);
        let held: Vec<_> = std::iter::from_fn(|| v.take()).collect();
        let all: BTreeSet<_> = held.iter().map(|chunk| chunk.as_ptr().addr()).collect();
        assert_eq!(all.len(), 64, "all of its own are home, each once");
        Ok(())
    })
    .unwrap();
}

/// A ring that is still mapped would keep the socket open, and the queue busy, for as long as the
/// UMEM lives.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_closed_socket_frees_its_queue_while_its_umem_lives() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    Umem::scope(&small(), |umem| {
        for n in 1..=20 {
            let builder = XdpSocket::builder("v0", 0)
                .transmit_ring(ring(16))
                .receive_ring(ring(16));
            let (rx, mut tx) = builder.open(umem)?.split();
            assert!(tx.send_frame(&numbered(n, 64)));
            drop((rx, tx));
            // Its fill ring held 16, its transmit ring one.
            let census = umem.census();
            assert_eq!(census.closed, 17 * n as u32, "{census}");
            conserved(umem);
        }
        Ok(())
    })
    .unwrap();
}
