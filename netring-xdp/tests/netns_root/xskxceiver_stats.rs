//! Rows of the kernel's own test of AF_XDP, `xskxceiver`, under its names: what is lost or refused,
//! and which counter counts it.
//!
//! The rows about invalid descriptors run twice: with a bare socket that publishes them, to verify
//! that the kernel's verdict is the one on which this crate's own test of addresses
//! (`x4_inv_desc_rows`) is based; and with a [`Transmitter`], which cannot publish them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;
use crate::rows;

use common::bare::{BareSender, Cut};
use common::pair::{BURST, Ends, Way, comes, exchange, frame, losses, put, silent};
use common::{LIMIT, small};
use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};
use netring_sys::{Error, PacketSink};
use netring_xdp::program::Program;
use netring_xdp::{RingSize, Transmitter, Umem, UmemConfig};
use xtask::load::wait_until;

rows! {
    stat_rx_dropped,
    stat_tx_invalid,
    stat_rx_full,
    stat_fill_empty,
    aligned_inv_desc,
    aligned_inv_desc_2k_frame_size,
    aligned_inv_desc_multi_buff,
    unaligned_inv_desc,
    unaligned_inv_desc_4001_frame_size,
    unaligned_inv_desc_multi_buff,
}

const PACKETS: u64 = 2048;
/// An Ethernet frame of the smallest length, as in the kernel's test.
const LEN: u32 = 64;
/// Longer than any frame.
const TOO_LONG: u32 = 9001;

/// Every second packet does not fit because of the headroom: those are counted, and no others.
fn stat_rx_dropped(way: Way) {
    let mut ends = Ends::new(way);
    ends.receiver_memory = small().headroom(2048 - 256 - 448);
    ends.run(|wire| {
        let frames = (0..PACKETS).map(|n| {
            let fits = n % 2 == 0;
            let frame = frame(n, if fits { 64 } else { 512 });
            (frame.clone(), fits.then_some(frame))
        });
        exchange(&mut wire.tx, &mut wire.rx, frames);
        let stats = wire.rx.stats().unwrap();
        assert_eq!(stats.delivered, PACKETS / 2);
        assert_eq!(losses(&stats), [0, 0, PACKETS / 2, 0, 0]);
        // They were sent, and the program redirected them all to the socket.
        assert_eq!(
            wire.tx.stats().unwrap().sent.exact(),
            Some(PACKETS),
            "{:?}",
            wire.tx.stats()
        );
        let counters = wire.attachment.counters(0).unwrap().unwrap();
        assert_eq!(counters.redirected, PACKETS);
    });
}

/// Every second packet is too long to be sent: it is refused here, so the kernel has nothing to
/// refuse.
fn stat_tx_invalid(way: Way) {
    Ends::new(way).run(|wire| {
        for burst in 0..PACKETS / 64 {
            let mut good = Vec::new();
            for n in 64 * burst..64 * (burst + 1) {
                if n % 2 == 0 {
                    good.push(frame(n, 64));
                    assert!(put(&mut wire.tx, good.last().unwrap()));
                    continue;
                }
                let error =
                    PacketSink::send(&mut wire.tx, &frame(n, TOO_LONG as usize)).unwrap_err();
                assert!(
                    matches!(
                        error,
                        Error::FrameLength {
                            len: 9001,
                            max: 2048
                        }
                    ),
                    "{error}"
                );
            }
            wire.tx.flush().unwrap();
            comes(&mut wire.rx, &good);
        }
        silent(&mut wire.rx);
        let stats = wire.tx.stats().unwrap();
        assert_eq!((stats.committed, stats.refused), (PACKETS / 2, PACKETS / 2));
        assert_eq!(
            (stats.sent.exact(), stats.rejected.exact()),
            (Some(PACKETS / 2), Some(0))
        );
    });
}

/// Nobody reads: the receive ring holds as many packets as it has entries, and the others are
/// counted, each once.
fn stat_rx_full(way: Way) {
    let mut ends = Ends::new(way);
    let ring = RingSize::new(256).unwrap();
    ends.receiver = ends.receiver.receive_ring(ring).receive_chunks(512);
    ends.run(|wire| {
        let frames: Vec<_> = (0..384).map(|n| frame(n, 64)).collect();
        let mut seen = 0;
        for burst in frames.chunks(BURST) {
            send(&mut wire.tx, burst);
            seen += burst.len() as u64;
            wait_until("packets at the program", LIMIT, || {
                wire.attachment.counters(0).unwrap().unwrap().redirected == seen
            });
        }
        assert_eq!(losses(&wire.rx.stats().unwrap()), [0, 128, 0, 0, 0]);
        comes(&mut wire.rx, &frames[..256]);
        silent(&mut wire.rx);
        let stats = wire.rx.stats().unwrap();
        assert_eq!((stats.delivered, stats.ring_full), (256, 128));
        // It works afterwards.
        wire.carries(1000, 64, 64);
    });
}

