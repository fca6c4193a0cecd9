//! Each figure is published under the name, kind, unit and labels that the documentation lists, and
//! with its value.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod bridge;
mod kept;
#[path = "../lengths/mod.rs"]
mod lengths;
mod reassembly;
mod sessions;

use std::collections::BTreeSet;

use kept::Kept;
use metrics::with_local_recorder;
use netring::bridge::BridgeStats;
use netring::flow::extract::FiveTuple;
use netring::flow::reassembly::ReassemblyStats;
use netring::flow::session::SessionStats;
use netring::flow::{FlowTracker, TrackerStats};
use netring::metrics::{Publish, Publisher};
use netring::pcap::{CaptureFile, CaptureWriter, RotatingWriter};
use netring::replay::ReplayStats;
use netring::{AsyncSource, Count, LinkType, Packet, PacketWriter, SinkStats, Stats, Timestamp};
use serde_json::Value;

/// Publishes these figures twice: to find each series, and to use it.
fn publish(recorder: &Kept, figures: &(impl Publish + ?Sized)) {
    with_local_recorder(recorder, || {
        let mut publisher = Publisher::new([("interface", "eth0")]);
        publisher.publish(figures);
        publisher.publish(figures);
    });
}

/// Replaces each number in a serialized value by a different one, from 1.
fn number(value: &mut Value, next: &mut u64) {
    match value {
        Value::Number(_) => {
            *value = (*next).into();
            *next += 1;
        }
        // The value of a figure that may be inexact.
        Value::String(_) => {
            *value = serde_json::json!({ "Exact": *next });
            *next += 1;
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| number(value, next)),
        other => panic!("{other}"),
    }
}

/// Statistics in which each figure is a different number, and how many there are.
fn numbered<T: Default + serde::Serialize + serde::de::DeserializeOwned>() -> (T, u64) {
    let mut value = serde_json::to_value(T::default()).unwrap();
    let mut next = 1;
    number(&mut value, &mut next);
    (serde_json::from_value(value).unwrap(), next - 1)
}

/// Each figure is in one counter, except those that are in a gauge.
#[track_caller]
fn each_is_published(kept: &Kept, figures: u64, gauges: &[u64]) {
    let mut values: Vec<u64> = kept.counters().into_values().collect();
    values.extend(gauges);
    values.sort_unstable();
    assert_eq!(values, (1..=figures).collect::<Vec<_>>(), "{kept:?}");
}

#[test]
fn each_figure_of_a_capture_is_published_once() {
    let (stats, figures) = numbered::<Stats>();
    let kept = Kept::default();
    publish(&kept, &stats);
    each_is_published(&kept, figures, &[]);
    let counters = kept.counters();
    let value = |name: &str| {
        let key = format!("netring_capture_{name}_total{{interface=eth0}}");
        Count::Exact(counters[&key])
    };
    assert_eq!(value("offered_packets"), stats.offered);
    assert_eq!(value("delivered_packets"), stats.delivered);
    assert_eq!(value("left_out_packets"), stats.left_out);
    assert_eq!(value("dropped_packets"), stats.dropped);
    assert_eq!(value("invalid_packets"), stats.invalid);
    assert_eq!(value("freezes"), stats.freezes);
    assert_eq!(value("link_downs"), stats.link_downs);
}

#[test]
fn each_figure_of_an_injector_is_published_once() {
    let (stats, figures) = numbered::<SinkStats>();
    let kept = Kept::default();
    publish(&kept, &stats);
    each_is_published(&kept, figures, &[stats.pending]);
    let counters = kept.counters();
    let value =
        |name: &str| counters[&format!("netring_injector_{name}_frames_total{{interface=eth0}}")];
    assert_eq!(value("committed"), stats.committed);
    assert_eq!(Count::Exact(value("sent")), stats.sent);
    assert_eq!(Count::Exact(value("dropped")), stats.dropped);
    assert_eq!(Count::Exact(value("rejected")), stats.rejected);
    assert_eq!(value("refused"), stats.refused);
    let pending = kept.gauges()["netring_injector_pending_frames{interface=eth0}"];
    assert_eq!(pending, stats.pending as f64);
}

