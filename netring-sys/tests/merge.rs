//! Merged sources that a test feeds: what is lent in which order, what is reported, what is
//! counted, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use netring_sys::syscall::{event, event_clear, event_signal, poll_readable};
use netring_sys::wait::{Merge, Stop};
use netring_sys::{
    Count, Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timed, Timestamp,
};

const SECOND: Duration = Duration::from_secs(1);

enum Step {
    Batch(Vec<u8>),
    Report,
    Fail,
    End,
}

/// The other end of a [`Source`].
#[derive(Clone)]
struct Feed(Arc<(Mutex<VecDeque<Step>>, OwnedFd)>);

/// Live: what it does is what its feed says, and its descriptor is readable until it has looked.
struct Source {
    feed: Feed,
    lent: u64,
    looks: u64,
}

struct Batch<'a> {
    source: &'a mut Source,
    packets: Vec<u8>,
}

impl Feed {
    fn push(&self, step: Step) {
        self.0.0.lock().unwrap().push_back(step);
        event_signal(self.0.1.as_fd()).unwrap();
    }

    fn packets(&self, packets: &[u8]) {
        self.push(Step::Batch(packets.to_vec()));
    }
}

fn source() -> (Source, Feed) {
    let feed = Feed(Arc::new((Mutex::default(), event().unwrap())));
    let source = Source {
        feed: feed.clone(),
        lent: 0,
        looks: 0,
    };
    (source, feed)
}

fn sources(count: usize) -> (Merge<Source>, Vec<Feed>) {
    let (sources, feeds): (Vec<_>, Vec<_>) = (0..count).map(|_| source()).unzip();
    (Merge::new(sources).unwrap(), feeds)
}

impl PacketSource for Source {
    type Batch<'a> = Batch<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        self.looks += 1;
        event_clear(self.feed.0.1.as_fd()).unwrap();
        let mut steps = self.feed.0.0.lock().unwrap();
        match steps.front() {
            None => Ok(Readiness::Empty),
            Some(Step::Batch(_)) => Ok(Readiness::Ready),
            Some(Step::End) => Ok(Readiness::Ended),
            Some(Step::Fail) => Err(Error::InterfaceRemoved {
                interface: "x".into(),
            }),
            Some(Step::Report) => {
                steps.pop_front();
                Err(Error::LinkDown {
                    interface: "x".into(),
                    was_up: true,
                })
            }
        }
    }

    fn batch(&mut self) -> Batch<'_> {
        let step = self.feed.0.0.lock().unwrap().pop_front();
        let Some(Step::Batch(packets)) = step else {
            panic!("it was not ready");
        };
        Batch {
            source: self,
            packets,
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.lent))
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.feed.0.1.as_fd()
    }
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let bytes = self.packets.chunks(1);
        bytes.map(|byte| Packet::new(byte, Timestamp::EPOCH, LinkType::RAW_IP))
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.source.lent += self.packets.len() as u64;
    }
}

/// The next batch: its origin and its packets.
#[track_caller]
fn take<S: PacketSource>(merge: &mut Merge<S>) -> (usize, Vec<u8>) {
    // Asking again changes nothing.
    for _ in 0..2 {
        assert_eq!(merge.ready().unwrap(), Readiness::Ready);
    }
    let batch = merge.batch();
    let packets = batch.packets().map(|packet| packet.data()[0]).collect();
    (batch.origin(), packets)
}

#[track_caller]
fn is_empty(merge: &mut Merge<Source>) {
    assert_eq!(merge.ready().unwrap(), Readiness::Empty);
    let batch = merge.batch();
    assert_eq!((batch.origin(), batch.packets().count()), (0, 0));
    drop(batch);
    // And its descriptor says so too.
    assert!(!poll_readable(merge.as_fd(), Some(Duration::ZERO)).unwrap());
}

#[track_caller]
fn delivered(merge: &mut Merge<Source>, count: u64) {
    assert_eq!(merge.stats().unwrap(), Stats::counted(count));
}

