//! Written files are read back unchanged: by the reader, and byte for byte.

use std::io::{self, Write};

use netring::adapters::Tee;
use netring::pcap::{CaptureFile, CaptureWriter, FileError, Format};
use netring::{
    Clock, Count, Error, LinkType, Packet, PacketBatch, PacketSource, PacketWriter, Readiness,
    Timestamp, VlanTag,
};
use proptest::prelude::*;

use super::bytes::{Little, NANOS, enhanced, header, interface, record, section};
use super::{Seen, cause, packets};

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos, Clock::Unknown)
}

fn packet(bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, at(1_700_000_000_000_000_001), LinkType::ETHERNET)
}

fn writer() -> CaptureWriter<Vec<u8>> {
    CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap()
}

#[test]
fn a_file_is_written_byte_for_byte() {
    let mut writer = writer();
    assert_eq!(writer.format(), Format::Pcap(LinkType::ETHERNET));
    let tag = Some(VlanTag {
        tpid: 0x8100,
        tci: 0x2005,
    });
    let bytes: Vec<u8> = (0..20).collect();
    assert!(writer.write(&packet(&bytes).with_wire_len(99)).unwrap());
    assert!(writer.write(&packet(&bytes).with_vlan(tag)).unwrap());
    assert!(writer.flush().unwrap());
    let time = (1_700_000_000, 1);
    let tagged = [&bytes[..12], &[0x81, 0x00, 0x20, 0x05], &bytes[12..]].concat();
    let expected = [
        header(Little, NANOS, 262_144, 1),
        record(Little, time, 99, &bytes),
        record(Little, time, 24, &tagged),
    ];
    assert_eq!(writer.finish().unwrap(), expected.concat());
    let empty = CaptureWriter::new(Vec::new(), LinkType::LINUX_SLL2).unwrap();
    let expected = header(Little, NANOS, 262_144, 276);
    assert_eq!(empty.finish().unwrap(), expected);
}

#[test]
fn what_a_file_cannot_have_is_refused_and_the_file_goes_on() {
    let mut writer = writer();
    let raw = Packet::new(&[0x45; 20], at(0), LinkType::RAW_IP);
    let long = vec![0; 262_145];
    let tag = Some(VlanTag {
        tpid: 0x8100,
        tci: 1,
    });
    let late = (i64::from(u32::MAX) + 1) * 1_000_000_000;
    let rows = [
        (raw, "LinkType::RAW_IP in a file of LinkType::ETHERNET"),
        (packet(&long), "262145 bytes"),
        (packet(&long[..262_141]).with_vlan(tag), "262145 bytes"),
        (Packet::new(&[0; 60], at(-1), LinkType::ETHERNET), "1970"),
        (Packet::new(&[0; 60], at(late), LinkType::ETHERNET), "2106"),
    ];
    for (refused, told) in rows {
        let error = writer.write(&refused).unwrap_err();
        assert!(!error.is_terminal(), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
    let last = Packet::new(&long[..262_144], at(late - 1), LinkType::ETHERNET);
    assert!(writer.write(&last).unwrap());
    let seen = packets(&writer.finish().unwrap());
    let expected = Seen::new(late - 1, &long[..262_144], 262_144, 0, 1);
    assert_eq!(seen, [expected]);
    let error = CaptureWriter::new(Vec::new(), LinkType::UNKNOWN).unwrap_err();
    assert!(matches!(
        error,
        Error::Config {
            setting: "link_type",
            ..
        }
    ));
}

/// Accepts this many bytes, and no more.
#[derive(Debug)]
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = bytes.len().min(self.0);
        self.0 -= len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_file_and_the_tee_that_writes_it() {
    let file = [
        section(Little),
        interface(Little, 1, 0, b""),
        enhanced(Little, 0, 7, 60, &[7; 60]).repeat(3000),
    ];
    let writer = CaptureWriter::new(Disk(100_000), LinkType::ETHERNET).unwrap();
    let source = CaptureFile::new(io::Cursor::new(file.concat())).unwrap();
    let mut tee = Tee::new(source, writer);
    let mut lent = 0;
    let error = loop {
        match tee.ready() {
            Ok(found) => assert_eq!(found, Readiness::Ready),
            Err(error) => break error,
        }
        lent += tee.batch().packets().count() as u64;
    };
    assert!(
        error
            .to_string()
            .starts_with("the capture file: writing failed: ")
    );
    assert!(matches!(cause(&error), FileError::Write(_)), "{error}");
    assert!(matches!(tee.ready().unwrap_err(), Error::Closed));
    assert_eq!(tee.written() + tee.missed(), lent);
    assert!(tee.missed() > 0);
    assert_eq!(tee.stats().unwrap().delivered, Count::Exact(lent));
    let (_, writer) = tee.into_parts();
    assert!(matches!(writer.finish().unwrap_err(), Error::Closed));
}

#[test]
fn a_file_that_cannot_be_created_is_named() {
    let error = CaptureWriter::create("/nowhere/a.pcap", LinkType::ETHERNET).unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere/a.pcap: "),
        "{error}"
    );
    assert!(matches!(cause(&error), FileError::Open(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any packets, written by a tee behind a file, are in the copy as they are in the original.
    #[test]
    fn a_copy_has_the_packets_of_the_original(
        written in prop::collection::vec(
            (0..=u32::MAX, 0..1_000_000_000_u32, prop::collection::vec(any::<u8>(), 0..200), 0..300_u32),
            0..50,
        ),
    ) {
        let records = written.iter().map(|(seconds, nanos, bytes, more)| {
            record(Little, (*seconds, *nanos), bytes.len() as u32 + more, bytes)
        });
        let original: Vec<u8> = [header(Little, NANOS, 262_144, 1)].into_iter().chain(records).flatten().collect();
        let mut tee = Tee::new(CaptureFile::new(&original[..]).unwrap(), writer());
        while tee.ready().unwrap() == Readiness::Ready {
            drop(tee.batch());
        }
        prop_assert_eq!((tee.written(), tee.missed()), (written.len() as u64, 0));
        let (_, copy) = tee.finish().unwrap();
        prop_assert_eq!(copy.finish().unwrap(), original);
    }
}
