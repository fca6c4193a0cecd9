//! Whatever a file contains, reading it ends, and the figures balance.

use proptest::prelude::*;

use netring::pcap::{CaptureFile, FileError};
use netring::{PacketBatch, PacketSource};

use super::bytes::{
    Big, IXIA_SOFTWARE, Little, MICROS, MODIFIED, NANOS, Order, block, enhanced, header, interface,
    obsolete, option, record, section, simple,
};
use super::cause;

/// Reads until the end; returns the number of packets.
fn drain(bytes: &[u8]) -> usize {
    let Ok(mut file) = CaptureFile::new(bytes) else {
        return 0;
    };
    let mut count = 0;
    let mut lent = 0;
    // A record has at least 16 bytes, a block 12: a file that yields more batches never ends.
    for _ in 0..=bytes.len() {
        let end = match file.next_batch() {
            Ok(Some(batch)) => {
                let packets = batch.packets().count();
                assert_ne!(packets, 0, "a batch without packets");
                count += packets;
                lent += batch
                    .packets()
                    .map(|packet| packet.data().len())
                    .sum::<usize>();
                continue;
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = end {
            match cause(&error) {
                FileError::Corrupt { offset, .. } | FileError::CutShort { offset, .. } => {
                    assert!(*offset < bytes.len() as u64, "{error}");
                }
                other => panic!("{other}"),
            }
        }
        let stats = file.stats().expect("a file asks nobody for them");
        assert_eq!(stats.delivered.exact(), Some(count as u64));
        assert_eq!(stats.pending(), Some(0));
        assert!(lent <= bytes.len());
        return count;
    }
    panic!("it does not end");
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Little), Just(Big)]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..80)
}

/// A valid pcap file, and the number of its packets.
fn classic_file() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let magic = prop_oneof![Just(MICROS), Just(NANOS)];
    let records = prop::collection::vec((any::<(u32, u32)>(), any::<u32>(), data()), 0..12);
    (order(), magic, any::<u32>(), records).prop_map(|(order, magic, network, records)| {
        let mut file = header(order, magic, 65_535, network);
        for (time, wire_len, data) in &records {
            file.extend(record(order, *time, *wire_len, data));
        }
        (file, records.len())
    })
}

/// A valid pcapng file, and the number of its packets.
fn ng_file() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let blocks = prop::collection::vec((0..6_u32, any::<u64>(), any::<u32>(), data()), 0..12);
    let section = (order(), any::<(u8, i64, u16)>(), blocks).prop_map(
        |(order, (resolution, offset, link_type), blocks)| {
            let mut bytes = section(order);
            let mut options = option(order, 9, &[resolution]);
            options.extend(option(order, 14, &order.u64(offset as u64)));
            bytes.extend(interface(order, link_type, 0, &options));
            let mut packets = 0;
            for (kind, ticks, wire_len, data) in blocks {
                packets += usize::from(kind < 4);
                bytes.extend(match kind {
                    0 | 1 => enhanced(order, 0, ticks, wire_len, &data),
                    2 => obsolete(order, 0, 0, ticks, wire_len, &data),
                    3 => simple(order, data.len() as u32, &data),
                    4 => interface(order, 1, 0, b""),
                    _ => block(order, 0x0bad, &data),
                });
            }
            (bytes, packets)
        },
    );
    prop::collection::vec(section, 1..4).prop_map(|sections| {
        let packets = sections.iter().map(|(_, packets)| packets).sum();
        let bytes = sections.into_iter().flat_map(|(bytes, _)| bytes).collect();
        (bytes, packets)
    })
}

fn any_file() -> impl Strategy<Value = (Vec<u8>, usize)> {
    prop_oneof![classic_file(), ng_file()]
}

/// What a faulty disk, or a fuzzer, writes over a word.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0..64_u32,
        Just(u32::MAX),
        Just(u32::MAX - 3),
        Just(1 << 31),
        Just(16 * 1024 * 1024),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn files_that_are_right_give_all_their_packets((file, packets) in any_file()) {
        prop_assert_eq!(drain(&file), packets);
    }

    #[test]
    fn random_bytes_behind_a_right_beginning_end(
        magic in prop::sample::select(vec![MICROS, NANOS, MODIFIED, IXIA_SOFTWARE, 0x0a0d_0d0a]),
        order in order(),
        rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut file = if magic == 0x0a0d_0d0a {
            let mut file = section(order);
            file.extend(interface(order, 1, 0, b""));
            file
        } else {
            header(order, magic, 0, 1)
        };
        file.extend(rest);
        drain(&file);
    }

    #[test]
    fn mutated_files_end(
        (mut file, _) in any_file(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), word(), order()), 1..8),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        for (at, word, order) in changes {
            let at = at.index(file.len());
            for (byte, new) in file[at..].iter_mut().zip(order.u32(word)) {
                *byte = new;
            }
        }
        if cuts {
            let len = cut.index(file.len() + 1);
            file.truncate(len);
        }
        drain(&file);
    }

    #[test]
    fn swapped_and_repeated_pieces_end(
        (file, _) in any_file(),
        pieces in prop::collection::vec((any::<prop::sample::Index>(), 0..120_usize), 1..8),
    ) {
        let mut other = file.clone();
        other.truncate(24.min(file.len()));
        for (at, len) in pieces {
            let at = at.index(file.len());
            other.extend(&file[at..(at + len).min(file.len())]);
        }
        drain(&other);
    }
}
