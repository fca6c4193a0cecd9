//! The metadata that a socket reads in front of a packet is always what the program wrote for that
//! packet, never what an earlier one left there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::*;
use netring_sys::{Error, Interface, PacketSink};
use netring_xdp::program::{AttachMode, Attachment, Metadata, Program};
use netring_xdp::{Receiver, Transmitter, Umem, UmemConfig, XdpSocket};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, udp4};

/// Few, so that each is reused many times.
const CHUNKS: u32 = 16;

/// What is done with the packets of a batch after they were checked, or before.
#[derive(Clone, Copy, Debug)]
enum Then {
    GivenBack,
    GivenBackUnread,
    Taken,
    Forged,
    SentOn,
    TakenAndSent,
}

const ALL: [Then; 6] = [
    Then::GivenBack,
    Then::GivenBackUnread,
    Then::Taken,
    Then::Forged,
    Then::SentOn,
    Then::TakenAndSent,
];

/// The frame of a flow.
fn frame(flow: u16, len: usize) -> Vec<u8> {
    udp4(flow, 9, &vec![flow as u8; len])
}

/// A program on `v0` that redirects to the socket, and writes metadata or none.
fn attached(rx: &Receiver<'_>, metadata: bool, multi_buffer: bool) -> Attachment {
    let v0 = Interface::by_name("v0").unwrap();
    let program = Program::redirect().multi_buffer(multi_buffer);
    let program = match metadata {
        true => program.metadata(&v0),
        false => program,
    };
    let mut program = program.load().unwrap();
    program.sockets_mut().set(0, rx.as_fd()).unwrap();
    program.attach(&v0, AttachMode::Native).unwrap()
}

/// Checks the next `count` packets, and does with them what `then` says.
fn receive_described<'umem>(
    rx: &mut Receiver<'umem>,
    tx: &mut Transmitter<'umem>,
    count: usize,
    then: Then,
) -> Vec<(Vec<u8>, Option<Metadata>)> {
    let (mut all, deadline) = (Vec::new(), Instant::now() + LIMIT);
    let mut seen = 0;
    while seen < count {
        assert!(
            Instant::now() < deadline,
            "{then:?}: {seen} of {count} came"
        );
        rx.wait(Duration::from_millis(100)).unwrap();
        let mut received = rx.receive();
        let plain: Vec<_> = received.iter().map(<[u8]>::to_vec).collect();
        seen += plain.len();
        if matches!(then, Then::GivenBackUnread) {
            continue;
        }
        let batch: Vec<_> = received
            .described()
            .map(|(bytes, metadata)| (bytes.to_vec(), metadata))
            .collect();
        assert!(batch.iter().map(|(bytes, _)| bytes).eq(&plain));
        match then {
            Then::SentOn => {
                let sent = received.forward(tx, |_| true);
                assert_eq!((sent.sent, sent.refused), (plain.len() as u64, 0));
                // Not drained: completed chunks are reused for the next forwarded packets, by the
                // shortest path.
                tx.flush().unwrap();
            }
            Then::Taken | Then::Forged | Then::TakenAndSent => {
                let mut expected = batch.iter().map(|(_, metadata)| *metadata);
                let mut within = false;
                while let Some(mut chunk) = received.take() {
                    let metadata = chunk.metadata();
                    let whole = if within {
                        None
                    } else {
                        expected.next().unwrap()
                    };
                    assert_eq!(metadata, whole);
                    within = chunk.continues();
                    match then {
                        Then::Forged => {
                            // The mark and more, at every position at which it could be.
                            chunk.set_range(0..chunk.capacity()).unwrap();
                            for word in chunk.chunks_exact_mut(4) {
                                word.copy_from_slice(&0x6e72_4d07_u32.to_ne_bytes());
                            }
                        }
                        Then::TakenAndSent => tx.send(chunk).unwrap(),
                        _ => {}
                    }
                }
                assert_eq!(expected.next(), None);
                drop(received);
                assert_eq!(tx.drain(LIMIT).unwrap(), 0);
            }
            Then::GivenBack | Then::GivenBackUnread => {}
        }
        all.extend(batch);
    }
    assert_eq!(seen, count);
    // The sent chunks have returned, and go to the kernel again.
    assert!(rx.receive().iter().next().is_none());
    all
}

