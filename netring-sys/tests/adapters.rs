//! Adapters over a scripted source: what they lend, what they count, what they report.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use netring_sys::adapters::{AnySource, Filtered, Limit, SinkWriter, Tee};
use netring_sys::kernel::filter::SockFilter;
use netring_sys::{
    Count, Error, LinkType, Packet, PacketBatch, PacketBuf, PacketSink, PacketSlot, PacketSource,
    PacketWriter, Readiness, SinkStats, Stats, Timestamp, VlanTag,
};

/// Lends batches of packets of one byte each, then says `Empty` once and ends.
struct Played {
    batches: VecDeque<Vec<u8>>,
    delivered: u64,
    offered: u64,
    was_empty: bool,
    /// How often packets of its batches were read.
    looks: Cell<u64>,
}

struct Batch<'a> {
    source: &'a mut Played,
    packets: Vec<u8>,
}

impl Played {
    fn new(batches: &[&[u8]]) -> Self {
        Self {
            batches: batches.iter().map(|batch| batch.to_vec()).collect(),
            delivered: 0,
            offered: batches.iter().map(|batch| batch.len() as u64).sum(),
            was_empty: false,
            looks: Cell::new(0),
        }
    }
}

impl PacketSource for Played {
    type Batch<'a> = Batch<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        Ok(match (self.batches.is_empty(), self.was_empty) {
            (false, _) => Readiness::Ready,
            (true, false) => {
                self.was_empty = true;
                Readiness::Empty
            }
            (true, true) => Readiness::Ended,
        })
    }

    fn batch(&mut self) -> Batch<'_> {
        let packets = self.batches.pop_front().unwrap_or_default();
        Batch {
            source: self,
            packets,
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        let mut stats = Stats::counted(self.delivered);
        stats.offered = Count::Exact(self.offered);
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let bytes = self.packets.chunks(1);
        bytes.map(|byte| {
            self.source.looks.set(self.source.looks.get() + 1);
            Packet::new(byte, Timestamp::EPOCH, LinkType::RAW_IP)
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.source.delivered += self.packets.len() as u64;
    }
}

/// Accepts packets of bytes of 10 and more.
const FROM_TEN: [SockFilter; 4] = [
    SockFilter::stmt(0x30, 0),
    SockFilter::jump(0x35, 10, 0, 1),
    SockFilter::stmt(0x06, 1),
    SockFilter::stmt(0x06, 0),
];

/// The first bytes of all packets of the next batch.
fn take(source: &mut impl PacketSource) -> Vec<u8> {
    assert_eq!(source.ready().unwrap(), Readiness::Ready);
    let batch = source.batch();
    batch.packets().map(|packet| packet.data()[0]).collect()
}

#[track_caller]
fn books(source: &mut impl PacketSource, delivered: u64, left_out: u64, pending: u64) {
    let stats = source.stats().unwrap();
    let got = (stats.delivered, stats.left_out, stats.pending());
    let exact = (Count::Exact(delivered), Count::Exact(left_out));
    assert_eq!(got, (exact.0, exact.1, Some(pending)), "{stats:?}");
}

#[test]
fn a_filter_lends_what_it_chooses_and_counts_the_rest() {
    let source = Played::new(&[&[1, 10, 2, 11], &[3, 4], &[], &[12]]);
    let mut source = Filtered::new(source, FROM_TEN).unwrap();
    books(&mut source, 0, 0, 7);
    assert_eq!(take(&mut source), [10, 11]);
    books(&mut source, 2, 2, 3);
    assert_eq!(take(&mut source), []);
    assert_eq!(take(&mut source), []);
    books(&mut source, 2, 4, 1);
    assert_eq!(take(&mut source), [12]);
    books(&mut source, 3, 4, 0);
    assert_eq!(source.ready().unwrap(), Readiness::Empty);
    assert_eq!(source.ready().unwrap(), Readiness::Ended);
    assert!(source.is_live());
}

/// A batch counts when it is dropped, whether it was not iterated, iterated in part, or several
/// times.
#[test]
fn a_batch_counts_however_it_was_walked() {
    for walks in [&[][..], &[1], &[9], &[1, 9], &[9, 1], &[9, 9]] {
        let source = Played::new(&[&[10, 1, 11, 2, 12], &[13]]);
        let mut source = Filtered::new(Limit::new(source, 6), FROM_TEN).unwrap();
        let batch = source.batch();
        for walk in walks {
            assert_eq!(batch.packets().take(*walk).count(), 3.min(*walk));
        }
        drop(batch);
        books(&mut source, 3, 2, 1);
        books(source.get_mut(), 5, 0, 1);
    }
}

/// A reader that iterates a batch to its end runs the filter only once.
#[test]
fn a_filter_runs_once_for_a_packet() {
    let mut source = Filtered::new(Played::new(&[&[1, 10, 2], &[11, 3]]), FROM_TEN).unwrap();
    assert_eq!(take(&mut source), [10]);
    assert_eq!(source.get_ref().looks.get(), 3);
    drop(source.batch());
    assert_eq!(source.get_ref().looks.get(), 5);
}

#[test]
fn a_limit_ends_in_the_middle_of_a_batch() {
    let mut source = Limit::new(Played::new(&[&[1, 2], &[3, 4, 5], &[6]]), 4);
    assert_eq!(take(&mut source), [1, 2]);
    assert_eq!(source.left(), 2);
    assert_eq!(take(&mut source), [3, 4]);
    assert_eq!(source.ready().unwrap(), Readiness::Ended);
    assert_eq!(source.batch().packets().count(), 0);
    // The batch after the end is still in the source.
    books(&mut source, 4, 1, 1);
    assert_eq!(take(&mut source.into_inner()), [6]);

    let mut none = Limit::new(Played::new(&[&[1]]), 0);
    assert_eq!(none.ready().unwrap(), Readiness::Ended);
    books(&mut none, 0, 0, 1);
}

/// The answer of a writer to each packet, by its byte, and what it received.
#[derive(Default)]
struct Writer {
    got: Vec<u8>,
    flushes: u64,
    waits: bool,
    error_of_flush: Option<Error>,
}

const FULL: u8 = 100;
const REFUSED: u8 = 101;
const BROKEN: u8 = 102;

impl PacketWriter for Writer {
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        match packet.data()[0] {
            FULL => Ok(false),
            REFUSED => Err(Error::FrameLength { len: 1, max: 0 }),
            BROKEN => Err(broken()),
            byte => {
                self.got.push(byte);
                Ok(true)
            }
        }
    }

    fn flush(&mut self) -> Result<bool, Error> {
        self.flushes += 1;
        self.error_of_flush.take().map_or(Ok(!self.waits), Err)
    }
}