/// One chunk, which the reader keeps: each further packet is lost and counted once, and each search
/// for a chunk is counted separately.
fn stat_fill_empty(way: Way) {
    let mut ends = Ends::new(way);
    ends.receiver = ends.receiver.receive_chunks(1);
    ends.run(|wire| {
        let frames: Vec<_> = (0..129).map(|n| frame(n, 64)).collect();
        send(&mut wire.tx, &frames[..1]);
        assert!(wire.rx.wait(LIMIT).unwrap());
        let chunk = wire.rx.receive().take().unwrap();
        assert!(*chunk == frames[0]);
        let mut seen = 1;
        for burst in frames[1..].chunks(BURST) {
            send(&mut wire.tx, burst);
            seen += burst.len() as u64;
            wait_until("packets at the program", LIMIT, || {
                wire.attachment.counters(0).unwrap().unwrap().redirected == seen
            });
        }
        silent(&mut wire.rx);
        let stats = wire.rx.stats().unwrap();
        assert_eq!((stats.delivered, losses(&stats)), (1, [0, 0, 128, 0, 128]));
        drop(chunk);
        assert!(!wire.rx.wait(std::time::Duration::ZERO).unwrap());
        wire.carries(1000, 1, 64);
    });
}

fn send(tx: &mut Transmitter<'_>, frames: &[Vec<u8>]) {
    assert!(frames.iter().all(|frame| put(tx, frame)));
    assert_eq!(tx.flush().unwrap(), 0);
}

const fn aligned(chunk_size: u32) -> Cut {
    Cut {
        chunk_size,
        chunks: 4096,
        unaligned: false,
    }
}

const fn unaligned(chunk_size: u32) -> Cut {
    Cut {
        unaligned: true,
        ..aligned(chunk_size)
    }
}

fn aligned_inv_desc(way: Way) {
    single(way, aligned(4096));
}

fn aligned_inv_desc_2k_frame_size(way: Way) {
    single(way, aligned(2048));
}

fn unaligned_inv_desc(way: Way) {
    single(way, unaligned(4096));
}

fn unaligned_inv_desc_4001_frame_size(way: Way) {
    single(way, unaligned(4001));
}

fn aligned_inv_desc_multi_buff(way: Way) {
    multi(way, aligned(4096));
}

fn unaligned_inv_desc_multi_buff(way: Way) {
    multi(way, unaligned(4096));
}

/// Packets in one chunk.
fn single(way: Way, cut: Cut) {
    let end = cut.bytes();
    let over_a_border = cut.unaligned;
    let rows = [
        (0, LEN, true),
        (-2_i64 as u64, LEN, false),
        (0, TOO_LONG, false),
        (end - u64::from(LEN), LEN, true),
        (end, LEN, false),
        (end - u64::from(LEN) / 2, LEN, false),
        (0x1000 - u64::from(LEN) / 2, LEN, over_a_border),
        (
            0x800 - u64::from(LEN) / 2,
            LEN,
            over_a_border || cut.chunk_size > 2048,
        ),
        (0, 0, false),
        (4096, LEN, true),
    ];
    let packets = rows.map(|(addr, len, good)| {
        let desc = xdp_desc {
            addr,
            len,
            options: 0,
        };
        (vec![desc], good)
    });
    verdict(way, cut, false, &packets);
    refused_by_the_crate(way, cut);
}

