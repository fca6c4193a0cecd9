//! Captures that are built and stopped by the program, on a real wire.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use futures::StreamExt;
use netring_afpacket::{Capture, Profile};
use netring_async::{AsyncSource, OpenAsync};
use netring_flow::FlowEvent;
use netring_flow::extract::FiveTuple;
use netring_sys::adapters::{Filtered, Limit, Tee};
use netring_sys::kernel::filter::SockFilter;
use netring_sys::wait::Stop;
use netring_sys::{Error, Packet, PacketBatch, PacketBuf, PacketWriter};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, number, numbered, udp4};

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

/// The stop handle of the capture inside is that of each adapter around it.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn an_adapter_is_stopped_like_the_capture_inside() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let settings = Capture::builder().interface("v1");
    let capture = settings.profile(Profile::Immediate).build().unwrap();
    let whole = Filtered::new(capture, [SockFilter::stmt(0x06, u32::MAX)]).unwrap();
    let mut tee = Tee::new(Limit::new(whole, 1_000), Keep::default());
    let stop = tee.stop_handle();
    let mut source = AsyncSource::new(&mut tee).unwrap();
    sender.send(&numbered(1, 60)).unwrap();
    let batch = woken(source.next_batch()).await.unwrap().unwrap();
    let numbers: Vec<_> = batch
        .packets()
        .map(|packet| number(packet.data()))
        .collect();
    assert_eq!(numbers, [Some(1)]);
    drop(batch);
    tokio::task::spawn_blocking(move || stop.stop());
    assert!(woken(source.next_batch()).await.unwrap().is_none());
    assert!(source.stop_handle().is_stopped());
    drop(source);
    assert_eq!(tee.writer().0.len(), 1);
}

/// Writes packets into memory.
#[derive(Default)]
struct Keep(Vec<PacketBuf>);

impl PacketWriter for Keep {
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        self.0.push(packet.to_buf());
        Ok(true)
    }

    fn flush(&mut self) -> Result<bool, Error> {
        Ok(true)
    }
}