fn broken() -> Error {
    Error::Source {
        what: "the disk is full".into(),
        source: "no space".into(),
    }
}

fn lengths(tee: &Tee<Played, Writer>) -> (u64, u64) {
    (tee.written(), tee.missed())
}

#[test]
fn a_tee_writes_each_packet_once_and_flushes_when_there_is_nothing_more() {
    let mut tee = Tee::new(Played::new(&[&[1, 2], &[3, FULL, 4]]), Writer::default());
    assert_eq!(take(&mut tee), [1, 2]);
    let batch = tee.batch();
    assert_eq!((batch.packets().count(), batch.packets().count()), (3, 3));
    drop(batch);
    assert_eq!(lengths(&tee), (4, 1));
    assert_eq!(tee.writer().got, [1, 2, 3, 4]);
    books(&mut tee, 5, 0, 0);
    assert_eq!(tee.writer().flushes, 0);
    // Some of it has to wait: it is flushed again until everything is written.
    tee.writer_mut().waits = true;
    assert_eq!(tee.ready().unwrap(), Readiness::Empty);
    assert_eq!(tee.ready().unwrap(), Readiness::Ended);
    assert_eq!(tee.writer().flushes, 2);
    tee.writer_mut().waits = false;
    for _ in 0..3 {
        assert_eq!(tee.ready().unwrap(), Readiness::Ended);
    }
    assert_eq!(tee.writer().flushes, 3);
    let (_, writer) = tee.finish().unwrap();
    assert_eq!(writer.flushes, 3);
}

