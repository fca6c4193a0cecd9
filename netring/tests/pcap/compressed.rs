//! Compressed files: every packet before the damage, and then the error.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use netring::pcap::{CaptureFile, CaptureWriter, FileError, Format};
use netring::{
    Clock, Count, LinkType, Packet, PacketBatch, PacketSource, PacketWriter, Readiness, Timestamp,
};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::bytes::{Little, MICROS, NANOS, header, record};
use super::tshark::{Folder, fields};
use super::{cause, packets, read};

/// A pcap file of packets that differ.
fn file(count: u32) -> Vec<u8> {
    let mut file = header(Little, NANOS, 65_535, 1);
    for n in 0..count {
        let mut data = vec![n as u8; 60 + (n as usize * 37) % 700];
        data[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_le_bytes());
        file.extend(record(Little, (1_700_000_000, n), data.len() as u32, &data));
    }
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn a_compressed_file_is_recognized_by_its_content() {
    let file = file(5_000);
    let expected = packets(&file);
    for packed in [gzip(&file), zstd(&file)] {
        assert!(packed.len() < file.len());
        assert_eq!(packets(&packed), expected);
    }
}

/// Several members or frames are one file, as `cat a.gz b.gz` makes one; and frames that contain no
/// data are skipped.
#[test]
fn several_members_are_one_file() {
    let file = file(2_000);
    let (a, b) = file.split_at(file.len() / 3);
    let expected = packets(&file);
    assert_eq!(packets(&[gzip(a), gzip(b)].concat()), expected);
    assert_eq!(
        packets(&[gzip(a), gzip(b), vec![0; 512]].concat()),
        expected
    );
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"skips"].concat();
    let parts = [&skippable[..], &zstd(a), &skippable, &zstd(b), &skippable];
    assert_eq!(packets(&parts.concat()), expected);
}

/// All optional fields of a gzip header.
#[test]
fn a_gzip_header_may_have_a_name_and_a_comment() {
    let file = file(10);
    let packed = gzip(&file);
    let mut full = packed[..10].to_vec();
    full[3] = 2 | 4 | 8 | 16;
    full.extend([4, 0, 1, 2, 3, 4]);
    full.extend(b"trace.pcap\0a comment\0");
    full.extend([0xab, 0xcd]);
    full.extend(&packed[10..]);
    assert_eq!(packets(&full), packets(&file));
}

/// Wherever a file is cut, the packets that can be unpacked are lent, and then the error.
#[test]
fn a_file_that_is_cut_gives_every_packet_before() {
    let file = file(8_000);
    let expected = packets(&file);
    for (packed, by) in [(gzip(&file), "gzip"), (zstd(&file), "zstd")] {
        for part in 1..20 {
            let len = packed.len() * part / 20;
            let (seen, end, stats) = match CaptureFile::new(&packed[..len]) {
                Ok(_) => read(&packed[..len]),
                // Not even the first block is there.
                Err(error) => (Vec::new(), Err(error), netring::Stats::counted(0)),
            };
            let error = end.unwrap_err();
            match cause(&error) {
                FileError::Compressed {
                    by: told,
                    offset,
                    why,
                } => {
                    assert_eq!(*told, by);
                    assert!(*offset <= len as u64);
                    assert_eq!(why, "it ends in the middle of its data");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(seen, expected[..seen.len()]);
            assert_eq!(stats.delivered, Count::Exact(seen.len() as u64));
            // Not only the blocks that were complete long before: blocks have at most 128 KiB, and
            // gzip's do not matter.
            let rest = expected.len() * part / 20 - seen.len().min(expected.len() * part / 20);
            let most = if by == "gzip" { 100 } else { 600 };
            assert!(
                rest < most,
                "{by}: {rest} packets less than the part that is there"
            );
        }
    }
    // No packet is incomplete; only the checksum is missing.
    let packed = gzip(&file);
    let (seen, end, stats) = read(&packed[..packed.len() - 1]);
    assert_eq!(seen, expected);
    assert!(end.unwrap_err().to_string().contains("gzip"));
    assert_eq!(stats.invalid, Count::Exact(0));
}

#[test]
fn a_file_that_is_damaged_says_so() {
    let file = file(3_000);
    let expected = packets(&file);
    let flipped = |mut packed: Vec<u8>, back: usize| {
        let at = packed.len() - back;
        packed[at] ^= 0x55;
        packed
    };
    let rows = [
        (flipped(gzip(&file), 5), "does not match the checksum"),
        (flipped(zstd(&file), 1), "does not match the checksum"),
        (
            [gzip(&file), b"more".to_vec()].concat(),
            "bytes that are not of gzip follow",
        ),
        (
            [zstd(&file), b"more!".to_vec()].concat(),
            "bytes that are not of zstd follow",
        ),
    ];
    for (packed, told) in rows {
        let (seen, end, _) = read(&packed[..]);
        assert_eq!(seen, expected, "{told}");
        let error = end.unwrap_err();
        assert!(error.is_terminal());
        assert!(error.to_string().contains(told), "{error}");
    }
    // A file that was compressed twice is refused, so nothing is unpacked endlessly.
    let error = CaptureFile::new(&gzip(&gzip(&file))[..]).unwrap_err();
    assert!(
        error.to_string().contains("it is compressed by gzip"),
        "{error}"
    );
    for begins in [
        &b"\x1f\x8b\x07\0\0\0\0\0\0\0"[..],
        b"\x28\xb5\x2f\xfd\x08\0",
    ] {
        let error = CaptureFile::new(begins).unwrap_err();
        assert!(
            matches!(cause(&error), FileError::Compressed { .. }),
            "{error}"
        );
    }
}

/// Returns a few bytes at a time, and would block every other time.
struct Dribble<'a> {
    bytes: &'a [u8],
    blocks: bool,
}

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.blocks = !self.blocks;
        if self.blocks {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = into.len().min(1_021).min(self.bytes.len());
        into[..len].copy_from_slice(&self.bytes[..len]);
        self.bytes = &self.bytes[len..];
        Ok(len)
    }
}

