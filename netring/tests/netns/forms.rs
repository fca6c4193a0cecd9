//! Adapters under every async form: whatever stands between the wire and the program, each form
//! sees the same packets, flows, messages and bytes, also of what is in the ring when it is shut
//! down.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use netring::adapters::{AnySource, Filtered, Limit, Tee};
use netring::afpacket::Profile;
use netring::dedup::{Content, Dedup};
use netring::flow::export::FlowRecord;
use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::reassembly::Subscription;
use netring::flow::session::SessionEvent;
use netring::flow::{EndReason, FlowEvent};
use netring::wait::Merge;
use netring::{
    AsyncSource, Capture, Chunk, Error, Fanout, FanoutGroup, Filter, FlowWorkers, Packet,
    PacketSource, PacketWriter, RecordWorkers,
};
use tokio::time::timeout;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, Sniffer, tcp4, udp4};

use crate::lengths::Lengths;

/// Flows of datagrams, of two packets each; and one connection.
const FLOWS: u16 = 40;
const SEGMENTS: u32 = 10;
const PACKETS: u64 = 2 * FLOWS as u64 + SEGMENTS as u64;
const LEN: usize = 100;

/// An adapter, and the sum of what its writer was given, if it has one.
type Adapter = fn(&Arc<AtomicU64>) -> AnySource;

struct Counter(Arc<AtomicU64>);

impl PacketWriter for Counter {
    fn write(&mut self, _: &Packet<'_>) -> Result<bool, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    fn flush(&mut self) -> Result<bool, Error> {
        Ok(true)
    }
}

fn any<S: PacketSource + AsFd + Send + 'static>(source: S) -> AnySource {
    AnySource::with_descriptor(source, |source| Some(source.as_fd()))
}

fn capture(interface: &str) -> Capture {
    let builder = Capture::builder().interface(interface);
    builder.profile(Profile::LowMemory).build().unwrap()
}

fn async_source(adapter: Adapter, written: &Arc<AtomicU64>) -> AsyncSource<AnySource> {
    AsyncSource::with_descriptor(adapter(written), AnySource::descriptor).unwrap()
}

fn dedup(_: &Arc<AtomicU64>) -> AnySource {
    let content = Content::default().window(Duration::from_secs(600));
    any(Dedup::content(capture("v1"), content).unwrap())
}

fn filtered(_: &Arc<AtomicU64>) -> AnySource {
    let filter: Filter = "not port 99".parse().unwrap();
    any(Filtered::new(capture("v1"), filter).unwrap())
}

fn several(written: &Arc<AtomicU64>) -> AnySource {
    let filter: Filter = "not port 99".parse().unwrap();
    let content = Content::default().window(Duration::from_secs(600));
    let merged = Merge::new([capture("v1"), capture("w1")]).unwrap();
    let deduplicated = Dedup::content(merged, content).unwrap();
    let filtered = Filtered::new(deduplicated, filter).unwrap();
    any(Tee::new(filtered, Counter(written.clone())))
}

const ADAPTERS: [(&str, Adapter); 7] = [
    ("alone", |_| any(capture("v1"))),
    ("dedup", dedup),
    ("filtered", filtered),
    ("tee", |written| {
        any(Tee::new(capture("v1"), Counter(written.clone())))
    }),
    ("limit", |_| any(Limit::new(capture("v1"), 1 << 40))),
    ("merge", |_| {
        any(Merge::new([capture("w1"), capture("v1")]).unwrap())
    }),
    ("several", several),
];

struct Wire {
    sender: Sender,
    /// Opened before the captures: the kernel shows each packet to the newest socket first.
    tap: Sniffer,
    name: &'static str,
}

impl Wire {
    /// Sends everything; it is in the ring afterwards. No task runs meanwhile.
    fn send(&self) {
        let copies = if ["dedup", "several"].contains(&self.name) {
            2
        } else {
            1
        };
        let frames = (0..2)
            .flat_map(|round| (0..FLOWS).map(move |flow| udp4(1000 + flow, 53, &[round; LEN])));
        let segments =
            (0..SEGMENTS).map(|n| tcp4(5000, 80, 1 + n * LEN as u32, 16, &[n as u8; LEN]));
        for frame in frames.chain(segments) {
            (0..copies).for_each(|_| self.pass(&frame));
            if ["filtered", "several"].contains(&self.name) {
                self.pass(&udp4(2000, 99, b"noise"));
            }
        }
    }

