//! Rows of the kernel's own test of AF_XDP, `xskxceiver`, under its names: traffic, waiting, rings,
//! and sockets that come and go.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;
use crate::rows;

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use common::pair::{BURST, Ends, Way, comes, exchange, frame, put, received_all, sent_all, silent};
use common::{LIMIT, conserved, ring, small};
use netring_sys::syscall::{ethtool_rings, netlink_socket, poll_writable, set_ethtool_rings};
use netring_sys::{Error, PacketSink};
use netring_xdp::program::Program;
use netring_xdp::{CopyMode, Umem, UmemConfig, XdpSocket};
use xtask::netns::{Netns, veth};

rows! {
    send_receive,
    send_receive_2k_frame,
    send_receive_single_pkt,
    send_receive_unaligned,
    poll_rx,
    poll_tx,
    poll_rxq_full,
    poll_txq_full,
    umem_headroom,
    bidirectional,
    tx_queue_consumer,
    hw_sw_min_ring_size,
    hw_sw_max_ring_size,
    teardown,
}

/// As many packets as the kernel's own test sends.
const PACKETS: u64 = 4096;

fn traffic(way: Way, memory: UmemConfig, packets: u64) {
    Ends::new(way).memory(memory).run(|wire| {
        wire.carries(0, packets, 64);
        wire.settled(packets, packets);
        let counters = wire.attachment.counters(0).unwrap().unwrap();
        assert_eq!((counters.redirected, counters.missed), (packets, 0));
    });
}

fn send_receive(way: Way) {
    traffic(way, small().chunk_size(4096), PACKETS);
}

fn send_receive_2k_frame(way: Way) {
    traffic(way, small().chunk_size(2048), PACKETS);
}

fn send_receive_single_pkt(way: Way) {
    traffic(way, small(), 1);
}

/// Chunks of an odd size; packets start at odd offsets in them, and end where they end.
fn send_receive_unaligned(way: Way) {
    for chunk_size in [4096, 4001] {
        let ends = Ends::new(way).memory(small().chunk_size(chunk_size).unaligned(true));
        if chunk_size == 4096 {
            way.wire(1500);
        }
        ends.run_again(|wire| {
            wire.carries(0, PACKETS / 2, 64);
            let end = chunk_size as usize;
            for (n, start) in [1, 63, 2047, 4000 - 1514, end - 64].into_iter().enumerate() {
                let frame = frame(n as u64, (end - start).min(1514));
                let mut chunk = wire.tx.take().unwrap();
                chunk.set_range(start..start + frame.len()).unwrap();
                chunk.copy_from_slice(&frame);
                wire.tx.send(chunk).unwrap();
                wire.tx.flush().unwrap();
                comes(&mut wire.rx, &[frame]);
            }
            wire.settled(PACKETS / 2 + 5, PACKETS / 2 + 5);
        });
    }
}

/// A receiver that sleeps is woken by each packet.
fn poll_rx(way: Way) {
    Ends::new(way).run(|wire| {
        let (tx, rx) = (&mut wire.tx, &mut wire.rx);
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..20 {
                    thread::sleep(Duration::from_millis(2));
                    assert!(put(tx, &frame(n, 64)));
                    assert_eq!(tx.flush().unwrap(), 0);
                }
            });
            let mut next = 0;
            while next < 20 {
                assert!(rx.wait(LIMIT).unwrap());
                // One at a time, unless this thread did not run in between.
                for packet in &rx.receive() {
                    assert!(packet == frame(next, 64));
                    next += 1;
                }
            }
        });
        wire.settled(20, 20);
    });
}

/// A sender waits for room before each packet, and sends them all.
fn poll_tx(way: Way) {
    Ends::new(way).run(|wire| {
        for burst in 0..PACKETS / 64 {
            let frames: Vec<_> = (0..64).map(|n| frame(64 * burst + n, 64)).collect();
            for frame in &frames {
                assert!(poll_writable(wire.tx.as_fd(), Some(LIMIT)).unwrap());
                assert!(put(&mut wire.tx, frame));
            }
            wire.tx.flush().unwrap();
            comes(&mut wire.rx, &frames);
        }
        assert_eq!(wire.tx.drain(LIMIT).unwrap(), 0);
        wire.settled(PACKETS, PACKETS);
    });
}

/// Nobody sends: the wait ends at its timeout.
fn poll_rxq_full(way: Way) {
    Ends::new(way).run(|wire| {
        let start = Instant::now();
        let time = Duration::from_millis(50);
        assert!(!wire.rx.wait(time).unwrap());
        assert!(start.elapsed() >= time);
        // And the wire still works.
        wire.carries(0, 1, 64);
        wire.settled(1, 1);
    });
}

