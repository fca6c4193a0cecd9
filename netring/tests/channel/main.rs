//! A scripted source on its own thread and the channel from there: how it ends, what a full channel
//! loses, and that nothing delays a stop.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod forward;
mod script;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netring::wait::Stop;
use netring::{
    ChannelBuilder, ChannelCapture, Count, Error, Packet, PacketSource, PacketVec, Readiness, Timed,
};
use script::{Step, scripted};

const LIMIT: Duration = Duration::from_secs(20);

/// Fails if the work blocks.
#[track_caller]
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    done.recv_timeout(LIMIT).unwrap()
}

#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT);
        thread::sleep(Duration::from_millis(1));
    }
}

/// The number of a packet; its bytes have to match it.
fn number(packet: Packet<'_>) -> u64 {
    let number = packet.timestamp().as_nanos() as u64;
    assert_eq!(packet.data(), vec![7; 14 + number as usize % 40]);
    number
}

fn numbers(batch: &PacketVec) -> Vec<u64> {
    batch.iter().map(number).collect()
}

/// Reads until the end.
fn rest(channel: &mut ChannelCapture) -> (Vec<u64>, Result<(), Error>) {
    let mut all = Vec::new();
    let end = channel.for_each(|packet| all.push(number(packet)));
    (all, end)
}

/// Offered, delivered, dropped and pending.
fn figures(channel: &mut ChannelCapture) -> (u64, u64, u64, u64) {
    let stats = channel.stats().unwrap();
    let exact = |count: Count| count.exact().unwrap();
    (
        exact(stats.offered),
        exact(stats.delivered),
        exact(stats.dropped),
        stats.pending().unwrap(),
    )
}

fn both() -> [ChannelBuilder; 2] {
    [false, true].map(|lossless| ChannelCapture::builder().capacity(100).lossless(lossless))
}

#[test]
fn s16_an_error_and_a_report_come_in_their_place_and_the_source_is_closed_by_then() {
    let (script, source) = scripted([
        Step::Batch(0..5),
        Step::LinkDown,
        Step::Batch(5..8),
        Step::Removed,
    ]);
    let mut channel = ChannelCapture::new(source).unwrap();
    assert!(channel.is_live());
    assert_eq!(channel.wait(Some(LIMIT)).unwrap(), Readiness::Ready);
    assert_eq!(channel.ready().unwrap(), Readiness::Ready);
    assert_eq!(numbers(channel.batch()), [0, 1, 2, 3, 4]);
    assert!(channel.batch().is_empty());
    let report = channel.wait(Some(LIMIT)).unwrap_err();
    assert!(matches!(report, Error::LinkDown { was_up: true, .. }));
    assert_eq!(numbers(&channel.recv().unwrap().unwrap()), [5, 6, 7]);
    let error = channel.recv().unwrap_err();
    assert!(matches!(error, Error::InterfaceRemoved { .. }), "{error}");
    assert!(script.is_alone());
    assert!(matches!(channel.recv(), Err(Error::Closed)));
    assert!(matches!(channel.ready(), Err(Error::Closed)));
    assert_eq!(figures(&mut channel), (8, 8, 0, 0));
    assert_eq!(channel.stats().unwrap().link_downs, Count::Exact(1));
    assert_eq!(script.thread().as_deref(), Some("netring-channel"));
}

#[test]
fn s16_a_panic_is_an_error_after_the_packets_before_it() {
    for (steps, before, text) in [
        (
            vec![Step::Batch(0..3), Step::Panic],
            3,
            "the source is broken",
        ),
        (vec![Step::PanicWithin(0..10)], 5, "the batch is broken"),
    ] {
        let (script, source) = scripted(steps);
        let mut channel = ChannelCapture::new(source).unwrap();
        let (all, end) = in_time(move || {
            let end = rest(&mut channel);
            assert!(matches!(channel.recv(), Err(Error::Closed)));
            let error = channel.stats().unwrap_err();
            assert!(error.to_string().ends_with(text), "{error}");
            assert!(matches!(channel.stats(), Err(Error::Closed)));
            assert_eq!(channel.lost(), 0);
            end
        });
        assert_eq!(all, (0..before).collect::<Vec<_>>());
        assert_eq!(
            end.unwrap_err().to_string(),
            format!("the source of the channel panicked: {text}")
        );
        assert!(script.is_alone());
    }
}

