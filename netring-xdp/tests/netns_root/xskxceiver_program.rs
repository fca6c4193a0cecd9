//! Rows of the kernel's own test of AF_XDP, `xskxceiver`, under its names: programs between the
//! wire and the socket.
//!
//! The programs are users' own, written with this crate's assembler.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;
use crate::rows;

use std::os::fd::AsFd;

use common::pair::{
    Ends, Way, comes, exchange, exchange_in_pieces, frame, put, put_in_pieces, received_all, silent,
};
use common::{LIMIT, conserved, programs, small};
use netring_sys::PacketSink;
use netring_xdp::program::Program;
use netring_xdp::{Receiver, Umem};

rows! {
    xdp_prog_cleanup,
    xdp_drop_half,
    xdp_shared_umem,
    xdp_metadata_copy,
    xdp_metadata_copy_multi_buff,
    xdp_adjust_tail_shrink,
    xdp_adjust_tail_shrink_multi_buff,
    xdp_adjust_tail_grow,
    xdp_adjust_tail_grow_multi_buff,
}

const PACKETS: u64 = 1024;
/// Length of a frame in several chunks.
const LONG: usize = 6000;

fn frames(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count).map(|n| frame(n, 64)).collect()
}

fn unchanged(frames: Vec<Vec<u8>>) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
    frames.into_iter().map(|frame| (frame.clone(), Some(frame)))
}

/// Another socket takes the place of the first: traffic follows it, and follows the first when that
/// returns.
fn xdp_prog_cleanup(way: Way) {
    way.wire(1500);
    Umem::scope(&small(), |from| {
        Umem::scope(&small(), |to| {
            let mut tx = way.socket("v0").open_transmitter(from)?;
            let mut rx0 = way.socket("v1").open_receiver(to)?;
            let mut rx1 = way.socket("v1").open_receiver(to)?;
            let mut attached = way.attach("v1", Program::redirect().queues(1).load()?, &rx0);
            let id = attached.program_id();
            for round in 0..4 {
                let frames = unchanged(frames(256 * round, 256));
                if round % 2 == 0 {
                    attached.set_socket(0, rx0.as_fd())?;
                    exchange(&mut tx, &mut rx0, frames);
                    silent(&mut rx1);
                } else {
                    attached.set_socket(0, rx1.as_fd())?;
                    exchange(&mut tx, &mut rx1, frames);
                    silent(&mut rx0);
                }
                conserved(to);
            }
            // It has been the same program all along.
            assert!(attached.is_attached()?);
            assert_eq!(attached.program_id(), id);
            received_all(&rx0, 512);
            received_all(&rx1, 512);
            // The second socket is removed: packets that arrive now go to nobody. The first one is
            // put back.
            attached.clear_socket(0)?;
            drop(rx1);
            exchange(
                &mut tx,
                &mut rx0,
                frames(0, 64).into_iter().map(|frame| (frame, None)),
            );
            attached.set_socket(0, rx0.as_fd())?;
            exchange(&mut tx, &mut rx0, unchanged(frames(0, 64)));
            received_all(&rx0, 576);
            let counters = attached.counters(0)?.unwrap();
            assert_eq!((counters.redirected, counters.missed), (1024 + 64, 64));
            Ok(())
        })
    })
    .unwrap();
}

fn xdp_drop_half(way: Way) {
    Ends::new(way)
        .program(programs::drop_half(false))
        .run(|wire| {
            let frames = (0..PACKETS).map(|n| {
                let frame = frame(n, 64);
                (frame.clone(), (n % 2 == 0).then_some(frame))
            });
            exchange(&mut wire.tx, &mut wire.rx, frames);
            // What the program drops, the socket does not count as lost.
            wire.settled(PACKETS, PACKETS / 2);
        });
}