/// The transmit ring is full and does not drain, because the completion ring is full too: the wait
/// ends at its timeout, and nothing is lost. (The completion ring belongs to the queue's first
/// socket, which is not served.)
fn poll_txq_full(way: Way) {
    way.wire(1500);
    Umem::scope(&small(), |from| {
        Umem::scope(&small(), |to| {
            let socket = way.socket("v0").transmit_ring(ring(64));
            let mut first = socket.open_transmitter(from)?;
            let mut tx = socket.transmit_chunks(128).open_transmitter(from)?;
            let mut rx = way.socket("v1").open_receiver(to)?;
            let _attached = way.attach("v1", Program::redirect().queues(1).load()?, &rx);
            let frames: Vec<_> = (0..128).map(|n| frame(n, 64)).collect();
            let (sent, stuck) = frames.split_at(64);
            assert!(sent.iter().all(|frame| put(&mut tx, frame)));
            assert_eq!(tx.flush()?, 0);
            comes(&mut rx, sent);

            assert!(stuck.iter().all(|frame| put(&mut tx, frame)));
            assert_eq!(tx.flush()?, 64);
            let census = from.census();
            assert_eq!((census.completion, census.transmit), (64, 64), "{census}");
            let (start, time) = (Instant::now(), Duration::from_millis(50));
            assert!(!poll_writable(tx.as_fd(), Some(time))?);
            assert!(start.elapsed() >= time);
            assert!(!put(&mut tx, &frame(0, 64)));
            silent(&mut rx);

            // Once it is served, they are sent.
            first.flush()?;
            assert_eq!(tx.flush()?, 0);
            comes(&mut rx, stuck);
            silent(&mut rx);
            received_all(&rx, 128);
            conserved(from);
            conserved(to);
            Ok(())
        })
    })
    .unwrap();
}

/// With headroom in front of each packet, the longest that fits arrives, and one byte more does
/// not.
fn umem_headroom(way: Way) {
    let mut ends = Ends::new(way);
    ends.mtu = 3000;
    ends.sender_memory = small().chunk_size(4096);
    ends.receiver_memory = small().headroom(128);
    ends.run(|wire| {
        wire.carries(0, PACKETS, 64);
        assert_eq!(wire.receiver_memory.payload(), 2048 - 256 - 128);
        for n in 0..BURST as u64 {
            let len = 2048 - 256 - 128 + usize::from(n % 2 == 1);
            assert!(put(&mut wire.tx, &frame(n, len)));
        }
        wire.tx.flush().unwrap();
        let mut next = 0;
        while next < BURST as u64 {
            wire.rx.wait(LIMIT).unwrap();
            let mut received = wire.rx.receive();
            while let Some(mut chunk) = received.take() {
                assert_eq!(chunk.range(), 256 + 128..2048);
                assert!(*chunk == frame(next, 2048 - 256 - 128));
                // The headroom belongs to the user.
                chunk.set_range(256..2048).unwrap();
                next += 2;
            }
        }
        assert_eq!(wire.tx.drain(LIMIT).unwrap(), 0);
        silent(&mut wire.rx);
        let (sent, received) = (PACKETS + BURST as u64, PACKETS + BURST as u64 / 2);
        sent_all(&mut wire.tx, sent);
        let stats = wire.rx.stats().unwrap();
        assert_eq!(
            (stats.delivered, stats.no_chunk),
            (received, sent - received)
        );
    });
}

/// One socket at each end, first one way, then the other, then both at once.
fn bidirectional(way: Way) {
    way.wire(1500);
    Umem::scope(&small(), |left| {
        Umem::scope(&small(), |right| {
            let (mut rx0, mut tx0) = way.socket("v0").open(left)?.split();
            let (mut rx1, mut tx1) = way.socket("v1").open(right)?.split();
            let program = || Program::redirect().queues(1).load();
            let _at0 = way.attach("v0", program()?, &rx0);
            let _at1 = way.attach("v1", program()?, &rx1);
            let frames =
                |from: u64| (from..from + 1024).map(|n| (frame(n, 64), Some(frame(n, 64))));
            exchange(&mut tx0, &mut rx1, frames(0));
            exchange(&mut tx1, &mut rx0, frames(5000));
            thread::scope(|scope| {
                scope.spawn(|| exchange(&mut tx0, &mut rx1, frames(10_000)));
                exchange(&mut tx1, &mut rx0, frames(20_000));
            });
            sent_all(&mut tx0, 2048);
            sent_all(&mut tx1, 2048);
            received_all(&rx0, 2048);
            received_all(&rx1, 2048);
            conserved(left);
            conserved(right);
            Ok(())
        })
    })
    .unwrap();
}

