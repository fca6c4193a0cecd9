//! The cost of removing duplicates: iteration over blocks in memory, with and without it.

use std::mem::offset_of;

use netring::dedup::{Content, Dedup};
use netring::{Error, Packet, PacketBatch, PacketSource, Readiness, Stats};
use netring_afpacket::internal::{BlockBuilder, Parser};
use netring_sys::kernel::packet::{TP_STATUS_TS_SOFTWARE, tpacket3_hdr};
use xtask::wire;

use super::{Options, Row, Table, Target, measure, walk};
use crate::Result;

/// A block of the default ring.
const BLOCK: usize = 4 << 20;
/// With this many blocks, each is forgotten before its turn comes again.
pub(super) const BLOCKS: usize = 4;

/// Full blocks in rotation.
pub(super) struct Ring {
    parser: Parser,
    blocks: Vec<Vec<u8>>,
    next: usize,
    /// Blocks until the end.
    pub(super) left: u64,
}

pub(super) struct Lent<'a>(&'a Parser, &'a [u8]);

impl PacketBatch for Lent<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.packets(self.1)
    }
}

impl PacketSource for Ring {
    type Batch<'a> = Lent<'a>;

    fn ready(&mut self) -> std::result::Result<Readiness, Error> {
        Ok(match self.left {
            0 => Readiness::Ended,
            _ => Readiness::Ready,
        })
    }

    #[inline]
    fn batch(&mut self) -> Lent<'_> {
        let block = &self.blocks[self.next % BLOCKS];
        self.next += 1;
        self.left = self.left.saturating_sub(1);
        Lent(&self.parser, block)
    }

    fn stats(&mut self) -> std::result::Result<Stats, Error> {
        Ok(Stats::counted(0))
    }

    fn is_live(&self) -> bool {
        true
    }
}

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    for (len, copies) in [(64, 1), (64, 2), (1500, 1)] {
        let (mut plain, packets) = ring(len, copies);
        let mut dedup = Dedup::content(ring(len, copies).0, Content::default())?;
        // Until the table is full, and every batch has had its size.
        for _ in 0..2 * BLOCKS {
            read(&mut dedup);
        }
        let before = dedup.duplicates();
        let lent = (0..BLOCKS).map(|_| read(&mut dedup).0).sum::<u64>();
        let left_out = dedup.duplicates() - before;
        if lent != packets.div_ceil(copies) || lent + left_out != packets {
            return Err(format!("{lent} lent and {left_out} left out of {packets}").into());
        }
        let allocations = allocation_counter::measure(|| {
            std::hint::black_box(read(&mut dedup));
        });
        let per_block = packets / BLOCKS as u64;
        let mut with = || {
            let (_, sum) = read(&mut dedup);
            (per_block, sum)
        };
        let mut without = || read(&mut plain);
        let [with, without] = measure::in_turn(
            options,
            [&mut || Ok(measure::cost(options, &mut with)), &mut || {
                Ok(measure::cost(options, &mut without))
            }],
        )?;
        let name = match copies {
            1 => format!("dedup, {len} B, no repetitions: cost of it"),
            _ => format!("dedup, {len} B, each twice: cost of it"),
        };
        let row = Row::new(&name, "ns/packet", with - without).peer("walk without", without);
        table.add(match len {
            64 => row.target(Target::AtMost(25.0)),
            _ => row,
        });
        let row = Row::new(
            "dedup, allocations",
            "count",
            allocations.count_total as f64,
        );
        table.add(row.target(Target::AtMost(0.0)));
    }
    Ok(())
}

/// The packets of a batch, and a word of all that a reader reads.
fn read(source: &mut impl PacketSource) -> (u64, u64) {
    let batch = source.batch();
    let packets = batch.packets();
    packets.fold((0, 0), |(n, sum), packet| {
        (n + 1, sum ^ walk::touch(&packet))
    })
}

/// Blocks of numbered frames of this length, each frame this often; and how many they are.
pub(super) fn ring(len: usize, copies: u64) -> (Ring, u64) {
    let mut packets = 0;
    let blocks = (0..BLOCKS).map(|_| {
        let mut block = BlockBuilder::new(BLOCK);
        while block.push(&wire::numbered(packets / copies, len)) {
            let n = block.frames() - 1;
            block.set_field(n, offset_of!(tpacket3_hdr, tp_sec), 1_700_000_000);
            block.set_field(n, offset_of!(tpacket3_hdr, tp_nsec), packets as u32 * 10);
            let status = offset_of!(tpacket3_hdr, tp_status);
            block.set_field(n, status, TP_STATUS_TS_SOFTWARE);
            packets += 1;
        }
        block.into_bytes()
    });
    let ring = Ring {
        parser: Parser::new(0),
        blocks: blocks.collect(),
        next: 0,
        left: u64::MAX,
    };
    (ring, packets)
}
