//! Sockets over a wire, with a program that redirects to them: receiving, sending, forwarding, and
//! where every chunk is meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use common::*;
use netring_sys::{Count, Error, Interface, PacketSink, wait};
use netring_xdp::program::Program;
use netring_xdp::{BusyPoll, Umem, UmemConfig, XdpInjector, XdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, Sniffer, numbered};

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
            // Send. (With a sniffer from here on: its socket holds some hundred frames, and also
            // sees outgoing ones.)
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
            // Forward.
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
            // Take, and forward.
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
            // All chunks are back: 256 in the fill ring, and the others free.
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

/// To the byte: what fits in a chunk is received, and one byte more is counted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn umem_headroom() {
    for mode in MODES {
        for (chunk_size, headroom, unaligned) in [
            (2048, 0, false),
            (2048, 128, false),
            (4096, 0, false),
            (4096, 1000, false),
            (3000, 128, true),
            (4001, 0, true),
        ] {
            let _ns = Netns::enter().unwrap();
            veth("v0", "v1").unwrap();
            for end in ["v0", "v1"] {
                ip(&format!("link set {end} mtu 3500")).unwrap();
            }
            let sender = Sender::on("v1").unwrap();
            let config = UmemConfig::new()
                .chunk_size(chunk_size)
                .chunks(256)
                .headroom(headroom)
                .unaligned(unaligned);
            Umem::scope(&config, |umem| {
                let payload = umem.payload();
                assert_eq!(payload, chunk_size - 256 - headroom);
                let builder = XdpSocket::builder("v0", 0)
                    .receive_ring(ring(64))
                    .transmit_ring(ring(64));
                let (mut rx, mut tx) = builder.open(umem)?.split();
                let attached = attach("v0", mode, &rx);
                let longest = payload.min(3514) as usize;
                let lengths = [60, 1000, longest - 1, longest];
                // More than the ring has entries, and more than there are chunks: each is reused.
                for n in 0..400 {
                    let frame = numbered(n, lengths[n as usize % 4]);
                    sender.send(&frame)?;
                    receive(&mut rx, 1, |packet| assert_eq!(packet, frame, "{n}"));
                }
                let mut lost = 0;
                if longest < 3514 {
                    sender.send(&numbered(0, longest + 1))?;
                    lost = 1;
                }
                sender.send(&numbered(1, 64))?;
                rx.wait(LIMIT)?;
                // The headroom in front of the packet belongs to the user.
                let mut received = rx.receive();
                let mut chunk = received.take().unwrap();
                drop(received);
                assert_eq!(*chunk, numbered(1, 64));
                let range = chunk.range();
                assert_eq!(range.start as u32, 256 + headroom);
                chunk.set_range(range.start - 4..range.end)?;
                chunk.copy_within(4..16, 0);
                chunk[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
                let sniffer = Sniffer::on("v1")?;
                let tagged = chunk.to_vec();
                tx.send(chunk).unwrap();
                assert_eq!(tx.drain(LIMIT)?, 0);
                let got = sniffer.receive(LIMIT)?.unwrap();
                // The kernel has taken the tag out of the bytes.
                assert_eq!((&got[..12], &got[12..]), (&tagged[..12], &tagged[16..]));
                let stats = rx.stats()?;
                assert_eq!(
                    (stats.delivered, stats.no_chunk, stats.ring_full),
                    (401, lost, 0)
                );
                let counted = attached.counters(0)?.unwrap();
                assert_eq!(counted.redirected, 401 + lost);
                conserved(umem);
                Ok(())
            })
            .unwrap();
        }
    }
}

/// Two sockets over one UMEM and one queue: the second shares the rings of the first, and traffic
/// follows the map.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn xdp_prog_cleanup_and_shared_umem_of_one_queue() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let sender = Sender::on("v1").unwrap();
        Umem::scope(&small(), |umem| {
            let open = |receive_chunks| {
                let builder = XdpSocket::builder("v0", 0)
                    .receive_ring(ring(64))
                    .transmit_ring(ring(64))
                    .receive_chunks(receive_chunks);
                builder.open(umem).map(XdpSocket::split)
            };
            let (mut rx, mut tx) = open(128)?;
            let (mut rx_two, mut tx_two) = open(1)?;
            let mut attached = attach("v0", mode, &rx);
            for round in 0..10 {
                for n in 0..50 {
                    sender.send(&numbered(n, 90))?;
                }
                receive_numbered(&mut rx, 50, 90);
                attached.set_socket(0, rx_two.as_fd())?;
                for n in 0..50 {
                    sender.send(&numbered(n, 90))?;
                }
                receive_numbered(&mut rx_two, 50, 90);
                // The chunks returned to the first, which fills the ring of both.
                assert!(rx.receive().iter().next().is_none());
                conserved(umem);
                attached.set_socket(0, rx.as_fd())?;
                let sniffer = Sniffer::on("v1")?;
                for n in 0..40 {
                    let by = if n % 2 == 0 { &mut tx } else { &mut tx_two };
                    assert!(by.send_frame(&numbered(n, 64)));
                    by.flush()?;
                }
                for n in 0..40 {
                    assert_eq!(sniffer.receive(LIMIT)?.unwrap(), numbered(n, 64), "{round}");
                }
                // The first owns the completion ring of both.
                tx.drain(LIMIT)?;
                tx_two.drain(LIMIT)?;
                conserved(umem);
            }
            assert_eq!(
                umem.census().transmit + umem.census().kernel + umem.census().completion,
                0
            );
            assert_eq!(tx.stats()?.sent, Count::Unavailable);
            assert_eq!(
                (tx.stats()?.committed, tx_two.stats()?.committed),
                (200, 200)
            );
            Ok(())
        })
        .unwrap();
    }
}

