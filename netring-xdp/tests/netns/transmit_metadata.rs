//! Checksums and timestamps requested with a frame, as seen on the wire. Also runs in a user
//! namespace, where 8 MiB of memory may be locked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::time::Duration;

use common::*;
use netring_sys::{Clock, Count, Error, PacketSink, PacketSlot, Timestamp};
use netring_xdp::{
    InjectorBuilder, NotSent, TimestampStats, Umem, UmemConfig, XdpInjector, XdpSocket,
};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sniffer, numbered, tai, udp4};

/// Where UDP's checksum starts, and its offset from there.
const UDP: usize = 34;
const FIELD: usize = 6;

fn builder(entries: u32) -> InjectorBuilder {
    XdpInjector::builder("v0")
        .transmit_ring(ring(entries))
        .transmit_metadata(true)
}

/// The frame as it must arrive, and as it is submitted: with the sum of the pseudo-header as its
/// checksum.
fn partial(frame: &[u8]) -> Vec<u8> {
    let mut words: Vec<u16> = frame[26..34]
        .chunks(2)
        .map(|two| u16::from_be_bytes([two[0], two[1]]))
        .collect();
    words.push(17);
    words.push((frame.len() - UDP) as u16);
    let mut sum: u32 = words.into_iter().map(u32::from).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let mut frame = frame.to_vec();
    frame[UDP + FIELD..UDP + FIELD + 2].copy_from_slice(&(sum as u16).to_be_bytes());
    frame
}

fn payload(n: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at * 31 + n * 7) as u8).collect()
}

fn commit(sink: &mut XdpInjector, frame: &[u8], ask: impl FnOnce(&mut netring_xdp::Slot<'_>)) {
    let mut slot = sink.slot(frame.len()).unwrap().unwrap();
    ask(&mut slot);
    slot.copy_from_slice(frame);
    slot.commit();
}

fn nothing_more(sniffer: &Sniffer) {
    assert_eq!(sniffer.receive(Duration::from_millis(20)).unwrap(), None);
}

fn is_request(error: &Error, reported: &str) {
    assert!(matches!(error, Error::Request { .. }), "{error}");
    assert!(!error.is_terminal());
    assert!(error.to_string().contains(reported), "{error}");
}

/// Frames of all lengths, every third without a request: those arrive as written, through the same
/// socket, across the end of the ring.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_checksum_that_is_asked_for_is_in_the_bytes_on_the_wire() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let mut injector = builder(64).software_checksum(true).build().unwrap();
    assert_eq!(injector.max_len(), 2048 - 24);
    for from in (0..300).step_by(50) {
        let mut expected = Vec::new();
        for n in from..from + 50_u64 {
            let whole = udp4(1000, n as u16, &payload(n, n as usize * 5 % 1472));
            let frame = partial(&whole);
            assert_ne!(whole, frame);
            commit(&mut injector, &frame, |slot| {
                if n % 3 > 0 {
                    slot.request_checksum(UDP, FIELD).unwrap();
                }
            });
            expected.push(if n % 3 > 0 { whole } else { frame });
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        for frame in expected {
            assert_eq!(sniffer.receive(LIMIT).unwrap().unwrap(), frame);
        }
    }
    nothing_more(&sniffer);
    let stats = injector.stats().unwrap();
    assert_eq!((stats.committed, stats.sent), (300, Count::Exact(300)));
    assert_eq!(stats.rejected, Count::Exact(0));
    assert_eq!(injector.census().total(), 128);
    assert_eq!(injector.timestamp_stats(), TimestampStats::default());
    // Frames that are written in one go also start behind the kernel's area.
    Umem::scope(
        &small().transmit_metadata(true).software_checksum(true),
        |umem| {
            let builder = XdpSocket::builder("v1", 0).transmit_ring(ring(16));
            let mut tx = builder.open_transmitter(umem)?;
            let back = Sniffer::on("v0")?;
            let mut n = 0;
            let count = tx.send_each(20, |bytes| {
                assert_eq!(bytes.len(), 2048 - 24);
                bytes[..70].copy_from_slice(&numbered(n, 70));
                n += 1;
                70
            })?;
            assert_eq!(count, 16);
            assert_eq!(tx.drain(LIMIT)?, 0);
            let refused = tx.send_each(1, |_| 2025).unwrap_err();
            assert!(matches!(
                refused,
                Error::FrameLength {
                    len: 2025,
                    max: 2024
                }
            ));
            sniff_numbered(&back, 16, 70);
            conserved(umem);
            Ok(())
        },
    )
    .unwrap();
}

/// veth claims to compute checksums, but passes frames on unchanged, because its other end trusts
/// them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn without_software_checksums_the_interface_is_asked_and_veth_makes_none() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let mut injector = builder(64).build().unwrap();
    let frame = partial(&udp4(1, 2, b"as it is"));
    commit(&mut injector, &frame, |slot| {
        slot.request_checksum(UDP, FIELD).unwrap();
    });
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    assert_eq!(sniffer.receive(LIMIT).unwrap().unwrap(), frame);
}

