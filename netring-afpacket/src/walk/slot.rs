//! The packet of a slot, in a version 2 ring.

use std::mem::offset_of;

use netring_sys::Packet;
use netring_sys::kernel::packet::{
    TPACKET2_HDRLEN_ALIGNED, TPACKET3_HDRLEN_ALIGNED, sockaddr_ll, tpacket2_hdr, tpacket3_hdr,
};

use super::{Context, HEADER, IN_A_SLOT, Position, packet};

/// The header and the address behind it: what has to be in the slot for its packet to be read.
pub(super) const SLOT_HEADER: usize = TPACKET2_HDRLEN_ALIGNED + size_of::<sockaddr_ll>();

impl Position {
    /// The packet of a slot, or `None` if the position is not one in a slot, or the header points out of it.
    #[inline(never)]
    pub(super) fn step_in_a_slot<'a>(
        &mut self,
        slot: &'a [u8],
        context: &Context,
    ) -> Option<Packet<'a>> {
        if self.offset != IN_A_SLOT {
            return None;
        }
        let header: &[u8; SLOT_HEADER] = slot.first_chunk()?;
        let word = |offset| u32::from_ne_bytes(bytes(header, offset));
        let mac = usize::from(u16::from_ne_bytes(bytes(
            header,
            offset_of!(tpacket2_hdr, tp_mac),
        )));
        let snap_len = word(offset_of!(tpacket2_hdr, tp_snaplen)) as usize;
        let data = slot.get(mac..)?.get(..snap_len)?;
        if mac < SLOT_HEADER {
            return None;
        }
        self.left = 0;
        let data = &data[..data.len().min(context.snap_len)];
        Some(packet(data, &as_version_3(header), context))
    }
}

/// The same words where a version 3 header has them, so that one function says what they mean.
fn as_version_3(header: &[u8; SLOT_HEADER]) -> [u8; HEADER] {
    const WORDS: [(usize, usize, usize); 7] = [
        (
            offset_of!(tpacket3_hdr, tp_status),
            offset_of!(tpacket2_hdr, tp_status),
            4,
        ),
        (
            offset_of!(tpacket3_hdr, tp_len),
            offset_of!(tpacket2_hdr, tp_len),
            4,
        ),
        (
            offset_of!(tpacket3_hdr, tp_snaplen),
            offset_of!(tpacket2_hdr, tp_snaplen),
            4,
        ),
        // Position of the link layer and network headers.
        (
            offset_of!(tpacket3_hdr, tp_mac),
            offset_of!(tpacket2_hdr, tp_mac),
            4,
        ),
        // Seconds and nanoseconds.
        (
            offset_of!(tpacket3_hdr, tp_sec),
            offset_of!(tpacket2_hdr, tp_sec),
            8,
        ),
        (
            offset_of!(tpacket3_hdr, tp_vlan_tpid),
            offset_of!(tpacket2_hdr, tp_vlan_tpid),
            2,
        ),
        (
            TPACKET3_HDRLEN_ALIGNED,
            TPACKET2_HDRLEN_ALIGNED,
            size_of::<sockaddr_ll>(),
        ),
    ];
    let mut version_3 = [0; HEADER];
    for (to, from, len) in WORDS {
        version_3[to..to + len].copy_from_slice(&header[from..from + len]);
    }
    // 16 bits here, 32 there.
    let tci = u16::from_ne_bytes(bytes(header, offset_of!(tpacket2_hdr, tp_vlan_tci)));
    let to = offset_of!(tpacket3_hdr, tp_vlan_tci);
    version_3[to..to + 4].copy_from_slice(&u32::from(tci).to_ne_bytes());
    version_3
}