#[test]
fn a_tee_reports_a_packet_that_was_not_taken_and_goes_on() {
    let batches: [&[u8]; 2] = [&[1, REFUSED, 2, REFUSED], &[3]];
    let mut tee = Tee::new(Played::new(&batches), Writer::default());
    assert_eq!(take(&mut tee), [1, REFUSED, 2, REFUSED]);
    let report = tee.ready().unwrap_err();
    assert!(matches!(report, Error::FrameLength { .. }), "{report}");
    assert_eq!(take(&mut tee), [3]);
    assert_eq!(lengths(&tee), (3, 2));
    assert_eq!(tee.writer().got, [1, 2, 3]);
}

#[test]
fn a_tee_ends_by_an_error_of_its_writer() {
    let batches: [&[u8]; 2] = [&[1, REFUSED, BROKEN, 2], &[3]];
    let mut tee = Tee::new(Played::new(&batches), Writer::default());
    // The batch with the error is lent whole.
    assert_eq!(take(&mut tee), batches[0]);
    assert_eq!(lengths(&tee), (1, 3));
    let error = tee.ready().unwrap_err();
    assert_eq!(error.to_string(), "the disk is full: no space");
    for _ in 0..2 {
        assert!(matches!(tee.ready().unwrap_err(), Error::Closed));
    }
    // A reader that continues regardless gets packets that are not written, and that is counted.
    assert_eq!(tee.batch().packets().count(), 1);
    assert_eq!(lengths(&tee), (1, 4));
    assert!(matches!(tee.finish().err().unwrap(), Error::Closed));
}

#[test]
fn an_error_of_a_flush_is_reported_by_whichever_call_flushes() {
    let mut tee = Tee::new(Played::new(&[&[1]]), Writer::default());
    assert_eq!(take(&mut tee), [1]);
    tee.writer_mut().error_of_flush = Some(broken());
    assert_eq!(
        tee.ready().unwrap_err().to_string(),
        "the disk is full: no space"
    );
    assert!(matches!(tee.ready().unwrap_err(), Error::Closed));

    let mut tee = Tee::new(Played::new(&[&[1]]), Writer::default());
    assert_eq!(take(&mut tee), [1]);
    tee.writer_mut().error_of_flush = Some(broken());
    let error = tee.finish().err().unwrap();
    assert_eq!(error.to_string(), "the disk is full: no space");

    // Not reported yet.
    let mut tee = Tee::new(Played::new(&[&[BROKEN]]), Writer::default());
    drop(tee.batch());
    let error = tee.finish().err().unwrap();
    assert_eq!(error.to_string(), "the disk is full: no space");
}

/// A sink with room for two frames, which a flush sends.
#[derive(Default)]
struct Sink {
    ring: Vec<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    stuck: bool,
}

struct Slot<'a>(&'a mut Sink, Vec<u8>);

impl Deref for Slot<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.1
    }
}

impl DerefMut for Slot<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.1
    }
}

impl PacketSlot for Slot<'_> {
    fn commit(self) {
        self.0.ring.push(self.1);
    }
}

impl PacketSink for Sink {
    type Slot<'a> = Slot<'a>;

    fn room(&mut self) -> Result<usize, Error> {
        Ok(2 - self.ring.len())
    }

    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        if len > 100 {
            return Err(Error::FrameLength { len, max: 100 });
        }
        Ok((self.ring.len() < 2).then(|| Slot(self, vec![0; len])))
    }

    fn flush(&mut self) -> Result<usize, Error> {
        if !self.stuck {
            self.sent.append(&mut self.ring);
        }
        Ok(self.ring.len())
    }

    fn stats(&mut self) -> Result<SinkStats, Error> {
        let sent = self.sent.len() as u64;
        Ok(SinkStats::counted(sent + self.ring.len() as u64, sent))
    }

    fn max_len(&self) -> usize {
        100
    }
}

fn ethernet(bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, Timestamp::EPOCH, LinkType::ETHERNET)
}