#[test]
fn s16_a_full_channel_keeps_the_oldest_packets_and_counts_each_it_lost() {
    for capacity in [1, 63, 64, 65, 100, 1024, 2999, 3000] {
        let steps = [Step::Batch(0..1000), Step::Batch(1000..3000), Step::End];
        let (script, source) = scripted(steps);
        let settings = ChannelCapture::builder().capacity(capacity as usize);
        let mut channel = settings.start(source).unwrap();
        until(|| script.is_alone());
        assert_eq!(figures(&mut channel), (3000, 0, 3000 - capacity, capacity));
        let (all, end) = rest(&mut channel);
        end.unwrap();
        assert_eq!(all, (0..capacity).collect::<Vec<_>>());
        assert_eq!(channel.lost(), 3000 - capacity);
        assert_eq!(figures(&mut channel), (3000, capacity, 3000 - capacity, 0));
        assert_eq!(channel.ready().unwrap(), Readiness::Ended);
    }
}

#[test]
fn s16_a_slow_reader_and_its_losses_add_up_while_packets_come() {
    let (script, source) = scripted([]);
    let mut channel = both()[0].clone().start(source).unwrap();
    let (mut got, mut last) = (0, None);
    for round in 0..200 {
        script.push([Step::Batch(round * 70..round * 70 + 70)]);
        if round % 3 == 0 {
            let batch = channel.recv().unwrap().unwrap();
            for number in numbers(&batch) {
                assert!(last < Some(number));
                (got, last) = (got + 1, Some(number));
            }
            let (offered, delivered, dropped, pending) = figures(&mut channel);
            assert_eq!((delivered, delivered + dropped + pending), (got, offered));
            assert!(pending <= 100, "{pending}");
        }
    }
    script.push([Step::End]);
    let (all, end) = rest(&mut channel);
    end.unwrap();
    let got = got + all.len() as u64;
    assert_eq!(figures(&mut channel), (14_000, got, channel.lost(), 0));
    assert_eq!(got + channel.lost(), 14_000);
}

#[test]
fn s16_a_lossless_channel_stops_reading_the_source_and_loses_nothing() {
    let steps = (0..50).map(|n| Step::Batch(n * 60..n * 60 + 60));
    let (script, source) = scripted(steps.chain([Step::End]));
    let mut channel = both()[1].clone().start(source).unwrap();
    // Two batches exceed 100 packets. The thread answers while it waits for room.
    until(|| figures(&mut channel) == (120, 0, 0, 120));
    assert_eq!(script.left(), 49);
    let (all, end) = rest(&mut channel);
    end.unwrap();
    assert_eq!(all, (0..3000).collect::<Vec<_>>());
    assert_eq!(figures(&mut channel), (3000, 3000, 0, 0));
}

#[test]
fn s16_a_full_channel_delays_neither_a_stop_nor_a_drop() {
    for settings in both() {
        let fill = || {
            let steps = (0..10).map(|n| Step::Batch(n * 60..n * 60 + 60));
            let (script, source) = scripted(steps);
            let stop = source.stop_handle();
            let mut channel = settings.clone().start(source).unwrap();
            until(|| figures(&mut channel).3 >= 100);
            (script, stop, channel)
        };
        let (script, _, channel) = fill();
        in_time(move || drop(channel));
        assert!(script.is_alone());

        let (script, stop, mut channel) = fill();
        in_time(move || {
            channel.stop();
            channel.stop();
            assert!(stop.is_stopped());
            let (all, end) = rest(&mut channel);
            end.unwrap();
            let got = all.len() as u64;
            let (offered, delivered, dropped, pending) = figures(&mut channel);
            assert!(got >= 100 && all.into_iter().eq(0..got));
            assert_eq!((delivered, dropped, pending), (got, channel.lost(), 0));
            assert_eq!(got + dropped, offered);
        });
        assert!(script.is_alone());

        let (script, stop, channel) = fill();
        stop.stop();
        in_time(move || drop(channel));
        assert!(script.is_alone());
    }
}

