//! Valid pcap files.

use super::bytes::{
    Big, IXIA_HARDWARE, IXIA_SOFTWARE, Little, MICROS, MODIFIED, NANOS, Order, header, record,
    versioned_header,
};
use super::{Seen, packets};

#[test]
fn both_byte_orders_and_both_units_to_the_nanosecond() {
    for order in [Little, Big] {
        for (magic, unit) in [(MICROS, 1_000), (NANOS, 1)] {
            let mut file = header(order, magic, 65_535, 1);
            file.extend(record(order, (1_700_000_000, 123_456), 60, b"first packet"));
            file.extend(record(order, (u32::MAX, 999_999), 9, b"no longer"));
            file.extend(record(order, (0, 0), 0, b""));
            let seen = packets(&file);
            let late = i64::from(u32::MAX) * 1_000_000_000 + 999_999 * unit;
            assert_eq!(
                seen,
                [
                    Seen::new(
                        1_700_000_000_000_000_000 + 123_456 * unit,
                        b"first packet",
                        60,
                        0,
                        1
                    ),
                    Seen::new(late, b"no longer", 9, 0, 1),
                    Seen::new(0, b"", 0, 0, 1),
                ],
                "{order:?} {magic:x}"
            );
        }
    }
}

#[test]
fn the_modified_format_has_longer_record_headers_in_both_byte_orders() {
    for order in [Little, Big] {
        let mut file = header(order, MODIFIED, 65_535, 1);
        for data in [&b"one"[..], b"two and more"] {
            let mut record = record(order, (5, 6), 100, data);
            // Interface index, protocol, packet type, padding.
            record.splice(16..16, [9; 8]);
            file.extend(record);
        }
        assert_eq!(
            packets(&file),
            [
                Seen::new(5_000_006_000, b"one", 100, 0, 1),
                Seen::new(5_000_006_000, b"two and more", 100, 0, 1)
            ],
            "{order:?}"
        );
    }
}

#[test]
fn ixia_puts_the_length_of_all_records_behind_the_header() {
    for order in [Little, Big] {
        for magic in [IXIA_HARDWARE, IXIA_SOFTWARE] {
            let mut file = header(order, magic, 65_535, 1);
            file.extend(order.u32(2 * 16 + 6));
            assert_eq!(packets(&file), []);
            file.extend(record(order, (5, 6), 100, b"one"));
            file.extend(record(order, (7, 8), 3, b"two"));
            assert_eq!(
                packets(&file),
                [
                    Seen::new(5_000_006_000, b"one", 100, 0, 1),
                    Seen::new(7_000_008_000, b"two", 3, 0, 1)
                ],
                "{order:?} {magic:x}"
            );
        }
    }
}

/// A record whose captured and original lengths are swapped.
fn swapped(order: Order, time: (u32, u32), wire_len: u32, data: &[u8]) -> Vec<u8> {
    let mut record = record(order, time, wire_len, data);
    let (captured, original) = record[8..16].split_at_mut(4);
    captured.swap_with_slice(original);
    record
}

#[test]
fn the_lengths_of_each_version_stand_in_its_order() {
    type Record = fn(Order) -> Vec<u8>;
    let captured_first: Record = |order| record(order, (1, 2), 100, b"packet");
    let original_first: Record = |order| swapped(order, (1, 2), 100, b"packet");
    let cases = [
        ((2, 0), original_first),
        ((2, 1), original_first),
        ((2, 2), original_first),
        // Programs disagreed about the order.
        ((2, 3), original_first),
        ((2, 3), captured_first),
        ((2, 4), captured_first),
        ((2, 5), captured_first),
        ((2, 99), captured_first),
        ((3, 0), captured_first),
        ((3, 2), captured_first),
        ((543, 1), captured_first),
        // DG/UX.
        ((543, 0), original_first),
    ];
    for (version, record) in cases {
        for order in [Little, Big] {
            let mut file = versioned_header(order, MICROS, version, 65_535, 1);
            file.extend(record(order));
            file.extend(record(order));
            let packet = Seen::new(1_000_002_000, b"packet", 100, 0, 1);
            assert_eq!(
                packets(&file),
                [packet.clone(), packet],
                "{version:?} {order:?}"
            );
        }
    }
}

