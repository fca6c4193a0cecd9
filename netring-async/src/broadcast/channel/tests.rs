//! The queue with numbers for events: what each subscriber receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::FusedStream;
use futures::{FutureExt, StreamExt};
use netring_sys::Error;

use super::{MAX_CAPACITY, Sender, Subscriptions};
use crate::broadcast::message::{BATCH, Pending};
use crate::{BroadcastRecvError, Subscriber};

fn channel<T: Send + Sync + 'static>(capacity: usize) -> (Sender<[T]>, Subscriptions<[T]>) {
    super::channel(capacity)
}

impl<T: Send + Sync + 'static> Sender<[T]> {
    fn publish(&self, pending: &mut Vec<T>) {
        if !self.skip(pending.len()) {
            for batch in pending.batches(true) {
                assert!(self.try_send(&batch, false), "there is no room");
            }
        }
        pending.clear();
    }
}

impl<T> Subscriptions<[T]> {
    fn lossy(&self) -> Subscriber<T> {
        Subscriber::new(self.subscribe(false))
    }

    fn lossless(&self) -> Subscriber<T> {
        Subscriber::new(self.subscribe(true))
    }
}

/// Publishes the next `count` numbers, in batches of [`BATCH`] and a remainder.
fn publish(sender: &Sender<[u64]>, count: u64) {
    let first = sender.shared().published();
    sender.publish(&mut (first..first + count).collect());
}

/// What a subscriber finds before it would wait: an event, a loss, an error or the end.
#[derive(Debug, PartialEq)]
enum Found {
    Event(u64),
    Lost(u64),
    Failed,
    Aborted,
    End,
}

fn next(subscriber: &mut Subscriber<u64>) -> Option<Found> {
    // Outside a runtime there is no budget: pending means empty.
    Some(match subscriber.next().now_or_never()? {
        Some(Ok(event)) => Found::Event(*event),
        Some(Err(BroadcastRecvError::Lagged(lost))) => Found::Lost(lost),
        Some(Err(BroadcastRecvError::Source(_))) => Found::Failed,
        Some(Err(BroadcastRecvError::Aborted)) => Found::Aborted,
        None => Found::End,
    })
}

fn drain(subscriber: &mut Subscriber<u64>) -> Vec<Found> {
    let mut all = Vec::new();
    while let Some(found) = next(subscriber) {
        let end = found == Found::End;
        all.push(found);
        if end {
            break;
        }
    }
    all
}

fn events(numbers: std::ops::Range<u64>) -> Vec<Found> {
    numbers.map(Found::Event).collect()
}

#[test]
fn s22_a_subscriber_that_is_too_slow_loses_the_oldest_and_learns_how_many_events() {
    let (sender, subscriptions) = channel(4);
    let (mut slow, mut fast) = (subscriptions.lossy(), subscriptions.lossy());
    // Batches of 1, 2, … 7 events; the queue holds the last four.
    for count in 1..=7 {
        publish(&sender, count);
        let first = (1..count).sum();
        assert_eq!(drain(&mut fast), events(first..first + count));
    }
    assert_eq!(slow.queued(), 4);
    let mut want = vec![Found::Lost(1 + 2 + 3)];
    want.extend(events(6..28));
    assert_eq!(drain(&mut slow), want);
    assert_eq!((slow.lost(), fast.lost()), (6, 0));
}

/// Every number is received or reported as lost, exactly once and in order, whatever the
/// subscribers do.
#[test]
fn s22_received_and_lost_are_all_there_were() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut below = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    for capacity in [1, 2, 3, 8] {
        let (sender, subscriptions) = channel(capacity);
        let mut subscribers: Vec<(Subscriber<u64>, u64, u64)> = Vec::new();
        for _ in 0..5_000 {
            match below(10) {
                0 if subscribers.len() < 6 => {
                    // It starts with the next event.
                    subscribers.push((subscriptions.lossy(), sender.shared().published(), 0));
                }
                1 if !subscribers.is_empty() => {
                    subscribers.remove(below(subscribers.len() as u64) as usize);
                }
                2..=5 => publish(&sender, below(3) * below(80)),
                _ => {
                    for (subscriber, at, lost) in &mut subscribers {
                        for _ in 0..below(200) {
                            match next(subscriber) {
                                None => break,
                                Some(Found::Event(number)) => {
                                    assert_eq!(number, *at);
                                    *at += 1;
                                }
                                Some(Found::Lost(more)) => {
                                    *at += more;
                                    *lost += more;
                                }
                                other => panic!("{other:?}"),
                            }
                        }
                    }
                }
            }
        }
        let published = sender.shared().published();
        sender.end(None);
        for (mut subscriber, mut at, mut lost) in subscribers {
            for found in drain(&mut subscriber) {
                match found {
                    Found::Event(number) if number == at => at += 1,
                    Found::Lost(more) => {
                        at += more;
                        lost += more;
                    }
                    Found::End => break,
                    other => panic!("{other:?} at {at}"),
                }
            }
            assert_eq!((at, lost), (published, subscriber.lost()));
        }
    }
}

