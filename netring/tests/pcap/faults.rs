//! Damaged files: whole packets come first, then one clear error, which stays.

use std::io::{self, Read};

use netring::pcap::{CaptureFile, FileError};
use netring::{PacketBatch, PacketSource, Readiness};

use super::bytes::{
    Big, IXIA_HARDWARE, Little, MICROS, MODIFIED, block, enhanced, header, interface, obsolete,
    record, section, simple, versioned_header,
};
use super::{cause, read};

fn classic() -> Vec<u8> {
    let mut file = header(Little, MICROS, 65_535, 1);
    for _ in 0..3 {
        file.extend(record(Little, (1, 2), 60, &[5; 50]));
    }
    file
}

fn ng() -> Vec<u8> {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    for _ in 0..3 {
        file.extend(enhanced(Little, 0, 1, 60, &[5; 50]));
    }
    file
}

#[test]
fn a_file_cut_short_anywhere_gives_its_whole_packets_and_then_says_so() {
    for (file, record) in [(classic(), 66), (ng(), ng_packet())] {
        let first = file.len() - 3 * record;
        for len in first..file.len() {
            let (packets, end, stats) = read(&file[..len]);
            let whole = (len - first) / record;
            assert_eq!(packets.len(), whole, "{len}");
            let at = (first + whole * record) as u64;
            if at == len as u64 {
                end.unwrap();
                continue;
            }
            let error = end.unwrap_err();
            assert!(error.is_terminal());
            let FileError::CutShort {
                offset, missing, ..
            } = *cause(&error)
            else {
                panic!("{len}: {error}");
            };
            assert_eq!(offset, at, "{len}");
            let inside = len as u64 - at;
            // As far as the length of the record is known.
            let known = if record == 66 { 16 } else { 8 };
            let announced = if inside >= known {
                record as u64
            } else {
                missing + inside
            };
            assert_eq!(missing, announced - inside, "{len}");
            // With fewer than four bytes it is unknown whether the block is a packet.
            let invalid = u64::from(record == 66 || inside >= 4);
            assert_eq!(stats.invalid.exact(), Some(invalid), "{len}");
            assert_eq!(stats.pending(), Some(0), "{len}");
            assert_eq!(stats.offered.exact(), Some(whole as u64 + invalid), "{len}");
        }
    }
}

fn ng_packet() -> usize {
    enhanced(Little, 0, 1, 60, &[5; 50]).len()
}

#[test]
fn an_error_stays() {
    let mut bytes = classic();
    bytes.truncate(bytes.len() - 1);
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    assert_eq!(file.next_batch().unwrap().unwrap().packets().count(), 2);
    let first = file.ready().unwrap_err().to_string();
    for _ in 0..3 {
        assert_eq!(file.ready().unwrap_err().to_string(), first);
        assert_eq!(file.batch().packets().count(), 0);
    }
    assert_eq!(
        first,
        "the capture file: it is cut short: a packet begins at byte 156, and at least 1 of its bytes are missing"
    );
}

#[test]
fn an_end_stays() {
    let bytes = classic();
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    assert_eq!(file.next_batch().unwrap().unwrap().packets().count(), 3);
    for _ in 0..3 {
        assert_eq!(file.ready().unwrap(), Readiness::Ended);
        assert!(file.next_batch().unwrap().is_none());
    }
}