/// From one interface to another and back, without a copy, in chunks of one UMEM: nothing is lost,
/// and nothing overwrites its neighbour.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s18_packets_sent_on_between_two_interfaces_stay_whole() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        veth("w0", "w1").unwrap();
        let (left, right) = (Sender::on("v1").unwrap(), Sender::on("w1").unwrap());
        Umem::scope(&small(), |umem| {
            let open = |name| {
                let builder = XdpSocket::builder(name, 0)
                    .receive_ring(ring(64))
                    .transmit_ring(ring(64));
                builder.open(umem).map(XdpSocket::split)
            };
            let (mut v_rx, mut v_tx) = open("v0")?;
            let (mut w_rx, mut w_tx) = open("w0")?;
            let _attached = (attach("v0", mode, &v_rx), attach("w0", mode, &w_rx));
            let (at_left, at_right) = (Sniffer::on("v1")?, Sniffer::on("w1")?);
            for round in 0..60 {
                let len = 60 + 24 * round as usize;
                for n in 0..30 {
                    left.send(&numbered(n, len))?;
                    right.send(&numbered(n, len))?;
                }
                let (mut to_right, mut to_left) = (0, 0);
                while to_right < 30 || to_left < 30 {
                    v_rx.wait(Duration::from_millis(100))?;
                    to_right += v_rx.receive().forward(&mut w_tx, |_| true).sent;
                    w_rx.wait(Duration::from_millis(100))?;
                    to_left += w_rx.receive().forward(&mut v_tx, |_| true).sent;
                    v_tx.flush()?;
                    w_tx.flush()?;
                }
                assert_eq!((v_tx.drain(LIMIT)?, w_tx.drain(LIMIT)?), (0, 0));
                for sniffer in [&at_left, &at_right] {
                    sniff_numbered_now(sniffer, 30, len);
                }
                conserved(umem);
            }
            Ok(())
        })
        .unwrap();
    }
}

/// A frame in three chunks is taken and forwarded unchanged; if the ring has no room for all of it,
/// none of it is sent.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x14_a_packet_in_several_chunks_is_taken_and_sent_on_whole() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} mtu 3500")).unwrap();
        }
        let sender = Sender::on("v1").unwrap();
        Umem::scope(&small(), |umem| {
            let builder = XdpSocket::builder("v0", 0)
                .receive_ring(ring(64))
                .transmit_ring(ring(8))
                .receive_chunks(64)
                .multi_buffer(true);
            let (mut rx, mut tx) = builder.open(umem)?.split();
            let interface = Interface::by_name("v0")?;
            let mut program = Program::redirect().multi_buffer(true).load()?;
            program.sockets_mut().set(0, rx.as_fd())?;
            let _attached = program.attach(&interface, mode)?;
            let sniffer = Sniffer::on("v1")?;
            for n in 0..50 {
                let frame = numbered(n, 3400);
                sender.send(&frame)?;
                rx.wait(LIMIT)?;
                let mut received = rx.receive();
                let lengths: Vec<_> = received.iter().map(<[u8]>::len).collect();
                assert_eq!(lengths, [3400], "{n} {:?}", umem.census());
                assert!(received.iter().next() == Some(&frame[..]));
                if n % 2 == 0 {
                    assert_eq!(received.forward(&mut tx, |_| true).sent, 1);
                } else {
                    let mut chunks: Vec<_> = std::iter::from_fn(|| received.take()).collect();
                    drop(received);
                    assert!(chunks.len() > 1);
                    let (last, others) = chunks.split_last().unwrap();
                    assert!(!last.continues() && others.iter().all(netring_xdp::Chunk::continues));
                    conserved(umem);
                    assert!(tx.send_chain(&mut chunks)?);
                    assert!(chunks.is_empty());
                }
                assert_eq!(tx.drain(LIMIT)?, 0);
                assert!(sniffer.receive(LIMIT)?.unwrap() == frame, "{n}");
                conserved(umem);
            }
            let mut many: Vec<_> = std::iter::from_fn(|| tx.take()).collect();
            assert_eq!(many.len(), 8);
            let mut one = vec![many.pop().unwrap()];
            assert!(tx.send_chain(&mut one)?);
            let mut nine: Vec<_> = std::mem::take(&mut many);
            for n in 0..3 {
                sender.send(&numbered(n, 3400))?;
            }
            std::thread::sleep(Duration::from_millis(20));
            let mut received = rx.receive();
            nine.extend(std::iter::from_fn(|| received.take()));
            drop(received);
            // A frame with more chunks than the ring has entries never fits; one with as many does
            // not fit while an entry is in use. They stay where they are.
            let count = nine.len();
            let error = tx.send_chain(&mut nine).unwrap_err();
            assert!(
                matches!(error, Error::FramePieces { count: reported, max: 8 } if reported == count),
                "{error}"
            );
            assert_eq!(nine.len(), count);
            nine.truncate(8);
            assert!(!tx.send_chain(&mut nine)?);
            assert_eq!(nine.len(), 8);
            drop(nine);
            conserved(umem);
            Ok(())
        })
        .unwrap();
    }
}

/// The socket's own calls send. (It needs CAP_NET_ADMIN in the initial user namespace.)
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn busy_polling_is_set_and_sends() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let builder = XdpInjector::builder("v0").transmit_ring(ring(64));
    let mut injector = builder.busy_poll(BusyPoll::default()).build().unwrap();
    for n in 0..50 {
        assert!(injector.send_frame(&numbered(n, 64)));
    }
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    sniff_numbered(&sniffer, 50, 64);
}