/// Everything that can happen to a chunk: with a program that writes metadata, then with one that
/// does not, and again.
fn never_stale(config: UmemConfig, multi_buffer: bool, len: usize, pieces: usize) {
    Umem::scope(&config.chunks(2 * CHUNKS), |umem| {
        let builder = XdpSocket::builder("v0", 0)
            .receive_ring(ring(CHUNKS))
            .transmit_ring(ring(CHUNKS))
            .multi_buffer(multi_buffer)
            .metadata(true);
        let (mut rx, mut tx) = builder.open(umem)?.split();
        let sender = Sender::on("v1")?;
        let mut hashes: HashMap<u16, u32> = HashMap::new();
        // Half of the chunks, because the others may be in flight.
        let at_once = CHUNKS as usize / 2 / pieces;
        for then in ALL {
            for writes in [true, false, true] {
                let _attached = attached(&rx, writes, multi_buffer);
                for round in 0..16 {
                    let flows: Vec<u16> =
                        (0..at_once as u16).map(|n| 100 + (n + round) % 7).collect();
                    for flow in &flows {
                        sender.send(&frame(*flow, len))?;
                    }
                    let got = receive_described(&mut rx, &mut tx, at_once, then);
                    conserved(umem);
                    for (flow, (bytes, metadata)) in flows.iter().zip(got) {
                        assert_eq!(bytes, frame(*flow, len));
                        let hash = metadata.map(|metadata| metadata.hash.unwrap());
                        assert_eq!(hash.is_some(), writes, "{then:?}");
                        if let Some(hash) = hash {
                            assert_eq!(*hashes.entry(*flow).or_insert(hash), hash, "{then:?}");
                        }
                    }
                }
            }
        }
        let mut of_flows: Vec<_> = hashes.into_values().collect();
        of_flows.sort_unstable();
        of_flows.dedup();
        assert_eq!(of_flows.len(), 7, "each flow has its own");
        let stats = rx.stats()?;
        assert_eq!((stats.invalid, stats.ring_full, stats.no_chunk), (0, 0, 0));
        Ok(())
    })
    .unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn metadata_is_never_that_of_the_packet_before_in_its_chunk() {
    for headroom in [0, 2, 24, 300] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        never_stale(UmemConfig::new().headroom(headroom), false, 100, 1);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn metadata_is_never_stale_in_unaligned_chunks() {
    for (size, headroom) in [(4001, 0), (3000, 77)] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let config = UmemConfig::new().unaligned(true).chunk_size(size);
        never_stale(config.headroom(headroom), false, 100, 1);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn metadata_is_never_stale_in_several_chunks() {
    for (len, pieces) in [(100, 1), (3000, 2), (6000, 4)] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} mtu 9000")).unwrap();
        }
        never_stale(UmemConfig::new().headroom(8), true, len, pieces);
    }
}

/// Metadata is read only if it was requested, and the second socket of a queue, whose chunks the
/// first passes to the kernel, requests it too.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn sockets_of_one_queue_ask_for_metadata_together() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v1").unwrap();
    let builder = |metadata| {
        XdpSocket::builder("v0", 0)
            .receive_ring(ring(CHUNKS))
            .transmit_ring(ring(CHUNKS))
            .metadata(metadata)
    };
    for first in [false, true] {
        Umem::scope(&UmemConfig::new().chunks(4 * CHUNKS), |umem| {
            let (mut rx, mut tx) = builder(first).open(umem)?.split();
            let program = attached(&rx, true, false);
            sender.send(&frame(1, 60))?;
            let got = receive_described(&mut rx, &mut tx, 1, Then::GivenBack);
            assert_eq!(got[0].1.is_some(), first);
            drop(program);
            match builder(true).open(umem) {
                Ok(second) if first => {
                    let (mut other, _) = second.split();
                    for writes in [true, false] {
                        let _attached = attached(&other, writes, false);
                        for _ in 0..4 * CHUNKS {
                            sender.send(&frame(2, 60))?;
                            let got = receive_described(&mut other, &mut tx, 1, Then::GivenBack);
                            assert_eq!(got[0].1.is_some(), writes);
                            // It owns the fill ring.
                            rx.receive();
                        }
                    }
                }
                Err(Error::Config {
                    setting: "metadata",
                    why,
                }) if !first => {
                    assert!(
                        why.contains("the first socket of a queue owns its fill ring"),
                        "{why}"
                    );
                }
                other => panic!("{other:?}"),
            }
            Ok(())
        })
        .unwrap();
    }
}
