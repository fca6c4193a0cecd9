//! A real capture on a real wire: what each form receives, and what each does when the interface
//! disappears.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use netring_afpacket::{Capture, LinkState, Profile};
use netring_async::{AsyncSource, BroadcastRecvError, FlowSubscriber};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{EndReason, FlowEvent, FlowTracker, Timeouts, TrackerConfig};
use netring_sys::{Error, PacketBatch};
use tokio::time::{sleep, timeout};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, number, numbered, udp4};

/// Awaits a future that must be woken by its own descriptor. (`timeout` would not detect a missed
/// wake-up: it polls once more when the time is up.)
pub(crate) async fn woken<F: Future>(future: F) -> F::Output {
    tokio::select! {
        biased;
        () = sleep(Duration::from_secs(5)) => panic!("it sleeps, and there is something to take"),
        output = future => output,
    }
}

fn capture(interface: &str) -> Capture {
    let builder = Capture::builder().profile(Profile::LowMemory);
    builder.interface(interface).build().unwrap()
}

/// A pair of interfaces, a sender on one, and a capture on the other.
fn pair() -> (Sender, AsyncSource<Capture>) {
    veth("v0", "v1").unwrap();
    (
        Sender::on("v0").unwrap(),
        AsyncSource::new(capture("v1")).unwrap(),
    )
}

