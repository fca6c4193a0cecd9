//! Packets of a block in memory, with every offset checked. `cargo xtask instructions` counts the
//! functions named `measured_*`.

use std::mem::offset_of;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use netring_afpacket::internal::{BlockBuilder, Parser};
use netring_sys::kernel::packet::{
    TP_FT_REQ_FILL_RXHASH, TP_STATUS_USER, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID,
    tpacket3_hdr,
};

/// What one call works on. `cargo xtask instructions` knows this number.
const PACKETS: usize = 4096;

fn main() {
    divan::main();
}

/// The bytes, the lengths and the time of each packet are read.
#[divan::bench]
fn block(bencher: Bencher<'_, '_>) {
    let frame = [7; 64];
    let block = BlockBuilder::with_frames(1 << 20, &vec![&frame[..]; PACKETS]).into_bytes();
    let parser = Parser::new(TP_FT_REQ_FILL_RXHASH);
    bencher
        .counter(ItemsCount::new(PACKETS))
        .bench_local(|| measured_block(&parser, black_box(&block)));
    assert_eq!(parser.found(), Some((PACKETS as u64, 0)));
}

/// As `block`, of packets whose tags are first put back into their bytes.
#[divan::bench]
fn tagged(bencher: Bencher<'_, '_>) {
    let frame = [7; 64];
    let mut block = BlockBuilder::with_frames(1 << 20, &vec![&frame[..]; PACKETS]);
    let status = TP_STATUS_USER | TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
    for n in 0..PACKETS {
        block.set_field(n, offset_of!(tpacket3_hdr, tp_status), status);
    }
    let block = block.into_bytes();
    let parser = Parser::with_tags_and_offload(TP_FT_REQ_FILL_RXHASH);
    bencher
        .counter(ItemsCount::new(PACKETS))
        .with_inputs(|| block.clone())
        .bench_local_refs(|block| {
            parser
                .prepared(block)
                .map(|packet| packet.data().len())
                .sum::<usize>()
        });
    assert_eq!(parser.found(), Some((PACKETS as u64, 0)));
}

#[inline(never)]
fn measured_block(parser: &Parser, block: &[u8]) -> u64 {
    parser.packets(block).fold(0, |sum, packet| {
        let data = packet.data();
        let first = data.first_chunk().copied().map_or(0, u64::from_ne_bytes);
        let lengths = data.len() as u64 ^ u64::from(packet.wire_len()) << 32;
        sum ^ first ^ lengths ^ packet.timestamp().as_nanos() as u64
    })
}