#[test]
fn a_reader_that_would_block_is_asked_again() {
    let file = file(2_000);
    let expected = packets(&file);
    for packed in [gzip(&file), zstd(&file)] {
        let mut seen = 0;
        // The header is read at once, so the first read has to succeed.
        let (first, rest) = packed.split_at(packed.len() / 2);
        let reader = first.chain(Dribble {
            bytes: rest,
            blocks: false,
        });
        let mut source = CaptureFile::new(reader).unwrap();
        let mut empty = 0;
        loop {
            match source.ready().unwrap() {
                Readiness::Empty => empty += 1,
                Readiness::Ended => break,
                Readiness::Ready => seen += source.batch().packets().count(),
            }
        }
        assert_eq!(seen, expected.len());
        assert!(empty > 0);
    }
}

#[test]
fn a_written_gzip_file_is_one_to_other_programs() {
    let folder = Folder::new();
    let path = folder.file("a.pcapng.gz");
    let mut writer = CaptureWriter::builder(Format::PcapNg)
        .gzip()
        .create_new(&path)
        .unwrap();
    let time = |n: i64| Timestamp::from_nanos(1_700_000_000_000_000_000 + n, Clock::Unknown);
    for n in 0..10_000 {
        let data = [n as u8; 60];
        writer
            .write(&Packet::new(&data, time(n), LinkType::ETHERNET))
            .unwrap();
    }
    assert_eq!((writer.packets(), writer.unwritten()), (10_000, 10_000));
    // What was flushed is in the file, although it is not complete.
    writer.flush().unwrap();
    assert_eq!(writer.unwritten(), 0);
    assert_eq!(writer.bytes(), std::fs::metadata(&path).unwrap().len());
    let (seen, end, _) = read(&std::fs::read(&path).unwrap()[..]);
    assert_eq!(seen.len(), 10_000);
    assert!(end.is_err());
    writer.finish().unwrap();
    let written = std::fs::read(&path).unwrap();
    assert_eq!(packets(&written), seen);
    let mut gunzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::from(std::fs::File::open(&path).unwrap()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut plain = Vec::new();
    gunzip
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut plain)
        .unwrap();
    assert!(gunzip.wait().unwrap().success());
    assert_eq!(packets(&plain), seen);
    assert!(
        written.len() * 4 < plain.len(),
        "{} of {}",
        written.len(),
        plain.len()
    );
    if let Some(lines) = fields(&path, &["frame.time_epoch"]) {
        assert_eq!(lines.len(), 10_000);
        assert_eq!(lines[9_999], "1700000000.000009999");
    }
}

/// A tiny disk under a compressed file: lost packets are counted from the last flush on.
#[test]
fn a_full_disk_under_gzip_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = CaptureWriter::builder(LinkType::ETHERNET)
        .gzip()
        .write_to(Full(4_000))
        .unwrap();
    let data: Vec<u8> = (0..1_000_u32)
        .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
        .collect();
    let packet = |n: usize| {
        let time = Timestamp::from_nanos(n as i64, Clock::Unknown);
        Packet::new(&data[n % 3_000..][..900], time, LinkType::ETHERNET)
    };
    writer.write(&packet(0)).unwrap();
    writer.flush().unwrap();
    let mut taken = 1;
    let error = loop {
        match writer.write(&packet(taken)) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(cause(&error), FileError::Write(_)), "{error}");
    assert_eq!(writer.packets(), taken as u64);
    assert_eq!(writer.unwritten(), taken as u64 - 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is changed in a compressed file, reading it ends, and nothing panics.
    #[test]
    fn mutated_files_end(
        changes in prop::collection::vec((0..6_000_usize, any::<u8>()), 1..4),
        by_zstd in any::<bool>(),
        cut in 0..2_000_usize,
    ) {
        let mut file = header(Little, MICROS, 65_535, 1);
        for n in 0..60_u32 {
            file.extend(record(Little, (n, n), 100, &[n as u8; 100]));
        }
        let mut packed = if by_zstd { zstd(&file) } else { gzip(&file) };
        let len = packed.len();
        for (at, value) in changes {
            packed[at % len] = value;
        }
        packed.truncate(len - cut % (len / 2));
        if let Ok(mut source) = CaptureFile::new(&packed[..]) {
            let mut lent = 0;
            while let Ok(Some(batch)) = source.next_batch() {
                lent += batch.packets().count();
                prop_assert!(lent < 100_000);
            }
        }
    }
}