/// The label of a cause or a reason is the name of the field.
#[test]
fn each_figure_of_a_tracker_is_published_once() {
    let (mut stats, figures) = numbered::<TrackerStats>();
    let kept = Kept::default();
    publish(&kept, &stats);
    let defragment = stats.fragments.defragment;
    let waiting = stats.untracked.waiting;
    let memory = [defragment.memory, defragment.memory_peak];
    each_is_published(
        &kept,
        figures,
        &[waiting, defragment.open, memory[0], memory[1]],
    );
    for (name, value) in [
        ("waiting_fragments", waiting),
        ("open_fragmented_packets", defragment.open),
        ("defragment_memory_bytes", memory[0]),
        ("defragment_memory_peak_bytes", memory[1]),
    ] {
        let gauge = kept.gauges()[&format!("netring_flow_{name}{{interface=eth0}}")];
        assert_eq!(gauge, value as f64, "{name}");
    }
    let mut fields = serde_json::to_value(stats).unwrap();
    // Has a gauge.
    let untracked = fields["untracked"].as_object_mut().unwrap();
    untracked.remove("waiting");
    let fragments = fields["fragments"].as_object_mut().unwrap();
    fields["incomplete"] = fragments.remove("defragment").unwrap()["incomplete"].take();
    let counters = kept.counters();
    for (field, metric, label) in [
        ("untracked", "netring_flow_untracked_packets_total", "cause"),
        ("ended", "netring_flow_ended_total", "reason"),
        ("fragments", "netring_flow_fragments_total", "seen"),
        (
            "incomplete",
            "netring_flow_incomplete_packets_total",
            "cause",
        ),
    ] {
        for (name, value) in fields[field].as_object().unwrap() {
            let key = format!("{metric}{{interface=eth0,{label}={name}}}");
            assert_eq!(counters[&key], value.as_u64().unwrap(), "{key}");
        }
    }
    let value = |name: &str| counters[&format!("netring_flow_{name}_total{{interface=eth0}}")];
    assert_eq!(value("packets"), stats.packets);
    assert_eq!(value("tracked_packets"), stats.tracked);
    assert_eq!(value("tracked_bytes"), stats.tracked_bytes);
    assert_eq!(value("cut_packets"), stats.cut);
    assert_eq!(value("malformed_packets"), stats.malformed);
    assert_eq!(value("icmp_errors"), stats.icmp_errors);
    let defragment = &stats.fragments.defragment;
    assert_eq!(value("fragmented_packets"), defragment.begun);
    assert_eq!(value("reassembled_packets"), defragment.reassembled);
    assert_eq!(value("started"), stats.flows_started);
    assert_eq!(value("established"), stats.flows_established);
    assert_eq!(value("closed"), stats.flows_closed);
    assert_eq!(value("out_of_window_segments"), stats.out_of_window);
    assert_eq!(value("too_deep_packets"), stats.too_deep);
    assert_eq!(value("ticks"), stats.ticks);
    assert_eq!(value("emergencies"), stats.emergencies);
    assert_eq!(value("time_went_back"), stats.time_went_back);

    stats.flows_started = 1000;
    publish(&kept, &stats);
    let active = kept.gauges()["netring_flow_active{interface=eth0}"];
    assert_eq!(active, (1000 - stats.ended.total()) as f64);
}

#[test]
fn a_figure_that_is_not_exact_says_so_and_one_that_is_unavailable_has_no_series() {
    let mut stats = Stats::counted(5);
    stats.link_downs = Count::Unavailable;
    let kept = Kept::default();
    let downs = "netring_capture_link_downs_total{interface=eth0}";
    let bound = "netring_lower_bound{interface=eth0,metric=netring_capture_link_downs_total}";
    let pending = "netring_capture_pending_packets{interface=eth0}";
    with_local_recorder(&kept, || {
        let mut publisher = Publisher::new([("interface", "eth0")]);
        publisher.publish(&stats);
        assert_eq!(kept.counters().get(downs), None);
        assert_eq!(kept.gauges().get(bound), None);
        assert_eq!(kept.counters().len(), 6);
        // Six figures that may be inexact, and the packets that are pending.
        assert_eq!(kept.gauges().len(), 7);
        assert_eq!(kept.gauges()[pending], 0.0);

        stats.link_downs = Count::Exact(2);
        publisher.publish(&stats);
        assert_eq!((kept.counters()[downs], kept.gauges()[bound]), (2, 0.0));

        stats.link_downs = Count::AtLeast(3);
        stats.dropped = Count::AtLeast(0);
        publisher.publish(&stats);
        assert_eq!((kept.counters()[downs], kept.gauges()[bound]), (3, 1.0));
        let dropped =
            "netring_lower_bound{interface=eth0,metric=netring_capture_dropped_packets_total}";
        assert_eq!(kept.gauges()[dropped], 1.0);
        assert!(kept.gauges()[pending].is_nan());

        stats.link_downs = Count::Unavailable;
        publisher.publish(&stats);
        assert_eq!((kept.counters()[downs], kept.gauges()[bound]), (3, 1.0));
    });
    // Without a known figure nothing is published.
    let kept = Kept::default();
    publish(&kept, &Stats::default());
    assert_eq!(kept.counters().len() + kept.gauges().len(), 0);
}

