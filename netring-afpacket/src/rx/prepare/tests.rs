use std::cell::Cell;

use netring_sys::VlanTag;
use netring_sys::kernel::packet::VIRTIO_NET_HDR_GSO_TCPV4;
use proptest::prelude::*;

use super::*;
use crate::internal::BlockBuilder;
use crate::rx::parse::{Counts, Packets};

const PLAIN: Context = Context {
    snap_len: usize::MAX,
    features: 0,
    offload: false,
    vlan_in_bytes: true,
};
const OFFLOAD: Context = Context {
    offload: true,
    ..PLAIN
};
const STATUS: u32 = TP_STATUS_USER | TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;

/// A block of one frame of `len` bytes that count from 1, with a tag beside them.
fn tagged(len: u8) -> BlockBuilder {
    let frame: Vec<u8> = (1..=len).collect();
    let mut block = BlockBuilder::with_frames(4096, &[&frame]);
    block.set_field(0, offset_of!(tpacket3_hdr, tp_status), STATUS | 1 << 29);
    block.set_field(0, offset_of!(tpacket3_hdr, tp_vlan_tci), 0xe123);
    block.set_field(0, offset_of!(tpacket3_hdr, tp_vlan_tpid), 0x88a8);
    block
}

/// Prepares the block, and parses it.
fn prepared(block: &mut BlockBuilder, context: &Context) -> (Vec<netring_sys::PacketBuf>, Counts) {
    let first = Position::first(&block.bytes);
    let first = prepare(&mut block.bytes, first, context);
    let counts = Cell::new(None);
    let packets = Packets::new(&block.bytes, context, first, &counts);
    let packets = packets.map(|packet| packet.to_buf()).collect();
    (packets, counts.get().unwrap())
}

#[test]
fn a_tag_goes_behind_the_addresses_and_is_no_longer_beside_the_bytes() {
    for len in [12, 13, 14, 60, 255] {
        let frame: Vec<u8> = (1..=len).collect();
        let wire = [&frame[..12], &[0x88, 0xa8, 0xe1, 0x23], &frame[12..]].concat();
        let (packets, counts) = prepared(&mut tagged(len), &PLAIN);
        assert_eq!(packets[0].data(), wire);
        assert_eq!(packets[0].vlan(), None);
        assert_eq!(packets[0].wire_len() as usize, wire.len());
        assert_eq!((counts.delivered, counts.invalid), (1, 0));
        assert_eq!(packets[0].timestamp().clock(), netring_sys::Clock::Software);
    }
}

#[test]
fn the_snap_length_counts_the_tag() {
    let context = Context {
        snap_len: 60,
        ..PLAIN
    };
    let (packets, _) = prepared(&mut tagged(60), &context);
    assert_eq!((packets[0].data().len(), packets[0].wire_len()), (60, 64));
    assert!(packets[0].as_packet().is_cut());
}

#[test]
fn a_tag_without_room_or_place_stays_beside_the_bytes() {
    let tag = Some(VlanTag {
        tpid: 0x88a8,
        tci: 0xe123,
    });
    let stays = |block: &mut BlockBuilder, context: &Context| {
        let before = block.bytes.clone();
        let (packets, _) = prepared(block, context);
        assert_eq!(block.bytes, before);
        assert!(packets.iter().all(|packet| packet.vlan() == tag));
        packets.len()
    };
    // Shorter than both addresses.
    assert_eq!(stays(&mut tagged(11), &PLAIN), 1);
    // Fewer than four bytes between the address and the frame; none for the other header too.
    for (mac, context) in [(68, PLAIN), (71, PLAIN), (81, OFFLOAD), (68, OFFLOAD)] {
        let mut block = tagged(60);
        block.set_field(0, offset_of!(tpacket3_hdr, tp_mac), mac);
        assert_eq!(stays(&mut block, &context), 1, "{mac}");
    }
    // Not Ethernet.
    let mut block = tagged(60);
    let hardware = TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype);
    block.put(block.headers[0] + hardware, &0xfffe_u16.to_ne_bytes());
    assert_eq!(stays(&mut block, &PLAIN), 1);
    // Nothing that can be read.
    for mac in [0, 67, 4090, 65_535] {
        let mut block = tagged(60);
        block.set_field(0, offset_of!(tpacket3_hdr, tp_mac), mac);
        assert_eq!(stays(&mut block, &PLAIN), 0, "{mac}");
    }
    let mut block = tagged(60);
    block.set_field(0, offset_of!(tpacket3_hdr, tp_snaplen), u32::MAX);
    assert_eq!(stays(&mut block, &PLAIN), 0);
}

