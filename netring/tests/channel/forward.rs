//! A source whose thread passes batches to a channel of the test's own.

use std::ops::Range;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

use netring::{ChannelBuilder, ChannelCapture, Error, Forwarded, Forwarding, PacketSource, Stats};

use super::script::{Script, Step, scripted};
use super::{LIMIT, in_time, numbers, until};

fn into(
    builder: ChannelBuilder,
    steps: impl IntoIterator<Item = Step>,
    batches: usize,
) -> (Script, Forwarding, Receiver<Forwarded>) {
    let (script, source) = scripted(steps);
    let (sender, receiver): (SyncSender<Forwarded>, _) = mpsc::sync_channel(batches);
    let forwarding = builder.start_into(source, move |batch| sender.try_send(batch));
    (script, forwarding.unwrap(), receiver)
}

fn builder() -> ChannelBuilder {
    ChannelCapture::builder()
}

/// All packets that arrive, and the error that is the last item.
fn all(receiver: &Receiver<Forwarded>) -> (Vec<u64>, Option<Error>) {
    let mut all = Vec::new();
    loop {
        match receiver.recv_timeout(LIMIT) {
            Ok(Ok(batch)) => all.extend(numbers(&batch)),
            Ok(Err(error)) => {
                assert!(receiver.recv_timeout(LIMIT).is_err());
                return (all, Some(error));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return (all, None),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing more comes"),
        }
    }
}

/// Offered, delivered, dropped.
fn figures(stats: Stats) -> [u64; 3] {
    [stats.offered, stats.delivered, stats.dropped].map(|it| it.exact().unwrap())
}

const fn count(numbers: &Range<u64>) -> u64 {
    numbers.end - numbers.start
}

#[test]
fn s16_each_packet_comes_and_then_the_error_whatever_the_channel() {
    let steps = || {
        [
            Step::Batch(0..5),
            Step::LinkDown,
            Step::Batch(5..3000),
            Step::Removed,
        ]
    };
    let (script, forwarding, receiver) = into(builder(), steps(), 100);
    let (seen, error) = all(&receiver);
    assert!(seen.into_iter().eq(0..3000));
    assert!(matches!(error, Some(Error::InterfaceRemoved { .. })));
    assert!(script.is_alone());
    assert_eq!((forwarding.sent(), forwarding.lost()), (3000, 0));
    assert_eq!(figures(forwarding.join().unwrap()), [3000, 3000, 0]);

    let (_script, source) = scripted(steps());
    let (sender, receiver) = crossbeam_channel::bounded::<Forwarded>(100);
    let forwarding = builder().start_into(source, move |batch| {
        sender.try_send(batch).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(batch) => TrySendError::Full(batch),
            crossbeam_channel::TrySendError::Disconnected(batch) => {
                TrySendError::Disconnected(batch)
            }
        })
    });
    let forwarding = forwarding.unwrap();
    let items: Vec<_> = receiver.iter().collect();
    let (last, batches) = items.split_last().unwrap();
    assert!(matches!(last, Err(Error::InterfaceRemoved { .. })));
    let seen = batches.iter().flat_map(|it| numbers(it.as_ref().unwrap()));
    assert!(seen.eq(0..3000));
    assert_eq!(figures(forwarding.join().unwrap()), [3000, 3000, 0]);
}

/// Packets lost to a full channel are counted, and the error waits until there is room for it.
#[test]
fn s22_a_full_channel_loses_the_newest_and_its_error_waits() {
    let steps = (0..10).map(|n| Step::Batch(n * 10..n * 10 + 10));
    let steps = steps.chain([Step::Removed]);
    let (script, forwarding, receiver) = into(builder(), steps, 2);
    until(|| forwarding.lost() == 80);
    // The source is closed before its error is passed on.
    until(|| script.is_alone());
    let (seen, error) = all(&receiver);
    assert!(seen.into_iter().eq(0..20));
    assert!(matches!(error, Some(Error::InterfaceRemoved { .. })));
    assert_eq!(figures(forwarding.join().unwrap()), [100, 20, 80]);
}