/// Two publishers do not interfere, and neither do two types of one.
#[test]
fn labels_tell_publishers_apart_and_one_publisher_serves_several_types() {
    let kept = Kept::default();
    with_local_recorder(&kept, || {
        let mut a = Publisher::new([("interface", "a"), ("host", "h")]);
        let mut b = Publisher::new([("interface", String::from("b"))]);
        for round in 1..=3 {
            a.publish(&Stats::counted(round));
            a.publish(&SinkStats::counted(10 * round, 10 * round));
            b.publish(&Stats::counted(100 * round));
        }
        let none: [(&str, &str); 0] = [];
        Publisher::new(none).publish(&Stats::counted(7));
    });
    let counters = kept.counters();
    let delivered = |labels| counters[&format!("netring_capture_delivered_packets_total{labels}")];
    assert_eq!(delivered("{interface=a,host=h}"), 3);
    assert_eq!(delivered("{interface=b}"), 300);
    assert_eq!(delivered("{}"), 7);
    let sent = "netring_injector_sent_frames_total{interface=a,host=h}";
    assert_eq!(counters[sent], 30);
}

/// Nothing is allocated after the first time.
#[test]
fn publishing_again_allocates_nothing() {
    let kept = Kept::default();
    with_local_recorder(&kept, || {
        let mut publisher = Publisher::new([("interface", "eth0")]);
        let (stats, tracker) = (numbered::<Stats>().0, numbered::<TrackerStats>().0);
        let mut once = || {
            publisher.publish(&stats);
            publisher.publish(&tracker);
        };
        once();
        assert_eq!(allocation_counter::measure(once).count_total, 0);
    });
}

fn frame() -> Packet<'static> {
    Packet::new(&[0; 60], Timestamp::EPOCH, LinkType::ETHERNET)
}

/// A broadcast of a small capture file, with two subscribers.
async fn broadcast(kept: &Kept) {
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    for _ in 0..3 {
        writer.write(&frame()).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let file = CaptureFile::new(std::io::Cursor::new(bytes)).unwrap();
    let source = AsyncSource::replay(file);
    let tracker = FlowTracker::new(FiveTuple::bidirectional());
    let broadcast = source.flow_stream_with(tracker).broadcast(8);
    let (first, _second) = (broadcast.subscribe(), broadcast.subscribe());
    let stats = broadcast.shutdown().await.unwrap();
    publish(kept, &broadcast);
    publish(kept, &first);
    publish(kept, &stats);
    let gauge = |name: &str| kept.gauges()[&format!("{name}{{interface=eth0}}")];
    let counter = |name: &str| kept.counters()[&format!("{name}{{interface=eth0}}")];
    let figures = first.stats();
    assert_eq!(
        counter("netring_subscriber_received_events_total"),
        figures.received
    );
    assert_eq!(
        gauge("netring_subscriber_behind_events"),
        figures.behind as f64
    );
    assert_eq!(
        gauge("netring_subscriber_most_behind_events"),
        figures.most_behind as f64
    );
    assert_eq!(counter("netring_broadcast_waits_total"), stats.waits);
    assert_eq!(
        gauge("netring_broadcast_waited_seconds"),
        stats.waited.as_secs_f64()
    );
    assert_eq!(gauge("netring_broadcast_subscribers"), 2.0);
    assert_eq!(gauge("netring_broadcast_capacity_batches"), 8.0);
    assert_eq!(
        gauge("netring_subscriber_queued_batches"),
        first.queued() as f64
    );
    assert_eq!(
        counter("netring_subscriber_lost_events_total"),
        first.lost()
    );
    assert_eq!(counter("netring_broadcast_events_total"), stats.events);
    assert_eq!(counter("netring_broadcast_waits_total"), stats.waits);
    publish(kept, &broadcast.published());
    assert_eq!(
        gauge("netring_broadcast_waited_seconds"),
        stats.waited.as_secs_f64()
    );
    assert_eq!(counter("netring_flow_packets_total"), stats.tracker.packets);
}

/// Everything that can be published, into one recorder.
async fn all(kept: &Kept) {
    publish(kept, &numbered::<Stats>().0);
    publish(kept, &numbered::<SinkStats>().0);
    broadcast(kept).await;
    publish(kept, &ReplayStats::default());
    publish(kept, &BridgeStats::default());
    publish(kept, &ReassemblyStats::default());
    publish(kept, &SessionStats::default());
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    writer.write(&frame()).unwrap();
    publish(kept, &writer);
    // Two tests call this concurrently.
    let thread = std::thread::current().id();
    let name = format!("netring-metrics-{}-{thread:?}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let name = folder.join("{}.pcapng").display().to_string();
    let mut rotating = RotatingWriter::builder(name).create().unwrap();
    rotating.write(&frame()).unwrap();
    publish(kept, &rotating);
    drop(rotating);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn files_publish_what_was_taken_and_what_reached_them() {
    let kept = Kept::default();
    all(&kept).await;
    let counters = kept.counters();
    let gauges = kept.gauges();
    let counter = |name: &str| counters[&format!("netring_{name}{{interface=eth0}}")];
    let gauge = |name: &str| gauges[&format!("netring_{name}{{interface=eth0}}")];
    assert_eq!(counter("file_packets_total"), 1);
    // The header of the file; the packet is buffered.
    assert_eq!(counter("file_bytes_total"), 24);
    assert_eq!(gauge("file_unwritten_packets"), 1.0);
    assert_eq!(counter("rotation_files_total"), 1);
    assert_eq!(counter("rotation_packets_total"), 1);
    assert_eq!(gauge("rotation_unwritten_packets"), 1.0);
}

/// The rows of the table in the documentation: name, kind, unit and the label besides those of the
/// publisher.
fn documented() -> BTreeSet<[String; 4]> {
    let module = include_str!("../../src/metrics.rs");
    let own = module.lines().filter_map(|line| line.strip_prefix("//! "));
    let parts = [
        include_str!("../../src/metrics/flow.md"),
        include_str!("../../src/metrics/broadcast.md"),
        include_str!("../../src/metrics/pcap.md"),
        include_str!("../../src/metrics/rotation.md"),
    ];
    let rows = own.chain(parts.into_iter().flat_map(str::lines));
    let rows = rows.filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().replace('`', ""));
        cells.next();
        std::array::from_fn(|_| cells.next().unwrap())
    })
    .collect()
}