/// Every fifth of a thousand frames, through a ring of 64 entries, in two kinds of chunks: each
/// timestamp arrives once, in order, and lies between the times before and after.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_timestamp_comes_for_each_frame_that_asks_and_for_no_other() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let mut injector = builder(64).build().unwrap();
    let mut last = 0;
    for from in (0..1000).step_by(50) {
        let before = tai().unwrap();
        for n in from..from + 50_u64 {
            commit(&mut injector, &numbered(n, 60 + n as usize), |slot| {
                if n % 5 == 0 {
                    slot.request_timestamp(n * n).unwrap();
                }
            });
        }
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        let after = tai().unwrap();
        for n in from..from + 50 {
            let frame = sniffer.receive(LIMIT).unwrap().unwrap();
            assert_eq!(frame, numbered(n, 60 + n as usize));
        }
        // Some are read later than those that follow them.
        if from % 100 == 0 {
            continue;
        }
        let came: Vec<_> = injector.transmit_timestamps().collect();
        let asked: Vec<_> = (from - 50..from + 50).step_by(5).map(|n| n * n).collect();
        assert_eq!(came.iter().map(|(id, _)| *id).collect::<Vec<_>>(), asked);
        for (n, (_, time)) in came.iter().enumerate() {
            assert_eq!(time.clock(), Clock::Tai);
            let nanos = time.as_nanos();
            assert!(nanos >= last && nanos <= after, "{last} {time} {after}");
            assert!(n < 10 || nanos >= before, "{before} {time}");
            last = nanos;
        }
    }
    nothing_more(&sniffer);
    assert_eq!(injector.transmit_timestamps().count(), 0);
    let stats = injector.timestamp_stats();
    assert_eq!((stats.requested, stats.delivered), (200, 200));
    assert_eq!(
        (stats.waiting, stats.absent, stats.lost, stats.pending),
        (0, 0, 0, 0)
    );
    assert_eq!(injector.stats().unwrap().sent, Count::Exact(1000));
    assert_eq!(injector.census().total(), 128);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_checksum_and_a_timestamp_go_together_also_in_unaligned_chunks() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for unaligned in [false, true] {
        let config = UmemConfig::new()
            .chunk_size(if unaligned { 3001 } else { 2048 })
            .chunks(256)
            .unaligned(unaligned)
            .transmit_metadata(true)
            .software_checksum(true);
        Umem::scope(&config, |umem| {
            let builder = XdpSocket::builder("v0", 0).transmit_ring(ring(16));
            let mut tx = builder.open_transmitter(umem)?;
            for n in 0..50 {
                let before = tai().unwrap();
                let whole = udp4(5, n as u16, &payload(n, 100 + n as usize));
                let frame = partial(&whole);
                let mut slot = tx.slot(frame.len())?.unwrap();
                slot.copy_from_slice(&frame);
                slot.request_checksum(UDP, FIELD)?;
                slot.request_timestamp(n)?;
                slot.commit();
                // As a chunk, whose data may start anywhere behind the kernel's area.
                let mut chunk = tx.take().unwrap();
                let start = 24 + n as usize;
                chunk.set_range(start..start + frame.len())?;
                chunk.copy_from_slice(&frame);
                chunk.request_checksum(UDP, FIELD)?;
                chunk.request_timestamp(1000 + n)?;
                tx.send(chunk).unwrap();
                assert_eq!(tx.drain(LIMIT)?, 0);
                for _ in 0..2 {
                    assert_eq!(sniffer.receive(LIMIT)?.unwrap(), whole, "{n}");
                }
                let after = tai().unwrap();
                let came: Vec<_> = tx.transmit_timestamps().collect();
                let ids: Vec<_> = came.iter().map(|(id, _)| *id).collect();
                assert_eq!(ids, [n, 1000 + n]);
                let inside = |time: &Timestamp| (before..=after).contains(&time.as_nanos());
                assert!(came.iter().all(|(_, time)| inside(time)), "{came:?}");
                conserved(umem);
            }
            Ok(())
        })
        .unwrap();
    }
    nothing_more(&sniffer);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_cannot_be_asked_for_is_refused_and_the_frame_goes_out_all_the_same() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    {
        let mut plain = injector(16);
        let mut slot = plain.slot(60).unwrap().unwrap();
        slot.copy_from_slice(&numbered(1, 60));
        is_request(
            &slot.request_checksum(UDP, FIELD).unwrap_err(),
            "`transmit_metadata`",
        );
        is_request(
            &slot.request_timestamp(1).unwrap_err(),
            "`transmit_metadata`",
        );
        slot.commit();
        assert_eq!(plain.drain(LIMIT).unwrap(), 0);
        assert_eq!(plain.timestamp_stats(), TimestampStats::default());
        assert_eq!(plain.transmit_timestamps().count(), 0);
    }
    let mut injector = builder(16).software_checksum(true).build().unwrap();
    let mut slot = injector.slot(60).unwrap().unwrap();
    slot.copy_from_slice(&numbered(2, 60));
    for (start, offset) in [(34, 25), (59, 0), (60, 0), (usize::MAX, 2), (0, usize::MAX)] {
        is_request(
            &slot.request_checksum(start, offset).unwrap_err(),
            "not inside",
        );
    }
    slot.commit();
    // A dropped slot requests nothing, and neither does the next one.
    let mut dropped = injector.slot(60).unwrap().unwrap();
    dropped.request_timestamp(7).unwrap();
    dropped.request_checksum(UDP, FIELD).unwrap();
    drop(dropped);
    commit(&mut injector, &numbered(3, 60), |_| {});
    for len in [0, 2025, 2048, usize::MAX] {
        let refused = injector.slot(len).map(drop).unwrap_err();
        assert!(matches!(refused, Error::FrameLength { max: 2024, .. }));
    }
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    for n in 1..=3 {
        assert_eq!(sniffer.receive(LIMIT).unwrap().unwrap(), numbered(n, 60));
    }
    assert_eq!(injector.timestamp_stats().requested, 0);
    drop(injector);
    let alone = XdpInjector::builder("v0").software_checksum(true).build();
    let text = alone.unwrap_err().to_string();
    assert!(text.starts_with("software_checksum:"), "{text}");
    nothing_more(&sniffer);
}

