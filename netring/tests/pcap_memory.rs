//! What reading a file costs in memory, counted by the allocator.

#[path = "pcap/bytes.rs"]
#[allow(dead_code, reason = "shared with the other tests of capture files")]
mod bytes;

use std::io::Read;

use allocation_counter::{AllocationInfo, measure};
use netring::adapters::{AnySource, Filtered, Limit, Tee};
use netring::pcap::{CaptureFile, CaptureWriter};
use netring::{LinkType, PacketBatch, PacketSource, Readiness, SockFilter};

use bytes::{Little, MICROS, enhanced, header, interface, record, section, simple};

/// A reader that returns some bytes, and then the same bytes many times.
struct Repeat<'a> {
    first: &'a [u8],
    then: &'a [u8],
    times: usize,
    at: usize,
}

impl Read for Repeat<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if !self.first.is_empty() {
            return self.first.read(into);
        }
        if self.times == 0 {
            return Ok(0);
        }
        let len = (&self.then[self.at..]).read(into)?;
        self.at += len;
        if self.at == self.then.len() {
            self.at = 0;
            self.times -= 1;
        }
        Ok(len)
    }
}

/// Reads until the end or the error; returns the number of packets and the cost.
fn cost(reader: impl Read) -> (usize, AllocationInfo) {
    let mut packets = 0;
    let cost = measure(|| {
        let mut file = CaptureFile::new(reader).expect("the beginning is right");
        while let Ok(Some(batch)) = file.next_batch() {
            packets += batch.packets().count();
        }
    });
    (packets, cost)
}

/// The cost of a file of `first` followed by a number of copies of `then`.
fn repeated(first: &[u8], then: &[u8], times: usize) -> (usize, AllocationInfo) {
    cost(Repeat {
        first,
        then,
        times,
        at: 0,
    })
}

fn ng() -> Vec<u8> {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    file
}

#[test]
fn a_packet_allocates_nothing() {
    let files = [
        (
            header(Little, MICROS, 0, 1),
            record(Little, (1, 2), 60, &[7; 60]),
        ),
        // With options behind the packet.
        (ng(), enhanced(Little, 0, 1, 60, &[7; 60])),
    ];
    for (first, then) in files {
        let (none, opened) = repeated(&first, &then, 0);
        let (packets, read) = repeated(&first, &then, 200_000);
        assert_eq!((none, packets), (0, 200_000));
        assert_eq!(read.count_total, opened.count_total);
        assert_eq!(read.bytes_max, opened.bytes_max);
        // A buffer, and the offsets of the packets in it.
        assert!(read.bytes_max < 400_000, "{read:?}");
    }
}

/// An erased type costs two allocations for each batch, however many packets it has.
#[test]
fn an_erased_source_allocates_for_a_batch_and_not_for_a_packet() {
    let cost = |times| {
        let mut bytes = header(Little, MICROS, 0, 1);
        bytes.extend(record(Little, (1, 2), 60, &[7; 60]).repeat(times));
        let (mut batches, mut packets) = (0, 0);
        let cost = measure(|| {
            let file = CaptureFile::new(&*bytes.leak()).expect("the beginning is right");
            let mut source = AnySource::new(file);
            while let Some(batch) = source.next_batch().expect("no error") {
                batches += 1;
                packets += batch.packets().count();
            }
        });
        (batches, packets, cost.count_total)
    };
    let (none, _, opened) = cost(0);
    let (batches, packets, read) = cost(10_240);
    assert_eq!((none, packets), (0, 10_240));
    assert!((10..20).contains(&batches), "{batches}");
    assert_eq!(read - opened, 2 * batches);
}

/// Packets through all adapters, and into a file.
#[test]
fn an_adapter_allocates_nothing_for_a_packet() {
    let cost = |times| {
        let (first, then) = (
            header(Little, MICROS, 0, 1),
            record(Little, (1, 2), 60, &[7; 60]),
        );
        let (first, then) = (&first[..], &then[..]);
        let reader = Repeat {
            first,
            then,
            times,
            at: 0,
        };
        let mut written = 0;
        let cost = measure(|| {
            let file = CaptureFile::new(reader).expect("the beginning is right");
            let all = [SockFilter::stmt(0x80, 0), SockFilter::stmt(0x16, 0)];
            let chosen = Filtered::new(file, all).expect("a filter");
            let writer = CaptureWriter::new(std::io::sink(), LinkType::ETHERNET).expect("a sink");
            let mut tee = Tee::new(Limit::new(chosen, 150_000), writer);
            while tee.ready().expect("no error") == Readiness::Ready {
                drop(tee.batch());
            }
            written = tee.written();
        });
        (written, cost)
    };
    let (none, opened) = cost(0);
    let (written, through) = cost(200_000);
    assert_eq!((none, written), (0, 150_000));
    assert_eq!(through.count_total, opened.count_total);
    assert_eq!(through.bytes_max, opened.bytes_max);
}

#[test]
fn looking_ahead_for_a_time_is_done_once() {
    let (_, opened) = repeated(&ng(), &[], 0);
    let then = simple(Little, 60, &[7; 60]);
    let (packets, read) = repeated(&ng(), &then, 200_000);
    assert_eq!(packets, 200_000);
    // The state of the look-ahead, and a copy of what is known of the interfaces.
    assert_eq!(read.count_total, opened.count_total + 2);
    assert!(read.bytes_max < 400_000, "{read:?}");
}

#[test]
fn what_a_file_announces_is_not_allocated() {
    let mut file = ng();
    file.extend(Little.u32(6));
    file.extend(Little.u32(16 * 1024 * 1024));
    let (_, cost_of_few) = cost(&file[..]);
    assert!(cost_of_few.bytes_max < 400_000, "{cost_of_few:?}");
    // The contents are allocated at most twice: while the buffer grows, the old and the new one
    // exist.
    file.resize(1_000_000, 0);
    let (_, cost_of_more) = cost(&file[..]);
    assert!(cost_of_more.bytes_max < 3_500_000, "{cost_of_more:?}");
}

#[test]
fn sections_and_interfaces_without_end_have_a_bound() {
    let mut file = section(Little);
    for _ in 0..1_000 {
        file.extend(interface(Little, 1, 0, b""));
    }
    let (_, sections) = repeated(&[], &file, 200);
    assert!(sections.bytes_max < 500_000, "{sections:?}");
    let (_, interfaces) = repeated(&section(Little), &interface(Little, 1, 0, b""), 200_000);
    assert!(interfaces.bytes_max < 8_000_000, "{interfaces:?}");
}