#[test]
fn whole_batches_and_single_events_mix() {
    let (sender, subscriptions) = channel(8);
    let mut subscriber = subscriptions.lossy();
    publish(&sender, BATCH as u64 + 3);
    assert_eq!(next(&mut subscriber), Some(Found::Event(0)));
    let rest = subscriber
        .next_batch()
        .now_or_never()
        .flatten()
        .unwrap()
        .unwrap();
    assert_eq!((rest.first(), rest.len(), rest[0]), (1, BATCH - 1, 1));
    let batch = subscriber
        .next_batch()
        .now_or_never()
        .flatten()
        .unwrap()
        .unwrap();
    assert_eq!((batch.first(), &batch[..]), (64, &[64, 65, 66][..]));
    assert!(subscriber.next_batch().now_or_never().is_none());
    publish(&sender, 1);
    assert_eq!(next(&mut subscriber), Some(Found::Event(67)));
}

#[test]
fn a_gap_is_reported_before_the_batch_after_it_also_to_readers_of_batches() {
    let (sender, subscriptions) = channel(1);
    let mut subscriber = subscriptions.lossy();
    publish(&sender, 5);
    publish(&sender, 2);
    let reported = subscriber
        .next_batch()
        .now_or_never()
        .flatten()
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(reported, BroadcastRecvError::Lagged(5)),
        "{reported}"
    );
    assert!(!reported.is_terminal());
    let batch = subscriber
        .next_batch()
        .now_or_never()
        .flatten()
        .unwrap()
        .unwrap();
    assert_eq!((batch.first(), &batch[..]), (5, &[5, 6][..]));
}

#[test]
fn a_late_subscriber_starts_with_the_next_event_and_lost_nothing() {
    let (sender, subscriptions) = channel(2);
    // Without subscribers, events are counted and dropped.
    publish(&sender, 1000);
    let mut first = subscriptions.lossy();
    publish(&sender, 3);
    let mut second = subscriptions.lossy();
    publish(&sender, 2);
    assert_eq!(drain(&mut first), events(1000..1005));
    assert_eq!(drain(&mut second), events(1003..1005));
    assert_eq!(subscriptions.receiver_count(), 2);
    drop(first);
    assert_eq!(subscriptions.receiver_count(), 1);
}

#[test]
fn s16_an_error_reaches_subscribers_that_wait_lag_or_come_later_and_then_the_end() {
    let (sender, subscriptions) = channel(2);
    let (mut waits, mut lags) = (subscriptions.lossy(), subscriptions.lossy());
    for _ in 0..4 {
        publish(&sender, 10);
        assert_eq!(drain(&mut waits).len(), 10);
    }
    let error = Error::InterfaceRemoved {
        interface: "x0".into(),
    };
    sender.end(Some(BroadcastRecvError::Source(Arc::new(error))));

    assert_eq!(drain(&mut waits), [Found::Failed, Found::End]);
    let mut want = vec![Found::Lost(20)];
    want.extend(events(20..40));
    want.extend([Found::Failed, Found::End]);
    assert_eq!(drain(&mut lags), want);
    let mut late = subscriptions.lossy();
    assert_eq!(drain(&mut late), [Found::Failed, Found::End]);
    for subscriber in [&mut waits, &mut lags, &mut late] {
        assert!(subscriber.is_terminated());
        assert_eq!(next(subscriber), Some(Found::End));
        assert!(subscriber.next_batch().now_or_never().unwrap().is_none());
    }
}