/// The request of a chunk is checked when it is sent, and the chunk is returned with the error.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_chunk_whose_range_changed_comes_back_with_the_reason() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    Umem::scope(&small().transmit_metadata(true), |umem| {
        let builder = XdpSocket::builder("v0", 0).transmit_ring(ring(16));
        let mut tx = builder.multi_buffer(true).open_transmitter(umem)?;
        let mut chunk = tx.take().unwrap();
        assert_eq!((chunk.range(), chunk.capacity()), (24..2048, 2048));
        is_request(&chunk.set_range(23..100).unwrap_err(), "byte 24");
        is_request(
            &chunk.request_checksum(UDP, 2024).unwrap_err(),
            "not inside",
        );
        chunk.request_checksum(UDP, FIELD)?;
        chunk.set_len(41)?;
        let Err(NotSent::Request(mut chunk, why)) = tx.send(chunk) else {
            panic!("the checksum is not inside of the frame")
        };
        is_request(&why, "not inside");
        conserved(umem);
        chunk.set_len(60)?;
        chunk.copy_from_slice(&numbered(1, 60));
        tx.send(chunk).unwrap();
        // In a chain, only the request of the first chunk counts.
        let mut chain: Vec<_> = (0..2).map(|_| tx.take().unwrap()).collect();
        for (n, chunk) in chain.iter_mut().enumerate() {
            chunk.set_len(50)?;
            chunk.copy_from_slice(&numbered(2, 100)[50 * n..50 * n + 50]);
        }
        chain[1].request_timestamp(5)?;
        is_request(&tx.send_chain(&mut chain).unwrap_err(), "its first chunk");
        assert_eq!(chain.len(), 2);
        chain.swap(0, 1);
        assert!(tx.send_chain(&mut chain)?);
        assert_eq!(tx.drain(LIMIT)?, 0);
        assert_eq!(
            tx.transmit_timestamps()
                .map(|(id, _)| id)
                .collect::<Vec<_>>(),
            [5]
        );
        assert_eq!(
            sniffer.receive(LIMIT)?.unwrap()[42..],
            numbered(1, 60)[42..]
        );
        assert_eq!(sniffer.receive(LIMIT)?.unwrap().len(), 100);
        let stats = tx.stats()?;
        assert_eq!((stats.committed, stats.sent), (2, Count::Exact(2)));
        conserved(umem);
        Ok(())
    })
    .unwrap();
    nothing_more(&sniffer);
}

