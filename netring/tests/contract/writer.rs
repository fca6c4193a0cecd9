//! The rows of [`PacketWriter`].

use std::time::Instant;

use netring::{Clock, Error, LinkType, Packet, PacketWriter, Timestamp};
use xtask::wire::numbered;

use super::LIMIT;

/// A writer under test, and a view of what it wrote.
pub(crate) trait Backend: Sized {
    type Writer: PacketWriter;

    /// Bytes of the longest packet.
    const LONGEST: usize;
    /// Whether the output has times and wire lengths, and may contain packets without bytes.
    const IS_FILE: bool = true;
    /// Whether a packet may be in the output before it is counted: a compressed one may be in the
    /// file before the flush that reports it.
    const IS_AHEAD: bool = false;

    /// A fresh writer.
    fn open() -> (Self, Self::Writer);
    /// Opens a writer in place of one that was dropped.
    fn open_again(&mut self) -> Self::Writer;
    /// The output since the last call, as an independent observer sees it.
    fn seen(&mut self) -> Vec<Seen>;
    /// Removes what is behind the writer.
    fn remove(&mut self);
    /// Accepts at most 100,000 more bytes of output.
    fn limit(&mut self);
    /// By the writer's own count: packets accepted, and how many of them are not in the output yet.
    fn figures(writer: &mut Self::Writer) -> (u64, u64);
}

/// A packet in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Nanoseconds since the epoch, and bytes on the wire; `None` if the output has no place for
    /// them.
    pub(crate) about: Option<(u64, u32)>,
    pub(crate) data: Vec<u8>,
}

const START: i64 = 1_700_000_000_123_456_789;

fn time(n: u64) -> Timestamp {
    Timestamp::from_nanos(START + n as i64, Clock::Unknown)
}

fn write<B: Backend>(writer: &mut B::Writer, n: u64, data: &[u8]) -> Result<bool, Error> {
    writer.write(&Packet::new(data, time(n), LinkType::ETHERNET))
}

/// Writes a packet, for which there must be room.
#[track_caller]
fn put<B: Backend>(writer: &mut B::Writer, n: u64, len: usize) {
    assert!(write::<B>(writer, n, &numbered(n, len)).unwrap());
}

#[track_caller]
fn flush<B: Backend>(writer: &mut B::Writer) {
    let end = Instant::now() + LIMIT;
    while !writer.flush().unwrap() {
        assert!(Instant::now() < end, "it is never flushed");
    }
}

fn expected<B: Backend>(n: u64, data: Vec<u8>) -> Seen {
    let about = (time(n).as_nanos() as u64, data.len() as u32);
    Seen {
        about: B::IS_FILE.then_some(about),
        data,
    }
}

/// Checks that these packets are in the output and no others, byte for byte, with their times.
#[track_caller]
fn comes<B: Backend>(backend: &mut B, packets: impl IntoIterator<Item = (u64, usize)>) {
    let packets = packets.into_iter();
    let packets = packets.map(|(n, len)| expected::<B>(n, numbered(n, len)));
    assert_eq!(backend.seen(), packets.collect::<Vec<_>>());
}

/// What a writer says about itself is consistent.
pub(crate) fn capabilities_are_self_consistent<B: Backend>() {
    let (mut backend, mut writer) = B::open();
    assert_eq!(B::figures(&mut writer), (0, 0));
    put::<B>(&mut writer, 1, 1514);
    assert_eq!(B::figures(&mut writer).0, 1);
    let longest = vec![7; B::LONGEST];
    assert!(write::<B>(&mut writer, 2, &longest).unwrap());
    flush::<B>(&mut writer);
    assert_eq!(B::figures(&mut writer), (2, 0));
    let packets = [
        expected::<B>(1, numbered(1, 1514)),
        expected::<B>(2, longest),
    ];
    assert!(backend.seen() == packets);
}

/// A writer is closed by dropping it. A file is complete then; a sink sends nothing more.
pub(crate) fn close_twice<B: Backend>() {
    let (mut backend, mut writer) = B::open();
    put::<B>(&mut writer, 1, 60);
    drop(writer);
    comes(&mut backend, B::IS_FILE.then_some((1, 60)));
    for n in 2..5 {
        let mut writer = backend.open_again();
        put::<B>(&mut writer, n, 60);
        flush::<B>(&mut writer);
        comes(&mut backend, [(n, 60)]);
    }
}

/// A healthy writer reports no error and writes nothing by itself, however often it is flushed.
pub(crate) fn err_is_nil_on_a_healthy_queue<B: Backend>() {
    let (mut backend, mut writer) = B::open();
    for n in 0..3 {
        for _ in 0..1000 {
            assert!(writer.flush().unwrap());
        }
        assert_eq!(B::figures(&mut writer), (n, 0));
        comes(&mut backend, []);
        put::<B>(&mut writer, n, 60);
        flush::<B>(&mut writer);
        comes(&mut backend, [(n, 60)]);
    }
}