/// Packets in several chunks: one bad chunk makes the whole packet invalid, and no other packet.
fn multi(way: Way, cut: Cut) {
    let end = cut.bytes();
    let good = |addr| (addr, 2048, XDP_PKT_CONTD);
    let sync = (8192, LEN, 0);
    let rows: [(&[_], bool); 9] = [
        (&[sync], true),
        // Empty.
        (&[good(0), (0, 0, 0)], false),
        // Outside the packet memory.
        (&[good(0), (end, 2048, 0)], false),
        // Too long, in the middle.
        (&[good(0), (0, TOO_LONG, XDP_PKT_CONTD)], false),
        // Invalid options, in the middle.
        (&[good(0), (0, 2048, 1 << 16)], false),
        (&[good(0), (2048, 2048, 0)], true),
        (&[good(0), good(2048), (4096, 2048, 0)], true),
        // Across the boundary of two chunks.
        (&[good(0), (4096 - 32, LEN, 0)], cut.unaligned),
        (&[sync], true),
    ];
    let packets = rows.map(|(descs, good)| {
        let descs = descs
            .iter()
            .map(|&(addr, len, options)| xdp_desc { addr, len, options });
        (descs.collect(), good)
    });
    verdict(way, cut, true, &packets);
}

/// The kernel's verdict on descriptors that are published unchecked: which arrive, which are
/// completed, and how many are counted.
fn verdict(way: Way, cut: Cut, multi_buffer: bool, packets: &[(Vec<xdp_desc>, bool)]) {
    way.wire(if multi_buffer { 9000 } else { 1500 });
    Umem::scope(&UmemConfig::new().chunk_size(4096).chunks(1024), |memory| {
        let receiver = way.socket("v1").multi_buffer(multi_buffer);
        let mut rx = receiver.open_receiver(memory)?;
        let program = Program::redirect().queues(1).multi_buffer(multi_buffer);
        let _attached = way.attach("v1", program.load()?, &rx);
        let bare = BareSender::bind("v0", cut, multi_buffer);
        let (start, end) = (frame(0, 16_384), frame(1, LEN as usize));
        let end_at = cut.bytes() - u64::from(LEN);
        bare.write(0, &start);
        bare.write(end_at, &end);
        let bytes = |desc: &xdp_desc| match desc.addr {
            at if at == end_at => &end[..],
            at => &start[at as usize..][..desc.len as usize],
        };
        let (mut due, mut invalid) = (Vec::new(), 0);
        for (descs, good) in packets {
            if *good {
                due.push(descs.iter().flat_map(bytes).copied().collect());
            } else {
                invalid += descs.len() as u64;
            }
        }
        for (descs, _) in packets {
            bare.publish(descs);
        }
        bare.kick_all();
        comes(&mut rx, &due);
        silent(&mut rx);
        // Some kernels return invalid descriptors, and others do not: nothing may depend on it, nor
        // on the order.
        let addresses = |all: bool| {
            let packets = packets.iter().filter(move |(_, good)| all || *good);
            sorted(packets.flat_map(|(descs, _)| descs.iter().map(|desc| desc.addr)))
        };
        let completed = sorted(bare.completed());
        assert!(
            completed == addresses(true) || completed == addresses(false),
            "{completed:?}"
        );
        assert_eq!(bare.statistics().tx_invalid_descs, invalid);
        Ok(())
    })
    .unwrap();
}

fn sorted(addresses: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut sorted: Vec<_> = addresses.into_iter().collect();
    sorted.sort_unstable();
    sorted
}

/// Whatever of these rows can be expressed with a [`Transmitter`] is refused, the chunk stays with
/// its owner, and the next packet is sent.
fn refused_by_the_crate(way: Way, cut: Cut) {
    let memory = small().chunk_size(cut.chunk_size).unaligned(cut.unaligned);
    Ends::new(way).memory(memory).run_again(|wire| {
        let size = cut.chunk_size as usize;
        let mut chunk = wire.tx.take().unwrap();
        for range in [0..0, 0..9001, size - 32..size + 32, size..size + 64, 64..64] {
            let (start, end) = (range.start, range.end);
            let error = chunk.set_range(range).unwrap_err();
            assert!(
                matches!(error, Error::FrameLength { len, max } if len == end - start && max == size),
                "{error}"
            );
        }
        assert_eq!(chunk.range(), 0..size);
        let whole = frame(0, 1514);
        for start in [0, size - 1514] {
            chunk.set_range(start..start + 1514).unwrap();
            chunk.copy_from_slice(&whole);
            wire.tx.send(chunk).unwrap();
            wire.tx.flush().unwrap();
            comes(&mut wire.rx, std::slice::from_ref(&whole));
            chunk = wire.tx.take().unwrap();
        }
        drop(chunk);
        assert_eq!(wire.tx.drain(LIMIT).unwrap(), 0);
        wire.settled(2, 2);
    });
}
