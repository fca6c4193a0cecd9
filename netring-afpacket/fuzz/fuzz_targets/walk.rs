//! Any bytes as a block: every packet lies inside, the walk ends, and both ways to count
//! agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netring_afpacket::internal::Parser;

/// `tpacket3_hdr` and `sockaddr_ll`: no packet has less in front of it.
const HEADER: u64 = 48 + 20;

fuzz_target!(|block: &[u8]| {
    // TP_FT_REQ_FILL_RXHASH
    let walk = Parser::new(1);
    let mut delivered = 0;
    for packet in walk.packets(block) {
        let (inside, lent) = (block.as_ptr_range(), packet.data().as_ptr_range());
        assert!(inside.start <= lent.start && lent.end <= inside.end);
        // Reads each byte, and each word that is told about it.
        let copy = packet.to_buf();
        assert_eq!(copy.data(), packet.data());
        assert!(!format!("{copy:?}").is_empty());
        delivered += 1;
    }
    let found = walk.found().expect("the walk reached its end");
    assert_eq!(found, walk.count(block));
    assert_eq!(found.0, delivered);
    let room = block.len() as u64 / HEADER;
    assert!(delivered <= room && found.1 <= room);
});
