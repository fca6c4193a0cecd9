//! The figures of sessions.

use futures::StreamExt;
use netring::flow::extract::FiveTuple;
use netring::flow::reassembly::Subscription;
use netring::flow::session::SessionStats;
use netring::pcap::{CaptureFile, CaptureWriter};
use netring::{AsyncSource, LinkType, Packet, PacketWriter, Timestamp};
use xtask::wire;

use super::lengths::Lengths;
use super::{Kept, each_is_published, publish};

#[test]
fn each_figure_of_sessions_is_published_once() {
    let kept = Kept::default();
    let mut stats = SessionStats::default();
    let counted = [
        &mut stats.started,
        &mut stats.messages,
        &mut stats.ended.stream,
        &mut stats.ended.done,
        &mut stats.ended.failed,
        &mut stats.ended.panicked,
        &mut stats.ended.memory_limit,
        &mut stats.ended.gap,
    ];
    let figures = counted.len() as u64;
    for (figure, n) in counted.into_iter().zip(1..) {
        *figure = n;
    }
    stats.buffered = 100;
    publish(&kept, &stats);
    each_is_published(&kept, figures, &[]);
    let counters = kept.counters();
    let ended = |reason: &str| {
        counters[&format!("netring_session_ended_total{{interface=eth0,reason={reason}}}")]
    };
    assert_eq!(ended("panicked"), stats.ended.panicked);
    assert_eq!(ended("memory_limit"), stats.ended.memory_limit);
    let buffered = kept.gauges()["netring_session_buffered_bytes{interface=eth0}"];
    assert_eq!(buffered, 100.0);
}

#[tokio::test]
async fn a_broadcast_of_sessions_publishes_all_its_figures() {
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    for (sequence, payload) in [(1, b"one"), (4, b"two")] {
        let frame = wire::tcp4(4000, 80, sequence, 16, payload);
        let packet = Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET);
        writer.write(&packet).unwrap();
    }
    let file = CaptureFile::new(std::io::Cursor::new(writer.finish().unwrap())).unwrap();
    let sessions = AsyncSource::replay(file).session_stream(
        FiveTuple::bidirectional(),
        Subscription::all(),
        |_| Some(Lengths),
    );
    let broadcast = sessions.broadcast(8);
    let mut subscriber = broadcast.subscribe();
    while subscriber.next().await.transpose().unwrap().is_some() {}
    let stats = broadcast.stats().await.unwrap();
    let kept = Kept::default();
    publish(&kept, &stats);
    publish(&kept, &broadcast);
    let (counters, gauges) = (kept.counters(), kept.gauges());
    let counter = |name: &str| counters[&format!("netring_{name}{{interface=eth0}}")];
    assert_eq!(counter("flow_packets_total"), 2);
    assert_eq!(counter("session_messages_total"), 2);
    assert_eq!(counter("reassembly_delivered_bytes_total"), 6);
    // It started, two messages, it ended.
    assert_eq!(counter("broadcast_events_total"), 4);
    let subscribers = gauges["netring_broadcast_subscribers{interface=eth0}"];
    assert_eq!(subscribers, 1.0);
}