    fn pass(&self, frame: &[u8]) {
        self.sender.send(frame).unwrap();
        let seen = self.tap.receive(Duration::from_secs(20)).unwrap();
        assert_eq!(seen.as_deref(), Some(frame));
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), work)
        .await
        .expect("it takes no end")
}

fn flows_are_whole<'a>(name: &str, events: impl Iterator<Item = &'a FlowEvent<FiveTupleKey>>) {
    let (mut started, mut ended, mut packets) = (0, 0, 0);
    for event in events {
        match event {
            FlowEvent::Started { .. } => started += 1,
            FlowEvent::Ended { stats, reason, .. } => {
                assert_eq!(*reason, EndReason::SourceEnded, "{name}");
                packets += stats.packets();
                ended += 1;
            }
            _ => {}
        }
    }
    let flows = FLOWS + 1;
    assert_eq!((started, ended, packets), (flows, flows, PACKETS), "{name}");
}

fn records_are_whole<'a>(name: &str, records: impl Iterator<Item = &'a FlowRecord>) {
    let (mut ended, mut packets, mut bytes) = (0, 0, 0);
    for record in records {
        assert_eq!(record.reason, Some(EndReason::SourceEnded), "{name}");
        packets += record.initiator.packets;
        bytes += record.initiator.ip_bytes.unwrap();
        ended += 1;
    }
    // The headers of UDP and IP, and twelve bytes more of TCP.
    let sent = PACKETS * (28 + LEN as u64) + 12 * u64::from(SEGMENTS);
    assert_eq!(
        (ended, packets, bytes),
        (FLOWS + 1, PACKETS, sent),
        "{name}"
    );
}

