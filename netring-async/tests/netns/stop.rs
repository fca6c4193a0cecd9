//! Captures that are built and stopped by the program, on a real wire.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use futures::StreamExt;
use netring_afpacket::{Capture, Profile};
use netring_async::{AsyncSource, OpenAsync};
use netring_flow::FlowEvent;
use netring_flow::extract::FiveTuple;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, udp4};

use crate::captures::woken;

/// Settings, a stop from another task, and the end of what was made of the capture.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn a_capture_is_built_stopped_and_shut_down_by_its_streams() {
    type AsyncCapture = AsyncSource<Capture>;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let open = || async {
        let settings = AsyncCapture::builder().interface("v1");
        let settings = settings.profile(Profile::Immediate);
        settings.open().await.unwrap()
    };

    let source = open().await;
    let stop = source.stop_handle();
    let mut flows = source.flow_stream(FiveTuple::bidirectional());
    sender.send(&udp4(1000, 53, b"?")).unwrap();
    let event = woken(flows.next()).await.unwrap().unwrap();
    assert!(matches!(event, FlowEvent::Started { .. }));
    tokio::task::spawn_blocking(move || stop.stop());
    let event = woken(flows.next()).await.unwrap().unwrap();
    assert!(matches!(event, FlowEvent::Ended { .. }));
    assert!(woken(flows.next()).await.is_none());
    assert!(flows.stop_handle().is_stopped());

    let mut flows = open().await.flow_stream(FiveTuple::bidirectional());
    sender.send(&udp4(1001, 53, b"?")).unwrap();
    woken(flows.next()).await.unwrap().unwrap();
    let items = woken(flows.shutdown()).await;
    let [Ok(FlowEvent::Ended { stats, .. })] = &items[..] else {
        panic!("{items:?}")
    };
    assert_eq!(stats.bytes(), udp4(1001, 53, b"?").len() as u64);

    let source = open().await;
    let broadcast = source.flow_stream(FiveTuple::bidirectional()).broadcast(16);
    let mut subscriber = broadcast.subscribe();
    sender.send(&udp4(1002, 53, b"?")).unwrap();
    let started = woken(subscriber.next()).await.unwrap().unwrap();
    let live = broadcast.flows(10).await.unwrap();
    assert_eq!(
        live.iter().map(|flow| Some(flow.flow)).collect::<Vec<_>>(),
        [started.flow()]
    );
    let stats = woken(broadcast.shutdown()).await.unwrap();
    assert_eq!((stats.active_flows, stats.events), (0, 2));
    assert_eq!(stats.capture.delivered.exact(), Some(1));
    let ended = woken(subscriber.next()).await.unwrap().unwrap();
    assert_eq!(ended.flow(), started.flow());
    assert!(woken(subscriber.next()).await.is_none());
}
