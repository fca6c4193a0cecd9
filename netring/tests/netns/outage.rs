//! The kernel's TCP over a bridge that carries no data for longer than a stream waits for missing
//! bytes by default: what the sender repeats after that is no gap.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use netring::bridge::{Bridge, Frame, Verdict, Way};
use netring::flow::extract::FiveTuple;
use netring::flow::reassembly::{ReassemblyStats, Subscription};
use netring::{AsyncSource, Capture, Count};
use tokio::io::AsyncReadExt;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::bridge::hosts::hosts;
use super::lossy::without_offloads;

const LIMIT: Duration = Duration::from_secs(60);
/// All of it fits into the first window of a sender: 10 segments.
const LEN: usize = 10_000;
/// How long no data passes. A stream waits 5 s.
const OUTAGE: Duration = Duration::from_millis(5500);

fn sent() -> Vec<u8> {
    (0..LEN).map(|n| (n / 7) as u8).collect()
}

/// What the client of the next conversation sends, with the default settings.
fn read(capture: Capture) -> (Vec<u8>, ReassemblyStats) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let source = AsyncSource::new(capture).unwrap();
        let mut stream = source.conversations(FiveTuple::bidirectional(), Subscription::all());
        let next = timeout(LIMIT, stream.next()).await.unwrap();
        let (mut half, mut all) = (next.unwrap().unwrap().initiator, Vec::new());
        let reading = timeout(LIMIT, half.read_to_end(&mut all)).await;
        reading.unwrap().unwrap();
        let stats = stream.stats().await.unwrap();
        assert_eq!(stats.capture.dropped, Count::Exact(0));
        (all, stats.reassembly)
    })
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_a_sender_repeats_after_an_outage_is_no_gap() {
    let hosts = hosts();
    hosts.a.run(|| without_offloads("a1")).unwrap();
    let open = || Ok(Capture::builder().interface("b1").build().unwrap());
    let capture = hosts.b.run(open).unwrap();
    let listener = hosts.b.run(|| TcpListener::bind("10.9.0.2:7000")).unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let (mut segments, mut since) = (0, None);
    // The third segment is lost, and those behind it arrive; nothing is repeated for a while.
    let mut decide = |frame: &mut Frame<'_>| {
        let is_data = frame.way() == Way::AToB && frame.data().len() > 200;
        segments += u32::from(is_data);
        let lost = match segments {
            _ if !is_data => false,
            3 => {
                since = Some(Instant::now());
                true
            }
            number => number > 5 && since.is_some_and(|since| since.elapsed() < OUTAGE),
        };
        if lost {
            Verdict::Drop
        } else {
            Verdict::Forward
        }
    };
    let done = AtomicBool::new(false);
    let (all, stats) = thread::scope(|scope| {
        let reading = scope.spawn(|| read(capture));
        let talking = scope.spawn(|| {
            let server = scope.spawn(|| {
                let mut received = Vec::new();
                let mut connection = listener.accept().unwrap().0;
                connection.read_to_end(&mut received).unwrap();
                received
            });
            let client = hosts.a.run(|| TcpStream::connect("10.9.0.2:7000"));
            client.unwrap().write_all(&sent()).unwrap();
            assert!(server.join().unwrap() == sent());
            let read = reading.join();
            // Relaxed: nothing else is published. Partner: the load below.
            done.store(true, Ordering::Relaxed);
            read.unwrap()
        });
        while !done.load(Ordering::Relaxed) && !talking.is_finished() {
            let time = Duration::from_millis(20);
            bridge.run_for(time, &mut decide).unwrap();
        }
        talking.join().unwrap()
    });
    assert!(all == sent(), "{} bytes", all.len());
    assert_eq!((stats.gaps, stats.missing), (0, 0), "{stats:?}");
}