#[test]
fn sources_with_packets_take_turns() {
    let (mut merge, feeds) = sources(3);
    is_empty(&mut merge);
    for n in 0..100 {
        feeds[1].packets(&[n, n]);
    }
    assert_eq!(take(&mut merge), (1, vec![0, 0]));
    // A busy source starves nobody: those that have something come a moment later.
    feeds[0].packets(&[200]);
    feeds[2].packets(&[201, 202]);
    let mut origins = Vec::new();
    for _ in 0..20 {
        origins.push(take(&mut merge).0);
        thread::sleep(Duration::from_micros(50));
    }
    let idle: Vec<_> = origins.iter().filter(|&&origin| origin != 1).collect();
    assert_eq!(idle, [&0, &2], "{origins:?}");
    for _ in 0..81 {
        assert_eq!(take(&mut merge).0, 1);
    }
    // Of those that are busy each has its turn.
    for n in 0..30 {
        feeds[n % 3].packets(&[0]);
    }
    let first = take(&mut merge).0;
    thread::sleep(Duration::from_micros(200));
    let mut turns: Vec<_> = (0..29).map(|_| take(&mut merge).0).collect();
    turns.insert(0, first);
    for three in turns[3..27].chunks(3) {
        let mut three = three.to_vec();
        three.sort_unstable();
        assert_eq!(three, [0, 1, 2], "{turns:?}");
    }
    is_empty(&mut merge);
    delivered(&mut merge, 233);
    let lent = merge
        .sources()
        .map(|(origin, source)| (origin, source.lent));
    assert_eq!(lent.collect::<Vec<_>>(), [(0, 11), (1, 210), (2, 12)]);
}

/// Most of them idle: they are not looked at.
#[test]
fn more_sources_than_the_kernel_reports_at_once_are_all_found() {
    let (mut merge, feeds) = sources(50);
    is_empty(&mut merge);
    for round in 0..20 {
        for feed in &feeds {
            feed.packets(&[round]);
        }
        let mut origins: Vec<_> = (0..50).map(|_| take(&mut merge).0).collect();
        origins.sort_unstable();
        assert_eq!(origins, (0..50).collect::<Vec<_>>());
        is_empty(&mut merge);
    }
    let looks = |merge: &Merge<Source>| {
        let looks = merge.sources().map(|(_, source)| source.looks);
        looks.sum::<u64>()
    };
    let before = looks(&merge);
    for n in 0..100 {
        feeds[7].packets(&[n]);
        assert_eq!(take(&mut merge), (7, vec![n]));
    }
    let after = looks(&merge);
    assert!(after - before <= 300, "{before} {after}");
    delivered(&mut merge, 1100);
}

#[test]
fn a_source_that_ends_ends_alone() {
    let (mut merge, feeds) = sources(3);
    feeds[0].packets(&[1]);
    feeds[0].push(Step::Fail);
    feeds[1].push(Step::Report);
    feeds[1].packets(&[2]);
    feeds[1].push(Step::End);
    assert_eq!(take(&mut merge), (0, vec![1]));
    // A report of one is a report of all, and passes on once.
    let report = merge.ready().unwrap_err();
    assert!(matches!(report, Error::LinkDown { .. }), "{report}");
    assert_eq!(take(&mut merge), (1, vec![2]));
    let lost = merge.ready().unwrap_err();
    assert_eq!(
        lost.to_string(),
        "source 0 has ended, the others continue: the interface x was removed; open it again when it is back"
    );
    assert!(!lost.is_terminal());
    is_empty(&mut merge);
    let ended: Vec<_> = merge.ended().iter().map(|ended| ended.origin).collect();
    assert_eq!(ended, [0, 1]);
    assert!(matches!(
        merge.ended()[0].error.as_deref(),
        Some(Error::InterfaceRemoved { .. })
    ));
    assert!(merge.ended()[1].error.is_none());
    delivered(&mut merge, 2);
    // What was lent stays counted without them, and numbers are not given again.
    assert_eq!(merge.take_ended().len(), 2);
    assert!(merge.ended().is_empty());
    let (joined, feed) = source();
    assert_eq!(merge.add(joined).unwrap(), 3);
    feed.packets(&[3, 4]);
    assert_eq!(take(&mut merge), (3, vec![3, 4]));
    delivered(&mut merge, 4);

    // The last one's error is that of the merge.
    feeds[2].push(Step::End);
    is_empty(&mut merge);
    feed.push(Step::Fail);
    let last = merge.ready().unwrap_err();
    assert!(matches!(last, Error::InterfaceRemoved { .. }), "{last}");
    for _ in 0..3 {
        assert!(matches!(merge.ready(), Err(Error::Closed)));
    }
    delivered(&mut merge, 4);
}

