//! pcap files that are right.

use super::bytes::{Big, Little, MICROS, MODIFIED, NANOS, header, record};
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
fn the_modified_format_has_longer_record_headers() {
    let mut file = header(Little, MODIFIED, 65_535, 1);
    for data in [&b"one"[..], b"two and more"] {
        let mut record = record(Little, (5, 6), 100, data);
        // Interface index, protocol, packet type, padding.
        record.splice(16..16, [9; 8]);
        file.extend(record);
    }
    assert_eq!(
        packets(&file),
        [
            Seen::new(5_000_006_000, b"one", 100, 0, 1),
            Seen::new(5_000_006_000, b"two and more", 100, 0, 1)
        ]
    );
}

#[test]
fn the_link_type_is_the_files_own_without_the_bits_about_the_check_sequence() {
    let types = [
        (101, 101),
        (276, 276),
        (12_345, 12_345),
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
    // Segmentation offload and a snap length of 64: some writers do not keep to what they announce.
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