#[test]
fn a_contradiction_is_reported_with_its_offset_after_the_packets_before_it() {
    let long = |kind: u32, len: u32| {
        let mut bytes = block(Little, kind, b"abcd");
        bytes[4..8].copy_from_slice(&Little.u32(len));
        bytes
    };
    let captured = |mut bytes: Vec<u8>, at: usize, len: u32| {
        bytes[at..at + 4].copy_from_slice(&Little.u32(len));
        bytes
    };
    let packet = || enhanced(Little, 0, 1, 4, b"abcd");
    let mut differs = packet();
    *differs.last_mut().unwrap() = 1;
    let mut odd = block(Little, 5, b"abcd");
    odd.truncate(15);
    odd[4..8].copy_from_slice(&Little.u32(15));
    odd[11..15].copy_from_slice(&Little.u32(15));
    let mut no_order = section(Little);
    no_order[8] = 0;
    let mut version = section(Little);
    version[12] = 2;
    let cases = [
        (
            1,
            "announces 4294967295 bytes; the maximum is 16777216",
            long(6, u32::MAX),
        ),
        (
            0,
            "announces 4294967292 bytes; the maximum is 16777216",
            long(5, u32::MAX - 3),
        ),
        (
            0,
            "announces 16777220 bytes; the maximum is 16777216",
            long(5, 16_777_220),
        ),
        (0, "announces 0 bytes; an empty block has 12", long(5, 0)),
        (0, "announces 8 bytes; an empty block has 12", long(5, 8)),
        (1, "has two lengths", differs),
        (0, "not a multiple of 4", odd),
        (0, "has no byte-order magic", no_order),
        (0, "version 2", version),
        (
            1,
            "announces a packet of 4294967295 bytes, but has room for only 20",
            captured(packet(), 20, u32::MAX),
        ),
        (
            1,
            "announces a packet of 21 bytes, but has room for only 20",
            captured(packet(), 20, 21),
        ),
        (
            1,
            "refers to interface 1, but the section describes only 1",
            enhanced(Little, 1, 1, 1, b"x"),
        ),
        (
            1,
            "refers to interface 7, but the section describes only 1",
            obsolete(Little, 7, 0, 1, 1, b"x"),
        ),
        (
            1,
            "announces a packet of 9 bytes, but has room for only 8",
            simple(Little, 9, b"12345678"),
        ),
        (1, "too short for a packet", block(Little, 6, &[0; 16])),
        (1, "too short for a packet", block(Little, 2, b"")),
        (1, "too short for a packet", block(Little, 3, b"")),
        (0, "too short for an interface", block(Little, 1, &[0; 4])),
    ];
    for (invalid, told, bytes) in cases {
        let mut file = ng();
        let offset = file.len() as u64;
        file.extend(bytes);
        file.extend(packet());
        let (packets, end, stats) = read(&file[..]);
        assert_eq!(packets.len(), 3, "{told}");
        let error = end.unwrap_err();
        match cause(&error) {
            FileError::Corrupt { offset: at, .. } => assert_eq!(*at, offset, "{told}"),
            other => panic!("{told}: {other}"),
        }
        assert!(error.to_string().contains(told), "{told}: {error}");
        assert_eq!(stats.invalid.exact(), Some(invalid), "{told}");
        assert_eq!(stats.pending(), Some(0), "{told}");
    }
}

#[test]
fn a_packet_of_a_new_section_needs_an_interface_of_that_section() {
    let mut file = ng();
    file.extend(section(Big));
    file.extend(enhanced(Big, 0, 1, 1, b"x"));
    let (packets, end, _) = read(&file[..]);
    assert_eq!(packets.len(), 3);
    let told = end.unwrap_err().to_string();
    assert!(told.contains("the section describes only 0"), "{told}");
}

#[test]
fn a_record_with_an_excessive_length_is_reported_at_once() {
    for (snap_len, most) in [
        (0, 16 * 1024 * 1024 - 16),
        (96, 256 * 1024),
        (1 << 20, 1 << 20),
    ] {
        for (extra, faulty) in [(0, false), (1, true)] {
            let mut file = header(Little, MICROS, snap_len, 1);
            file.extend(record(Little, (1, 2), 60, &[5; 50]));
            let offset = file.len() as u64;
            file.extend(record(Little, (1, 2), 60, b""));
            let at = file.len() - 8;
            file[at..at + 4].copy_from_slice(&Little.u32(most + extra));
            let (packets, end, _) = read(&file[..]);
            assert_eq!(packets.len(), 1);
            let error = end.unwrap_err();
            match cause(&error) {
                FileError::Corrupt { offset: at, .. } if faulty => assert_eq!(*at, offset),
                FileError::CutShort { offset: at, .. } if !faulty => assert_eq!(*at, offset),
                other => panic!("{snap_len} + {extra}: {other}"),
            }
        }
    }
}

