//! Invalid options of interface descriptions are ignored and counted, and the packets are read.

use netring::pcap::CaptureFile;
use netring::{PacketBatch, PacketSource};

use super::bytes::{Big, Little, Order, block, enhanced, interface, option, section};

const END: u16 = 0;
const NAME: u16 = 2;
const TSRESOL: u16 = 9;
const TSOFFSET: u16 = 14;

/// The nanoseconds of tick 7,000,000 on an interface with these options, and how many options were
/// ignored.
fn clock(order: Order, options: &[u8]) -> (i64, u64) {
    let mut bytes = section(order);
    bytes.extend(interface(order, 1, 0, options));
    bytes.extend(enhanced(order, 0, 7_000_000, 1, b"x"));
    let mut file = CaptureFile::new(&bytes[..]).expect("the beginning is right");
    let batch = file.next_batch().expect("the file is right");
    let batch = batch.expect("there is a packet");
    let times: Vec<_> = batch
        .packets()
        .map(|packet| packet.timestamp().as_nanos())
        .collect();
    drop(batch);
    assert!(file.next_batch().expect("the file is right").is_none());
    let [nanos] = times[..] else {
        panic!("{times:?}");
    };
    (nanos, file.ignored_options())
}

#[test]
fn an_option_that_makes_no_sense_is_ignored_and_counted() {
    for order in [Little, Big] {
        let resolution = |bytes: &[u8]| option(order, TSRESOL, bytes);
        let offset = |seconds: i64| option(order, TSOFFSET, &order.u64(seconds as u64));
        let raw = |code, len, value: &[u8]| {
            let mut bytes = order.u16(code).to_vec();
            bytes.extend(order.u16(len));
            bytes.extend(value);
            bytes
        };
        const MICROS: i64 = 7_000_000_000;
        const MILLIS: i64 = 7_000_000_000_000;
        let cases = [
            ("none", vec![], MICROS, 0),
            ("sound", [resolution(&[3]), offset(0)].concat(), MILLIS, 0),
            ("resolution of 0 bytes", resolution(&[]), MICROS, 1),
            ("resolution of 2 bytes", resolution(&[3, 3]), MICROS, 1),
            (
                "resolution of 4 bytes",
                resolution(&[3, 0, 0, 0]),
                MICROS,
                1,
            ),
            ("offset of 0 bytes", option(order, TSOFFSET, b""), MICROS, 1),
            (
                "offset of 4 bytes",
                option(order, TSOFFSET, &[1; 4]),
                MICROS,
                1,
            ),
            (
                "offset of 9 bytes",
                option(order, TSOFFSET, &[1; 9]),
                MICROS,
                1,
            ),
            (
                "both",
                [resolution(&[3, 3]), option(order, TSOFFSET, b"1")].concat(),
                MICROS,
                2,
            ),
            (
                "a sound one behind an odd one",
                [resolution(&[3, 3]), resolution(&[3])].concat(),
                MILLIS,
                1,
            ),
            (
                "twice",
                [resolution(&[3]), resolution(&[9]), offset(1), offset(2)].concat(),
                MILLIS + 1_000_000_000,
                2,
            ),
            (
                "past the block",
                [resolution(&[3]), raw(NAME, 400, b"eth0")].concat(),
                MILLIS,
                1,
            ),
            (
                "the resolution itself past the block",
                raw(TSRESOL, 60_000, &[3, 0, 0, 0]),
                MICROS,
                1,
            ),
            ("no end", option(order, NAME, b"eth0"), MICROS, 0),
            ("unknown", option(order, 0x4444, b"abcde"), MICROS, 0),
            (
                "an end with a length is an end",
                [raw(END, 4, b"abcd"), resolution(&[3])].concat(),
                MICROS,
                1,
            ),
            (
                "behind the end nothing counts",
                [option(order, END, b""), resolution(&[3, 3])].concat(),
                MICROS,
                0,
            ),
        ];
        for (what, options, nanos, ignored) in cases {
            assert_eq!(clock(order, &options), (nanos, ignored), "{what} {order:?}");
        }
    }
}

#[test]
fn options_of_every_interface_are_counted() {
    let mut bytes = section(Little);
    for _ in 0..3 {
        bytes.extend(interface(Little, 1, 0, &option(Little, TSRESOL, b"12")));
    }
    bytes.extend(section(Big));
    bytes.extend(interface(Big, 1, 0, &option(Big, TSOFFSET, b"12")));
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    assert!(file.next_batch().unwrap().is_none());
    assert_eq!(file.ignored_options(), 4);
}

#[test]
fn options_of_other_blocks_are_not_looked_at() {
    // An option that exceeds its block: in the section, in the packet, in the statistics.
    let odd = [2, 0, 0xff, 0xff];
    let mut body = section(Little)[8..24].to_vec();
    body.extend(odd);
    let mut bytes = block(Little, 0x0a0d_0d0a, &body);
    bytes.extend(interface(Little, 1, 0, b""));
    let mut body = Vec::new();
    for word in [0, 0, 1, 4, 4] {
        body.extend(Little.u32(word));
    }
    body.extend(b"data");
    body.extend(odd);
    bytes.extend(block(Little, 6, &body));
    bytes.extend(block(Little, 5, &[&[0; 12], &odd[..]].concat()));
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    let batch = file.next_batch().unwrap().expect("there is a packet");
    assert_eq!(batch.packets().next().expect("one").data(), b"data");
    drop(batch);
    assert!(file.next_batch().unwrap().is_none());
    assert_eq!(file.ignored_options(), 0);
}
