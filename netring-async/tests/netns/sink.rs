//! The adapter over real injectors: what is sent is looked at by an independent socket.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use netring_afpacket::{CopyMode, Injector};
use netring_async::AsyncSink;
use netring_sys::wait::Pacer;
use netring_sys::{Count, Error, Interface, PacketSink, PacketSlot};
use tokio::time::{Instant, sleep, timeout};
use xtask::netns::{Netns, ip, tc, veth};
use xtask::wire::{Sniffer, number, numbered};

use crate::ticks::ticks_while;

const LIMIT: Duration = Duration::from_secs(20);

fn sink(slots: usize, mode: CopyMode) -> AsyncSink<Injector> {
    let builder = Injector::builder("v0").slots(slots).copy_mode(mode);
    AsyncSink::new(builder.build().unwrap()).unwrap()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap()
}

/// Awaits the future, and counts how often the task was woken meanwhile.
async fn wakes<T>(future: impl Future<Output = T>) -> (u32, T) {
    let mut count = 0;
    let mut future = pin!(future);
    let output = poll_fn(|cx| {
        count += 1;
        future.as_mut().poll(cx)
    });
    let output = output.await;
    (count, output)
}

/// Shapes `v0`, so that it sends `rate` and holds few packets.
fn shape(rate: &str, limit: usize) {
    tc(&format!(
        "qdisc add dev v0 root tbf rate {rate} burst 1600 limit {limit}"
    ))
    .unwrap();
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s1_frames_are_sent_in_order_however_small_the_ring() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    for mode in [CopyMode::Copy, CopyMode::ZeroCopy] {
        let mut sink = sink(32, mode);
        for from in (0..2000).step_by(40) {
            for n in from..from + 40 {
                in_time(sink.send(&numbered(n, 60 + n as usize % 900)))
                    .await
                    .unwrap();
            }
            in_time(sink.flush()).await.unwrap();
            assert_eq!(in_time(sink.drain(LIMIT)).await.unwrap(), 0);
            for n in from..from + 40 {
                let frame = sniffer.receive(LIMIT).unwrap();
                assert_eq!(frame, Some(numbered(n, 60 + n as usize % 900)));
            }
        }
        assert_eq!(sink.stats().unwrap().sent, Count::Exact(2000));
        in_time(sink.close()).await;
    }
}

/// The queue of the interface takes nothing more, for good: no timer of another task is late, and
/// the waiting task wakes up fewer than ten times a second.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s3_a_stalled_queue_holds_up_no_other_task_and_nothing_spins() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    shape("8bit", 3200);
    for mode in [CopyMode::Copy, CopyMode::ZeroCopy] {
        let mut sink = sink(32, mode);
        for n in 0..32 {
            in_time(sink.send(&numbered(n, 1000))).await.unwrap();
        }
        let waiting = tokio::spawn(async move {
            let stalled = timeout(Duration::from_secs(2), sink.flush());
            let (woken, end) = wakes(stalled).await;
            assert!(end.is_err(), "nothing takes the frames");
            (woken, sink)
        });
        let (ticks, ended) = ticks_while(Duration::from_millis(10), waiting).await;
        let (woken, mut sink) = ended.unwrap();
        assert!(ticks >= 40, "{ticks} of 200 timers");
        // The pauses double for half a second, and then there are four in a second, each of which
        // ends twice: by the timer, and by what the attempt after it announces.
        assert!(woken < 45, "{woken} in two seconds");
        // The frames are accounted for, and a drain ends in time.
        let start = Instant::now();
        let left = sink.drain(Duration::from_millis(100)).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1));
        let stats = sink.stats().unwrap();
        assert_eq!((stats.committed, stats.pending), (32, left));
        assert_eq!(stats.sent, Count::Exact(32 - left));
        assert!(left >= 28, "{left}");
    }
}

/// The interface takes everything at once, and the pace is never reached: the task is never
/// pending for want of something, and others run nevertheless.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s3_a_sink_that_always_has_room_leaves_the_timers_their_turn() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut sink = sink(1024, CopyMode::Copy);
    let busy = tokio::spawn(async move {
        let mut pacer = Pacer::packets_per_second(1_000_000_000).unwrap();
        let frame = numbered(0, 60);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            for _ in 0..100 {
                sink.send(&frame).await.unwrap();
                sink.send_paced(&mut pacer, &frame).await.unwrap();
            }
            sink.flush().await.unwrap();
        }
        sink.drain(None).await.unwrap();
    });
    let (ticks, ended) = ticks_while(Duration::from_millis(10), busy).await;
    ended.unwrap();
    assert!(ticks >= 15, "{ticks} of 100 timers");
}