#[test]
fn a_lossless_one_waits_for_room_and_loses_nothing() {
    let steps = (0..50).map(|n| Step::Batch(n * 10..n * 10 + 10));
    let steps = steps.chain([Step::End]);
    let (script, forwarding, receiver) = into(builder().lossless(true), steps, 1);
    // One batch is in the channel and one in the thread, which takes no more from the source.
    until(|| script.left() == 49);
    assert_eq!(forwarding.sent(), 10);
    let (seen, error) = all(&receiver);
    assert!(seen.into_iter().eq(0..500));
    assert!(error.is_none());
    assert_eq!(figures(forwarding.join().unwrap()), [500, 500, 0]);
}

/// Neither a full channel nor a dropped receiver keeps the thread alive.
#[test]
fn s16_dropping_it_and_dropping_the_receiver_end_the_thread() {
    for lossless in [false, true] {
        for end in [Step::Batch(50..60), Step::Removed, Step::Panic] {
            let steps = [Step::Batch(0..10), Step::Batch(10..20), end];
            let (script, forwarding, receiver) = into(builder().lossless(lossless), steps, 1);
            until(|| forwarding.sent() == 10);
            in_time(move || drop(forwarding));
            assert!(script.is_alone());
            assert!(receiver.recv().unwrap().is_ok());
            drop(receiver);
        }
        let (script, forwarding, receiver) =
            into(builder().lossless(lossless), [Step::Batch(0..10)], 5);
        until(|| forwarding.sent() == 10);
        drop(receiver);
        let more = 10..30;
        script.push([Step::Batch(more.clone()), Step::Batch(30..40)]);
        let stats = in_time(move || forwarding.join().unwrap());
        assert!(script.is_alone());
        assert_eq!(figures(stats), [30, 10, count(&more)]);
    }
}

#[test]
fn s8_a_stop_ends_the_channel_behind_the_batch_at_hand() {
    let steps = (0..50).map(|n| Step::Batch(n * 10..n * 10 + 10));
    let (script, forwarding, receiver) = into(builder().lossless(true), steps, 1);
    until(|| script.left() == 48);
    forwarding.stop();
    forwarding.stop();
    let (seen, error) = all(&receiver);
    assert!(seen.into_iter().eq(0..20));
    assert!(error.is_none());
    assert_eq!(figures(forwarding.join().unwrap()), [20, 20, 0]);
    // An idle thread is woken.
    let (script, forwarding, receiver) = into(builder(), [], 1);
    forwarding.stop();
    assert!(receiver.recv_timeout(LIMIT).is_err());
    in_time(move || forwarding.join().unwrap());
    assert!(script.is_alone());
}

/// A panic in the source is its error; one in the caller's own function ends the thread.
#[test]
fn a_panic_ends_the_thread_and_the_channel() {
    let (_script, forwarding, receiver) = into(builder(), [Step::Batch(0..3), Step::Panic], 9);
    let (seen, error) = all(&receiver);
    assert_eq!(seen, [0, 1, 2]);
    let text = error.unwrap().to_string();
    assert!(text.contains("panicked: the source is broken"), "{text}");
    assert!(forwarding.join().is_err());
    let (script, source) = scripted([Step::Batch(0..3)]);
    let forwarding = builder().start_into(source, |_| panic!("mine")).unwrap();
    assert!(in_time(move || forwarding.join()).is_err());
    assert!(script.is_alone());
}

#[test]
fn a_capacity_is_refused_as_the_channel_has_its_own() {
    let (script, source) = scripted([]);
    let error = builder().capacity(7).start_into(source, |_| Ok(()));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("capacity"), "{error}");
    assert!(script.is_alone());
}

/// A source that never waits is read to its end.
#[test]
fn a_file_is_replayed_into_a_channel() {
    let (_script, source) = scripted([Step::Batch(0..2000), Step::End]);
    assert!(source.is_live());
    let (sender, receiver) = mpsc::sync_channel(1);
    let forwarding = builder()
        .lossless(true)
        .thread_name("mine")
        .replay_into(source, move |batch| sender.try_send(batch))
        .unwrap();
    let (seen, error) = all(&receiver);
    assert!(seen.into_iter().eq(0..2000) && error.is_none());
    assert_eq!(figures(forwarding.join().unwrap()), [2000, 2000, 0]);
    let (_script, source) = scripted([]);
    let idle = builder().replay_into(source, |_| Ok(())).unwrap();
    in_time(move || drop(idle));
}