#[test]
fn a_record_that_is_too_long_is_a_fault_even_where_it_is_in_memory_already() {
    const MOST: usize = 256 * 1024;
    // The first makes the buffer grow to 512 KiB; the second ends 8 bytes before the end of what is
    // read into it. So the header of the third is seen only together with all its bytes.
    let mut file = header(Little, MICROS, 96, 1);
    file.extend(record(Little, (1, 2), 60, &vec![5; MOST]));
    file.extend(record(Little, (1, 2), 60, &vec![5; MOST - 8 - 2 * 16]));
    file.extend(record(Little, (1, 2), 60, &vec![5; MOST + 1]));
    let (packets, end, _) = read(&file[..]);
    assert_eq!(packets.len(), 2);
    let told = end.unwrap_err().to_string();
    assert!(told.contains("announces 262145 bytes"), "{told}");
}

#[test]
fn a_longer_record_header_leaves_less_room() {
    for (len, faulty) in [
        (16 * 1024 * 1024 - 24, false),
        (16 * 1024 * 1024 - 23, true),
    ] {
        let mut file = header(Little, MODIFIED, 0, 1);
        let mut record = record(Little, (1, 2), 60, &vec![1; len]);
        record.splice(16..16, [9; 8]);
        file.extend(record);
        let (packets, end, _) = read(&file[..]);
        assert_eq!(packets.len(), usize::from(!faulty));
        let told = end.map_err(|error| error.to_string());
        assert_eq!(
            told.is_err_and(|told| told.contains("the maximum is 16777192")),
            faulty
        );
    }
}

#[test]
fn the_largest_packet_is_read() {
    let data = vec![1; 16 * 1024 * 1024 - 16];
    let mut file = header(Little, MICROS, 0, 1);
    file.extend(record(Little, (1, 2), 1, &data));
    file.extend(record(Little, (1, 2), 1, b"x"));
    let (packets, end, _) = read(&file[..]);
    end.unwrap();
    assert_eq!(packets.len(), 2);
    assert!(packets[0].data == data);
}

#[test]
fn what_is_no_capture_file_is_refused_by_name() {
    let cases: [(&[u8], &str); 10] = [
        (b"", "it is empty"),
        (
            b"\xd4\xc3",
            "it is cut short: the header of the file begins at byte 0, and at least 2",
        ),
        (
            &header(Little, MICROS, 0, 1)[..23],
            "the header of the file begins at byte 0, and at least 1",
        ),
        (
            b"\x1f\x8b\x08\x00",
            "it cannot be unpacked from byte 0 of its gzip data on",
        ),
        (
            b"\x28\xb5\x2f\xfd",
            "it cannot be unpacked from byte 0 of its zstd data on",
        ),
        (
            b"\xfd7zXZ\x00",
            "compressed by xz; unpack it first, with `unxz`",
        ),
        (
            b"GET / HTTP/1.1",
            "neither pcap nor pcapng: it begins with the bytes 47 45 54 20",
        ),
        (
            &header(Little, IXIA_HARDWARE, 0, 1),
            "the header of the file begins at byte 0, and at least 4",
        ),
        // The formats of Navtel and Mesquita, which no other program reads either.
        (b"\xa1\x2b\x3c\x4d", "neither pcap nor pcapng"),
        (b"\xa1\xb2\x34\xcd", "neither pcap nor pcapng"),
    ];
    for (bytes, told) in cases {
        let error = CaptureFile::new(bytes).unwrap_err();
        assert!(error.to_string().contains(told), "{told}: {error}");
    }
    for version in [(0, 4), (1, 2), (1, 99)] {
        let old = versioned_header(Little, MICROS, version, 0, 1);
        let error = CaptureFile::new(&old[..]).unwrap_err().to_string();
        let (major, minor) = version;
        let told = format!("its header says pcap version {major}.{minor}");
        assert!(
            error.contains(&told) && error.contains("only 2.0 and later are supported"),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = CaptureFile::open("/nowhere/trace.pcap").unwrap_err();
    assert!(
        matches!(cause(&error), FileError::Open(error) if error.kind() == io::ErrorKind::NotFound)
    );
    assert!(
        error
            .to_string()
            .starts_with("/nowhere/trace.pcap: it cannot be opened"),
        "{error}"
    );
}

/// Returns its bytes in pieces, with a result of its own before each.
struct Moody<'a> {
    bytes: &'a [u8],
    piece: usize,
    moods: Vec<io::ErrorKind>,
}

impl Read for Moody<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(mood) = self.moods.pop() {
            return Err(mood.into());
        }
        let piece = self.piece.min(into.len());
        self.bytes.by_ref().take(piece as u64).read(into)
    }
}