#[test]
fn a_clean_end_loses_nothing_that_is_queued() {
    let (sender, subscriptions) = channel(8);
    let mut subscriber = subscriptions.lossy();
    publish(&sender, 70);
    sender.end(None);
    drop(subscriptions);
    let mut want = events(0..70);
    want.push(Found::End);
    assert_eq!(drain(&mut subscriber), want);
}

#[test]
fn a_sender_that_is_dropped_without_an_end_is_no_clean_end() {
    let (sender, subscriptions) = channel(8);
    let mut subscriber = subscriptions.lossy();
    publish(&sender, 1);
    drop(sender);
    let mut want = events(0..1);
    want.extend([Found::Aborted, Found::End]);
    assert_eq!(drain(&mut subscriber), want);
}

#[test]
fn a_capacity_out_of_range_is_the_nearest_in_range() {
    let of = |capacity| channel::<u64>(capacity).1.capacity();
    assert_eq!([of(0), of(1), of(usize::MAX)], [1, 1, MAX_CAPACITY]);
}

#[test]
fn s22_the_queue_holds_no_more_events_than_it_says() {
    let (sender, subscriptions) = channel::<Arc<()>>(3);
    let _never_reads = subscriptions.lossy();
    let event = Arc::new(());
    for _ in 0..10 {
        sender.publish(&mut vec![event.clone(); 10 * BATCH]);
        assert_eq!(Arc::strong_count(&event) - 1, 3 * BATCH);
    }
}

#[tokio::test]
async fn a_subscriber_in_a_tight_loop_leaves_other_tasks_their_turn() {
    let (sender, subscriptions) = channel(MAX_CAPACITY);
    let mut subscriber = subscriptions.lossy();
    for _ in 0..20_000 {
        publish(&sender, 1);
    }
    let got = Arc::new(AtomicU64::new(0));
    let counts = got.clone();
    tokio::spawn(async move {
        while let Some(Ok(_)) = subscriber.next().await {
            counts.fetch_add(1, Ordering::Relaxed);
        }
    });
    for turn in 1..=10 {
        tokio::task::yield_now().await;
        // The runtime's budget is 128 per turn.
        let got = got.load(Ordering::Relaxed);
        assert!(
            got > 0 && got <= 128 * turn,
            "{got} batches in {turn} turns"
        );
    }
}

#[test]
fn a_lossless_queue_that_is_full_takes_nothing_and_numbers_nothing() {
    let (sender, subscriptions) = channel(2);
    let (mut lossless, mut lossy) = (subscriptions.lossless(), subscriptions.lossy());
    publish(&sender, 2 * BATCH as u64);
    let batch: Arc<[u64]> = Arc::new([128]);
    assert!(!sender.try_send(&batch, false) && sender.is_full());
    assert_eq!(sender.shared().published(), 128);
    // The lossy queue is as full, and would lose its oldest.
    assert_eq!(drain(&mut lossy), events(0..128));
    assert_eq!(next(&mut lossless), Some(Found::Event(0)));
    assert!(sender.try_send(&batch, false));
    assert_eq!(drain(&mut lossless), events(1..129));
    assert_eq!((lossless.lost(), lossless.stats().most_behind), (0, 128));
}

#[test]
fn beyond_its_capacity_a_lossless_queue_grows_and_loses_nothing() {
    let (sender, subscriptions) = channel(2);
    let mut lossless = subscriptions.lossless();
    for number in 0..1000_u64 {
        let batch: Arc<[u64]> = Arc::new([number]);
        assert!(sender.try_send(&batch, true));
    }
    sender.end(None);
    let mut want = events(0..1000);
    want.push(Found::End);
    assert_eq!(drain(&mut lossless), want);
}

#[test]
fn a_lossless_subscriber_that_leaves_gives_its_room_back() {
    let (sender, subscriptions) = channel(1);
    let (mut reads, stays_behind) = (subscriptions.lossless(), subscriptions.lossless());
    publish(&sender, 1);
    assert_eq!(drain(&mut reads), events(0..1));
    assert!(sender.is_full());
    drop(stays_behind);
    assert!(!sender.is_full());
    publish(&sender, 1);
    assert_eq!(drain(&mut reads), events(1..2));
    drop(reads);
    assert!(!sender.is_full(), "a queue that nobody reads holds nothing");
    publish(&sender, 1000);
    assert_eq!(drain(&mut subscriptions.lossless()), []);
}