/// Two sockets at each end, on one queue and over one UMEM: even packets to the first, odd ones to
/// the second, whichever socket sent them.
fn xdp_shared_umem(way: Way) {
    way.wire(1500);
    Umem::scope(&small(), |from| {
        Umem::scope(&small(), |to| {
            let mut tx0 = way.socket("v0").open_transmitter(from)?;
            let mut tx1 = way.socket("v0").open_transmitter(from)?;
            let mut rx0 = way.socket("v1").open_receiver(to)?;
            let mut rx1 = way.socket("v1").open_receiver(to)?;
            let mut program = Program::from_elf(&programs::split(), "row", "sockets")?;
            program.sockets_mut().set(1, rx1.as_fd())?;
            let _attached = way.attach("v1", program, &rx0);
            for burst in 0..PACKETS / 64 {
                let burst = frames(64 * burst, 64);
                let (even, odd): (Vec<_>, Vec<_>) =
                    burst.into_iter().partition(|frame| frame[21] % 2 == 0);
                for (even, odd) in even.iter().zip(&odd) {
                    assert!(put(&mut tx0, even));
                    assert!(put(&mut tx1, odd));
                }
                assert_eq!(tx0.flush()?, 0);
                assert_eq!(tx1.flush()?, 0);
                comes(&mut rx0, &even);
                comes(&mut rx1, &odd);
                conserved(from);
                conserved(to);
            }
            // And with the senders swapped.
            assert!(put(&mut tx0, &frame(1, 64)) && put(&mut tx1, &frame(2, 64)));
            assert_eq!((tx0.flush()?, tx1.flush()?), (0, 0));
            comes(&mut rx0, &[frame(2, 64)]);
            comes(&mut rx1, &[frame(1, 64)]);
            for rx in [&mut rx0, &mut rx1] {
                silent(rx);
                received_all(rx, PACKETS / 2 + 1);
            }
            for tx in [&mut tx0, &mut tx1] {
                assert_eq!(tx.drain(LIMIT)?, 0);
                let stats = tx.stats()?;
                assert_eq!((stats.committed, stats.refused), (PACKETS / 2 + 1, 0));
                assert_eq!(stats.rejected.exact(), Some(0));
            }
            // Every chunk has returned.
            tx0.flush()?;
            let census = from.census();
            assert_eq!((census.pool, census.total()), (1024, 1024), "{census}");
            Ok(())
        })
    })
    .unwrap();
}

fn xdp_metadata_copy(way: Way) {
    metadata(Ends::new(way), 64);
}

fn xdp_metadata_copy_multi_buff(way: Way) {
    metadata(Ends::new(way).multi_buffer(), LONG);
}

/// What the program writes in front of each packet is in its chunk, in the first one if there are
/// several.
fn metadata(ends: Ends, len: usize) {
    let program = programs::metadata(ends.multi_buffer);
    ends.program(program).run(|wire| {
        for n in 0..PACKETS / 8 {
            let sent = frame(n, len);
            assert!(put_in_pieces(&mut wire.tx, &sent, 2048).unwrap());
            assert_eq!(wire.tx.drain(LIMIT).unwrap(), 0);
            assert!(wire.rx.wait(LIMIT).unwrap());
            let (before, packet) = taken(&mut wire.rx);
            assert_eq!(before, (n as u32).to_ne_bytes());
            assert!(packet == sent);
        }
        silent(&mut wire.rx);
        wire.settled(PACKETS / 8, PACKETS / 8);
    });
}

/// A packet, assembled from its chunks, and the four bytes in front of it.
fn taken(rx: &mut Receiver<'_>) -> ([u8; 4], Vec<u8>) {
    let (mut before, mut packet) = (None, Vec::new());
    let mut received = rx.receive();
    loop {
        let mut chunk = received.take().unwrap();
        packet.extend_from_slice(&chunk);
        if before.is_none() {
            let range = chunk.range();
            chunk.set_range(range.start - 4..range.end).unwrap();
            before = chunk.first_chunk().copied();
        }
        if !chunk.continues() {
            return (before.unwrap(), packet);
        }
    }
}

fn xdp_adjust_tail_shrink(way: Way) {
    adjust_tail(Ends::new(way), 256, -128);
}

/// From several chunks to one: more is cut than the last one holds.
fn xdp_adjust_tail_shrink_multi_buff(way: Way) {
    adjust_tail(Ends::new(way).multi_buffer(), LONG, -(LONG as i32 - 128));
}

/// A packet can grow if its buffer has room behind it: veth's has up to the next multiple of 64
/// bytes.
fn xdp_adjust_tail_grow(way: Way) {
    adjust_tail(Ends::new(way), 100, 4);
}

/// The kernel refuses: veth does not report the room in the last of several buffers, so the kernel
/// permits no growth (`EOPNOTSUPP`, after which this program redirects the packet unchanged).
fn xdp_adjust_tail_grow_multi_buff(way: Way) {
    let ends = Ends::new(way).multi_buffer();
    let program = programs::adjust_tail(4, ends.multi_buffer);
    ends.program(program).run(|wire| {
        let frames = (0..PACKETS / 8).map(|n| frame(n, LONG));
        let unchanged = unchanged(frames.collect());
        exchange_in_pieces(&mut wire.tx, &mut wire.rx, 2048, unchanged);
        wire.settled(PACKETS / 8, PACKETS / 8);
    });
}

/// The program makes each packet longer, with zeros, or shorter, and the result is received.
fn adjust_tail(ends: Ends, len: usize, by: i32) {
    let program = programs::adjust_tail(by, ends.multi_buffer);
    ends.program(program).run(|wire| {
        let frames = (0..PACKETS).map(|n| {
            let sent = frame(n, len);
            let mut comes = sent.clone();
            comes.resize((len as i32 + by) as usize, 0);
            (sent, Some(comes))
        });
        exchange_in_pieces(&mut wire.tx, &mut wire.rx, 2048, frames);
        wire.settled(PACKETS, PACKETS);
    });
}
