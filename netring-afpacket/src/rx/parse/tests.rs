use proptest::prelude::*;

use super::*;
use crate::internal::{BlockBuilder, DESC, MAC};

const ANY: Context = Context {
    snap_len: usize::MAX,
    features: 0,
    offload: false,
    vlan_in_bytes: false,
};

/// Parses a block as a batch does. Returns its packets, and what was counted at the end.
fn parse(block: &[u8], context: &Context) -> (Vec<Vec<u8>>, Counts) {
    let counts = Cell::new(None);
    let packets = Packets::new(block, context, Position::first(block), &counts);
    let packets = packets.map(|packet| {
        let (inside, lent) = (block.as_ptr_range(), packet.data().as_ptr_range());
        assert!(inside.start <= lent.start && lent.end <= inside.end);
        packet.data().to_vec()
    });
    (packets.collect(), counts.get().unwrap())
}

/// Returns the counts of a block, which are the same by every way through it.
fn counts(block: &[u8]) -> (u64, u64) {
    let (packets, walked) = parse(block, &ANY);
    assert_eq!(walked.delivered, packets.len() as u64);
    // A batch that is dropped without iteration.
    let dropped = Position::first(block).counts(block, &ANY);
    assert_eq!(dropped, walked);
    // A loop that breaks at each packet and continues.
    let (mut at, mut stepped) = (Position::first(block), 0);
    while at.is_readable(block, &ANY) {
        let rest = at.counts(block, &ANY);
        assert_eq!(rest.delivered, walked.delivered - stepped);
        assert!(at.step(block, &ANY).is_some());
        stepped += 1;
    }
    let rest = at.counts(block, &ANY);
    assert_eq!((stepped, 0), (walked.delivered, rest.delivered));
    assert_eq!(rest.invalid, walked.invalid);
    // Whatever the block announces, no more is counted than it can hold.
    assert!(walked.invalid <= (block.len() / HEADER) as u64);
    (walked.delivered, walked.invalid)
}

#[test]
fn psock_tpacket_v3_block() {
    let frames: Vec<Vec<u8>> = (60..90).map(|len| vec![len as u8; len]).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let block = BlockBuilder::with_frames(8192, &frames);
    let (packets, walked) = parse(&block.bytes, &ANY);
    assert_eq!(packets, frames);
    assert_eq!((walked.delivered, walked.invalid), (30, 0));
    assert_eq!(counts(&block.bytes), (30, 0));
    let aligned = frames
        .iter()
        .map(|frame| (MAC + frame.len()).next_multiple_of(8));
    assert_eq!(block.used, DESC + aligned.sum::<usize>());
}

#[test]
fn p5_an_empty_block_has_nothing_to_lend() {
    for offset in [0, DESC as u32, u32::MAX] {
        let mut block = BlockBuilder::with_frames(4096, &[]);
        block.set_block_field(offset_of!(tpacket_block_desc, offset_to_first_pkt), offset);
        assert_eq!(counts(&block.bytes), (0, 0));
        assert!(!Position::first(&block.bytes).is_readable(&block.bytes, &ANY));
    }
    assert_eq!(counts(&[]), (0, 0));
    assert_eq!(counts(&[0xff; DESC - 1]), (0, 0));
}

fn three() -> BlockBuilder {
    BlockBuilder::with_frames(4096, &[&[1; 60], &[2; 61], &[3; 62]])
}

#[test]
fn p6_a_forged_number_of_packets() {
    let most = (4096 / HEADER) as u64;
    for (num_pkts, expected) in [
        (0, (0, 0)),
        (1, (1, 0)),
        (2, (2, 0)),
        // The third header says that nothing follows, which ends the search for more.
        (4, (3, 1)),
        (5, (3, 2)),
        (i32::MAX as u32, (3, most)),
        (u32::MAX, (3, most)),
    ] {
        let mut block = three();
        block.set_block_field(offset_of!(tpacket_block_desc, num_pkts), num_pkts);
        assert_eq!(counts(&block.bytes), expected, "{num_pkts}");
    }
}

