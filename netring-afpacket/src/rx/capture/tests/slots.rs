//! Slots that no kernel fills.

use netring_sys::kernel::packet::{
    PACKET_OUTGOING, TP_STATUS_CSUM_VALID, TP_STATUS_TS_RAW_HARDWARE, TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID, TPACKET2_HDRLEN_ALIGNED, sockaddr_ll, tpacket2_hdr,
};
use netring_sys::{Checksum, Clock, Direction, VlanTag};

use super::*;

/// Three to a block of 4096.
const SLOT: usize = 1360;
/// Where the kernel puts an Ethernet frame, with 16 bytes in reserve.
const MAC: usize = 82;
const REMARKS: u32 = TP_STATUS_CSUM_VALID
    | TP_STATUS_TS_RAW_HARDWARE
    | TP_STATUS_VLAN_VALID
    | TP_STATUS_VLAN_TPID_VALID;

/// A slot as the kernel lays it out, with 60 bytes of a frame that has 1000 on the wire.
fn slot(first: u8) -> Vec<u8> {
    let mut slot = vec![0xee; SLOT];
    for (at, word) in [
        (offset_of!(tpacket2_hdr, tp_status), REMARKS),
        (offset_of!(tpacket2_hdr, tp_len), 1000),
        (offset_of!(tpacket2_hdr, tp_snaplen), 60),
        (offset_of!(tpacket2_hdr, tp_sec), 7),
        (offset_of!(tpacket2_hdr, tp_nsec), 8),
        (
            TPACKET2_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_ifindex),
            9,
        ),
    ] {
        put(&mut slot, at, &u32::to_ne_bytes(word));
    }
    for (at, word) in [
        (offset_of!(tpacket2_hdr, tp_mac), MAC as u16),
        (offset_of!(tpacket2_hdr, tp_net), 96),
        (offset_of!(tpacket2_hdr, tp_vlan_tci), 0xe123),
        (offset_of!(tpacket2_hdr, tp_vlan_tpid), 0x88a8),
    ] {
        put(&mut slot, at, &u16::to_ne_bytes(word));
    }
    let packet_type = TPACKET2_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_pkttype);
    put(&mut slot, packet_type, &[PACKET_OUTGOING]);
    put(&mut slot, MAC, &[first; 60]);
    slot
}

fn put(slot: &mut [u8], at: usize, bytes: &[u8]) {
    slot[at..at + bytes.len()].copy_from_slice(bytes);
}

fn fill(capture: &mut Capture, n: usize, slot: &[u8]) {
    // The kernel stores the status last.
    let mut kernels = slot.to_vec();
    put(&mut kernels, 0, &0_u32.to_ne_bytes());
    capture.reader.ring_mut().fill(n, &kernels, REMARKS);
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn every_field_of_a_slot_is_reported_however_often_it_is_lent() {
    let mut capture = capture_of(Some(SLOT));
    fill(&mut capture, 0, &slot(0xaa));
    for _ in 0..3 {
        let batch = capture
            .next_batch_timeout(Duration::ZERO)
            .unwrap()
            .batch()
            .unwrap();
        assert_eq!(batch.sequence(), 1);
        assert_eq!(batch.packets().count(), 1);
        let packet = batch.packets().next().unwrap();
        assert_eq!(packet.data(), [0xaa; 60]);
        assert!(packet.is_cut());
        assert_eq!(packet.interface(), 9);
        assert_eq!(packet.direction(), Some(Direction::Outgoing));
        assert_eq!(packet.checksum(), Checksum::Valid);
        let tag = VlanTag {
            tpid: 0x88a8,
            tci: 0xe123,
        };
        assert_eq!(packet.vlan(), Some(tag));
        assert_eq!(packet.rx_hash(), None);
        assert_eq!(packet.timestamp().clock(), Clock::Hardware);
        assert_eq!(packet.timestamp().as_nanos(), 7_000_000_008);
        // Leaked, so it is lent once more.
        std::mem::forget(batch);
    }
    drop(capture.batch());
    assert_eq!(counted(&capture), (1, 0));
    assert!(capture.reader.ring_mut().is_kernels(0));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn slots_come_in_order_around_the_ring() {
    let mut capture = capture_of(Some(SLOT));
    let slots = 3 * BLOCKS;
    for round in 0..3 {
        for n in 0..slots {
            fill(&mut capture, n, &slot((round * slots + n) as u8));
        }
        for n in 0..slots {
            let batch = capture
                .next_batch_timeout(Duration::ZERO)
                .unwrap()
                .batch()
                .unwrap();
            assert_eq!(bytes(&batch), [(round * slots + n) as u8]);
            assert_eq!(batch.sequence(), (round * slots + n + 1) as u64);
        }
        assert_eq!(capture.ready().unwrap(), Readiness::Empty);
    }
    assert_eq!(counted(&capture), (3 * slots as u64, 0));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn p6_a_forged_slot_gives_nothing_and_is_counted_once() {
    let (mac, snap_len) = (
        offset_of!(tpacket2_hdr, tp_mac),
        offset_of!(tpacket2_hdr, tp_snaplen),
    );
    let room = (SLOT - MAC) as u32;
    let mut capture = capture_of(Some(SLOT));
    let forged = [
        (mac, 0_u16.to_ne_bytes().to_vec()),
        (mac, 67_u16.to_ne_bytes().to_vec()),
        (mac, (SLOT as u16 - 59).to_ne_bytes().to_vec()),
        (mac, (SLOT as u16 + 1).to_ne_bytes().to_vec()),
        (mac, u16::MAX.to_ne_bytes().to_vec()),
        (snap_len, (room + 1).to_ne_bytes().to_vec()),
        (snap_len, u32::MAX.to_ne_bytes().to_vec()),
    ];
    let count = forged.len();
    for (n, (at, value)) in forged.iter().enumerate() {
        let mut slot = slot(n as u8);
        put(&mut slot, *at, value);
        fill(&mut capture, n, &slot);
    }
    // Up to the last byte of the slot.
    let mut whole = slot(0xff);
    put(&mut whole, snap_len, &room.to_ne_bytes());
    fill(&mut capture, count, &whole);
    let batch = capture
        .next_batch_timeout(Duration::ZERO)
        .unwrap()
        .batch()
        .unwrap();
    assert_eq!(batch.packets().next().unwrap().data().len(), room as usize);
    drop(batch);
    assert_eq!(counted(&capture), (1, count as u64));
    assert!((0..=count).all(|n| capture.reader.ring_mut().is_kernels(n)));
}