#[test]
fn a_loop_over_batches_goes_on_until_the_last_source_has_ended() {
    let (mut merge, feeds) = sources(3);
    let feeder = thread::spawn(move || {
        for n in 0..300_u16 {
            feeds[usize::from(n) % 3].packets(&[(n / 3) as u8]);
            if n % 50 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        feeds[0].push(Step::Fail);
        feeds[2].push(Step::Report);
        feeds[1].push(Step::End);
        feeds[2].push(Step::End);
    });
    let mut seen = vec![Vec::new(); 3];
    while let Some(batch) = merge.next_batch().unwrap() {
        let packets = batch.packets().map(|packet| packet.data()[0]);
        seen[batch.origin()].extend(packets);
    }
    feeder.join().unwrap();
    // Each in its order.
    assert_eq!(seen, vec![(0..100).collect::<Vec<_>>(); 3]);
    assert!(merge.next_batch().unwrap().is_none());
    assert_eq!(merge.ended().len(), 3);
    delivered(&mut merge, 300);
}

#[test]
fn sources_that_never_wait_need_no_descriptor() {
    let ending = |packets: &[u8]| {
        let (source, feed) = source();
        for packet in packets {
            feed.packets(&[*packet]);
        }
        feed.push(Step::End);
        source
    };
    let mut merge = Merge::replay([ending(&[1, 2, 3]), ending(&[]), ending(&[4])]).unwrap();
    let mut seen = Vec::new();
    merge
        .for_each(|packet| seen.push(packet.data()[0]))
        .unwrap();
    assert_eq!(seen, [1, 4, 2, 3]);
    assert_eq!(merge.stats().unwrap().delivered, Count::Exact(4));

    // One that waits is refused, and the other goes on.
    let (waiting, _feed) = source();
    let mut merge = Merge::replay([waiting, ending(&[5])]).unwrap();
    let lost = merge.ready().unwrap_err();
    assert!(lost.to_string().contains("`Merge::new`"), "{lost}");
    assert_eq!(take(&mut merge), (1, vec![5]));
    assert_eq!(merge.ready().unwrap(), Readiness::Ended);
}

#[test]
fn none_is_the_end() {
    let (mut merge, _) = sources(0);
    assert_eq!(merge.ready().unwrap(), Readiness::Ended);
    assert!(merge.next_batch().unwrap().is_none());
    delivered(&mut merge, 0);
    assert!(!merge.is_live());
}

#[test]
fn s8_a_stop_ends_a_wait_and_the_sources_stay() {
    let (mut merge, feeds) = sources(2);
    let stop = merge.stop_handle();
    let reader = thread::spawn(move || {
        let ended = merge.next_batch().unwrap().is_none();
        (ended, merge)
    });
    thread::sleep(Duration::from_millis(50));
    assert!(!reader.is_finished());
    let start = Instant::now();
    stop.stop();
    let (ended, merge) = reader.join().unwrap();
    assert!(ended && start.elapsed() < Duration::from_millis(50));
    assert_eq!((merge.sources().len(), feeds.len()), (2, 2));
}

#[test]
fn a_wait_with_a_timeout_ends_in_time() {
    let (mut merge, feeds) = sources(3);
    let time = Duration::from_millis(30);
    let start = Instant::now();
    assert!(matches!(
        merge.next_batch_timeout(time).unwrap(),
        Timed::TimedOut
    ));
    assert!(start.elapsed() >= time && start.elapsed() < SECOND);
    feeds[2].packets(&[9]);
    assert!(matches!(
        merge.next_batch_timeout(SECOND).unwrap(),
        Timed::Batch(_)
    ));
}

#[test]
fn sources_join_from_another_thread_and_keep_the_merge_open() {
    let (mut merge, feeds) = sources(1);
    let joiner = merge.joiner();
    let second = joiner.clone();
    feeds[0].packets(&[0]);
    feeds[0].push(Step::Fail);
    let opener = thread::spawn(move || {
        for n in 1..=5 {
            // While the reader sleeps.
            thread::sleep(Duration::from_millis(5));
            let (source, feed) = source();
            feed.packets(&[n]);
            feed.push(Step::End);
            assert!(joiner.join(source).is_ok());
        }
        drop(second);
        thread::sleep(Duration::from_millis(20));
        // The last joiner is gone now, which ends the merge.
    });
    let mut seen = Vec::new();
    while let Some(batch) = merge.next_batch().unwrap() {
        seen.push((batch.origin(), batch.packets().next().unwrap().data()[0]));
    }
    assert_eq!(seen, [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    opener.join().unwrap();
    delivered(&mut merge, 6);
    // Even the first was not the last.
    assert!(merge.ended()[0].error.is_some());

    let joiner = merge.joiner();
    drop(merge);
    assert!(joiner.join(source().0).is_err());
}
