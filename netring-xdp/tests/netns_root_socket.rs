//! Sockets over a wire, with a program that feeds them: receive, send, send on, and where every chunk is meanwhile.

mod common;

use common::*;
use netring_sys::{PacketSink, wait};
use netring_xdp::{RingSize, Umem, XdpSocket};
use std::time::Duration;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, numbered};

fn ring(entries: u32) -> RingSize {
    RingSize::new(entries).unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x2_chunks_are_conserved_through_receive_send_and_forward() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let sender = Sender::on("v1").unwrap();
        Umem::scope(&small(), |umem| {
            let builder = XdpSocket::builder("v0", 0)
                .receive_ring(ring(256))
                .transmit_ring(ring(256));
            let (mut rx, mut tx) = builder.open(umem).unwrap().split();
            assert_eq!(umem.census().fill, 256);
            conserved(umem);
            let attached = attach("v0", mode, &rx);

            // Receive.
            for n in 0..1000 {
                sender.send(&numbered(n, 100)).unwrap();
                if n % 100 == 99 {
                    let from = n - 99;
                    let mut next = from;
                    receive(&mut rx, 100, |packet| {
                        assert_eq!(packet, numbered(next, 100));
                        next += 1;
                    });
                    conserved(umem);
                }
            }
            // Send. (A sniffer from here on: its socket holds some hundred frames, and also sees those that go out.)
            let sniffer = Sniffer::on("v1").unwrap();
            for _ in 0..20 {
                for n in 0..50 {
                    let frame = numbered(n, 200);
                    assert!(wait::send(&mut tx, &frame, Some(LIMIT)).unwrap());
                }
                conserved(umem);
                assert_eq!(tx.drain(LIMIT).unwrap(), 0);
                sniff_numbered(&sniffer, 50, 200);
            }
            conserved(umem);
            // Send on.
            for n in 0..50 {
                sender.send(&numbered(n, 300)).unwrap();
            }
            let mut sent = 0;
            while sent < 50 {
                rx.wait(Duration::from_secs(1)).unwrap();
                sent += rx.receive().forward(&mut tx, |_| true).sent;
                tx.flush().unwrap();
                conserved(umem);
            }
            assert_eq!(tx.drain(LIMIT).unwrap(), 0);
            sniff_numbered(&sniffer, 50, 300);
            // Taken out, and sent on.
            for n in 0..50 {
                sender.send(&numbered(n, 300)).unwrap();
            }
            let mut held = Vec::new();
            while held.len() < 50 {
                rx.wait(Duration::from_secs(1)).unwrap();
                let mut received = rx.receive();
                while let Some(chunk) = received.take() {
                    held.push(chunk);
                }
            }
            assert_eq!(umem.census().user, 50);
            conserved(umem);
            for (n, chunk) in held.drain(..).enumerate() {
                if n % 2 == 0 {
                    tx.send(chunk).unwrap();
                }
            }
            assert_eq!(umem.census().user, 0);
            conserved(umem);
            assert_eq!(tx.drain(LIMIT).unwrap(), 0);
            for n in 0..25 {
                let frame = sniffer.receive(LIMIT).unwrap().unwrap();
                assert_eq!(frame, numbered(2 * n, 300));
            }
            // All of them are at home again: 256 in the fill ring, and the rest free.
            assert!(rx.receive().iter().next().is_none());
            let census = umem.census();
            assert_eq!((census.fill, census.pool), (256, 768), "{census}");
            let stats = rx.stats().unwrap();
            assert_eq!((stats.delivered, stats.invalid), (1100, 0));
            assert_eq!(
                (stats.ring_full, stats.no_chunk, stats.transmit_invalid),
                (0, 0, 0)
            );
            let sent = tx.stats().unwrap();
            assert_eq!(
                (sent.committed, sent.sent.exact(), sent.pending),
                (1075, Some(1075), 0)
            );
            let counted = attached.counters(0).unwrap().unwrap();
            assert_eq!((counted.redirected, counted.missed), (1100, 0));
            Ok(())
        })
        .unwrap();
    }
}