/// As many timestamps wait as there are chunks, 80 here; the others are counted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn timestamps_that_nobody_reads_are_lost_and_counted() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let mut injector = builder(16).build().unwrap();
    for n in 0..100 {
        let frame = numbered(n, 60);
        while injector.room().unwrap() == 0 {
            injector.flush().unwrap();
        }
        commit(&mut injector, &frame, |slot| {
            slot.request_timestamp(n).unwrap()
        });
    }
    let stats = injector.timestamp_stats();
    assert_eq!(stats.requested, 100);
    assert!(stats.pending > 0 && stats.pending <= 16, "{stats:?}");
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    let stats = injector.timestamp_stats();
    assert_eq!((stats.waiting, stats.lost, stats.pending), (80, 20, 0));
    let ids: Vec<_> = injector.transmit_timestamps().map(|(id, _)| id).collect();
    assert_eq!(ids, (0..80).collect::<Vec<_>>());
    assert_eq!(injector.timestamp_stats().delivered, 80);
}

/// Frames on a link that is down are pending, and get their timestamps when they are sent; those in
/// the ring when the interface is removed stay pending.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_timestamp_over_a_link_that_is_down_is_pending_until_it_is_up() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let mut injector = builder(16).build().unwrap();
    ip("link set v0 down").unwrap();
    commit(&mut injector, &numbered(0, 60), |slot| {
        slot.request_timestamp(9).unwrap()
    });
    let down = injector.drain(Duration::from_millis(20)).unwrap_err();
    assert!(matches!(down, Error::LinkDown { .. }), "{down}");
    assert_eq!(injector.timestamp_stats().pending, 1);
    let before = tai().unwrap();
    ip("link set v0 up").unwrap();
    assert_eq!(injector.drain(LIMIT).unwrap(), 0);
    let came: Vec<_> = injector.transmit_timestamps().collect();
    assert_eq!(came.len(), 1);
    assert!(came[0].0 == 9 && came[0].1.as_nanos() >= before);
    ip("link del v0").unwrap();
    commit(&mut injector, &numbered(0, 60), |slot| {
        slot.request_timestamp(9).unwrap()
    });
    assert!(injector.flush().is_err());
    assert_eq!(injector.timestamp_stats().pending, 1);
    assert_eq!(injector.census().total(), 16 + 64);
}

/// The second socket of a queue has no completion ring: its frames complete in that of the first,
/// which did not request them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn sockets_of_one_queue_give_timestamps_to_the_first_only() {
    let _ns = Netns::enter().unwrap();
    let _turn = turn();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    Umem::scope(
        &small().transmit_metadata(true).software_checksum(true),
        |umem| {
            let open = || {
                XdpSocket::builder("v0", 0)
                    .transmit_ring(ring(16))
                    .open_transmitter(umem)
            };
            let (mut first, mut second) = (open()?, open()?);
            let whole = udp4(1, 2, b"to the first");
            for round in 0..20 {
                let mut slot = second.slot(whole.len())?.unwrap();
                is_request(
                    &slot.request_timestamp(1).unwrap_err(),
                    "another socket of the same queue",
                );
                slot.copy_from_slice(&partial(&whole));
                slot.request_checksum(UDP, FIELD)?;
                slot.commit();
                let mut slot = first.slot(60)?.unwrap();
                slot.request_timestamp(round)?;
                slot.copy_from_slice(&numbered(round, 60));
                slot.commit();
                second.flush()?;
                assert_eq!(sniffer.receive(LIMIT)?.unwrap(), whole);
                first.flush()?;
                assert_eq!(sniffer.receive(LIMIT)?.unwrap(), numbered(round, 60));
                let ids: Vec<_> = first.transmit_timestamps().map(|(id, _)| id).collect();
                assert_eq!(ids, [round]);
                conserved(umem);
            }
            assert_eq!(second.timestamp_stats(), TimestampStats::default());
            Ok(())
        },
    )
    .unwrap();
}
