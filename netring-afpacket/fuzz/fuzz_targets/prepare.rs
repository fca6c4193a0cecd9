//! Prepares any bytes as a block, then parses them: every packet lies inside, and parsing ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netring_afpacket::internal::Parser;

/// `tpacket3_hdr` and `sockaddr_ll`, which precede every packet.
const HEADER: u64 = 48 + 20;

fuzz_target!(|block: &[u8]| {
    // TP_FT_REQ_FILL_RXHASH
    let parser = Parser::with_tags_and_offload(1);
    let mut block = block.to_vec();
    let inside = block.as_ptr_range();
    let mut delivered = 0;
    for packet in parser.prepared(&mut block) {
        let lent = packet.data().as_ptr_range();
        assert!(inside.start <= lent.start && lent.end <= inside.end);
        // Reads each byte and all metadata.
        assert!(!format!("{:?}", packet.to_buf()).is_empty());
        delivered += 1;
    }
    let found = parser.found().expect("the iterator reached its end");
    assert_eq!(found.0, delivered);
    let room = block.len() as u64 / HEADER;
    assert!(delivered <= room && found.1 <= room);
});
