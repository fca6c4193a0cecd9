//! Parses any bytes as a block: every packet lies inside, parsing ends, and both ways to count
//! agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netring_afpacket::internal::Parser;

/// `tpacket3_hdr` and `sockaddr_ll`, which precede every packet.
const HEADER: u64 = 48 + 20;

fuzz_target!(|block: &[u8]| {
    // TP_FT_REQ_FILL_RXHASH
    let parser = Parser::new(1);
    let mut delivered = 0;
    for packet in parser.packets(block) {
        let (inside, lent) = (block.as_ptr_range(), packet.data().as_ptr_range());
        assert!(inside.start <= lent.start && lent.end <= inside.end);
        // Reads each byte and all metadata.
        let copy = packet.to_buf();
        assert_eq!(copy.data(), packet.data());
        assert!(!format!("{copy:?}").is_empty());
        delivered += 1;
    }
    let found = parser.found().expect("the iterator reached its end");
    assert_eq!(found, parser.count(block));
    assert_eq!(found.0, delivered);
    let room = block.len() as u64 / HEADER;
    assert!(delivered <= room && found.1 <= room);
});
