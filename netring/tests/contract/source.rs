//! The rows of [`PacketSource`].

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netring::{
    Clock, Count, Error, LinkType, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
};
use xtask::wire::{number, numbered};

use super::{LIMIT, SILENCE};

/// A source under test, and the other end of its wire.
pub(crate) trait Backend: Sized + Send {
    type Source: PacketSource + Send;

    /// How many packets of 1500 bytes its memory certainly holds without a reader.
    const HOLDS: u64;
    /// How many packets of 1500 bytes its memory cannot hold; `None` if nothing can be lost because
    /// the sender waits.
    const OVERFLOWS: Option<u64>;
    /// What the source reports about the time of a packet.
    const CLOCKS: &[Clock];

    /// Link-down reports of a live interface whose link was never down; not available from a source
    /// of all interfaces.
    const LINK_DOWNS: Count = Count::Exact(0);

    /// A source to which nothing was offered yet.
    fn open() -> (Self, Self::Source);
    /// Offers it a packet.
    fn offer(&mut self, frame: &[u8]);
    /// Waits until there is something to take, or the timeout expires.
    fn wait(source: &mut Self::Source, time: Duration) -> Result<Readiness, Error>;
    /// Ends it from outside.
    fn end(&mut self);
    /// The interface that its packets report.
    fn interface(&self) -> u32;
}

/// Packets taken from a source, and the number of their batches.
#[derive(Debug, Default)]
struct Taken {
    frames: Vec<Vec<u8>>,
    batches: u64,
}

impl Taken {
    /// Takes one batch.
    fn batch<S: PacketSource>(&mut self, source: &mut S) {
        let batch = source.batch();
        let frames = batch.packets().map(|packet| packet.data().to_vec());
        self.frames.extend(frames);
        self.batches += 1;
    }

    /// Takes this many packets, which must arrive.
    fn exactly<B: Backend>(&mut self, source: &mut B::Source, count: u64) {
        let wanted = self.frames.len() + count as usize;
        while self.frames.len() < wanted {
            let found = B::wait(source, LIMIT).unwrap();
            assert_eq!(found, Readiness::Ready, "{} came", self.frames.len());
            self.batch(source);
        }
        assert_eq!(self.frames.len(), wanted);
    }

    /// Takes packets until no more arrive.
    fn rest<B: Backend>(&mut self, source: &mut B::Source) {
        while B::wait(source, SILENCE).unwrap() == Readiness::Ready {
            self.batch(source);
        }
    }
}

fn offer<B: Backend>(backend: &mut B, numbers: std::ops::Range<u64>, len: usize) {
    numbers.for_each(|n| backend.offer(&numbered(n, len)));
}

/// Checks that this many packets were offered and taken, that none is lost, and none is left.
#[track_caller]
fn all_delivered<S: PacketSource>(source: &mut S, count: u64) {
    let stats = source.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(count), "{stats:?}");
    assert_eq!(stats.delivered, Count::Exact(count), "{stats:?}");
    assert_eq!(stats.dropped, Count::Exact(0), "{stats:?}");
    assert_eq!(stats.invalid, Count::Exact(0), "{stats:?}");
    assert_eq!(stats.pending(), Some(0), "{stats:?}");
}

/// Returned memory is reused: many times more packets pass through than it holds.
pub(crate) fn alloc_free_round_trip<B: Backend>() {
    let (mut backend, mut source) = B::open();
    let mut taken = Taken::default();
    for round in 0..20 {
        offer(&mut backend, round * B::HOLDS..(round + 1) * B::HOLDS, 1500);
        taken.exactly::<B>(&mut source, B::HOLDS);
    }
    for (n, frame) in (0..).zip(&taken.frames) {
        assert_eq!(frame, &numbered(n, 1500), "frame {n}");
    }
    all_delivered(&mut source, 20 * B::HOLDS);
}

/// No two packets of a batch share a byte.
pub(crate) fn alloc_gives_distinct_frames_in_region<B: Backend>() {
    let (mut backend, mut source) = B::open();
    offer(&mut backend, 0..B::HOLDS, 1500);
    let mut seen = 0;
    while seen < B::HOLDS {
        assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ready);
        let batch = source.batch();
        let mut ranges: Vec<_> = batch
            .packets()
            .map(|packet| packet.data().as_ptr_range())
            .collect();
        seen += ranges.len() as u64;
        ranges.sort_by_key(|range| range.start);
        assert!(ranges.windows(2).all(|two| two[0].end <= two[1].start));
        // And the bytes stay the same during another iteration.
        let walk = || batch.packets().map(|packet| number(packet.data()));
        assert!(walk().eq(walk()));
    }
    assert_eq!(seen, B::HOLDS);
}