#[test]
fn aix_writes_nanoseconds_and_link_types_of_its_own() {
    for (network, link_type) in [(6, 1), (9, 6), (15, 10), (24, 0)] {
        let mut file = versioned_header(Big, MICROS, (2, 2), 65_535, network);
        file.extend(swapped(Big, (1, 999_999_999), 100, b"packet"));
        assert_eq!(
            packets(&file),
            [Seen::new(1_999_999_999, b"packet", 100, 0, link_type)]
        );
    }
    // Any other type or version is not AIX's.
    for (version, network) in [((2, 2), 1), ((2, 2), 0), ((2, 1), 6), ((2, 3), 6)] {
        let mut file = versioned_header(Big, MICROS, version, 65_535, network);
        file.extend(swapped(Big, (1, 2), 100, b"packet"));
        let packet = Seen::new(1_000_002_000, b"packet", 100, 0, network as u16);
        assert_eq!(packets(&file), [packet], "{version:?} {network}");
    }
}

#[test]
fn a_wire_length_below_what_was_captured_is_not_believed() {
    let mut file = header(Little, MICROS, 65_535, 1);
    file.extend(record(Little, (1, 2), 1, b"seven b"));
    file.extend(record(Little, (1, 2), 0, b"four"));
    assert_eq!(
        packets(&file),
        [
            Seen::new(1_000_002_000, b"seven b", 7, 0, 1),
            Seen::new(1_000_002_000, b"four", 4, 0, 1)
        ]
    );
}

#[test]
fn records_of_some_link_types_are_longer_than_those_of_a_network() {
    let data = vec![7; 300_000];
    // D-Bus, USBPcap, EBHSCR.
    for network in [231, 249, 279] {
        let mut file = header(Little, MICROS, 262_144, network);
        file.extend(record(Little, (0, 0), 300_000, &data));
        assert_eq!(packets(&file)[0].data, data);
    }
}

#[test]
fn the_link_type_is_the_files_own_without_the_bits_about_the_check_sequence() {
    let types = [
        (101, 101),
        (276, 276),
        (12_345, 12_345),
        // PPP, PPP in HDLC framing, Cisco's HDLC, PFLOG, NFLOG.
        (9, 9),
        (50, 50),
        (104, 104),
        (117, 117),
        (239, 239),
        // Raw IP by the numbers of most systems' headers and of OpenBSD's.
        (12, 101),
        (14, 101),
        (0x2400_000c, 101),
        // "There are 4 bytes of FCS", as 2-byte units in the top bits.
        (0x2400_0001, 1),
        (0x3000_007f, 127),
        // Not in the registry, and never will be.
        (0x0001_0001, u16::MAX),
    ];
    for (network, link_type) in types {
        let mut file = header(Little, MICROS, 0, network);
        file.extend(record(Little, (0, 0), 1, b"x"));
        assert_eq!(packets(&file)[0].link_type.0, link_type, "{network:#x}");
    }
}

#[test]
fn a_packet_longer_than_the_snap_length_is_read() {
    // Segmentation offload and a snap length of 64: some writers exceed the snap length that they
    // announce.
    let data = vec![7; 200_000];
    let mut file = header(Little, MICROS, 64, 1);
    file.extend(record(Little, (0, 0), 200_000, &data));
    file.extend(record(Little, (0, 0), 1, b"x"));
    let seen = packets(&file);
    assert_eq!(seen[0].data, data);
    assert_eq!(seen[1].data, b"x");
}

#[test]
fn a_file_without_packets_ends_at_once() {
    assert_eq!(packets(&header(Little, MICROS, 0, 1)), []);
}

#[test]
fn a_broken_fraction_moves_the_stamp_on() {
    let mut file = header(Little, MICROS, 0, 1);
    file.extend(record(Little, (1, 2_500_000), 1, b"x"));
    assert_eq!(packets(&file)[0].nanos, 3_500_000_000);
}
