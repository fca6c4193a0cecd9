//! Metadata and statistics are written as JSON and read back.

use netring_sys::kernel::packet::virtio_net_hdr;
use netring_sys::{
    Checksum, Clock, Count, Direction, LinkAddress, LinkType, Meta, Packet, SinkStats, Stats,
    Timestamp, VlanTag, XdpMode,
};
use serde_json::{from_value, json, to_value};

#[test]
fn metadata_of_a_packet_keeps_every_word() {
    let tag = VlanTag {
        tpid: 0x88a8,
        tci: 0xe005,
    };
    let time = Timestamp::from_nanos(1_700_000_000_000_000_001, Clock::Hardware);
    let header = virtio_net_hdr {
        flags: 1,
        gso_type: 0x84,
        hdr_len: 74,
        gso_size: 1428,
        csum_start: 54,
        csum_offset: 16,
    };
    let packet = Packet::new(b"abc", time, LinkType::RAW_IP)
        .with_wire_len(9)
        .with_interface(4)
        .with_direction(Some(Direction::Outgoing))
        .with_checksum(Checksum::Partial)
        .with_vlan(Some(tag))
        .with_rx_hash(Some(11))
        .with_queue(Some(3))
        .with_sender(LinkAddress::new(&[2, 0, 0, 0, 0, 9]))
        .with_offload(Some(header.into()));
    let written = to_value(*packet).unwrap();
    assert_eq!(
        written,
        json!({
            "timestamp": {"nanos": 1_700_000_000_000_000_001_i64, "clock": "Hardware"},
            "wire_len": 13,
            "interface": 4,
            "link_type": 101,
            "direction": "Outgoing",
            "checksum": "Partial",
            "vlan": {"tpid": 0x88a8, "tci": 0xe005},
            "rx_hash": 11,
            "queue": 3,
            "sender": {"len": 6, "bytes": [2, 0, 0, 0, 0, 9, 0, 0]},
            "offload": {
                "segments": {"kind": "Tcp6", "ecn": true, "segment_len": 1428, "linear_len": 74},
                "checksum": {"start": 54, "offset": 16},
            },
        })
    );
    let read: Meta = from_value(written).unwrap();
    assert_eq!(read, *packet);
    // Timestamps are equal whatever their clocks.
    assert_eq!(read.timestamp().clock(), Clock::Hardware);
}

#[test]
fn metadata_that_is_unknown_is_null() {
    let packet = Packet::new(b"abc", Timestamp::EPOCH, LinkType::ETHERNET);
    let written = to_value(*packet).unwrap();
    assert_eq!(written["vlan"], json!(null));
    assert_eq!(from_value::<Meta>(written).unwrap(), *packet);
}

#[test]
fn statistics_say_how_exact_they_are() {
    let mut stats = Stats::counted(7);
    stats.link_downs = Count::AtLeast(2);
    stats.freezes = Count::Unavailable;
    let written = to_value(stats).unwrap();
    assert_eq!(
        written,
        json!({
            "offered": {"Exact": 7},
            "delivered": {"Exact": 7},
            "left_out": {"Exact": 0},
            "dropped": {"Exact": 0},
            "invalid": {"Exact": 0},
            "freezes": "Unavailable",
            "link_downs": {"AtLeast": 2},
        })
    );
    assert_eq!(from_value::<Stats>(written).unwrap(), stats);

    let stats = SinkStats::counted(9, 8);
    let written = to_value(stats).unwrap();
    assert_eq!(written["pending"], json!(1));
    assert_eq!(from_value::<SinkStats>(written).unwrap(), stats);
}

#[test]
fn modes_of_xdp_programs() {
    for mode in [XdpMode::Native, XdpMode::Generic, XdpMode::Offloaded] {
        assert_eq!(
            from_value::<XdpMode>(to_value(mode).unwrap()).unwrap(),
            mode
        );
    }
}