#[test]
fn a_reader_may_give_a_byte_at_a_time_and_be_interrupted() {
    for bytes in [classic(), ng()] {
        for piece in [1, 2, 3, 7, 100] {
            let reader = Moody {
                bytes: &bytes,
                piece,
                moods: vec![io::ErrorKind::Interrupted; 5],
            };
            let (packets, end, _) = read(reader);
            end.unwrap();
            assert_eq!(packets.len(), 3);
            assert!(packets.iter().all(|packet| packet.data == [5; 50]));
        }
    }
}

/// Returns some bytes, and then only this error.
struct Fails<'a>(&'a [u8], io::ErrorKind);

impl Read for Fails<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(self.1.into());
        }
        self.0.read(into)
    }
}

#[test]
fn a_failing_reader_is_reported_after_the_packets_before_it() {
    let bytes = classic();
    let (packets, end, stats) = read(Fails(&bytes[..bytes.len() - 10], io::ErrorKind::TimedOut));
    assert_eq!(packets.len(), 2);
    let error = end.unwrap_err();
    let FileError::Read { offset, source } = cause(&error) else {
        panic!("{error}");
    };
    assert_eq!(*offset, bytes.len() as u64 - 10);
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
    // The packet may be complete beyond what the reader returned, which cannot be known.
    assert_eq!(stats.invalid.exact(), Some(0));
}

#[test]
fn a_reader_without_bytes_now_is_empty_and_goes_on() {
    let bytes = classic();
    let half = bytes.len() - 10;
    let mut file = CaptureFile::new(Moody {
        bytes: &bytes,
        piece: half,
        moods: vec![],
    })
    .unwrap();
    assert_eq!(file.next_batch().unwrap().unwrap().packets().count(), 2);
    file.get_mut().moods.push(io::ErrorKind::WouldBlock);
    assert_eq!(file.ready().unwrap(), Readiness::Empty);
    assert_eq!(file.batch().packets().count(), 0);
    assert_eq!(file.next_batch().unwrap().unwrap().packets().count(), 1);
    assert!(file.next_batch().unwrap().is_none());
}

#[test]
fn a_section_with_too_many_interfaces_is_a_fault() {
    let mut file = section(Little);
    for _ in 0..65_536 {
        file.extend(interface(Little, 1, 0, b""));
    }
    file.extend(enhanced(Little, 65_535, 1, 1, b"x"));
    let (packets, end, _) = read(&file[..]);
    end.unwrap();
    assert_eq!((packets.len(), packets[0].interface), (1, 65_536));
    file.extend(interface(Little, 1, 0, b""));
    let (packets, end, _) = read(&file[..]);
    assert_eq!(packets.len(), 1);
    assert!(end.unwrap_err().to_string().contains("65536"));
}
