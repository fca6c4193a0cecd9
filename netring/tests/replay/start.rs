//! A replay that a task awaits: the same as a blocking one, without blocking the runtime.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use netring::replay::{Replay, Replaying};
use netring::{Error, PacketSink, PacketSlot, SinkStats};
use xtask::wire::udp4;

use super::balances;
use super::given::{Given, Wire, at, given, wire};

const HOUR: i64 = 3_600_000_000_000;

/// Packets at these times.
fn timed(times: &[i64]) -> (Vec<Vec<u8>>, Given) {
    let frames: Vec<_> = (0..times.len())
        .map(|n| udp4(1, 2, &[n as u8; 50]))
        .collect();
    let packets = frames.iter().zip(times).map(|(frame, time)| {
        netring::Packet::new(frame, at(*time), netring::LinkType::ETHERNET).to_buf()
    });
    let source = given(packets.collect::<Vec<_>>());
    (frames, source)
}

fn started(source: Given) -> Replaying<Wire> {
    Replay::new(wire()).unwrap().start(source).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn it_does_what_a_run_does() {
    let times = [0, 1_000_000, 1_000_000, 3_000_000];
    let (frames, mut source) = timed(&times);
    let mut replay = Replay::new(wire()).unwrap();
    let mut expected = replay.run(&mut source).unwrap();
    let (mut replay, stats) = started(timed(&times).1).await;
    let mut stats = stats.unwrap();
    balances(&stats);
    assert_eq!(stats, replay.stats());
    // Except what depends on the clock.
    for stats in [&mut expected, &mut stats] {
        stats.duration = Duration::ZERO;
        stats.latest = Duration::ZERO;
        stats.lost = Duration::ZERO;
    }
    assert_eq!(stats, expected);
    assert_eq!(replay.sink().sent, frames);
    // The next run continues with the same figures.
    replay = replay.start(timed(&times).1).unwrap().await.0;
    assert_eq!(replay.stats().committed, 8);
}

/// Other tasks of the only thread run while the replay waits for the next packet, or for a sink
/// that accepts nothing.
#[tokio::test(flavor = "current_thread")]
async fn s3_other_tasks_go_on_while_it_waits() {
    for is_full in [false, true] {
        let (_, source) = timed(&[0, 0, HOUR]);
        let mut sink = wire();
        if is_full {
            sink.depth = 0;
        }
        let replay = Replay::new(sink).unwrap();
        let stop = replay.stop_handle();
        let replaying = replay.start(source).unwrap();
        let other = tokio::spawn(async move {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            stop.stop();
        });
        let (replay, stats) = replaying.await;
        other.await.unwrap();
        let stats = stats.unwrap();
        balances(&stats);
        assert_eq!(stats.read, 3);
        assert!(stats.unsent >= 1, "{stats}");
        assert_eq!(replay.sink().sent.len() as u64, stats.committed);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_error_comes_with_what_was_sent_before() {
    let (frames, mut source) = timed(&[0, 0]);
    source.end = Some(Error::InterfaceRemoved {
        interface: "x0".into(),
    });
    let (replay, stats) = started(source).await;
    assert!(matches!(stats, Err(Error::InterfaceRemoved { .. })));
    assert_eq!(replay.sink().sent, frames);
}

/// A sink that shows whether it was dropped.
struct Watched(
    Wire,
    #[expect(dead_code, reason = "counted by the test")] Arc<()>,
);

struct Slot<'a>(<Wire as PacketSink>::Slot<'a>);

impl Deref for Slot<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Slot<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl PacketSlot for Slot<'_> {
    fn commit(self) {
        self.0.commit();
    }
}

impl PacketSink for Watched {
    type Slot<'a> = Slot<'a>;

    fn room(&mut self) -> Result<usize, Error> {
        self.0.room()
    }
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        assert_ne!(len, 93, "the sink is broken");
        Ok(self.0.slot(len)?.map(Slot))
    }
    fn flush(&mut self) -> Result<usize, Error> {
        self.0.flush()
    }
    fn stats(&mut self) -> Result<SinkStats, Error> {
        self.0.stats()
    }
    fn max_len(&self) -> usize {
        self.0.max_len()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn dropping_it_stops_the_replay_and_closes_the_sink() {
    let alive = Arc::new(());
    let (_, source) = timed(&[0, HOUR]);
    let replay = Replay::new(Watched(wire(), Arc::clone(&alive))).unwrap();
    let replaying = replay.start(source).unwrap();
    tokio::select! {
        biased;
        _ = replaying => panic!("it lasts an hour"),
        () = tokio::task::yield_now() => {}
    }
    let start = Instant::now();
    while Arc::strong_count(&alive) > 1 {
        assert!(start.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_panic_of_the_sink_is_one_of_the_future() {
    let frame = udp4(1, 2, &[7; 51]);
    assert_eq!(frame.len(), 93);
    let packet = netring::Packet::new(&frame, at(0), netring::LinkType::ETHERNET);
    let replay = Replay::new(Watched(wire(), Arc::default())).unwrap();
    let replaying = replay.start(given([packet.to_buf()])).unwrap();
    let ended = tokio::spawn(async { drop(replaying.await) }).await;
    assert!(ended.unwrap_err().is_panic());
}