/// A queue that is emptied slowly: everything goes out, in order, none twice, and the count at the
/// receiver is that of the sender at each moment.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn p21_frames_that_a_full_queue_refuses_are_sent_later_and_counted_once() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    shape("4mbit", 3000);
    for mode in [CopyMode::Copy, CopyMode::ZeroCopy] {
        let mut sink = sink(32, mode);
        let mut seen = 0;
        let mut look = |until: u64| {
            while seen < until {
                let frame = sniffer.receive(LIMIT).unwrap().unwrap();
                assert_eq!(number(&frame), Some(seen));
                seen += 1;
            }
        };
        for n in 0..300 {
            in_time(sink.send(&numbered(n, 500))).await.unwrap();
            if let Count::Exact(sent) = sink.stats().unwrap().sent
                && sent > 100
            {
                look(sent - 20);
            }
        }
        assert_eq!(in_time(sink.drain(None)).await.unwrap(), 0);
        look(300);
        assert_eq!(sniffer.receive(Duration::from_millis(50)).unwrap(), None);
        let stats = sink.stats().unwrap();
        assert_eq!((stats.committed, stats.sent), (300, Count::Exact(300)));
        // The frames took a second; a task that spins would have called many thousand times.
        let kicks = sink.get_ref().kicks();
        assert!(kicks < 6000, "{kicks} calls");
    }
}

/// A cancelled wait has committed its frame or not; it never leaves half of one.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_cancelled_send_commits_its_frame_or_does_not() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    // So slow that the ring is full on a slow machine too.
    shape("200kbit", 3000);
    let mut sink = sink(32, CopyMode::Copy);
    let (mut committed, mut cancelled) = (Vec::new(), 0);
    for n in 0..100 {
        let sent = timeout(Duration::from_millis(1), sink.send(&numbered(n, 400))).await;
        match sent {
            Ok(done) => {
                done.unwrap();
                committed.push(n);
            }
            Err(_) => cancelled += 1,
        }
        assert_eq!(sink.stats().unwrap().committed, committed.len() as u64);
    }
    assert!(cancelled > 0, "the ring never was full");
    // A slot in place, too.
    let mut slot = in_time(sink.slot(100)).await.unwrap();
    slot.copy_from_slice(&numbered(999, 100));
    slot.commit();
    committed.push(999);
    assert_eq!(in_time(sink.drain(None)).await.unwrap(), 0);
    for n in committed {
        let frame = sniffer.receive(LIMIT).unwrap().unwrap();
        assert_eq!(number(&frame), Some(n));
    }
    assert_eq!(sniffer.receive(Duration::from_millis(50)).unwrap(), None);
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn frames_wait_while_the_link_is_down_and_a_removal_ends_the_wait() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut sink = sink(32, CopyMode::Copy);
    ip("link set v0 down").unwrap();
    for n in 0..32 {
        in_time(sink.send(&numbered(n, 60))).await.unwrap();
    }
    let pause = Duration::from_millis(1500);
    let (woken, ended) = wakes(timeout(pause, sink.send(&numbered(32, 60)))).await;
    assert!(ended.is_err());
    assert!(woken < 35, "{woken}");
    assert_eq!(sink.drain(Duration::from_millis(20)).await.unwrap(), 32);
    ip("link set v0 up").unwrap();
    while !Interface::by_name("v0").unwrap().is_up() {
        sleep(Duration::from_millis(1)).await;
    }
    let sniffer = Sniffer::on("v1").unwrap();
    assert_eq!(in_time(sink.drain(LIMIT)).await.unwrap(), 0);
    for n in 0..32 {
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 60)));
    }
    // A waiting task learns of the removal within the longest pause.
    ip("link set v0 down").unwrap();
    for n in 0..32 {
        in_time(sink.send(&numbered(n, 60))).await.unwrap();
    }
    let waiting = tokio::spawn(async move { (sink.drain(None).await, sink) });
    sleep(Duration::from_millis(300)).await;
    ip("link del v0").unwrap();
    let (end, mut sink) = in_time(waiting).await.unwrap();
    assert!(
        matches!(end, Err(Error::InterfaceRemoved { .. })),
        "{end:?}"
    );
    assert!(in_time(sink.flush()).await.is_err());
    assert!(in_time(sink.send(&numbered(1, 60))).await.is_err());
    assert_eq!(sink.get_mut().pending().unwrap(), 32);
    let refused = in_time(sink.send(&[0; 5000])).await.unwrap_err();
    assert!(matches!(refused, Error::FrameLength { .. }), "{refused}");
}

/// Opened as every sink is, on a thread of its own, and outside of a runtime not at all.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_sink_is_opened_in_a_runtime() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let refused = AsyncSink::<Injector>::open("v0").unwrap_err();
    assert!(refused.to_string().contains("tokio"), "{refused}");
    // Without the runtime's clock.
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_io().build().unwrap();
    runtime.block_on(async {
        let sniffer = Sniffer::on("v1").unwrap();
        let mut sink = AsyncSink::<Injector>::open("v0").unwrap();
        sink.send(&numbered(1, 60)).await.unwrap();
        assert_eq!(sink.drain(LIMIT).await.unwrap(), 0);
        let mut sink = AsyncSink::open_with(|| Injector::open("v0")).await.unwrap();
        let mut pacer = Pacer::packets_per_second(1000).unwrap();
        let start = std::time::Instant::now();
        for n in 2..52 {
            sink.send_paced(&mut pacer, &numbered(n, 60)).await.unwrap();
        }
        // 50 frames are 49 intervals; those that are late are made up for.
        assert!(start.elapsed() >= Duration::from_millis(49));
        assert_eq!(sink.drain(LIMIT).await.unwrap(), 0);
        for n in 1..52 {
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 60)));
        }
        assert!(AsyncSink::<Injector>::open("v9").is_err());
    });
}