/// In copy mode one call sends as many packets as the budget has.
fn tx_queue_consumer(way: Way) {
    for (budget, kicks) in [(Some(32), 2), (None, 1)] {
        let mut ends = Ends::new(way);
        if let Some(budget) = budget {
            ends.sender = ends.sender.transmit_budget(budget);
            way.wire(1500);
        }
        ends.run_again(|wire| {
            wire.carries(0, 33, 64);
            wire.settled(33, 33);
            assert_eq!(wire.tx.kicks(), kicks);
        });
    }
}

/// Rings of one entry: packets go one by one, and nothing is lost as long as there is a chunk.
fn hw_sw_min_ring_size(way: Way) {
    let mut ends = Ends::new(way);
    let one = ring(1);
    ends.sender = ends.sender.transmit_ring(one).completion_ring(one);
    ends.receiver = ends.receiver.receive_ring(one).fill_ring(one);
    ends.run(|wire| {
        for n in 0..1000 {
            assert!(put(&mut wire.tx, &frame(n, 64)));
            assert!(!put(&mut wire.tx, &frame(n, 64)));
            assert_eq!(wire.tx.drain(LIMIT).unwrap(), 0);
            comes(&mut wire.rx, &[frame(n, 64)]);
        }
        silent(&mut wire.rx);
        wire.settled(1000, 1000);
    });
}

/// Rings of 16384 entries, each of them full at once.
fn hw_sw_max_ring_size(way: Way) {
    const ENTRIES: u32 = 16_384;
    let mut ends = Ends::new(way).memory(UmemConfig::new().chunks(ENTRIES));
    ends.sender = ends.sender.transmit_ring(ring(ENTRIES));
    ends.receiver = ends.receiver.receive_ring(ring(ENTRIES));
    ends.run(|wire| {
        for round in 0..2 {
            let first = u64::from(round * ENTRIES);
            for n in first..first + u64::from(ENTRIES) {
                assert!(put(&mut wire.tx, &frame(n, 64)));
                if n % BURST as u64 == BURST as u64 - 1 {
                    assert_eq!(wire.tx.flush().unwrap(), 0);
                    arrived(wire.receiver_memory, (n - first) as u32 + 1);
                }
            }
            let census = wire.receiver_memory.census();
            assert_eq!((census.receive, census.fill), (ENTRIES, 0), "{census}");
            let frames: Vec<_> = (first..first + u64::from(ENTRIES))
                .map(|n| frame(n, 64))
                .collect();
            comes(&mut wire.rx, &frames);
        }
        assert_eq!(wire.tx.drain(LIMIT).unwrap(), 0);
        wire.settled(2 * u64::from(ENTRIES), 2 * u64::from(ENTRIES));
    });
}

/// Checks that this many packets are in the receive ring.
fn arrived(memory: Umem<'_>, packets: u32) {
    xtask::load::wait_until("packets in the receive ring", LIMIT, || {
        memory.census().receive == packets
    });
}

/// Everything is created, used and closed ten times.
fn teardown(way: Way) {
    way.wire(1500);
    for _ in 0..10 {
        Ends::new(way).run_again(|wire| {
            wire.carries(0, 256, 64);
            wire.settled(256, 256);
        });
    }
}

/// The third mode of the kernel's test: veth does not support it, and the error says so.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn zero_copy_is_refused() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    const EOPNOTSUPP: i32 = 95;
    Umem::scope(&small(), |memory| {
        let error = XdpSocket::builder("v0", 0)
            .copy_mode(CopyMode::ZeroCopy)
            .open(memory)
            .unwrap_err();
        assert!(
            matches!(&error, Error::Syscall(failed) if failed.is(EOPNOTSUPP)),
            "{error}"
        );
        Ok(())
    })
    .unwrap();
}

/// The kernel's test sets the rings of the card to their minimum and maximum; veth has none, and
/// the kernel says so.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn hw_rings_of_veth_are_refused() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    const EOPNOTSUPP: i32 = 95;
    const ENODEV: i32 = 19;
    let socket = netlink_socket(0).unwrap();
    let rings = |name| ethtool_rings(socket.as_fd(), name).unwrap_err();
    assert!(rings("v0").is(EOPNOTSUPP), "{}", rings("v0").source);
    for entries in [64, 512] {
        let refused = set_ethtool_rings(socket.as_fd(), "v0", [entries, 0, 0, entries]);
        let refused = refused.unwrap_err();
        assert_eq!(refused.call, "ioctl(ETHTOOL_SRINGPARAM)");
        assert!(refused.is(EOPNOTSUPP), "{}", refused.source);
    }
    // The card has no rings; the call itself is right.
    assert!(rings("v7").is(ENODEV), "{}", rings("v7").source);
}
