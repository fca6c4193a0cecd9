//! The rows of [`PacketSink`].

use std::time::{Duration, Instant};

use netring::{Count, Error, PacketSink, PacketSlot, SinkStats};
use xtask::wire::numbered;

use super::{LIMIT, SILENCE};

/// A sink under test, and the other end of its wire.
pub(crate) trait Backend: Sized {
    type Sink: PacketSink;

    /// The frames that fit in its memory.
    const DEPTH: usize;

    /// A fresh sink.
    fn open() -> (Self, Self::Sink);
    /// Opens a sink in place of one that was dropped.
    fn open_again(&mut self) -> Self::Sink;
    /// The next frame that arrives at the other end, as an independent observer sees it.
    fn receive(&mut self, time: Duration) -> Option<Vec<u8>>;
    /// Removes what is behind the sink, and waits until the sink can know.
    fn remove(&mut self);
}

/// Commits a frame, for which there must be room.
#[track_caller]
fn commit<S: PacketSink>(sink: &mut S, frame: &[u8]) {
    assert!(sink.send(frame).unwrap(), "there is no room");
}

/// Sends everything, and waits until nothing is in flight.
fn drain<S: PacketSink>(sink: &mut S) {
    let end = Instant::now() + LIMIT;
    while sink.flush().unwrap() > 0 || sink.pending().unwrap() > 0 {
        assert!(Instant::now() < end, "{:?}", sink.stats());
        std::thread::yield_now();
    }
}

/// Checks that these frames arrive, byte for byte, and no others.
#[track_caller]
fn comes<B: Backend>(backend: &mut B, frames: impl IntoIterator<Item = Vec<u8>>) {
    for (n, frame) in frames.into_iter().enumerate() {
        assert_eq!(backend.receive(LIMIT), Some(frame), "frame {n}");
    }
    assert_eq!(backend.receive(SILENCE), None);
}

/// Checks that every committed frame is in one of the figures.
#[track_caller]
fn adds_up<S: PacketSink>(sink: &mut S) -> SinkStats {
    let stats = sink.stats().unwrap();
    let gone = [stats.sent, stats.dropped, stats.rejected].map(|count| count.exact().unwrap());
    assert_eq!(
        stats.committed,
        gone.iter().sum::<u64>() + stats.pending,
        "{stats}"
    );
    stats
}

/// Checks that this many frames were committed and sent, and nothing else happened.
#[track_caller]
fn all_sent<S: PacketSink>(sink: &mut S, count: u64) {
    let stats = adds_up(sink);
    let figures = (stats.committed, stats.sent, stats.pending);
    assert_eq!(figures, (count, Count::Exact(count), 0), "{stats}");
}

/// A slot that is dropped becomes room again, and none of it is sent.
pub(crate) fn alloc_free_round_trip<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    for _ in 0..3 * B::DEPTH {
        assert_eq!(sink.room().unwrap(), B::DEPTH);
        let mut slot = sink.slot(60).unwrap().unwrap();
        slot.fill(0xee);
        drop(slot);
    }
    assert_eq!(sink.flush().unwrap(), 0);
    all_sent(&mut sink, 0);
    comes(&mut backend, []);
}

/// No two frames share a byte: what is written into one stays there while others are written.
pub(crate) fn alloc_gives_distinct_frames_in_region<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    let mut ranges = Vec::new();
    for n in 0..B::DEPTH {
        let mut slot = sink.slot(1500).unwrap().unwrap();
        assert_eq!(slot.len(), 1500);
        ranges.push(slot.as_ptr_range());
        slot.copy_from_slice(&numbered(n as u64, 1500));
        slot.commit();
    }
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|two| two[0].end <= two[1].start));
    drain(&mut sink);
    comes(
        &mut backend,
        (0..B::DEPTH as u64).map(|n| numbered(n, 1500)),
    );
    all_sent(&mut sink, B::DEPTH as u64);
}

/// What a sink says about itself is consistent.
pub(crate) fn capabilities_are_self_consistent<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    assert_eq!(sink.room().unwrap(), B::DEPTH);
    let max = sink.max_len();
    assert!(max >= 1514, "{max}");
    // Of the maximum and of the minimum length.
    for len in [max, 1] {
        assert_eq!(sink.slot(len).unwrap().unwrap().len(), len);
    }
    commit(&mut sink, &numbered(1, 1514));
    assert_eq!(sink.room().unwrap(), B::DEPTH - 1);
    assert_eq!(sink.pending().unwrap(), 1);
    assert_eq!(adds_up(&mut sink).pending, 1);
    drain(&mut sink);
    comes(&mut backend, [numbered(1, 1514)]);
    all_sent(&mut sink, 1);
}

/// A sink is closed by dropping it, whatever it contains, and its place is free at once.
pub(crate) fn close_twice<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    commit(&mut sink, &numbered(1, 60));
    drop(sink);
    for n in 2..5 {
        let mut sink = backend.open_again();
        commit(&mut sink, &numbered(n, 60));
        drain(&mut sink);
    }
    // The first one was never flushed.
    comes(&mut backend, (2..5).map(|n| numbered(n, 60)));
}

