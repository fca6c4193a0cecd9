//! What a written file cannot contain, and disks that fail.

use netring::pcap::{CaptureWriter, FileError, Format, InterfaceDescription, Section};
use netring::{Error, LinkType, Packet, PacketWriter, Stats};

use super::tshark::Folder;
use super::write_ng::{NANOS, at, packet, writer};
use super::{Seen, cause, packets};

#[test]
fn what_a_file_cannot_have_is_refused_and_the_file_goes_on() {
    let mut writer = writer();
    let long = vec![0; 262_145];
    let unknown = Packet::new(&[0; 60], at(0), LinkType::UNKNOWN);
    let early = Packet::new(&[0; 60], at(-1), LinkType::ETHERNET);
    let comment = "x".repeat(65_536);
    let described = InterfaceDescription::new(LinkType::ETHERNET);
    writer.describe(4, described.clone()).unwrap();
    let refused = [
        (writer.write(&packet(&long)).map(drop), "262145 bytes"),
        (writer.write(&unknown).map(drop), "registered link type"),
        (writer.write(&early).map(drop), "-0.000000001 s"),
        (
            writer.write_commented(&packet(b"x"), &comment).map(drop),
            "the comment has 65536 bytes",
        ),
        (
            writer.describe(4, described.clone()),
            "interface 4 with LinkType::ETHERNET is in the file already",
        ),
        (
            writer.set_statistics(5, Stats::counted(0)),
            "interface 5 is not in the file",
        ),
        (
            writer.write_statistics(5, Stats::counted(0)),
            "interface 5 is not in the file",
        ),
    ];
    for (refused, told) in refused {
        let error = refused.unwrap_err();
        assert!(!error.is_terminal(), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
    assert!(writer.write(&packet(&long[1..])).unwrap());
    let seen = packets(&writer.finish().unwrap());
    assert_eq!(seen, [Seen::new(NANOS, &long[1..], 262_144, 1, 1)]);

    let mut pcap = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    let refused = [
        pcap.describe(4, described.clone()),
        pcap.note_dropped(4, 1),
        pcap.set_statistics(4, Stats::counted(0)),
        pcap.write_statistics(4, Stats::counted(0)),
        pcap.write_commented(&packet(b"x"), "a").map(drop),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Request { .. }), "{error}");
    }
    let twice = CaptureWriter::builder(Format::PcapNg)
        .interface(4, described.clone())
        .interface(4, described.clone());
    let builder = CaptureWriter::builder(LinkType::ETHERNET);
    let settings = [
        twice.write_to(Vec::new()),
        builder.clone().interface(4, described).write_to(Vec::new()),
        builder.section(Section::new()).write_to(Vec::new()),
    ];
    for refused in settings {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error}");
    }
}

/// A disk that fails in the middle: what is in the file and what is not add up.
#[test]
fn the_packets_that_are_not_written_are_counted() {
    for format in [Format::PcapNg, Format::Pcap(LinkType::ETHERNET)] {
        for room in [10_000, 70_000, 123_457] {
            let mut bytes = Vec::new();
            let disk = Disk {
                room,
                bytes: &mut bytes,
            };
            let mut writer = CaptureWriter::new(disk, format).unwrap();
            let error = loop {
                if let Err(error) = writer.write(&packet(&[7; 100])) {
                    break error;
                }
            };
            assert!(matches!(cause(&error), FileError::Write(_)), "{error}");
            let error = writer.write(&packet(&[7; 100])).unwrap_err();
            assert!(matches!(error, Error::Closed));
            let (taken, unwritten) = (writer.packets(), writer.unwritten());
            assert_eq!(writer.bytes(), room as u64);
            drop(writer);
            let (seen, ..) = super::read(&bytes[..]);
            assert_eq!(seen.len() as u64 + unwritten, taken, "{format:?} {room}");
        }
    }
}

/// A file that is removed while it is written takes its packets with it, which is reported.
#[test]
fn a_file_that_is_removed_is_an_error_and_all_its_packets_are_counted() {
    for busy in [false, true] {
        let folder = Folder::new();
        std::fs::create_dir(folder.file("b")).unwrap();
        let path = folder.file("b/a.pcapng");
        let mut writer = CaptureWriter::create(&path, Format::PcapNg).unwrap();
        writer.write(&packet(&[7; 100])).unwrap();
        writer.flush().unwrap();
        assert_eq!((writer.packets(), writer.unwritten()), (1, 0));
        std::fs::remove_dir_all(folder.file("b")).unwrap();
        // A writer that is always busy is never flushed.
        let error = loop {
            let written = writer.write(&packet(&[7; 100]));
            let flushed = written.and_then(|_| if busy { Ok(true) } else { writer.flush() });
            if let Err(error) = flushed {
                break error;
            }
        };
        assert!(matches!(cause(&error), FileError::Removed), "{error}");
        assert!(error.to_string().starts_with(path.to_str().unwrap()));
        assert_eq!(writer.unwritten(), writer.packets());
        // Less than a buffer of 64 KiB.
        assert!(writer.packets() < 600, "{}", writer.packets());
        assert!(matches!(writer.finish(), Err(Error::Closed)));
    }
    // At the end at the latest.
    let folder = Folder::new();
    let path = folder.file("a.pcap");
    let mut writer = CaptureWriter::create(&path, LinkType::ETHERNET).unwrap();
    writer.write(&packet(&[7; 100])).unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(matches!(cause(&error), FileError::Removed), "{error}");
}

/// Accepts some bytes, and then no more.
#[derive(Debug)]
struct Disk<'a> {
    room: usize,
    bytes: &'a mut Vec<u8>,
}

impl std::io::Write for Disk<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let len = bytes.len().min(self.room - self.bytes.len());
        if len == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
