//! The walk of a full block in memory, every packet's bytes, lengths and time touched.

use netring_afpacket::internal::Parser;
use netring_sys::Packet;
use netring_sys::kernel::packet::TP_FT_REQ_FILL_RXHASH;
use xtask::wire;

use super::{Options, Row, Table, Target, measure, minimal, synthetic};
use crate::Result;

/// A block of the default ring.
const BLOCK: usize = 4 << 20;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let (block, count) = synthetic::block(BLOCK, &wire::numbered(1, 64));
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
        return Err("the two walks did not see the same".into());
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

/// A word out of everything that a reader looks at.
#[inline]
pub(super) fn touch(packet: &Packet<'_>) -> u64 {
    let data = packet.data();
    let first = data.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let last = data.last_chunk().copied().map_or(0, u64::from_ne_bytes);
    let lengths = data.len() as u64 ^ u64::from(packet.wire_len()) << 32;
    first ^ last ^ lengths ^ packet.timestamp().as_nanos() as u64
}