#[test]
fn p6_a_forged_offset_to_the_first_packet() {
    let len = 4096_u32;
    // Into the block's own header, up to its last byte; too close to the end for a header; outside,
    // by one and by all.
    let none = [
        0,
        1,
        DESC as u32 - 1,
        len - HEADER as u32 + 1,
        len - 1,
        len,
        len + 1,
        1 << 31,
    ];
    for offset in none.into_iter().chain([u32::MAX - 3, u32::MAX]) {
        let mut block = three();
        block.set_block_field(offset_of!(tpacket_block_desc, offset_to_first_pkt), offset);
        assert_eq!(counts(&block.bytes), (0, 3), "{offset}");
    }
    // The block's own header, filled so that it would pass for a packet's.
    let mut block = three();
    block.set_block_field(offset_of!(tpacket_block_desc, offset_to_first_pkt), 16);
    block.put(
        16 + offset_of!(tpacket3_hdr, tp_snaplen),
        &60_u32.to_ne_bytes(),
    );
    block.put(
        16 + offset_of!(tpacket3_hdr, tp_mac),
        &(MAC as u16).to_ne_bytes(),
    );
    assert_eq!(counts(&block.bytes), (0, 3));
    // A header of zeros that just fits has its frame inside itself.
    let mut block = three();
    block.set_block_field(
        offset_of!(tpacket_block_desc, offset_to_first_pkt),
        len - HEADER as u32,
    );
    assert_eq!(counts(&block.bytes), (0, 3));
}

#[test]
fn p6_a_forged_offset_to_the_next_packet() {
    let field = offset_of!(tpacket3_hdr, tp_next_offset);
    let left = (4096 - DESC) as u32;
    for next in [
        0,
        1,
        HEADER as u32 - 1,
        left + 1,
        left - 1,
        left,
        1 << 31,
        u32::MAX - 47,
        u32::MAX,
    ] {
        let mut block = three();
        block.set_field(0, field, next);
        assert_eq!(counts(&block.bytes), (1, 2), "{next}");
    }
    // Bytes after the last one do not matter.
    for next in [0, 1, HEADER as u32, u32::MAX] {
        let mut block = three();
        block.set_field(2, field, next);
        assert_eq!(counts(&block.bytes), (3, 0), "{next}");
    }
    // Onto itself, and back by wrapping round: each step goes forward by a header at least.
    let mut block = three();
    block.set_field(
        1,
        field,
        0_u32.wrapping_sub((block.headers[1] - block.headers[0]) as u32),
    );
    assert_eq!(counts(&block.bytes), (2, 1));
}

#[test]
fn p6_a_forged_offset_to_the_frame() {
    let field = offset_of!(tpacket3_hdr, tp_mac);
    // Into the header and the address behind it.
    for mac in [0, 1, 48, HEADER as u32 - 1] {
        let mut block = three();
        block.set_field(1, field, mac);
        assert_eq!(counts(&block.bytes), (1, 2), "{mac}");
    }
    // Somewhere else inside: bytes of the block, if not the right ones.
    let mut block = three();
    block.set_field(1, field, HEADER as u32);
    assert_eq!(counts(&block.bytes), (3, 0));
    // Outside.
    let left = (4096 - block.headers[1]) as u32;
    for mac in [left - 60, left, left + 1, u32::from(u16::MAX)] {
        let mut block = three();
        block.set_field(1, field, mac);
        assert_eq!(counts(&block.bytes), (1, 2), "{mac}");
    }
    let mut block = three();
    block.set_field(1, field, left - 61);
    assert_eq!(counts(&block.bytes), (3, 0));
}

#[test]
fn p6_a_forged_length_of_the_frame() {
    let field = offset_of!(tpacket3_hdr, tp_snaplen);
    let room = (4096 - three().headers[1] - MAC) as u32;
    for (length, expected) in [
        (0, (3, 0)),
        (room, (3, 0)),
        (room + 1, (1, 2)),
        (4096, (1, 2)),
        (i32::MAX as u32, (1, 2)),
        (u32::MAX - MAC as u32 + 1, (1, 2)),
        (u32::MAX, (1, 2)),
    ] {
        let mut block = three();
        block.set_field(1, field, length);
        assert_eq!(counts(&block.bytes), expected, "{length}");
        if expected == (3, 0) {
            let (packets, _) = parse(&block.bytes, &ANY);
            assert_eq!(packets[1].len(), length as usize);
        }
    }
    // An absurd wire length does not affect memory.
    let mut block = three();
    block.set_field(1, offset_of!(tpacket3_hdr, tp_len), u32::MAX);
    assert_eq!(counts(&block.bytes), (3, 0));
}

