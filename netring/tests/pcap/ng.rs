//! Valid pcapng files.

use super::bytes::{
    Big, Little, block, block_of_length, enhanced, interface, obsolete, option, section, simple,
};
use super::{Seen, packets};

const TSRESOL: u16 = 9;
const TSOFFSET: u16 = 14;

#[test]
fn each_kind_of_packet_block_in_both_byte_orders() {
    for order in [Little, Big] {
        let mut file = section(order);
        file.extend(interface(order, 1, 0, b""));
        file.extend(enhanced(order, 0, 1_700_000_000_123_456, 60, b"enhanced"));
        file.extend(obsolete(
            order,
            0,
            0xffff,
            1_700_000_000_123_457,
            70,
            b"old",
        ));
        file.extend(simple(order, 5, b"plain"));
        assert_eq!(
            packets(&file),
            [
                Seen::new(1_700_000_000_123_456_000, b"enhanced", 60, 1, 1),
                Seen::new(1_700_000_000_123_457_000, b"old", 70, 1, 1),
                Seen::new(1_700_000_000_123_457_000, b"plain", 5, 1, 1),
            ],
            "{order:?}"
        );
    }
}

#[test]
fn each_interface_has_its_link_type_and_clock() {
    for order in [Little, Big] {
        let mut file = section(order);
        let clocks = [
            // resolution, offset, ticks, nanoseconds
            (None, None, 1, 1_000),
            (
                Some(9),
                None,
                1_700_000_000_123_456_789,
                1_700_000_000_123_456_789,
            ),
            (Some(3), None, 1_001, 1_001_000_000),
            (Some(0), None, 7, 7_000_000_000),
            (Some(12), None, 1_999, 1),
            (Some(0x80 | 10), None, 1_025, 1_000_976_562),
            (Some(0x80 | 32), Some(3), 1 << 31, 3_500_000_000),
            (None, Some(1_700_000_000), 5, 1_700_000_000_000_005_000),
            (Some(9), Some(-2), 1, -1_999_999_999),
        ];
        for (index, (resolution, offset, ..)) in clocks.iter().enumerate() {
            let mut options = option(order, 2, b"eth0");
            if let Some(resolution) = resolution {
                options.extend(option(order, TSRESOL, &[*resolution]));
            }
            if let Some(offset) = offset {
                let offset: i64 = *offset;
                options.extend(option(order, TSOFFSET, &order.u64(offset as u64)));
            }
            options.extend(option(order, 0, b""));
            // Bytes behind the end of the options are ignored.
            options.extend(option(order, TSRESOL, &[1]));
            file.extend(interface(order, 100 + index as u16, 0, &options));
        }
        let mut expected = Vec::new();
        for (index, (.., ticks, nanos)) in clocks.iter().enumerate().rev() {
            file.extend(enhanced(order, index as u32, *ticks, 1, b"x"));
            let number = index as u32 + 1;
            expected.push(Seen::new(*nanos, b"x", 1, number, 100 + index as u16));
        }
        assert_eq!(packets(&file), expected, "{order:?}");
    }
}

#[test]
fn a_section_has_its_own_byte_order_and_its_own_interfaces() {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    file.extend(interface(Little, 101, 0, b""));
    file.extend(enhanced(Little, 1, 1, 3, b"one"));
    file.extend(section(Big));
    file.extend(interface(Big, 113, 0, b""));
    file.extend(enhanced(Big, 0, 2, 3, b"two"));
    file.extend(section(Little));
    file.extend(interface(Little, 276, 0, b""));
    file.extend(enhanced(Little, 0, 3, 5, b"three"));
    assert_eq!(
        packets(&file),
        [
            Seen::new(1_000, b"one", 3, 2, 101),
            Seen::new(2_000, b"two", 3, 3, 113),
            Seen::new(3_000, b"three", 5, 4, 276),
        ]
    );
}

#[test]
fn blocks_without_packets_are_stepped_over() {
    let mut file = section(Little);
    // Name resolution, statistics, secrets, a journal entry, custom, and an unknown one.
    for kind in [4, 5, 10, 9, 0x0bad, 0x4000_0bad, 0x8765_4321] {
        file.extend(block(Little, kind, &[0xff; 41]));
    }
    file.extend(interface(Little, 1, 0, b""));
    file.extend(block(Little, 5, b""));
    file.extend(enhanced(Little, 0, 1, 1, b"x"));
    file.extend(block(Little, 5, b""));
    assert_eq!(packets(&file).len(), 1);
}

#[test]
fn a_block_larger_than_the_first_buffer_is_read() {
    let data = vec![3; 1_000_000];
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    file.extend(enhanced(Little, 0, 1, 1, b"before"));
    file.extend(enhanced(Little, 0, 2, 1_000_000, &data));
    file.extend(enhanced(Little, 0, 3, 1, b"behind"));
    let seen = packets(&file);
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1].data, data);
    assert_eq!(seen[2].data, b"behind");
}

#[test]
fn a_block_may_leave_its_padding_out_of_its_length() {
    for order in [Little, Big] {
        for (data, padding) in [(&b"abcd1"[..], 3), (b"abcd12", 2), (b"abcd123", 1)] {
            let odd =
                |kind, body: &[u8]| block_of_length(order, kind, body, 12 + body.len() as u32);
            let mut file = odd(0x0a0d_0d0a, &section(order)[8..24]);
            let mut description = interface(order, 101, 0, b"")[8..16].to_vec();
            // A name without the padding of its last word.
            description.extend(option(order, 2, &data[4..]));
            description.truncate(description.len() - padding);
            file.extend(odd(1, &description));
            file.extend(odd(0x0bad, data));
            let mut body = Vec::new();
            for word in [0, 0, 7, data.len() as u32, 60] {
                body.extend(order.u32(word));
            }
            body.extend(data);
            file.extend(odd(6, &body));
            let mut body = order.u32(data.len() as u32).to_vec();
            body.extend(data);
            file.extend(odd(3, &body));
            assert_eq!(
                packets(&file),
                [
                    Seen::new(7_000, data, 60, 1, 101),
                    Seen::new(7_000, data, data.len() as u32, 1, 101)
                ],
                "{order:?} {padding}"
            );
        }
    }
}

#[test]
fn neither_the_length_of_a_section_nor_its_minor_version_matters() {
    for length in [u64::MAX, 0, 7, 1 << 63, 1_000_000] {
        for minor in [0, 1, 2, 99_u16] {
            let mut file = section(Little);
            file[14..16].copy_from_slice(&Little.u16(minor));
            file[16..24].copy_from_slice(&Little.u64(length));
            file.extend(interface(Little, 1, 0, b""));
            file.extend(enhanced(Little, 0, 1, 1, b"x"));
            file.extend(enhanced(Little, 0, 2, 1, b"y"));
            assert_eq!(packets(&file).len(), 2, "{length} {minor}");
        }
    }
}

#[test]
fn a_wire_length_below_what_was_captured_is_not_believed() {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    file.extend(enhanced(Little, 0, 1, 2, b"three"));
    file.extend(obsolete(Little, 0, 0, 1, 0, b"three"));
    let packet = Seen::new(1_000, b"three", 5, 1, 1);
    assert_eq!(packets(&file), [packet.clone(), packet]);
}

#[test]
fn raw_ip_by_the_number_of_a_systems_header_is_raw_ip() {
    for number in [12, 14, 101] {
        let mut file = section(Big);
        file.extend(interface(Big, number, 0, b""));
        file.extend(enhanced(Big, 0, 1, 1, b"x"));
        assert_eq!(packets(&file), [Seen::new(1_000, b"x", 1, 1, 101)]);
    }
}