/// Each packet is in the output once, in order, byte for byte, and in one of the figures at any
/// time.
pub(crate) fn frames_are_conserved<B: Backend>() {
    let (mut backend, mut writer) = B::open();
    let len = |n: u64| 60 + (n as usize * 97) % 1441;
    let (mut seen, mut next) = (Vec::new(), 0);
    while next < 1000 {
        for _ in 0..next % 90 + 1 {
            put::<B>(&mut writer, next, len(next));
            next += 1;
            let (taken, unwritten) = B::figures(&mut writer);
            assert_eq!(taken, next);
            seen.append(&mut backend.seen());
            assert!(seen.len() as u64 >= taken - unwritten, "{}", seen.len());
        }
        flush::<B>(&mut writer);
        seen.append(&mut backend.seen());
        assert_eq!(B::figures(&mut writer), (next, 0));
        assert_eq!(seen.len() as u64, next);
    }
    let all = (0..next).map(|n| expected::<B>(n, numbered(n, len(n))));
    assert_eq!(seen, all.collect::<Vec<_>>());
    drop(writer);
    comes(&mut backend, []);
}

/// Once what is behind the writer is removed, the writer reports that, and then that it is closed.
pub(crate) fn methods_after_close_are_safe<B: Backend>() {
    let (mut backend, mut writer) = B::open();
    put::<B>(&mut writer, 1, 60);
    flush::<B>(&mut writer);
    comes(&mut backend, [(1, 60)]);
    backend.remove();
    // Written into a buffer or refused: the flush has to report it.
    let end = Instant::now() + LIMIT;
    let error = loop {
        let written = write::<B>(&mut writer, 2, &numbered(2, 60));
        if let Err(error) = written.and_then(|_| writer.flush()) {
            break error;
        }
        assert!(Instant::now() < end, "it is never reported");
    };
    assert!(error.is_terminal(), "{error}");
    let taken = B::figures(&mut writer).0;
    for _ in 0..100 {
        let flushed = writer.flush();
        assert!(matches!(flushed, Err(Error::Closed)), "{flushed:?}");
        if B::IS_FILE {
            let written = write::<B>(&mut writer, 3, &numbered(3, 60));
            assert!(matches!(written, Err(Error::Closed)), "{written:?}");
            assert_eq!(B::figures(&mut writer).0, taken);
        }
    }
}

/// Much more is written than the writer's buffer holds.
pub(crate) fn reclaim_hands_frames_back<B: Backend>() {
    let (mut backend, mut writer) = B::open();
    for round in 0..20 {
        let numbers = || (round * 1000..).take(100);
        numbers().for_each(|n| put::<B>(&mut writer, n, 1500));
        flush::<B>(&mut writer);
        comes(&mut backend, numbers().map(|n| (n, 1500)));
    }
    assert_eq!(B::figures(&mut writer), (2000, 0));
}

/// A packet that is too long is refused, and no other.
pub(crate) fn send_func_bad_length_abandons_the_batch<B: Backend>() {
    refused_alone::<B>(&vec![7; B::LONGEST + 1]);
}

/// A file can contain packets without bytes; a sink refuses them.
pub(crate) fn send_func_zero_length_stops<B: Backend>() {
    if !B::IS_FILE {
        return refused_alone::<B>(&[]);
    }
    let (mut backend, mut writer) = B::open();
    assert!(write::<B>(&mut writer, 1, &[]).unwrap());
    put::<B>(&mut writer, 2, 60);
    flush::<B>(&mut writer);
    let packets = [
        expected::<B>(1, Vec::new()),
        expected::<B>(2, numbered(2, 60)),
    ];
    assert_eq!(backend.seen(), packets);
}

fn refused_alone<B: Backend>(bad: &[u8]) {
    let (mut backend, mut writer) = B::open();
    put::<B>(&mut writer, 1, 60);
    for _ in 0..50 {
        let error = write::<B>(&mut writer, 2, bad).unwrap_err();
        assert!(
            matches!(error, Error::FrameLength { .. } | Error::Request { .. }),
            "{error}"
        );
        assert!(!error.is_terminal(), "{error}");
    }
    put::<B>(&mut writer, 3, 60);
    flush::<B>(&mut writer);
    comes(&mut backend, [(1, 60), (3, 60)]);
    assert_eq!(B::figures(&mut writer), (2, 0));
}

/// If there is not enough room behind the writer, the first packets are in the output, and the
/// others are counted.
pub(crate) fn transmit_takes_a_prefix<B: Backend>() {
    let (mut backend, mut writer) = B::open();
    backend.limit();
    let end = (0..).find_map(|n| match write::<B>(&mut writer, n, &numbered(n, 1000)) {
        Ok(true) => None,
        other => Some((n, other)),
    });
    let (count, end) = end.unwrap();
    match end {
        Ok(_) => assert!(!B::IS_FILE),
        Err(error) => assert!(error.is_terminal(), "{error}"),
    }
    let (taken, unwritten) = B::figures(&mut writer);
    assert_eq!(taken, count);
    let seen = backend.seen();
    let out = seen.len() as u64;
    assert!(out + unwritten == taken || B::IS_AHEAD && (taken - unwritten..=taken).contains(&out));
    for (n, packet) in seen.iter().enumerate() {
        assert_eq!(
            *packet,
            expected::<B>(n as u64, numbered(n as u64, 1000)),
            "{n}"
        );
    }
}
