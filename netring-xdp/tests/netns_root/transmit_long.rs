//! Frames longer than a chunk, written in slots like any other, and received by a socket in each
//! mode that veth supports.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;
use crate::rows;

use common::pair::{Ends, Way, exchange, frame};
use common::small;
use netring_sys::PacketSink;
use netring_xdp::UmemConfig;

rows! {
    slots_take_frames_longer_than_a_chunk,
    long_and_short_frames_go_in_order,
}

fn memories() -> [UmemConfig; 4] {
    [
        small(),
        small().chunk_size(4096).chunks(700),
        small().chunk_size(4001).chunks(700).unaligned(true),
        small().transmit_metadata(true),
    ]
}

/// 9000 bytes, and each length around the boundaries of chunks.
fn slots_take_frames_longer_than_a_chunk(way: Way) {
    way.wire(9000);
    for memory in memories() {
        let mut ends = Ends::new(way).multi_buffer();
        ends.sender_memory = memory;
        ends.run_again(|wire| {
            let room = wire.tx.max_len() / 18;
            let borders = (1..=4).flat_map(|n| n * room - 1..=n * room + 1);
            let lens = borders.filter(|len| *len < 9000).chain([9000; 200]);
            let lens: Vec<_> = lens.collect();
            let frames = lens.iter().zip(0..).map(|(len, n)| frame(n, *len));
            exchange(
                &mut wire.tx,
                &mut wire.rx,
                frames.map(|frame| (frame.clone(), Some(frame))),
            );
            wire.settled(lens.len() as u64, lens.len() as u64);
        });
    }
}

/// Lengths from 1 to 9000 bytes, in an order unrelated to their length.
fn long_and_short_frames_go_in_order(way: Way) {
    way.wire(9000);
    for memory in memories() {
        let mut ends = Ends::new(way).multi_buffer();
        ends.sender_memory = memory;
        ends.run_again(|wire| {
            let len = |n: u64| 30 + (n as usize * 2749) % 8971;
            let frames = (0..300).map(|n| frame(n, len(n)));
            exchange(
                &mut wire.tx,
                &mut wire.rx,
                frames.map(|frame| (frame.clone(), Some(frame))),
            );
            wire.settled(300, 300);
        });
    }
}