#[test]
fn a_sink_takes_packets_with_their_tag_in_its_place() {
    let bytes: Vec<u8> = (0..60).collect();
    let tag = Some(VlanTag {
        tpid: 0x88a8,
        tci: 0x6005,
    });
    let mut writer = SinkWriter::new(Sink::default());
    assert!(writer.write(&ethernet(&bytes)).unwrap());
    assert!(writer.write(&ethernet(&bytes).with_vlan(tag)).unwrap());
    // The sink is full: earlier frames are flushed to make room.
    assert!(
        writer
            .write(&ethernet(&bytes[..12]).with_vlan(tag))
            .unwrap()
    );
    assert_eq!(writer.get_ref().sent.len(), 2);
    assert!(writer.flush().unwrap());
    let tagged = [&bytes[..12], &[0x88, 0xa8, 0x60, 0x05], &bytes[12..]].concat();
    assert_eq!(writer.into_inner().sent, [&bytes, &tagged, &tagged[..16]]);
}

#[test]
fn a_tag_without_a_place_stays_beside_the_bytes() {
    let tag = Some(VlanTag {
        tpid: 0x8100,
        tci: 1,
    });
    let short = ethernet(&[7; 11]).with_vlan(tag);
    let other = Packet::new(&[7; 60], Timestamp::EPOCH, LinkType::RAW_IP).with_vlan(tag);
    for packet in [short, other] {
        let bytes = packet.wire_bytes();
        assert_eq!(bytes.pieces().concat(), packet.data());
        assert_eq!(bytes.len(), packet.data().len());
    }
    assert!(ethernet(&[]).wire_bytes().is_empty());
}

#[test]
fn a_sink_that_cannot_take_a_packet_says_so() {
    let mut writer = SinkWriter::new(Sink::default());
    let cut = ethernet(&[7; 60]).with_wire_len(61);
    let error = writer.write(&cut).unwrap_err();
    assert!(!error.is_terminal());
    assert_eq!(
        error.to_string(),
        "write: the packet was cut to 60 of its 61 bytes; only whole packets can be sent"
    );
    let error = writer.write(&ethernet(&[7; 101])).unwrap_err();
    assert!(matches!(error, Error::FrameLength { .. }), "{error}");
    writer.get_mut().stuck = true;
    assert!(writer.write(&ethernet(&[1; 60])).unwrap());
    assert!(writer.write(&ethernet(&[2; 60])).unwrap());
    assert!(!writer.write(&ethernet(&[3; 60])).unwrap());
    assert!(!writer.flush().unwrap());
    writer.get_mut().stuck = false;
    assert!(writer.flush().unwrap());
    assert_eq!(writer.get_ref().sent, [[1; 60], [2; 60]]);
}

/// A reference to a writer is a writer, also as a trait object.
#[test]
fn a_writer_is_used_by_reference() {
    let mut keep: Vec<PacketBuf> = Vec::new();
    struct Keep<'a>(&'a mut Vec<PacketBuf>);
    impl PacketWriter for Keep<'_> {
        fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
            self.0.push(packet.to_buf());
            Ok(true)
        }
        fn flush(&mut self) -> Result<bool, Error> {
            Ok(true)
        }
    }
    let mut writer = Keep(&mut keep);
    let writer: &mut dyn PacketWriter = &mut writer;
    let mut tee = Tee::new(Played::new(&[&[5, 6]]), writer);
    assert_eq!(take(&mut tee), [5, 6]);
    drop(tee);
    let kept: Vec<_> = keep.iter().map(|packet| packet.data()[0]).collect();
    assert_eq!(kept, [5, 6]);
}

/// Whatever is inside, and however often the type is erased.
#[test]
fn an_erased_source_is_the_source_inside() {
    let source = AnySource::new(Played::new(&[&[1, 10, 2, 11], &[3, 4], &[12, 13]]));
    let source = AnySource::new(Filtered::new(source, FROM_TEN).unwrap());
    let mut source = AnySource::new(Limit::new(source, 3));
    assert!(source.is_live() && source.descriptor().is_none());
    for expected in [&[10, 11][..], &[], &[12]] {
        assert_eq!(take(&mut source), expected);
    }
    assert_eq!(source.ready().unwrap(), Readiness::Ended);
    assert!(source.next_batch().unwrap().is_none());
    books(&mut source, 3, 5, 0);
    let mut empty = AnySource::new(Played::new(&[]));
    let error = empty.next_batch().map(drop).unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
}