#[test]
fn p24_offsets_shift_with_the_tag() {
    let header = virtio_net_hdr {
        flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
        gso_type: VIRTIO_NET_HDR_GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
    };
    let nothing = virtio_net_hdr::default();
    let largest = virtio_net_hdr {
        csum_start: u16::MAX,
        hdr_len: u16::MAX,
        ..header
    };
    let behind = |start, len| virtio_net_hdr {
        csum_start: start,
        hdr_len: len,
        ..header
    };
    for (found, expected) in [
        (header, behind(38, 58)),
        (nothing, nothing),
        (largest, largest),
    ] {
        let mut block = tagged(60);
        // As the kernel leaves room for it.
        let mac = 82 + VNET;
        let frame: Vec<u8> = (1..=60).collect();
        block.set_field(0, offset_of!(tpacket3_hdr, tp_mac), mac as u32);
        block.put(block.headers[0] + mac - VNET, &found.to_bytes());
        block.put(block.headers[0] + mac, &frame);
        let (packets, _) = prepared(&mut block, &OFFLOAD);
        assert_eq!(packets[0].offload().unwrap().header(), expected);
        let wire = [&frame[..12], &[0x88, 0xa8, 0xe1, 0x23], &frame[12..]].concat();
        assert_eq!(packets[0].data(), wire);
    }
}

/// The kernel dropped some packets after it had made room for them.
#[test]
fn p24_places_without_a_packet_are_passed_over() {
    let frames: Vec<Vec<u8>> = (1..=5).map(|n| vec![n; 60]).collect();
    for holes in 0..32_u32 {
        let mut block = BlockBuilder::new(4096);
        frames.iter().for_each(|frame| assert!(block.push(frame)));
        let is_hole = |n: usize| holes & (1 << n) != 0;
        for n in (0..5).filter(|&n| is_hole(n)) {
            // The tag is filled in before the packet is dropped; the rest is left from before.
            let status = STATUS & !TP_STATUS_USER;
            block.set_field(n, offset_of!(tpacket3_hdr, tp_status), status);
            block.set_field(n, offset_of!(tpacket3_hdr, tp_snaplen), u32::MAX);
            block.set_field(n, offset_of!(tpacket3_hdr, tp_mac), n as u32);
        }
        let (packets, counts) = prepared(&mut block, &OFFLOAD);
        let expected: Vec<_> = (0..5).filter(|&n| !is_hole(n)).collect();
        let found: Vec<_> = packets.iter().map(|packet| packet.data()).collect();
        assert!(found.iter().eq(expected.iter().map(|&n| &frames[n])));
        assert_eq!((counts.delivered, counts.invalid), (found.len() as u64, 0));
    }
}

proptest! {
    /// Whatever the headers say, nothing outside the block is touched, the work ends, and the
    /// packets are counted the same by every way.
    #[test]
    fn p6_forged_headers_end_inside_the_block(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..1200),
        headers in proptest::collection::vec((0_usize..1200, any::<[u8; 12]>(), 0_u16..1300), 0..8),
        offload in any::<bool>(),
    ) {
        // Headers that get further than random bytes do.
        for (at, [a, b, c, d, rest @ ..], mac) in headers {
            let mut put = |offset: usize, value: &[u8]| {
                if let Some(place) = bytes.get_mut(at + offset..at + offset + value.len()) {
                    place.copy_from_slice(value);
                }
            };
            let status = if d & 2 == 0 { STATUS } else { 0 };
            put(offset_of!(tpacket3_hdr, tp_status), &status.to_ne_bytes());
            put(offset_of!(tpacket3_hdr, tp_mac), &mac.to_ne_bytes());
            put(offset_of!(tpacket3_hdr, tp_snaplen), &[a, b & 3, 0, 0]);
            put(offset_of!(tpacket3_hdr, tp_next_offset), &[c, d & 1, 0, 0]);
            put(TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype), &[1, 0]);
            put(offset_of!(tpacket3_hdr, tp_vlan_tci), &rest[..4]);
        }
        if bytes.len() > 48 {
            bytes[12..20].copy_from_slice(&[9, 0, 0, 0, 48, 0, 0, 0]);
        }
        let context = Context { offload, ..PLAIN };
        let first = Position::first(&bytes);
        let first = prepare(&mut bytes, first, &context);
        let counts = Cell::new(None);
        let packets = Packets::new(&bytes, &context, first, &counts).count() as u64;
        let walked = counts.get().unwrap();
        prop_assert_eq!(packets, walked.delivered);
        prop_assert_eq!(first.counts(&bytes, &context), walked);
        prop_assert!(packets + walked.invalid <= 9);
    }
}