#[test]
fn s16_an_idle_source_is_asked_stopped_and_dropped() {
    let (script, source) = scripted([]);
    let mut channel = ChannelCapture::new(source).unwrap();
    assert!(channel.try_recv().unwrap().is_timed_out());
    let start = Instant::now();
    let timed = channel.recv_timeout(Duration::from_millis(30)).unwrap();
    assert!(timed.is_timed_out() && start.elapsed() >= Duration::from_millis(30));
    assert_eq!(figures(&mut channel), (0, 0, 0, 0));
    script.push([Step::Batch(3..5)]);
    let Timed::Batch(batch) = channel.recv_timeout(Duration::MAX).unwrap() else {
        panic!("no batch")
    };
    channel.stop();
    assert!(in_time(move || channel.recv()).unwrap().is_none());
    assert_eq!(numbers(&batch), [3, 4]);

    let (script, source) = scripted([]);
    let channel = ChannelCapture::new(source).unwrap();
    in_time(move || drop(channel));
    assert!(script.is_alone());
}

#[test]
fn batches_end_after_an_error_and_have_at_most_1024_packets() {
    let (script, source) = scripted([Step::Batch(0..3000), Step::Removed]);
    let mut channel = ChannelCapture::new(source).unwrap();
    until(|| script.is_alone());
    let mut batches = channel.batches();
    let lengths: Vec<_> = batches
        .by_ref()
        .map(|batch| batch.map(|batch| batch.len()).ok())
        .collect();
    assert_eq!(lengths, [Some(1024), Some(1024), Some(952), None]);
    assert!(batches.next().is_none());
}

#[test]
fn a_replayed_source_waits_for_the_reader_and_is_stopped_between_batches() {
    let steps = || (0..1000).map(|n| Step::Batch(n * 100..n * 100 + 100));
    let (_script, source) = scripted(steps().chain([Step::End]));
    let mut channel = ChannelCapture::replay(source).unwrap();
    let (all, end) = rest(&mut channel);
    end.unwrap();
    assert!(all.into_iter().eq(0..100_000));

    for settings in both() {
        let (script, source) = scripted(steps());
        let mut channel = settings.replay(source).unwrap();
        until(|| figures(&mut channel).3 >= 100);
        channel.stop();
        let (all, end) = rest(&mut channel);
        end.unwrap();
        let (offered, delivered, dropped, pending) = figures(&mut channel);
        assert_eq!((delivered, pending), (all.len() as u64, 0));
        assert_eq!(delivered + dropped, offered);
        assert!(script.is_alone());

        let (script, source) = scripted(steps());
        let channel = both()[1].clone().replay(source).unwrap();
        in_time(move || drop(channel));
        until(|| script.is_alone());
    }
}

#[test]
fn an_impossible_setting_is_refused_and_a_name_is_that_of_the_thread() {
    for (settings, setting) in [
        (ChannelCapture::builder().capacity(0), "capacity"),
        (ChannelCapture::builder().thread_name("a\0b"), "thread_name"),
    ] {
        let (script, source) = scripted([]);
        let error = settings.start(source).unwrap_err();
        assert!(matches!(error, Error::Config { setting: name, .. } if name == setting));
        assert!(script.is_alone());
    }
    let (script, source) = scripted([Step::End]);
    let settings = ChannelCapture::builder().thread_name("uplink");
    let mut channel = settings.start(source).unwrap();
    assert!(format!("{channel:?}").contains("uplink"));
    assert!(channel.recv().unwrap().is_none());
    assert_eq!(script.thread().as_deref(), Some("uplink"));
}

#[test]
fn a_thousand_are_opened_and_closed_without_a_thread_left() {
    for round in 0..1000 {
        let (script, source) = scripted([Step::Batch(0..200)]);
        let settings = both()[round % 2].clone();
        let mut channel = settings.start(source).unwrap();
        if round % 3 == 0 {
            assert_eq!(
                number(channel.recv().unwrap().unwrap().iter().next().unwrap()),
                0
            );
        }
        drop(channel);
        assert!(script.is_alone());
    }
}