#[test]
fn a_filter_sees_each_event_once_and_yields_those_it_wants_in_runs() {
    let (sender, subscriptions) = channel(8);
    let seen = Arc::new(AtomicU64::new(0));
    let counts = seen.clone();
    let filtered = |subscriber: Subscriber<u64>| {
        let counts = counts.clone();
        subscriber.filtered(move |number| {
            counts.fetch_add(1, Ordering::Relaxed);
            // 3, 4, 5 and 13, 14, 15 and so on.
            (3..6).contains(&(number % 10))
        })
    };
    let (mut single, mut batches) = (
        filtered(subscriptions.lossy()),
        filtered(subscriptions.lossless()),
    );
    publish(&sender, 70);
    let wanted = (0..70).filter(|number| (3..6).contains(&(number % 10)));
    assert_eq!(
        drain(&mut single),
        wanted.map(Found::Event).collect::<Vec<_>>()
    );
    let mut runs = Vec::new();
    while let Some(Some(batch)) = batches.next_batch().now_or_never() {
        let batch = batch.unwrap();
        assert_eq!(batch.first(), batch[0]);
        runs.push((batch[0], batch.len()));
    }
    // A run ends with its batch, of 64 and 6 events.
    let want = [
        (3, 3),
        (13, 3),
        (23, 3),
        (33, 3),
        (43, 3),
        (53, 3),
        (63, 1),
        (64, 2),
    ];
    assert_eq!(runs, want);
    assert_eq!(seen.load(Ordering::Relaxed), 2 * 70);
}

/// Losses are counted before the filter.
#[test]
fn s22_a_filtered_subscriber_that_lags_learns_how_many_events_there_were() {
    let (sender, subscriptions) = channel(1);
    let mut even = subscriptions.lossy().filtered(|number| number % 2 == 0);
    // After a second filter, both must want it.
    let mut sixes = subscriptions.lossy().filtered(|number| number % 2 == 0);
    sixes = sixes.filtered(|number| number % 3 == 0);
    publish(&sender, 5);
    publish(&sender, 8);
    let found = [6, 8, 10, 12].map(Found::Event);
    assert_eq!(next(&mut even), Some(Found::Lost(5)));
    assert_eq!(drain(&mut even), found);
    assert_eq!(
        drain(&mut sixes),
        [Found::Lost(5), Found::Event(6), Found::Event(12)]
    );
    let stats = even.stats();
    assert_eq!(
        (stats.received, stats.lost, stats.behind, stats.most_behind),
        (8, 5, 0, 13)
    );
    // A batch without any wanted event is skipped.
    let (sender, subscriptions) = channel(4);
    let mut none = subscriptions.lossy().filtered(|number| *number > 1000);
    publish(&sender, 130);
    assert!(none.next().now_or_never().is_none());
    assert_eq!(none.queued(), 0);
    sender.end(None);
    assert_eq!(next(&mut none), Some(Found::End));
}

#[test]
fn each_subscriber_is_listed_with_its_figures_until_it_leaves() {
    let (sender, subscriptions) = channel(2);
    let (mut reads, waits) = (subscriptions.lossy(), subscriptions.lossless());
    publish(&sender, 10);
    assert_eq!(next(&mut reads), Some(Found::Event(0)));
    let figures = |shared: &crate::broadcast::shared::Shared| {
        let all = shared.subscribers().into_iter();
        all.map(|one| {
            (
                one.id,
                one.lossless,
                one.received,
                one.behind,
                one.most_behind,
            )
        })
        .collect::<Vec<_>>()
    };
    let shared = subscriptions.shared();
    assert_eq!(
        figures(shared),
        [(0, false, 10, 0, 10), (1, true, 0, 10, 10)]
    );
    assert_eq!(subscriptions.receiver_count(), 2);
    drop(reads);
    assert_eq!(figures(shared), [(1, true, 0, 10, 10)]);
    drop(waits);
    let late = subscriptions.lossy();
    assert_eq!(figures(shared), [(2, false, 0, 0, 0)]);
    assert_eq!(late.stats(), shared.subscribers()[0]);
}