fn bytes<const N: usize>(header: &[u8; SLOT_HEADER], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[offset..offset + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use netring_sys::kernel::packet::{
        PACKET_OUTGOING, TP_STATUS_CSUM_VALID, TP_STATUS_TS_RAW_HARDWARE, TP_STATUS_USER,
        TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID,
    };
    use netring_sys::{Checksum, Clock, Direction, LinkType, VlanTag};

    use super::*;

    const MAC: usize = 66;
    const CONTEXT: Context = Context {
        link_type: LinkType::ETHERNET,
        snap_len: usize::MAX,
        features: 0,
    };

    /// A slot of 256 bytes as the kernel lays it out, with a frame of 60 that was 1000 on the wire.
    fn slot() -> Vec<u8> {
        let mut slot = vec![0; 256];
        let remarks = TP_STATUS_USER
            | TP_STATUS_CSUM_VALID
            | TP_STATUS_TS_RAW_HARDWARE
            | TP_STATUS_VLAN_VALID
            | TP_STATUS_VLAN_TPID_VALID;
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_status),
            &remarks.to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_len),
            &1000_u32.to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_snaplen),
            &60_u32.to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_mac),
            &(MAC as u16).to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_net),
            &80_u16.to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_sec),
            &7_u32.to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_nsec),
            &8_u32.to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_vlan_tci),
            &0xe123_u16.to_ne_bytes(),
        );
        put(
            &mut slot,
            offset_of!(tpacket2_hdr, tp_vlan_tpid),
            &0x88a8_u16.to_ne_bytes(),
        );
        let address = TPACKET2_HDRLEN_ALIGNED;
        put(
            &mut slot,
            address + offset_of!(sockaddr_ll, sll_ifindex),
            &9_u32.to_ne_bytes(),
        );
        put(
            &mut slot,
            address + offset_of!(sockaddr_ll, sll_pkttype),
            &[PACKET_OUTGOING],
        );
        put(&mut slot, MAC, &[0xaa; 60]);
        slot
    }

    fn put(slot: &mut [u8], at: usize, bytes: &[u8]) {
        slot[at..at + bytes.len()].copy_from_slice(bytes);
    }

    #[test]
    fn every_word_of_a_slot_is_told() {
        let slot = slot();
        let mut position = Position::in_a_slot();
        assert!(position.is_readable(&slot, &CONTEXT));
        let packet = position.step(&slot, &CONTEXT).unwrap();
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
        assert_eq!(packet.timestamp().to_string(), "7.000000008");
        assert!(position.step(&slot, &CONTEXT).is_none());
        assert_eq!(position.plausible(&slot), 0);
    }

    #[test]
    fn a_snap_length_cuts() {
        let slot = slot();
        let context = Context {
            snap_len: 10,
            ..CONTEXT
        };
        let packet = Position::in_a_slot().step(&slot, &context).unwrap();
        assert_eq!(packet.data(), [0xaa; 10]);
    }

    #[test]
    fn p6_a_forged_slot_gives_nothing_and_is_counted_once() {
        let (mac, snap_len) = (
            offset_of!(tpacket2_hdr, tp_mac),
            offset_of!(tpacket2_hdr, tp_snaplen),
        );
        let mac_of = |value: u16| (mac, u32::from(value), 2);
        let forged = [
            mac_of(0),
            mac_of(SLOT_HEADER as u16 - 1),
            mac_of(197),
            mac_of(256),
            mac_of(257),
            mac_of(u16::MAX),
            (snap_len, 191, 4),
            (snap_len, u32::MAX, 4),
        ];
        for (at, value, len) in forged {
            let mut slot = slot();
            let bytes = if len == 2 {
                (value as u16).to_ne_bytes().to_vec()
            } else {
                value.to_ne_bytes().to_vec()
            };
            put(&mut slot, at, &bytes);
            let tally = Position::in_a_slot().tally(&slot, &CONTEXT);
            assert_eq!((tally.delivered, tally.invalid), (0, 1), "{at} {value}");
        }
        // The last byte that is inside, and slots that are too short for a header.
        let mut whole = slot();
        put(&mut whole, snap_len, &190_u32.to_ne_bytes());
        assert_eq!(Position::in_a_slot().tally(&whole, &CONTEXT).delivered, 1);
        for len in 0..SLOT_HEADER {
            let tally = Position::in_a_slot().tally(&whole[..len], &CONTEXT);
            assert_eq!(tally.delivered, 0);
        }
    }
}