#[tokio::test]
async fn the_table_lists_what_is_published_and_nothing_else() {
    let kept = Kept::default();
    all(&kept).await;
    let described = kept.described.lock().unwrap().clone();
    let (counters, gauges) = (kept.counters(), kept.gauges());
    let mut published = BTreeSet::new();
    for (series, is_counter) in counters
        .keys()
        .map(|series| (series, true))
        .chain(gauges.keys().map(|series| (series, false)))
    {
        let (name, labels) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
        let own = labels.strip_prefix("interface=eth0").unwrap();
        let own = own
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0));
        let own: Vec<_> = own.collect();
        // Those of the sources of a bridge have its label too.
        if own.first() == Some(&"direction") && !name.starts_with("netring_bridge_") {
            continue;
        }
        let own = own.join(", ");
        let (kind, unit, text) = &described[name];
        assert_eq!(*kind == "counter", is_counter, "{name}");
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        assert!(text.len() >= 10 && !text.ends_with('.'), "{name}: {text}");
        let unit = unit.map_or("", |unit| unit.as_str());
        published.insert([name, kind, unit, &own].map(str::to_owned));
    }
    assert_eq!(published, documented());
}

#[test]
fn the_reasons_of_a_replay_are_those_of_its_statistics() {
    let kept = Kept::default();
    let mut stats = ReplayStats::default();
    stats.refused.cut = 1;
    stats.refused.link_type = 2;
    stats.refused.too_long = 3;
    stats.refused.unsegmentable = 4;
    stats.refused.checksum = 5;
    stats.refused.too_short = 6;
    stats.duration = std::time::Duration::from_millis(1500);
    publish(&kept, &stats);
    let prefix = "netring_replay_refused_packets_total{interface=eth0,reason=";
    let counters = kept.counters();
    let refused = counters
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, *value)));
    let expected = [
        ("checksum}", 5),
        ("cut}", 1),
        ("link_type}", 2),
        ("too_long}", 3),
        ("too_short}", 6),
        ("unsegmentable}", 4),
    ];
    assert_eq!(refused.collect::<Vec<_>>(), expected);
    let duration = kept.gauges()["netring_replay_duration_seconds{interface=eth0}"];
    assert_eq!(duration, 1.5);
}
