//! Rows of the kernel's own test of AF_XDP, `xskxceiver`, under its names: packets in several
//! chunks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;
use crate::rows;

use std::time::Duration;

use common::bare::{BareSender, Cut};
use common::pair::{
    Ends, Way, comes, exchange_in_pieces, frame, put_in_pieces, received_all, sent_all, silent,
};
use common::{LIMIT, conserved, small};
use netring_sys::kernel::xdp::{XDP_PKT_CONTD, xdp_desc};
use netring_sys::{Error, PacketSink};
use netring_xdp::program::Program;
use netring_xdp::{RingSize, Umem, UmemConfig};

rows! {
    send_receive_9k_packets,
    send_receive_unaligned_9k_packets,
    too_many_frags,
}

const PACKETS: u64 = 512;
/// The maximum number of chunks of one packet.
const MOST: usize = 18;

fn send_receive_9k_packets(way: Way) {
    nine_k(way, small().chunk_size(4096));
}

fn send_receive_unaligned_9k_packets(way: Way) {
    nine_k(way, small().chunk_size(4001).unaligned(true));
}

/// Packets of 9000 bytes, and of each length around the boundaries of chunks, at both ends.
fn nine_k(way: Way, memory: UmemConfig) {
    Ends::new(way).multi_buffer().memory(memory).run(|wire| {
        let (chunk, payload) = (
            wire.sender_memory.chunk_size() as usize,
            wire.receiver_memory.payload() as usize,
        );
        let frames = |lens: &[usize]| {
            let frames = lens.iter().enumerate().map(|(n, &len)| {
                let frame = frame(n as u64, len);
                (frame.clone(), Some(frame))
            });
            frames.collect::<Vec<_>>()
        };
        let all = frames(&[9000; PACKETS as usize]);
        exchange_in_pieces(&mut wire.tx, &mut wire.rx, chunk, all);
        let borders: Vec<_> = [1, 2]
            .into_iter()
            .flat_map(|n| [n * chunk, n * payload])
            .flat_map(|border| border - 1..=border + 1)
            .collect();
        let count = borders.len() as u64;
        exchange_in_pieces(&mut wire.tx, &mut wire.rx, chunk, frames(&borders));
        wire.settled(PACKETS + count, PACKETS + count);
    });
}

/// A packet with the maximum number of chunks arrives. One with more is refused and stays with its
/// owner; the kernel would lose it.
fn too_many_frags(way: Way) {
    Ends::new(way).multi_buffer().run(|wire| {
        let piece = 64;
        let most = frame(0, MOST * piece);
        exchange_in_pieces(
            &mut wire.tx,
            &mut wire.rx,
            piece,
            [(most.clone(), Some(most.clone()))],
        );
        let error = put_in_pieces(&mut wire.tx, &frame(1, MOST * piece + 1), piece).unwrap_err();
        assert!(
            matches!(error, Error::FramePieces { count: 19, max: 18 }),
            "{error}"
        );
        exchange_in_pieces(
            &mut wire.tx,
            &mut wire.rx,
            piece,
            [(most.clone(), Some(most.clone()))],
        );
        sent_all(&mut wire.tx, 2);
        received_all(&wire.rx, 2);
    });
    refused_by_smaller_sockets(way);
    refused_by_the_kernel(way);
    refused_on_its_way_on(way);
}

/// One chunk without multi-buffer; and no more than the ring has entries, for which a wait would
/// never end.
fn refused_by_smaller_sockets(way: Way) {
    let mut alone = Ends::new(way).multi_buffer();
    alone.sender = alone.sender.multi_buffer(false);
    let mut small_ring = Ends::new(way).multi_buffer();
    small_ring.sender = small_ring
        .sender
        .transmit_ring(RingSize::new(16).unwrap())
        .transmit_chunks(64);
    for (ends, most) in [(alone, 1), (small_ring, 16)] {
        ends.run_again(|wire| {
            let error = put_in_pieces(&mut wire.tx, &frame(0, 64 * (most + 1)), 64).unwrap_err();
            assert!(
                matches!(error, Error::FramePieces { count, max } if count == most + 1 && max == most),
                "{error}"
            );
            let frame = frame(0, 64 * most);
            exchange_in_pieces(&mut wire.tx, &mut wire.rx, 64, [(frame.clone(), Some(frame))]);
        });
    }
}

/// What is refused here, the kernel would refuse: a packet with one chunk too many does not arrive.
fn refused_by_the_kernel(way: Way) {
    let cut = Cut {
        chunk_size: 4096,
        chunks: 16,
        unaligned: false,
    };
    Umem::scope(&small(), |memory| {
        let mut rx = way.socket("v1").multi_buffer(true).open_receiver(memory)?;
        let program = Program::redirect().queues(1).multi_buffer(true).load()?;
        let _attached = way.attach("v1", program, &rx);
        let bare = BareSender::bind("v0", cut, true);
        let packet = frame(7, 64);
        bare.write(0, &packet);
        let chain = |count: usize| {
            let piece = |n| xdp_desc {
                addr: 0,
                len: 64,
                options: if n + 1 < count { XDP_PKT_CONTD } else { 0 },
            };
            (0..count).map(piece).collect::<Vec<_>>()
        };
        bare.publish(&chain(MOST));
        bare.kick_all();
        comes(&mut rx, &[packet.repeat(MOST)]);
        bare.publish(&chain(MOST + 1));
        bare.kick_all();
        // The kernel drops all of it, or (before the fix) all but its last chunk, which it sends as
        // a packet.
        let mut rest = Vec::new();
        while rx.wait(Duration::from_millis(20))? {
            rest.extend(rx.receive().iter().map(<[u8]>::len));
        }
        let invalid = bare.statistics().tx_invalid_descs;
        assert!(
            (invalid == 19 && rest.is_empty()) || (invalid == 18 && rest == [64]),
            "{invalid} are invalid, and {rest:?} came"
        );
        Ok(())
    })
    .unwrap();
}

/// A received packet with more chunks than may be sent is refused when it is forwarded, and its
/// chunks return to the receiving half.
fn refused_on_its_way_on(way: Way) {
    for end in ["v0", "v1"] {
        xtask::netns::ip(&format!("link set dev {end} mtu 40000")).unwrap();
    }
    Umem::scope(&small().chunk_size(4096), |from| {
        Umem::scope(&small(), |to| {
            let mut tx = way.socket("v0").multi_buffer(true).open_transmitter(from)?;
            let (mut rx, mut on) = way.socket("v1").multi_buffer(true).open(to)?.split();
            let program = Program::redirect().queues(1).multi_buffer(true).load()?;
            let _attached = way.attach("v1", program, &rx);
            // 19 chunks of 1792 bytes, and 18.
            for (len, sent) in [(19 * 1792, 0), (18 * 1792, 1)] {
                assert!(put_in_pieces(&mut tx, &frame(0, len), 4096)?);
                assert_eq!(tx.drain(LIMIT)?, 0);
                assert!(rx.wait(LIMIT)?);
                let done = rx.receive().forward(&mut on, |_| true);
                assert_eq!((done.sent, done.refused), (sent, 1 - sent));
                on.flush()?;
                assert_eq!(on.drain(LIMIT)?, 0);
                conserved(to);
            }
            silent(&mut rx);
            let census = to.census();
            assert_eq!((census.fill, census.pool), (512, 512), "{census}");
            Ok(())
        })
    })
    .unwrap();
}