/// What a source says about its packets is consistent.
pub(crate) fn capabilities_are_self_consistent<B: Backend>() {
    let start = Timestamp::now();
    let (mut backend, mut source) = B::open();
    let before = source.stats().unwrap();
    assert_eq!(before.delivered, Count::Exact(0));
    assert_eq!(before.pending(), Some(0));
    offer(&mut backend, 0..B::HOLDS, 700);
    let (mut seen, mut latest) = (0, None);
    while seen < B::HOLDS {
        assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ready);
        // `ready` takes nothing.
        assert_eq!(source.ready().unwrap(), Readiness::Ready);
        for packet in source.batch().packets() {
            assert_eq!(packet.data(), numbered(seen, 700));
            assert_eq!(packet.wire_len(), 700);
            assert!(!packet.is_cut());
            assert_eq!(packet.interface(), backend.interface());
            assert_eq!(packet.link_type(), LinkType::ETHERNET);
            assert_eq!(packet.vlan(), None);
            assert!(B::CLOCKS.contains(&packet.timestamp().clock()));
            assert!(latest <= Some(packet.timestamp()), "time goes back");
            latest = Some(packet.timestamp());
            seen += 1;
        }
    }
    let after = source.stats().unwrap();
    assert_eq!(
        after.freezes.exact().is_some(),
        before.freezes.exact().is_some()
    );
    if source.is_live() {
        assert_eq!(after.link_downs, B::LINK_DOWNS);
        let latest = latest.unwrap();
        assert!(start <= latest && latest <= Timestamp::now());
    } else {
        assert_eq!(
            B::CLOCKS,
            [Clock::Unknown],
            "a file does not say whose clock"
        );
    }
}

/// A source can be ended more than once, even after it was dropped.
pub(crate) fn close_twice<B: Backend>() {
    let (mut backend, mut source) = B::open();
    backend.end();
    backend.end();
    assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ended);
    backend.end();
    assert_eq!(source.ready().unwrap(), Readiness::Ended);
    drop(source);
    backend.end();
}

/// A reader that waits for packets is woken by the end.
pub(crate) fn close_wakes_a_poller<B: Backend>() {
    let (mut backend, mut source) = B::open();
    let (sender, woken) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let found = B::wait(&mut source, LIMIT * 2);
            sender.send((found.unwrap(), Instant::now())).unwrap();
        });
        thread::sleep(Duration::from_millis(50));
        assert!(woken.try_recv().is_err(), "it does not wait");
        let ended = Instant::now();
        backend.end();
        let (found, woken) = woken.recv_timeout(LIMIT).unwrap();
        assert_eq!(found, Readiness::Ended);
        assert!(woken - ended < Duration::from_secs(1));
    });
}

/// Polling a healthy source is never an error.
pub(crate) fn err_is_nil_on_a_healthy_queue<B: Backend>() {
    let (mut backend, mut source) = B::open();
    let look = |source: &mut B::Source, found| {
        for _ in 0..1000 {
            assert_eq!(source.ready().unwrap(), found);
        }
    };
    look(&mut source, Readiness::Empty);
    offer(&mut backend, 0..1, 60);
    assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ready);
    look(&mut source, Readiness::Ready);
    Taken::default().exactly::<B>(&mut source, 1);
    look(&mut source, Readiness::Empty);
    backend.end();
    assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ended);
    look(&mut source, Readiness::Ended);
    all_delivered(&mut source, 1);
}

/// Each packet arrives once, in order and byte for byte, and is in one of the figures at any time.
pub(crate) fn frames_are_conserved<B: Backend>() {
    let (mut backend, mut source) = B::open();
    let len = |n: u64| 60 + (n as usize * 97) % 1441;
    for n in 0..B::HOLDS {
        backend.offer(&numbered(n, len(n)));
    }
    if source.is_live() {
        let end = Instant::now() + LIMIT;
        while source.stats().unwrap().offered != Count::Exact(B::HOLDS) {
            assert!(Instant::now() < end, "{:?}", source.stats());
            thread::sleep(Duration::from_millis(1));
        }
        let stats = source.stats().unwrap();
        assert_eq!(stats.pending(), Some(B::HOLDS), "{stats:?}");
        assert_eq!(stats.delivered, Count::Exact(0));
    }
    let mut taken = Taken::default();
    while taken.frames.len() < B::HOLDS as usize {
        assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ready);
        taken.batch(&mut source);
        let (stats, taken) = (source.stats().unwrap(), taken.frames.len() as u64);
        assert_eq!(stats.delivered, Count::Exact(taken), "{stats:?}");
        let offered = stats.offered.exact().unwrap();
        assert_eq!(stats.pending(), Some(offered - taken), "{stats:?}");
        if source.is_live() {
            assert_eq!(offered, B::HOLDS);
        }
    }
    for (n, frame) in (0..).zip(&taken.frames) {
        assert_eq!(frame, &numbered(n, len(n)), "frame {n}");
    }
    all_delivered(&mut source, B::HOLDS);
}