fn messages_are_whole<'a>(
    name: &str,
    tcp: bool,
    events: impl Iterator<Item = &'a SessionEvent<FiveTupleKey, usize>>,
) {
    let (mut ended, mut bytes) = (0, 0);
    for event in events {
        match event {
            SessionEvent::Message { message, .. } => bytes += message,
            SessionEvent::Ended { .. } => ended += 1,
            _ => {}
        }
    }
    let packets = PACKETS as usize - if tcp { 0 } else { SEGMENTS as usize };
    let flows = FLOWS + u16::from(tcp);
    assert_eq!((ended, bytes), (flows, packets * LEN), "{name}");
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn every_form_sees_the_same_behind_every_adapter() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let mut wire = Wire {
        sender: Sender::on("v0").unwrap(),
        tap: Sniffer::on("v1").unwrap(),
        name: "",
    };
    let (tuple, all) = (FiveTuple::bidirectional, Subscription::all);
    for (name, adapter) in ADAPTERS {
        wire.name = name;
        let written = Arc::<AtomicU64>::default();
        let source = || async_source(adapter, &written);

        let stream = source().flow_stream(tuple());
        wire.send();
        let items = soon(stream.shutdown()).await;
        flows_are_whole(name, items.iter().map(|item| item.as_ref().unwrap()));

        let stream = source().flow_stream(tuple()).with_state(|_| 0);
        let mut stream = stream.on_packet(|packets, _| *packets += 1);
        wire.send();
        stream.drain();
        let (mut events, mut packets) = (Vec::new(), 0);
        while let Some(event) = soon(stream.next_event()).await {
            let (event, state) = event.unwrap();
            if matches!(event, FlowEvent::Ended { .. }) {
                packets += *state.unwrap();
            }
            events.push(event);
        }
        flows_are_whole(name, events.iter());
        assert_eq!(packets, PACKETS, "{name}");

        let broadcast = source().flow_stream(tuple()).broadcast(4);
        let events = broadcast.subscribe_lossless();
        wire.send();
        soon(broadcast.shutdown()).await.unwrap();
        let events: Vec<_> = events.map(|event| event.unwrap()).collect().await;
        flows_are_whole(name, events.iter().map(|event| &**event));

        let workers = FlowWorkers::spawn([source().flow_stream(tuple())], 4);
        let events = workers.subscribe_lossless();
        wire.send();
        soon(workers.shutdown()).await.unwrap();
        let events: Vec<_> = events.map(|event| event.unwrap()).collect().await;
        flows_are_whole(name, events.iter().map(|event| &event.event));

        let stream = source().record_stream(tuple());
        wire.send();
        let items = soon(stream.shutdown()).await;
        records_are_whole(name, items.iter().map(|item| item.as_ref().unwrap()));

        let broadcast = source().record_stream(tuple()).broadcast(4);
        let records = broadcast.subscribe_lossless();
        wire.send();
        soon(broadcast.shutdown()).await.unwrap();
        let records: Vec<_> = records.map(|record| record.unwrap()).collect().await;
        records_are_whole(name, records.iter().map(|record| &**record));

        let workers = RecordWorkers::spawn([source().record_stream(tuple())], 4);
        let records = workers.subscribe_lossless();
        wire.send();
        soon(workers.shutdown()).await.unwrap();
        let records: Vec<_> = records.map(|record| record.unwrap()).collect().await;
        records_are_whole(name, records.iter().map(|record| &**record));

        let stream = source().session_stream(tuple(), all(), |_| Some(Lengths));
        wire.send();
        let items = soon(stream.shutdown()).await;
        messages_are_whole(name, true, items.iter().map(|item| item.as_ref().unwrap()));

        let stream = source().datagram_stream(tuple(), all(), |_| Some(Lengths));
        let broadcast = stream.broadcast(4);
        let events = broadcast.subscribe_lossless();
        wire.send();
        let stats = soon(broadcast.shutdown()).await.unwrap();
        assert_eq!(stats.capture.delivered.exact(), Some(PACKETS), "{name}");
        let events: Vec<_> = events.map(|event| event.unwrap()).collect().await;
        messages_are_whole(name, false, events.iter().map(|event| &**event));

        let stream = source().conversations(tuple(), all());
        wire.send();
        let mut items = soon(stream.shutdown()).await;
        assert_eq!(items.len(), 1, "{name}");
        let mut half = items.pop().unwrap().unwrap().initiator;
        let mut bytes = Vec::new();
        while let Chunk::Data { bytes: more, .. } = soon(half.next_chunk()).await {
            bytes.extend_from_slice(more);
        }
        let sent = (0..SEGMENTS).flat_map(|n| [n as u8; LEN]);
        assert!(bytes.into_iter().eq(sent), "{name}");

        let broadcast = source().broadcast(4);
        let packets = broadcast.subscribe_lossless();
        wire.send();
        let stats = soon(broadcast.shutdown()).await.unwrap();
        assert_eq!(stats.delivered.exact(), Some(PACKETS), "{name}");
        assert_eq!(stats.pending(), Some(0), "{name}");
        assert_eq!(packets.count().await as u64, PACKETS, "{name}");

        let forms = if ["tee", "several"].contains(&name) {
            11
        } else {
            0
        };
        assert_eq!(written.load(Ordering::Relaxed), forms * PACKETS, "{name}");
    }
}

/// The members of a fanout group, each behind adapters, as workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn workers_behind_adapters_split_no_flow() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let wire = Wire {
        sender: Sender::on("v0").unwrap(),
        tap: Sniffer::on("v1").unwrap(),
        name: "several",
    };
    let builder = Capture::builder().interface("v1");
    let builder = builder.profile(Profile::LowMemory);
    let group = FanoutGroup::open(builder, Fanout::default().workers(2)).unwrap();
    let streams = group.into_workers().into_iter().map(|worker| {
        let content = Content::default().window(Duration::from_secs(600));
        let deduplicated = Dedup::content(worker, content).unwrap();
        let filter: Filter = "not port 99".parse().unwrap();
        let filtered = Filtered::new(deduplicated, filter).unwrap();
        let source = AsyncSource::new(filtered).unwrap();
        source.flow_stream(FiveTuple::bidirectional())
    });
    let workers = FlowWorkers::spawn(streams, 4);
    let events = workers.subscribe_lossless();
    wire.send();
    soon(workers.shutdown()).await.unwrap();
    let events: Vec<_> = soon(events.map(|event| event.unwrap()).collect()).await;
    flows_are_whole("workers", events.iter().map(|event| &event.event));
    let workers = |port| {
        let of = events.iter().filter(move |event| {
            let key = event.key().unwrap();
            key.a().port().max(key.b().port()) == port
        });
        of.map(|event| event.worker).collect::<Vec<_>>()
    };
    for port in (1000..1000 + FLOWS).chain([5000]) {
        let found = workers(port);
        assert!(found == [0, 0] || found == [1, 1], "{port}: {found:?}");
    }
}
