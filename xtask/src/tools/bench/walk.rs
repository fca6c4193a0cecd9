//! Iteration over a full block in memory, reading every packet's bytes, lengths and time.

use std::mem::offset_of;

use netring_afpacket::internal::{BlockBuilder, Parser};
use netring_sys::Packet;
use netring_sys::kernel::packet::{TP_FT_REQ_FILL_RXHASH, TP_STATUS_TS_SOFTWARE, tpacket3_hdr};
use xtask::wire;

use super::{Options, Row, Table, Target, measure, minimal};
use crate::Result;

/// A block of the default ring.
const BLOCK: usize = 4 << 20;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let (block, count) = full_block(&wire::numbered(1, 64));
    let walk = Parser::new(TP_FT_REQ_FILL_RXHASH);
    let mut ours = || {
        let sum = walk
            .packets(&block)
            .fold(0, |sum, packet| sum ^ touch(&packet));
        (count, sum)
    };
    let allocations = allocation_counter::measure(|| {
        std::hint::black_box(ours());
    });
    if walk.found() != Some((count, 0)) {
        return Err(format!("{count} packets in the block, found {:?}", walk.found()).into());
    }
    if ours() != minimal::walk(&block) {
        return Err("the two readers read different packets".into());
    }
    let [ours, peer] = measure::in_turn(
        options,
        [&mut || Ok(measure::cost(options, &mut ours)), &mut || {
            Ok(measure::cost(options, || minimal::walk(&block)))
        }],
    )?;
    let row = Row::new("block walk, 4 MiB of 64 B", "ns/packet", ours);
    table.add(row.peer("raw pointers", peer).target(Target::AtMost(4.0)));
    let row = Row::new(
        "block walk, allocations",
        "count",
        allocations.count_total as f64,
    );
    table.add(row.target(Target::AtMost(0.0)));
    Ok(())
}

/// A block full of this frame, and how often it fits.
fn full_block(frame: &[u8]) -> (Vec<u8>, u64) {
    let mut block = BlockBuilder::new(BLOCK);
    while block.push(frame) {
        let n = block.frames() - 1;
        block.set_field(n, offset_of!(tpacket3_hdr, tp_sec), 1_700_000_000);
        block.set_field(n, offset_of!(tpacket3_hdr, tp_nsec), n as u32);
        let status = offset_of!(tpacket3_hdr, tp_status);
        block.set_field(n, status, TP_STATUS_TS_SOFTWARE);
    }
    let count = block.frames() as u64;
    (block.into_bytes(), count)
}

/// A word derived from everything that a reader reads.
#[inline]
pub(super) fn touch(packet: &Packet<'_>) -> u64 {
    let data = packet.data();
    let first = data.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let last = data.last_chunk().copied().map_or(0, u64::from_ne_bytes);
    let lengths = data.len() as u64 ^ u64::from(packet.wire_len()) << 32;
    first ^ last ^ lengths ^ packet.timestamp().as_nanos() as u64
}
