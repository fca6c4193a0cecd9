//! Simple packet blocks, which have no time and no captured length.

use std::io::{self, Read};

use netring::pcap::CaptureFile;
use netring::{PacketBatch, PacketSource, Readiness};

use super::bytes::{Big, Little, enhanced, interface, obsolete, option, section, simple};
use super::{Seen, packets};

const TSOFFSET: u16 = 14;

/// How far the reader looks ahead for a time.
const LOOK_AHEAD: usize = 256 * 1024;

#[test]
fn a_simple_packet_is_cut_at_the_snap_length_and_has_no_padding() {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 6, b""));
    file.extend(simple(Little, 1_514, b"123456"));
    file.extend(simple(Little, 5, b"12345"));
    assert_eq!(
        packets(&file),
        [
            Seen::new(0, b"123456", 1_514, 1, 1),
            Seen::new(0, b"12345", 5, 1, 1)
        ]
    );
}

/// The timestamps of a valid file, in seconds, if its reader returns this many bytes at a time.
fn seconds_in_pieces(file: &[u8], piece: usize) -> Vec<i64> {
    let mut file = CaptureFile::new(Pieces(file, piece)).expect("the beginning is right");
    let mut seconds = Vec::new();
    while let Some(batch) = file.next_batch().expect("the file is right") {
        seconds.extend(batch.packets().map(|packet| {
            let nanos = packet.timestamp().as_nanos();
            assert_eq!(nanos % 1_000_000_000, 0);
            nanos / 1_000_000_000
        }));
    }
    seconds
}

struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = self.1.min(into.len());
        self.0.read(&mut into[..piece])
    }
}

fn seconds(file: &[u8]) -> Vec<i64> {
    let at_once = seconds_in_pieces(file, usize::MAX);
    for piece in [1, 7, 1_000, 100_000] {
        assert_eq!(seconds_in_pieces(file, piece), at_once, "{piece}");
    }
    at_once
}

fn at(second: u64) -> Vec<u8> {
    enhanced(Little, 0, second * 1_000_000, 1, b"t")
}

fn without() -> Vec<u8> {
    simple(Little, 1, b"s")
}

fn beginning() -> Vec<u8> {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    file
}

#[test]
fn a_packet_without_a_time_takes_that_of_the_packet_before() {
    let mut file = beginning();
    for part in [
        at(1_700_000_000),
        without(),
        without(),
        at(1_700_000_005),
        without(),
        // Time that goes back is the file's own.
        at(1_700_000_003),
        without(),
        obsolete(Little, 0, 0, 1_700_000_009_000_000, 1, b"o"),
        without(),
    ] {
        file.extend(part);
    }
    let after: Vec<_> = seconds(&file)
        .iter()
        .map(|time| time - 1_700_000_000)
        .collect();
    assert_eq!(after, [0, 0, 0, 5, 5, 3, 3, 9, 9]);
}

#[test]
fn the_packet_before_may_be_of_another_interface_or_section() {
    let mut file = beginning();
    file.extend(interface(
        Little,
        1,
        0,
        &option(Little, TSOFFSET, &Little.u64(1_000)),
    ));
    file.extend(enhanced(Little, 1, 500_000_000, 1, b"t"));
    file.extend(without());
    file.extend(section(Big));
    file.extend(interface(Big, 1, 0, b""));
    file.extend(simple(Big, 1, b"s"));
    file.extend(enhanced(Big, 0, 1_501_000_000, 1, b"t"));
    assert_eq!(seconds(&file), [1_500, 1_500, 1_500, 1_501]);
}

#[test]
fn packets_without_a_time_that_begin_a_file_take_the_first_time_behind_them() {
    let mut file = beginning();
    file.extend(without());
    file.extend(without());
    // The clock of that packet is described in between, in another section.
    file.extend(section(Big));
    file.extend(interface(
        Big,
        1,
        0,
        &option(Big, TSOFFSET, &Big.u64(1_700_000_000)),
    ));
    file.extend(simple(Big, 1, b"s"));
    file.extend(enhanced(Big, 0, 4_000_000, 1, b"t"));
    file.extend(simple(Big, 1, b"s"));
    assert_eq!(seconds(&file), [1_700_000_004; 5]);
}

/// Returns these bytes, one at a time, and then would block.
struct Pipe<'a>(&'a [u8]);

impl Read for Pipe<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.read(&mut into[..1])
    }
}

#[test]
fn packets_are_not_held_up_once_the_time_is_known() {
    let mut bytes = beginning();
    bytes.extend(without());
    let mut file = CaptureFile::new(Pipe(&bytes)).unwrap();
    assert_eq!(file.ready().unwrap(), Readiness::Empty);
    let more = [without(), at(5)].concat();
    file.get_mut().0 = &more[..more.len() - 1];
    assert_eq!(file.ready().unwrap(), Readiness::Empty);
    file.get_mut().0 = &more[more.len() - 1..];
    assert_eq!(file.ready().unwrap(), Readiness::Ready);
    let batch = file.batch();
    let times = batch
        .packets()
        .map(|packet| packet.timestamp().as_nanos() / 1_000_000_000);
    assert_eq!(times.collect::<Vec<_>>(), [5; 3]);
}

#[test]
fn a_file_without_any_time_is_at_the_epoch() {
    let mut file = beginning();
    for _ in 0..3_000 {
        file.extend(without());
    }
    assert_eq!(seconds(&file), [0; 3_000]);
}

#[test]
fn a_time_is_looked_for_so_far_and_no_further() {
    let block = without().len();
    let timed = at(5).len();
    for (simple_packets, found) in [
        ((LOOK_AHEAD - timed) / block, 5),
        ((LOOK_AHEAD - timed) / block + 1, 0),
    ] {
        let mut file = beginning();
        for _ in 0..simple_packets {
            file.extend(without());
        }
        file.extend(at(5));
        let mut expected = vec![found; simple_packets];
        expected.push(5);
        assert_eq!(seconds_in_pieces(&file, 4_096), expected);
        assert_eq!(seconds_in_pieces(&file, usize::MAX), expected);
    }
}

#[test]
fn damage_behind_packets_without_a_time_does_not_hold_them_up() {
    let mut file = beginning();
    file.extend(without());
    for damage in [&[0xff; 8][..], &at(5)[..20]] {
        let mut file = file.clone();
        file.extend(damage);
        let (packets, end, _) = super::read(&file[..]);
        assert_eq!(packets, [Seen::new(0, b"s", 1, 1, 1)]);
        end.unwrap_err();
    }
}