/// Takes batches until these numbers have arrived, and asserts that no others did.
async fn receive(source: &mut AsyncSource<Capture>, numbers: impl IntoIterator<Item = u64>) {
    let mut numbers = numbers.into_iter().peekable();
    while numbers.peek().is_some() {
        let batch = woken(source.next_batch()).await.unwrap().unwrap();
        for packet in batch.packets() {
            assert_eq!(number(packet.data()), numbers.next());
        }
    }
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s10_p12_a_link_that_goes_down_ends_no_wait_does_not_spin_and_packets_resume() {
    let _ns = Netns::enter().unwrap();
    let (sender, mut source) = pair();
    sender.send(&numbered(1, 60)).unwrap();
    receive(&mut source, [1]).await;
    for round in 0..3 {
        ip("link set v1 down").unwrap();
        let mut polls = 0;
        let down = poll_fn(|cx| {
            polls += 1;
            source.poll_readable(cx)
        });
        assert!(
            timeout(Duration::from_secs(1), down).await.is_err(),
            "the wait ended"
        );
        assert_eq!(source.get_mut().link_state().unwrap(), LinkState::Down);
        assert!(polls < 10, "{polls} wake-ups in a second");
        ip("link set v1 up").unwrap();
        let numbers = 10 * round..10 * round + 3;
        // The kernel signals the carrier in its own time.
        sleep(Duration::from_millis(50)).await;
        for number in numbers.clone() {
            sender.send(&numbered(number, 60)).unwrap();
        }
        receive(&mut source, numbers).await;
        assert_eq!(source.get_mut().link_state().unwrap(), LinkState::Up);
        assert_eq!(source.stats().unwrap().link_downs.exact(), Some(round + 1));
    }
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s10_s21_a_removed_interface_is_the_last_word_of_every_form() {
    let _ns = Netns::enter().unwrap();
    let (sender, mut batches) = pair();
    let another = || AsyncSource::new(capture("v1")).unwrap();
    let mut packets = another().packets();
    let mut flows = another().flow_stream(FiveTuple::bidirectional());
    let broadcast = another()
        .flow_stream(FiveTuple::bidirectional())
        .broadcast(16);
    let (subscriber, slow) = (broadcast.subscribe(), broadcast.subscribe());
    let reported = tokio::spawn(until_error(subscriber));

    sender.send(&numbered(1, 60)).unwrap();
    receive(&mut batches, [1]).await;
    assert_eq!(
        number(woken(packets.next()).await.unwrap().unwrap().data()),
        Some(1)
    );
    assert!(matches!(
        woken(flows.next()).await,
        Some(Ok(FlowEvent::Started { .. }))
    ));

    ip("link del v0").unwrap();
    let removed = |error: &Error| matches!(error, Error::InterfaceRemoved { .. });
    let error = woken(batches.next_batch()).await.map(drop).unwrap_err();
    assert!(removed(&error), "{error}");
    let again = woken(batches.next_batch()).await.map(drop).unwrap_err();
    assert!(removed(&again), "{again}");

    assert!(removed(&woken(packets.next()).await.unwrap().unwrap_err()));
    assert!(packets.next().await.is_none());

    assert!(matches!(
        woken(flows.next()).await,
        Some(Ok(FlowEvent::Ended { .. }))
    ));
    assert!(removed(&woken(flows.next()).await.unwrap().unwrap_err()));
    assert!(flows.next().await.is_none());

    // The task of the broadcast may see the removal later than the other forms.
    let reported = woken(reported).await.unwrap();
    let late = broadcast.subscribe();
    let expected = [
        (2, reported),
        (2, until_error(slow).await),
        (0, until_error(late).await),
    ];
    for (events, (got, error)) in expected {
        assert_eq!(got, events);
        assert!(removed(&error), "{error}");
    }
    assert_eq!(
        broadcast.stats().await.unwrap().capture.delivered.exact(),
        Some(1)
    );
}

/// The number of events before the error of the source, which is the last item.
async fn until_error(mut subscriber: FlowSubscriber<FiveTupleKey>) -> (u64, std::sync::Arc<Error>) {
    let mut events = 0;
    loop {
        match woken(subscriber.next())
            .await
            .expect("an end without the error")
        {
            Ok(_) => events += 1,
            Err(BroadcastRecvError::Source(error)) => {
                assert!(subscriber.next().await.is_none());
                return (events, error);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s10_p12_a_broadcast_goes_on_behind_a_link_that_went_down_and_does_not_spin() {
    let _ns = Netns::enter().unwrap();
    let (sender, source) = pair();
    let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(16);
    let mut subscriber = broadcast.subscribe();
    let mut started = async |port| {
        sender.send(&udp4(port, 53, b"?")).unwrap();
        let event = woken(subscriber.next()).await.unwrap().unwrap();
        let FlowEvent::Started { key, .. } = &*event else {
            panic!("{event:?}")
        };
        assert_eq!(key.a().port().max(key.b().port()), port);
    };
    started(1000).await;
    ip("link set v1 down").unwrap();
    let before = thread_time();
    sleep(Duration::from_secs(1)).await;
    let spent = thread_time() - before;
    assert!(
        spent < Duration::from_millis(50),
        "{spent:?} of a second while the link is down"
    );
    ip("link set v1 up").unwrap();
    sleep(Duration::from_millis(50)).await;
    started(1001).await;
    let stats = broadcast.stats().await.unwrap();
    assert_eq!(
        (stats.capture.link_downs.exact(), stats.active_flows),
        (Some(1), 2)
    );
}

/// The processor time of this thread, on which all tasks of the test run.
fn thread_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn p15_the_reader_never_sleeps_with_a_block_pending() {
    let _ns = Netns::enter().unwrap();
    let (sender, mut source) = pair();
    let mut next = 0;
    for round in 0..150_u64 {
        // From less than a block to several, with a pause at some point.
        let count = 1 + round * 7919 % 400;
        let pause = Duration::from_micros(round * 104_729 % 12_000);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in next..next + count {
                    sender.send(&numbered(number, 1000)).unwrap();
                    if number - next == count / 2 {
                        thread::sleep(pause);
                    }
                }
            });
            // The runtime runs on this thread while the other sends.
            receive(&mut source, next..next + count)
        })
        .await;
        next += count;
    }
    let stats = source.stats().unwrap();
    assert_eq!(
        (stats.delivered.exact(), stats.dropped.exact()),
        (Some(next), Some(0))
    );
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_dropped_future_loses_no_packet_of_a_ring() {
    const N: u64 = 20_000;
    let _ns = Netns::enter().unwrap();
    let (sender, mut source) = pair();
    let sending = thread::spawn(move || {
        for number in 0..N {
            sender.send(&numbered(number, 60)).unwrap();
            if number % 64 == 0 {
                thread::sleep(Duration::from_micros(500));
            }
        }
    });
    let (mut next, mut dropped) = (0, 0);
    while next < N {
        let wait = Duration::from_micros(next * 31 % 700);
        tokio::select! {
            biased;
            batch = source.next_batch() => {
                for packet in batch.unwrap().unwrap().packets() {
                    assert_eq!(number(packet.data()), Some(next));
                    next += 1;
                }
            }
            () = sleep(wait) => dropped += 1,
        }
        assert!(dropped < 1_000_000, "{next} of {N} came");
    }
    sending.join().unwrap();
    assert!(dropped > 20, "the test drops too little: {dropped}");
}

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s8_a_stop_handle_ends_every_form_within_50_ms_on_an_idle_interface() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut late = [(); 3].map(|()| Vec::new());
    let is_soon = |late: &Vec<Duration>| late.iter().filter(|&&late| late < SOON).count() >= 3;
    // A machine with other work is late now and then. A wait that looks at a clock would be each
    // time, and up to its period.
    while !late.iter().all(is_soon) {
        assert!(late[0].len() < 100, "{late:?}");
        let (mut source, at) = stopped();
        assert!(woken(source.next_batch()).await.unwrap().is_none());
        late[0].push(at.await.unwrap().elapsed());

        let (source, at) = stopped();
        assert!(woken(source.packets().next()).await.is_none());
        late[1].push(at.await.unwrap().elapsed());

        let (source, at) = stopped();
        let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(16);
        assert!(woken(broadcast.subscribe().next()).await.is_none());
        late[2].push(at.await.unwrap().elapsed());
    }
}

/// A capture that another thread stops soon, and the time when it did.
fn stopped() -> (AsyncSource<Capture>, tokio::task::JoinHandle<Instant>) {
    let capture = capture("v1");
    let handle = capture.stop_handle();
    let at = tokio::task::spawn_blocking(move || {
        thread::sleep(Duration::from_millis(30));
        let at = Instant::now();
        handle.stop();
        at
    });
    (AsyncSource::new(capture).unwrap(), at)
}

/// From the wire to three subscribers: every flow and every packet, as counted by the sender.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn every_packet_on_the_wire_is_in_the_flows_of_every_subscriber() {
    const FLOWS: u16 = 500;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let source = AsyncSource::<Capture>::open("v1").unwrap();
    let stop = source.get_ref().stop_handle();
    let broadcast = source
        .flow_stream(FiveTuple::bidirectional())
        .broadcast(1024);
    let readers = [(); 3].map(|()| tokio::spawn(ends(broadcast.subscribe())));
    // A slow one does not affect the others.
    let slow = broadcast.subscribe();

    let mut sent = BTreeMap::new();
    for n in 0..20_000_u32 {
        let port = 10_000 + (n * 7 % u32::from(FLOWS)) as u16;
        let frame = udp4(port, 53, &vec![0; (n % 900) as usize]);
        sender.send(&frame).unwrap();
        let (packets, bytes) = sent.entry(port).or_insert((0, 0));
        *packets += 1;
        *bytes += frame.len() as u64;
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let packets = sent.values().map(|(packets, _)| packets).sum::<u64>();
    while broadcast.stats().await.unwrap().capture.delivered.exact() != Some(packets) {
        sleep(Duration::from_millis(1)).await;
    }
    stop.stop();
    for reader in readers {
        assert_eq!(woken(reader).await.unwrap(), sent);
    }
    assert_eq!(ends(slow).await, sent);
    let stats = broadcast.stats().await.unwrap();
    assert_eq!(
        (stats.capture.offered.exact(), stats.capture.dropped.exact()),
        (Some(packets), Some(0))
    );
    assert_eq!(
        (stats.tracker.packets, stats.tracker.tracked),
        (packets, packets)
    );
    assert_eq!(
        (stats.active_flows, stats.events),
        (0, 2 * u64::from(FLOWS))
    );
}

/// Packets and bytes of each flow that ended, by its source port; each started exactly once before.
async fn ends(mut subscriber: FlowSubscriber<FiveTupleKey>) -> BTreeMap<u16, (u64, u64)> {
    let (mut started, mut ended) = (BTreeSet::new(), BTreeMap::new());
    while let Some(event) = subscriber.next().await {
        let event = event.unwrap();
        let key = event.key().unwrap();
        let port = key.a().port().max(key.b().port());
        match &*event {
            FlowEvent::Started { .. } => assert!(started.insert(port)),
            FlowEvent::Ended { stats, reason, .. } => {
                assert_eq!(*reason, EndReason::SourceEnded);
                let figures = (stats.packets(), stats.bytes());
                assert!(started.contains(&port) && ended.insert(port, figures).is_none());
            }
            other => panic!("{other:?}"),
        }
    }
    ended
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s23_an_idle_capture_expires_flows_by_the_host_clock() {
    let _ns = Netns::enter().unwrap();
    let (sender, source) = pair();
    let timeouts = Timeouts::never().udp(Duration::from_secs(1));
    let config = TrackerConfig::new().timeouts(timeouts);
    let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    let mut flows = source.flow_stream_with(tracker);
    sender.send(&numbered(1, 60)).unwrap();
    let start = Instant::now();
    assert!(matches!(
        woken(flows.next()).await,
        Some(Ok(FlowEvent::Started { .. }))
    ));
    let Some(Ok(FlowEvent::Ended { reason, .. })) = woken(flows.next()).await else {
        panic!("no flow ended")
    };
    assert_eq!(reason, EndReason::IdleTimeout);
    let after = start.elapsed();
    assert!(
        after >= Duration::from_secs(1) && after < Duration::from_millis(2100),
        "{after:?}"
    );
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s3_a_flood_leaves_the_timers_of_the_runtime_their_turn() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let source = AsyncSource::new(Capture::open("v1").unwrap()).unwrap();
    let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(64);
    let mut subscriber = broadcast.subscribe();
    let reader = tokio::spawn(async move { while subscriber.next().await.is_some() {} });
    let flood = thread::spawn(move || {
        let start = Instant::now();
        let frames: Vec<_> = (0..1000).map(|n| udp4(10_000 + n, 53, b"?")).collect();
        for frame in frames.iter().cycle() {
            sender.send(frame).unwrap();
            if start.elapsed() > Duration::from_millis(800) {
                break;
            }
        }
    });
    let mut spent = Vec::new();
    while !flood.is_finished() {
        let before = thread_time();
        sleep(Duration::from_millis(5)).await;
        spent.push(thread_time() - before);
    }
    spent.sort();
    // What this thread did before the timer fired, in its own time, as the machine has other work.
    let median = spent[spent.len() / 2];
    assert!(median < Duration::from_millis(12), "{spent:?}");
    drop(broadcast);
    reader.await.unwrap();
}

/// A source that is dropped during a wait closes what it opened.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn what_is_opened_is_closed_again() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let open = || std::fs::read_dir("/proc/thread-self/fd").unwrap().count();
    let before = open();
    for _ in 0..50 {
        let mut source = AsyncSource::new(capture("v1")).unwrap();
        assert!(source.next_batch().now_or_never().is_none());
        let mut wait = pin!(source.readable());
        poll_fn(|cx| {
            assert!(wait.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    // Other tests run at the same time, and close theirs too.
    let what = format!("{before} descriptors before, {} after", open());
    wait_until(&what, Duration::from_secs(60), || open() < before + 50);
}