#[test]
fn an_iterator_that_is_called_after_its_end_reports_the_same() {
    let mut block = three();
    block.set_field(1, offset_of!(tpacket3_hdr, tp_mac), 0);
    let counts = Cell::new(None);
    let mut packets = Packets::new(&block.bytes, &ANY, Position::first(&block.bytes), &counts);
    assert!(packets.next().is_some() && counts.get().is_none());
    for _ in 0..3 {
        assert!(packets.next().is_none());
        let found = counts.get().unwrap();
        assert_eq!((found.delivered, found.invalid), (1, 2));
    }
}

#[test]
fn s12_what_the_kernel_did_not_cut_is_cut_to_the_snap_length() {
    let block = three();
    let context = Context {
        snap_len: 61,
        ..ANY
    };
    let (packets, _) = parse(&block.bytes, &context);
    let lens: Vec<_> = packets.iter().map(Vec::len).collect();
    assert_eq!(lens, [60, 61, 61]);
}

/// Parses a packet with this status and whatever `forge` sets in its header.
fn parsed(status: u32, forge: impl Fn(&mut BlockBuilder)) -> netring_sys::PacketBuf {
    let mut block = BlockBuilder::with_frames(4096, &[&[7; 60]]);
    block.set_field(0, offset_of!(tpacket3_hdr, tp_status), status);
    forge(&mut block);
    let packet = Position::first(&block.bytes).step(&block.bytes, &ANY);
    packet.unwrap().to_buf()
}

#[test]
fn the_link_type_is_the_one_of_the_packet() {
    let hardware = TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype);
    let mut block = three();
    for (n, hardware_type) in [(0, 1_u16), (1, 0xfffe), (2, 280)] {
        let at = block.headers[n] + hardware;
        block.put(at, &hardware_type.to_ne_bytes());
    }
    let counts = Cell::new(None);
    let first = Position::first(&block.bytes);
    let packets = Packets::new(&block.bytes, &ANY, first, &counts);
    let types: Vec<_> = packets.map(|packet| packet.link_type()).collect();
    assert_eq!(
        types,
        [LinkType::ETHERNET, LinkType::RAW_IP, LinkType::UNKNOWN]
    );
}

#[test]
fn s9_the_clock_is_the_one_that_the_status_names() {
    let clock = |status| parsed(status, |_| ()).timestamp().clock();
    assert_eq!(clock(0), Clock::Socket);
    assert_eq!(clock(TP_STATUS_TS_SOFTWARE), Clock::Software);
    assert_eq!(clock(TP_STATUS_TS_RAW_HARDWARE), Clock::Hardware);
    let time = parsed(0, |block| {
        block.set_field(0, offset_of!(tpacket3_hdr, tp_sec), 3);
        block.set_field(0, offset_of!(tpacket3_hdr, tp_nsec), 999_999_999);
    });
    assert_eq!(time.timestamp().as_nanos(), 3_999_999_999);
}

#[test]
fn p13_a_tag_is_there_where_the_status_says_so_also_a_tag_of_zeros() {
    let tag = |status, tci: u32, tpid: u16| {
        parsed(status, |block| {
            block.set_field(0, offset_of!(tpacket3_hdr, tp_vlan_tci), tci);
            let at = block.headers[0] + offset_of!(tpacket3_hdr, tp_vlan_tpid);
            block.put(at, &tpid.to_ne_bytes());
        })
        .vlan()
    };
    let both = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
    assert_eq!(
        tag(both, 0, 0x8100),
        Some(VlanTag {
            tpid: 0x8100,
            tci: 0
        })
    );
    assert_eq!(
        tag(both, 5, 0x88a8),
        Some(VlanTag {
            tpid: 0x88a8,
            tci: 5
        })
    );
    // Kernels before 3.14 do not report the TPID.
    assert_eq!(
        tag(TP_STATUS_VLAN_VALID, 5, 0),
        Some(VlanTag {
            tpid: 0x8100,
            tci: 5
        })
    );
    assert_eq!(tag(0, 5, 0x8100), None);
}

#[test]
fn checksum_and_direction_are_as_told() {
    let checksum = |status| parsed(status, |_| ()).checksum();
    assert_eq!(checksum(0), Checksum::Unknown);
    assert_eq!(checksum(TP_STATUS_CSUM_VALID), Checksum::Valid);
    assert_eq!(checksum(TP_STATUS_CSUMNOTREADY), Checksum::Partial);
    let direction = |kind: u8| {
        let at = TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_pkttype);
        parsed(0, |block| block.put(DESC + at, &[kind])).direction()
    };
    assert_eq!(direction(PACKET_OUTGOING), Some(Direction::Outgoing));
    assert_eq!(direction(200), None);
}

