//! A bridge in a task.

use std::time::Duration;

use netring::bridge::{Bridge, Verdict};
use netring::{Count, Error};
use tokio::time::timeout;
use xtask::netns::{Netns, ip, tc};
use xtask::wire::{Sender, Sniffer, number, numbered};

use super::hosts::{converse, hosts};
use super::{LIMIT, balanced, forward, settled, wires};

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_a_task_carries_tcp_both_ways() {
    let hosts = hosts();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let stop = bridge.stop_handle();
    let stats = std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_io().build().unwrap();
            runtime.block_on(bridge.run_async(forward)).unwrap();
            bridge.stats().unwrap()
        });
        converse(&hosts, "10.9.0.2", Duration::from_secs(1));
        stop.stop();
        runner.join().unwrap()
    });
    for way in [&stats.a_to_b, &stats.b_to_a] {
        balanced(way);
        assert_eq!((way.lost(), way.source.dropped), (0, Count::Exact(0)));
    }
}

/// A future that is dropped at any point loses nothing; timers run meanwhile.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s3_a_future_that_is_dropped_again_and_again_loses_nothing() {
    let _ns = Netns::enter().unwrap();
    wires();
    tc("qdisc add dev b0 root handle 1: tbf rate 80mbit burst 1600 limit 1600").unwrap();
    tc("qdisc add dev b0 parent 1:1 handle 2: pfifo limit 1").unwrap();
    let sniffer = Sniffer::on("b1").unwrap();
    let sender = Sender::on("a1").unwrap();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    for n in 0..1000 {
        sender.send(&numbered(n, 1000)).unwrap();
    }
    let run = async {
        while bridge.stats().unwrap().a_to_b.forwarded < 1000 {
            // Also before the first poll.
            drop(bridge.run_async(|_| Verdict::Drop));
            let _ = timeout(Duration::from_millis(2), bridge.run_async(forward)).await;
            balanced(&bridge.stats().unwrap().a_to_b);
        }
    };
    let reader = std::thread::spawn(move || {
        for n in 0..1000 {
            let frame = sniffer.receive(LIMIT).unwrap().unwrap();
            assert_eq!(number(&frame), Some(n));
        }
    });
    timeout(LIMIT, run).await.unwrap();
    settled(&bridge.stats().unwrap());
    reader.join().unwrap();
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s10_a_task_goes_on_after_a_link_was_down_and_ends_with_the_interface() {
    let _ns = Netns::enter().unwrap();
    wires();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let run = async {
        let mut ended = None;
        tokio::select! {
            error = bridge.run_async(forward) => ended = Some(error.unwrap_err()),
            () = async {
                ip("link set b0 down").unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
                ip("link set b0 up").unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
            } => {}
        }
        assert!(ended.is_none(), "{ended:?}");
        tokio::select! {
            error = bridge.run_async(forward) => ended = Some(error.unwrap_err()),
            () = async {
                ip("link delete b0").unwrap();
                std::future::pending().await
            } => {}
        }
        ended.unwrap()
    };
    let ended = timeout(LIMIT, run).await.unwrap();
    let inner = ended.downcast_ref::<Error>().unwrap();
    assert!(matches!(inner, Error::InterfaceRemoved { .. }), "{ended}");
    assert!(matches!(
        bridge.run_async(forward).await,
        Err(Error::Closed)
    ));
}

/// Outside a runtime; and the future can be sent to another thread.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_task_needs_a_runtime() {
    let _ns = Netns::enter().unwrap();
    wires();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    fn sent<F: Future + Send>(future: F) -> F {
        future
    }
    let ended = futures::executor::block_on(sent(bridge.run_async(forward)));
    assert!(matches!(
        ended,
        Err(Error::Config {
            setting: "run_async",
            ..
        })
    ));
}
