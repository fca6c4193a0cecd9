//! Records of live traffic: of one capture, and of the workers of a fanout group.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use netring_afpacket::{Capture, Fanout, FanoutGroup, Profile};
use netring_async::{AsyncSource, BroadcastRecvError, RecordWorkers, Subscriber};
use netring_flow::EndReason;
use netring_flow::export::FlowRecord;
use netring_flow::extract::FiveTuple;
use netring_sys::Count;
use tokio::time::{sleep, timeout};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, udp4};

async fn soon<T>(work: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    timeout(limit, work).await.expect("it takes no end")
}

/// What each port's flow is on the wire: packets and IP bytes, there and back.
type Flows = BTreeMap<u16, [[u64; 2]; 2]>;

/// Sends flows in both directions, and returns what they are.
async fn send(sender: &Sender, flows: u16) -> Flows {
    let mut sent = Flows::new();
    for round in 0..4_u16 {
        for flow in 0..flows {
            let port = 10_000 + flow;
            let payload = vec![0; usize::from(40 + round * 100 + flow % 90)];
            let back = round % 2 == 1;
            let mut frame = udp4(port, 53, &payload);
            if back {
                frame = udp4(53, port, &payload);
                (0..4).for_each(|n| frame.swap(26 + n, 30 + n));
            }
            sender.send(&frame).unwrap();
            let of = &mut sent.entry(port).or_default()[usize::from(back)];
            *of = [of[0] + 1, of[1] + 28 + payload.len() as u64];
            if flow % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
    sent
}

fn add(flows: &mut Flows, record: &FlowRecord) {
    assert_eq!(record.reason, Some(EndReason::SourceEnded));
    let of = |side: &netring_flow::export::SideRecord| [side.packets, side.ip_bytes.unwrap()];
    let port = record.initiator.port.unwrap();
    let of = [of(&record.initiator), of(&record.responder)];
    assert!(flows.insert(port, of).is_none(), "two records of {port}");
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_capture_yields_a_record_of_each_flow_when_it_is_stopped() {
    const FLOWS: u16 = 500;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let capture = Capture::open("v1").unwrap();
    let source = AsyncSource::new(capture).unwrap();
    let mut records = source.record_stream(FiveTuple::bidirectional());
    let sent = send(&sender, FLOWS).await;
    // No flow ends while it waits.
    soon(async {
        while records.tracker_stats().tracked != 4 * u64::from(FLOWS) {
            let wait = timeout(Duration::from_millis(5), records.next()).await;
            assert!(wait.is_err(), "{wait:?}");
        }
    })
    .await;
    assert_eq!(records.active_flows(), usize::from(FLOWS));
    let stop = records.stop_handle();
    stop.stop();
    let mut got = Flows::new();
    while let Some(record) = soon(records.next()).await {
        add(&mut got, &record.unwrap());
    }
    assert_eq!(got, sent);
    assert_eq!(records.stats().unwrap().dropped, Count::Exact(0));
}

async fn received(mut records: Subscriber<FlowRecord>) -> (Flows, [usize; 2]) {
    let (mut flows, mut by_worker) = (Flows::new(), [0; 2]);
    while let Some(record) = soon(records.next()).await {
        let record = record.unwrap();
        by_worker[usize::from(record.worker.unwrap())] += 1;
        add(&mut flows, &record);
    }
    (flows, by_worker)
}

/// Each flow is one record, of one worker, with what both ends sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn p17_the_workers_of_a_group_yield_one_record_of_each_flow() {
    const FLOWS: u16 = 2000;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let builder = Capture::builder().interface("v1");
    let group = FanoutGroup::open(builder, Fanout::default().workers(2)).unwrap();
    let handle = group.handle();
    let streams = group.into_workers().into_iter().map(|worker| {
        let source = AsyncSource::new(worker).unwrap();
        source.record_stream(FiveTuple::bidirectional())
    });
    let workers = RecordWorkers::spawn(streams, 1024);
    let readers = [workers.subscribe_lossless(), workers.subscribe()];
    let readers = readers.map(|records| tokio::spawn(received(records)));
    let sent = send(&sender, FLOWS).await;
    soon(async {
        while handle.stats().unwrap().delivered != Count::Exact(4 * u64::from(FLOWS)) {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let stats = soon(workers.shutdown()).await.unwrap();
    for reader in readers {
        let (got, by_worker) = reader.await.unwrap();
        assert_eq!(got, sent);
        for (stats, count) in stats.iter().zip(by_worker) {
            assert_eq!((stats.events, stats.active_flows), (count as u64, 0));
            assert_eq!(stats.capture.dropped, Count::Exact(0));
        }
    }
}

/// The interface is gone: the records of all flows come first, then the error.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s10_a_removal_is_reported_after_the_records_of_all_flows() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let builder = Capture::builder().interface("v1");
    let capture = builder.profile(Profile::LowMemory).build().unwrap();
    let source = AsyncSource::new(capture).unwrap();
    let stream = source.record_stream(FiveTuple::bidirectional());
    let broadcast = stream.broadcast(64);
    let readers = [broadcast.subscribe(), broadcast.subscribe_lossless()];
    let sent = send(&sender, 100).await;
    ip("link del dev v0").unwrap();
    for mut records in readers {
        let (mut got, mut failed) = (Flows::new(), false);
        while let Some(record) = soon(records.next()).await {
            assert!(!failed, "the error is the last");
            match record {
                Ok(record) => add(&mut got, &record),
                Err(error) => failed = matches!(error, BroadcastRecvError::Source(_)),
            }
        }
        assert!(failed);
        assert_eq!(got, sent);
    }
}
