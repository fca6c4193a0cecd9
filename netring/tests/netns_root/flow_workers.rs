//! The queues of an AF_XDP capture as workers with a flow tracker each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use netring::flow::FlowEvent;
use netring::flow::extract::FiveTuple;
use netring::{AsyncSource, Count, FlowWorkers, XdpCapture};
use tokio::time::{sleep, timeout};
use xtask::netns::{Netns, veth_with_queues};
use xtask::wire::{Sender, udp4};

const FLOWS: u16 = 1000;
const SOON: Duration = Duration::from_secs(20);

/// What is in the rings of a capture is tracked before its flows end.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_shutdown_takes_what_is_in_the_rings_of_an_xdp_capture() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let source = AsyncSource::new(XdpCapture::open("v1").unwrap()).unwrap();
    let mut stream = source.flow_stream(FiveTuple::bidirectional());
    let sender = Sender::on("v0").unwrap();
    for flow in 0..500 {
        sender.send(&udp4(1000 + flow, 53, b"?")).unwrap();
    }
    // By the count of the program. Nothing reads meanwhile.
    xtask::load::wait_until("packets are redirected", SOON, || {
        stream.stats().unwrap().offered == Count::Exact(500)
    });
    let items = timeout(SOON, stream.shutdown()).await.unwrap();
    let ended = items.iter().filter_map(|item| match item {
        Ok(FlowEvent::Ended { stats, .. }) => Some(stats.packets()),
        _ => None,
    });
    assert_eq!((items.len(), ended.sum::<u64>()), (1000, 500));
}

/// Each flow is at the worker of one queue, as a whole, and the sums equal the sender's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn the_queues_of_an_xdp_capture_are_workers_that_split_no_flow() {
    // The namespace belongs to this thread; the tasks only use what is open.
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let workers = XdpCapture::open("v1").unwrap().into_workers().unwrap();
    assert_eq!(workers.len(), 2);
    let streams = workers.into_iter().map(|worker| {
        let source = AsyncSource::new(worker).unwrap();
        source.flow_stream(FiveTuple::bidirectional())
    });
    let workers = FlowWorkers::spawn(streams, 1024);
    let mut events = workers.subscribe_lossless();
    let sender = Sender::on("v0").unwrap();
    let mut bytes = 0;
    for round in 0..3 {
        for flow in 0..FLOWS {
            let frame = udp4(
                1000 + flow,
                53,
                &vec![0; usize::from(round * 50 + flow % 40)],
            );
            bytes += frame.len() as u64;
            sender.send(&frame).unwrap();
        }
    }
    let total = 3 * u64::from(FLOWS);
    let delivered = async {
        loop {
            let stats = workers.stats().await.unwrap();
            let delivered = stats.iter().map(|stats| stats.capture.delivered);
            if delivered.sum::<Count>().value() == Some(total) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, delivered).await.expect("packets are missing");
    let stats = timeout(SOON, workers.shutdown()).await.unwrap().unwrap();
    let mut flows = BTreeMap::new();
    let mut sums = [(0, 0), (0, 0)];
    while let Some(event) = timeout(SOON, events.next()).await.unwrap() {
        let event = event.unwrap();
        let port = event.key().map(|key| key.a().port().max(key.b().port()));
        match &event.event {
            FlowEvent::Started { .. } => {
                let before = flows.insert(port, event.worker);
                assert_eq!(before, None, "a flow is in two trackers");
            }
            FlowEvent::Ended { stats, .. } => {
                assert_eq!(flows.get(&port), Some(&event.worker));
                assert_eq!(stats.packets(), 3);
                sums[event.worker].0 += 1;
                sums[event.worker].1 += stats.bytes();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(flows.len(), usize::from(FLOWS));
    assert_eq!(sums[0].1 + sums[1].1, bytes);
    for (stats, (flows, _)) in stats.iter().zip(sums) {
        assert!(flows > u64::from(FLOWS) / 10, "{sums:?}");
        assert_eq!(
            (stats.tracker.flows_started, stats.events),
            (flows, 2 * flows)
        );
        assert_eq!(stats.capture.dropped, Count::Exact(0));
    }
}