/// Without a reader, packets for which there is no room are counted, and the others are lent.
pub(crate) fn frames_are_conserved_where_memory_is_short<B: Backend>() {
    let (mut backend, mut source) = B::open();
    let offered = B::OVERFLOWS.unwrap_or(B::HOLDS);
    offer(&mut backend, 0..offered, 1500);
    let mut taken = Taken::default();
    taken.rest::<B>(&mut source);
    let got = taken.frames.len() as u64;
    let stats = source.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(offered), "{stats:?}");
    assert_eq!(stats.delivered, Count::Exact(got), "{stats:?}");
    assert_eq!(stats.dropped, Count::Exact(offered - got), "{stats:?}");
    assert_eq!(stats.invalid, Count::Exact(0), "{stats:?}");
    assert!(got >= B::HOLDS, "{got}");
    assert_eq!(got < offered, B::OVERFLOWS.is_some(), "{got} of {offered}");
    // The oldest packets were kept, and the source goes on after the gap.
    for (n, frame) in (0..B::HOLDS).zip(&taken.frames) {
        assert_eq!(frame, &numbered(n, 1500), "frame {n}");
    }
    offer(&mut backend, offered..offered + 1, 1500);
    taken.exactly::<B>(&mut source, 1);
    assert_eq!(taken.frames.last(), Some(&numbered(offered, 1500)));
}

/// A source that has ended stays ended: it lends nothing, and still accounts for every packet.
pub(crate) fn methods_after_close_are_safe<B: Backend>() {
    let (mut backend, mut source) = B::open();
    offer(&mut backend, 0..3, 60);
    Taken::default().exactly::<B>(&mut source, 3);
    backend.end();
    for _ in 0..3 {
        assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ended);
        assert_eq!(source.batch().packets().count(), 0);
        all_delivered(&mut source, 3);
    }
    let is_live = source.is_live();
    assert_eq!(is_live, B::CLOCKS != [Clock::Unknown]);
}

/// A whole batch counts when it is dropped, iterated or not.
pub(crate) fn receive_stats_count_batches<B: Backend>() {
    let (mut backend, mut source) = B::open();
    offer(&mut backend, 0..B::HOLDS, 1500);
    let (mut delivered, mut walk) = (0, 0);
    while delivered < B::HOLDS {
        assert_eq!(B::wait(&mut source, LIMIT).unwrap(), Readiness::Ready);
        let batch = source.batch();
        // If this is the packet after them, all before it were counted.
        let first = batch.packets().next().unwrap();
        assert_eq!(number(first.data()), Some(delivered));
        let whole = (walk % 2 == 0).then(|| batch.packets().count() as u64);
        walk += 1;
        drop(batch);
        let before = delivered;
        delivered = source.stats().unwrap().delivered.exact().unwrap();
        assert!(delivered > before);
        assert!(whole.is_none_or(|count| before + count == delivered));
    }
    all_delivered(&mut source, B::HOLDS);
}

/// Figures read during traffic only grow, and add up at any time.
pub(crate) fn stats_race<B: Backend>() {
    const COUNT: u64 = 20_000;
    let (mut backend, mut source) = B::open();
    let (mut got, mut last) = (0, Stats::default());
    let mut check = |source: &mut B::Source, got: u64| {
        let stats = source.stats().unwrap();
        let figures = |stats: &Stats| {
            [stats.offered, stats.delivered, stats.dropped, stats.invalid]
                .map(|count| count.value().unwrap_or(0))
        };
        let [offered, delivered, dropped, invalid] = figures(&stats);
        assert!(
            figures(&last)
                .iter()
                .zip(figures(&stats))
                .all(|(a, b)| *a <= b),
            "{last:?}, then {stats:?}"
        );
        assert_eq!(delivered, got);
        assert!(offered >= delivered + dropped + invalid, "{stats:?}");
        last = stats;
        stats
    };
    thread::scope(|scope| {
        scope.spawn(move || {
            offer(&mut backend, 0..COUNT, 200);
            backend
        });
        let mut next = 0;
        let end = Instant::now() + 3 * LIMIT;
        loop {
            let stats = check(&mut source, got);
            let seen = got + stats.dropped.exact().unwrap();
            if seen == COUNT {
                break;
            }
            assert!(Instant::now() < end, "{stats:?}");
            if B::wait(&mut source, SILENCE).unwrap() != Readiness::Ready {
                continue;
            }
            for packet in source.batch().packets() {
                // Some may be missing; none arrives twice or late.
                let number = number(packet.data()).unwrap();
                assert!(number >= next, "{number} after {next}");
                next = number + 1;
                got += 1;
            }
        }
    });
    let stats = check(&mut source, got);
    assert_eq!(stats.offered, Count::Exact(COUNT), "{stats:?}");
    assert_eq!(stats.pending(), Some(0), "{stats:?}");
}