/// What the walk must find, in numbers that cannot overflow and without slices.
fn oracle(block: &[u8]) -> (Vec<(usize, usize)>, u64) {
    let word = |at: u64| {
        let at = usize::try_from(at).unwrap();
        u64::from(u32::from_ne_bytes(block[at..at + 4].try_into().unwrap()))
    };
    let half = |at: u64| {
        u64::from(u16::from_ne_bytes([
            block[at as usize],
            block[at as usize + 1],
        ]))
    };
    let (len, header) = (block.len() as u64, HEADER as u64);
    let mut left = word(offset_of!(tpacket_block_desc, num_pkts) as u64);
    let mut at = word(offset_of!(tpacket_block_desc, offset_to_first_pkt) as u64);
    let mut found = Vec::new();
    if at < DESC as u64 {
        at = len;
    }
    while left > 0 && at + header <= len {
        let mac = half(at + offset_of!(tpacket3_hdr, tp_mac) as u64);
        let snap = word(at + offset_of!(tpacket3_hdr, tp_snaplen) as u64);
        let next = word(at + offset_of!(tpacket3_hdr, tp_next_offset) as u64);
        if mac < header || at + mac + snap > len {
            break;
        }
        found.push(((at + mac) as usize, snap as usize));
        left -= 1;
        if next < header || at + next > len {
            break;
        }
        at += next;
    }
    (found, left.min(len / header))
}

fn matches_the_oracle(block: &[u8]) {
    let (found, invalid) = oracle(block);
    let (packets, walked) = parse(block, &ANY);
    assert_eq!(packets.len(), found.len());
    for (packet, (at, len)) in packets.iter().zip(&found) {
        assert_eq!(packet, &block[*at..at + len]);
    }
    assert_eq!(walked.invalid, invalid);
    assert_eq!(counts(block), (found.len() as u64, invalid));
}

/// Values at the edges of a block of this size, and any.
fn edge(len: usize) -> impl Strategy<Value = u32> {
    let len = len as u32;
    prop_oneof![
        prop::sample::select(vec![
            0,
            1,
            47,
            48,
            67,
            68,
            82,
            u32::MAX,
            u32::MAX - 67,
            1 << 31
        ]),
        (0..200_u32).prop_map(move |less| len.saturating_sub(less)),
        0..len + 8,
        any::<u32>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Miri is a thousand times slower, and cannot store failures.
        cases: if cfg!(miri) { 16 } else { 2000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn p6_a_right_block_with_forged_words_never_reads_outside(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..12),
        forged in prop::collection::vec((0..12_usize, 0..4_usize, edge(4096)), 0..4),
        words in prop::collection::vec((0..2_usize, edge(4096)), 0..2),
    ) {
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let mut block = BlockBuilder::with_frames(4096, &frames);
        matches_the_oracle(&block.bytes);
        for (packet, field, value) in forged {
            let fields = [
                offset_of!(tpacket3_hdr, tp_next_offset),
                offset_of!(tpacket3_hdr, tp_snaplen),
                offset_of!(tpacket3_hdr, tp_mac),
                offset_of!(tpacket3_hdr, tp_len),
            ];
            if packet < block.headers.len() {
                block.set_field(packet, fields[field], value);
            }
        }
        for (word, value) in words {
            let fields = [
                offset_of!(tpacket_block_desc, num_pkts),
                offset_of!(tpacket_block_desc, offset_to_first_pkt),
            ];
            block.set_block_field(fields[word], value);
        }
        matches_the_oracle(&block.bytes);
    }

    #[test]
    fn p6_random_bytes_never_read_outside(
        mut bytes in prop::collection::vec(any::<u8>(), DESC..1024),
        first in edge(1024),
        count in edge(16),
    ) {
        matches_the_oracle(&bytes);
        let at = offset_of!(tpacket_block_desc, offset_to_first_pkt);
        bytes[at..at + 4].copy_from_slice(&first.to_ne_bytes());
        let at = offset_of!(tpacket_block_desc, num_pkts);
        bytes[at..at + 4].copy_from_slice(&count.to_ne_bytes());
        matches_the_oracle(&bytes);
    }
}