/// A healthy sink reports no error, however often it is asked.
pub(crate) fn err_is_nil_on_a_healthy_queue<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    let ask = |sink: &mut B::Sink| {
        for _ in 0..1000 {
            assert_eq!(sink.room().unwrap(), B::DEPTH);
            assert_eq!(sink.flush().unwrap(), 0);
            assert_eq!(sink.pending().unwrap(), 0);
        }
    };
    ask(&mut sink);
    commit(&mut sink, &numbered(1, 60));
    drain(&mut sink);
    ask(&mut sink);
    comes(&mut backend, [numbered(1, 60)]);
    all_sent(&mut sink, 1);
}

/// Each frame arrives once, in order and byte for byte, and is in one of the figures at any time.
pub(crate) fn frames_are_conserved<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    let len = |n: u64| 60 + (n as usize * 97) % 1441;
    let (mut next, mut seen) = (0, 0);
    let end = Instant::now() + LIMIT;
    while seen < 1000 {
        assert!(Instant::now() < end, "{next} committed, {seen} came");
        // Some slots are dropped in between.
        while next < 1000 && sink.send(&numbered(next, len(next))).unwrap() {
            next += 1;
            drop(sink.slot(60).unwrap());
        }
        assert_eq!(adds_up(&mut sink).committed, next);
        sink.flush().unwrap();
        let stats = adds_up(&mut sink);
        assert_eq!(stats.dropped, Count::Exact(0));
        while seen < next
            && let Some(frame) = backend.receive(LIMIT)
        {
            assert_eq!(frame, numbered(seen, len(seen)), "frame {seen}");
            seen += 1;
        }
    }
    drain(&mut sink);
    comes(&mut backend, []);
    all_sent(&mut sink, 1000);
}

/// Once the interface behind the sink is removed, each method reports that or does nothing, and
/// none sends.
pub(crate) fn methods_after_close_are_safe<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    commit(&mut sink, &numbered(1, 60));
    drain(&mut sink);
    comes(&mut backend, [numbered(1, 60)]);
    backend.remove();
    for _ in 0..3 * B::DEPTH {
        let _ = sink.room();
        let _ = sink.send(&numbered(2, 60));
        let flushed = sink.flush();
        assert!(
            matches!(
                flushed,
                Err(Error::InterfaceRemoved { .. } | Error::LinkDown { .. } | Error::Closed)
            ),
            "{flushed:?}"
        );
        let stats = adds_up(&mut sink);
        assert_eq!(stats.sent, Count::Exact(1), "{stats}");
    }
}

/// Completed frames make room: many times more are sent than the memory holds.
pub(crate) fn reclaim_hands_frames_back<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    for round in 0..20 {
        for n in 0..B::DEPTH as u64 {
            assert_eq!(sink.room().unwrap(), B::DEPTH - n as usize);
            commit(&mut sink, &numbered(round * 1000 + n, 1500));
        }
        assert_eq!(sink.room().unwrap(), 0);
        drain(&mut sink);
        assert_eq!(sink.room().unwrap(), B::DEPTH);
        comes(
            &mut backend,
            (0..B::DEPTH as u64).map(|n| numbered(round * 1000 + n, 1500)),
        );
    }
    all_sent(&mut sink, 20 * B::DEPTH as u64);
}

/// A frame that is too long is refused, and no other.
pub(crate) fn send_func_bad_length_abandons_the_batch<B: Backend>() {
    refused_alone::<B>(|sink| sink.max_len() + 1);
    refused_alone::<B>(|_| usize::MAX);
}

/// So is an empty one.
pub(crate) fn send_func_zero_length_stops<B: Backend>() {
    refused_alone::<B>(|_| 0);
}

fn refused_alone<B: Backend>(bad: impl Fn(&B::Sink) -> usize) {
    let (mut backend, mut sink) = B::open();
    commit(&mut sink, &numbered(1, 60));
    let bad = bad(&sink);
    for _ in 0..2 * B::DEPTH {
        let max = sink.max_len();
        let Err(error) = sink.slot(bad).map(drop) else {
            panic!("{bad} bytes are taken");
        };
        assert!(
            matches!(error, Error::FrameLength { len, max: most } if len == bad && most == max),
            "{error}"
        );
        assert!(!error.is_terminal());
    }
    commit(&mut sink, &numbered(2, 60));
    drain(&mut sink);
    comes(&mut backend, [numbered(1, 60), numbered(2, 60)]);
    all_sent(&mut sink, 2);
    assert_eq!(sink.stats().unwrap().refused, 2 * B::DEPTH as u64);
    backend.remove();
}

/// If there are more frames than room, the first are accepted, and the others have to wait.
pub(crate) fn transmit_takes_a_prefix<B: Backend>() {
    let (mut backend, mut sink) = B::open();
    let frames: Vec<_> = (0..B::DEPTH as u64 + 5).map(|n| numbered(n, 100)).collect();
    let taken = |sink: &mut B::Sink, frames: &[Vec<u8>]| {
        let mut taken = 0;
        while taken < frames.len() && sink.send(&frames[taken]).unwrap() {
            taken += 1;
        }
        taken
    };
    assert_eq!(taken(&mut sink, &frames), B::DEPTH);
    assert!(sink.slot(100).unwrap().is_none());
    drain(&mut sink);
    assert_eq!(taken(&mut sink, &frames[B::DEPTH..]), 5);
    drain(&mut sink);
    comes(&mut backend, frames);
    all_sent(&mut sink, B::DEPTH as u64 + 5);
}
